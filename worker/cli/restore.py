"""`nightkey restore`: a vault is put back from a backup."""

from pathlib import Path
from typing import Annotated

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Json, open_settings, who
from worker.log import configure_logging
from worker.wording.parts import say_count


def restore(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="What `nightkey backup` wrote.", show_default=False)
    ] = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the vault that is here; its database is kept beside it.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Without FILE: the database that is here was put back by other means."),
    ] = False,
    json: Json = False,
) -> None:
    """Put the vault back from a backup. The home must have its keyring, and nothing may work on it meanwhile.

    Everything of the backup is checked first. Afterwards, before anything is rotated or revoked, each item is
    compared with its target: by the next `night`, `up` or `item rotate`, or by `nightkey reconcile run` now.
    """
    from worker.installation import make_restores  # noqa: PLC0415  # --help must not wait for it

    if adopt == (file is not None):
        raise InvalidInputError("name the FILE to restore, or say --adopt for the database that is here")
    configure_logging("ERROR")
    settings = open_settings()
    restoring = make_restores(settings)
    if file is None:
        done = restoring.adopt(actor=who())
    else:
        done = restoring.restore(file.expanduser().absolute(), replace=replace, actor=who())
    if json:
        print_json(vars(done))
        return
    since = "" if done.made_at is None else f" as it was at {done.made_at:%Y-%m-%d %H:%M:%S} UTC"
    print_lines([f"restored: {settings.home}{since}, with {say_count(done.items, 'item')}"])
    if done.kept is not None:
        print_lines([f"kept beside: what was here before, {done.kept}"])
    print_lines(
        ["next: `nightkey reconcile run` asks each target which value is in use; nothing is rotated before"]
    )
    if done.settings_differ:
        note(
            "nightkey: warning: nightkey.toml is not the one that stood beside this vault at its backup: look "
            "at freezes, caps and outbound settings before `nightkey up`"
        )
