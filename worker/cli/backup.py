"""`nightkey backup`: the vault as one file."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Json, open_services, who
from worker.wording.parts import say_count


def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it; it is written completely, or not at all.")
    ],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write the vault into one file, and verify it. It may be at work meanwhile.

    `nightkey restore` puts it back.
    The file holds the database, signed with the head of its audit log; a database in PostgreSQL is dumped by
    the installed pg_dump. It opens nothing by itself: the keyring is not in it, and has to be kept in another
    place. nightkey.toml and templates are not in it either: keep them as you keep other configuration.
    """
    services = open_services()
    made = services.upkeep.backups.back_up(file.expanduser().absolute(), replace=replace, actor=who())
    keyring = services.settings.keyring_path
    if made.beside_keyring:
        note(
            f"nightkey: warning: {made.file} lies beside the keyring, and who has both opens every value: "
            "keep them apart"
        )
    manifest = made.manifest
    if json:
        print_json(
            {
                "file": str(made.file),
                "deployment": manifest.deployment_id,
                "made_at": manifest.made_at,
                "schema": manifest.revision,
                "counts": manifest.counts,
                "size": manifest.size,
                "sha256": manifest.sha256,
                "verified": made.verified,
                "keyring": str(keyring),
            }
        )
        return
    counted = ", ".join(say_count(number, what.removesuffix("s")) for what, number in manifest.counts.items())
    print_lines(
        [
            f"backed up: {made.file} ({counted})",
            f"verified: {', '.join(made.verified)}",
            f"not in it: the keyring, {keyring}: keep a copy of it in another place, nothing opens without it",
        ]
    )
