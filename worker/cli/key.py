"""`nightkey key`: whether a key that somebody presents is one of ours; the key set of one that signs."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from vaultcore.crypto import apikeys
from worker.cli.commands import Commands
from worker.cli.inputs import read_value
from worker.cli.output import note, print_json, print_lines, write_whole
from worker.cli.session import Json, open_services
from worker.wording.parts import say_count

app = Commands(no_args_is_help=True, help="Keys that callers present, and those that sign.")


@app.command()
def check(
    *,
    value_file: Annotated[
        str | None,
        typer.Option("--value-file", metavar="PATH", help="The key's file; - for standard input."),
    ] = None,
    json: Json = False,
) -> None:
    """Check a key: 0 and whose it is, or 3 if it opens nothing. The key is asked for, or read from a file.

    It counts as a use of the key.
    """
    key = read_value(value_file, what="key")
    services = open_services()
    found = services.runs.caller_keys.check(key)
    item = None if found is None else services.views.get_item(found[0])
    if found is None or item is None:
        real = apikeys.looks_real(key.expose())
        if json:
            print_json({"valid": False, "checksum": real})
        else:
            why = (
                "well-formed, but it opens nothing"
                if real
                else "not a key of ours: its form or checksum is wrong"
            )
            note(f"nightkey: {why}")
        raise typer.Exit(3)
    if json:
        print_json(
            {
                "valid": True,
                "checksum": True,
                "item": item.name,
                "item_id": item.id,
                "version": found[1],
            }
        )
    else:
        print_lines([f"the key of {item.name}, version {found[1]}"])


@app.command()
def jwks(
    item: str,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="A file to write, for a web server."),
    ] = None,
) -> None:
    """Show the key set of an item that signs. Public halves alone: next, current and previous."""
    shown = open_services().runs.key_sets.jwks(item)
    if output is None:
        print_json(shown)
        return
    write_whole(output, jsonlib.dumps(shown, indent=2) + "\n")
    note(f"{say_count(len(shown['keys']), 'key')} in {output}")
