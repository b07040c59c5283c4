"""`nightkey doctor`: what of an installation is well, and what is missing."""

import typer

from worker.cli.output import print_json, print_table
from worker.cli.session import Json, open_services
from worker.wording.diagnosis import say_diagnosis


def doctor(*, json: Json = False) -> None:
    """Say of the installation what is well, and what is missing, with what to do.

    It is looked at as it is, and nothing is changed. 1 if anything is missing.
    """
    from worker.doctor import Doctor  # noqa: PLC0415  # --help must not wait for it

    services = open_services()
    try:
        found = Doctor(services).look()
    finally:
        services.close()
    rows = [
        {
            "part": one.aspect.value,
            "state": "well" if one.is_well else "missing",
            "says": say_diagnosis(one),
            "code": one.symptom.value,
        }
        for one in found
    ]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("part", "state", "says"), "")
    if not all(one.is_well for one in found):
        raise typer.Exit(1)
