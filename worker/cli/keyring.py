"""`nightkey keyring`: the file with the keys that the vault hangs on."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.commands import Commands
from worker.cli.output import print_lines
from worker.cli.session import open_services

app = Commands(no_args_is_help=True)


@app.command()
def restrict(path: Annotated[Path, typer.Argument(help="The new file.")]) -> None:
    """Write a keyring that opens no value, to serve with.

    With it `nightkey serve` shows all that the vault says of its items, and refuses what seals or opens a
    value. It still vouches for rows and for the record: keep it as you keep this one.
    """
    services = open_services()
    services.check()
    services.keyring.write_restricted(path)
    print_lines([f"made {path}: give it to `nightkey serve` elsewhere by the setting keyring"])
