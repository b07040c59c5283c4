"""`nightkey key`: whether a key that somebody presents is one of ours; the key set of one that signs."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from vaultcore.access import machine
from worker.cli.commands import Commands
from worker.cli.inputs import read_value
from worker.cli.output import note, print_json, print_lines, write_whole
from worker.cli.session import Json, ask, who
from worker.wording.parts import say_count
from worker.wording.people import describe_presented

app = Commands(no_args_is_help=True)


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
    found = ask(
        lambda services: describe_presented(key, services.access.principals.check_key(machine(who()), key)),
        lambda server: server.post("/nightkey/keys/check", body={"key": key}),
    )
    if json:
        print_json(found if found["valid"] else {name: found[name] for name in ("valid", "checksum")})
    elif found["valid"]:
        print_lines([f"the key of {found['item']}, version {found['version']}"])
    else:
        real = "well-formed, but it opens nothing"
        note(f"nightkey: {real if found['checksum'] else 'not a key of ours: its form or checksum is wrong'}")
    if not found["valid"]:
        raise typer.Exit(3)


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
    shown = ask(
        lambda services: services.runs.key_sets.jwks(item),
        lambda server: dict(server.get("/workflows/vault", item, "jwks.json")),
    )
    if output is None:
        print_json(shown)
        return
    write_whole(output, jsonlib.dumps(shown, indent=2) + "\n")
    note(f"{say_count(len(shown['keys']), 'key')} in {output}")
