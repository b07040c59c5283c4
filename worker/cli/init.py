"""`nightkey init`: makes the data folder, or what is missing of it."""

from worker.cli.output import print_json, print_lines
from worker.cli.reach import warn_of_unreached
from worker.cli.session import Json, open_services, open_settings


def init(*, json: Json = False) -> None:
    """Make a vault: data folder, keyring, database, settings file. What is there already is left alone."""
    from worker.installation import initialise  # noqa: PLC0415  # --help must not wait for it

    settings = open_settings()
    made = initialise(settings)
    if json:
        print_json({"home": str(settings.home), "made": made})
    else:
        print_lines(f"made {thing}" for thing in made)
        print_lines([f"ready: {settings.home}" if made else f"everything is there already: {settings.home}"])
    warn_of_unreached(open_services())
