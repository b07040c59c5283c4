"""`nightkey audit`: whether the record of every change is whole."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Home, Json, open_services

app = typer.Typer(no_args_is_help=True, help="The record of every change.")


@app.command()
def verify(
    *,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", metavar="FILE", help="Anchors kept in another place.")
    ] = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Walk the whole chain: finds any edited, removed, reordered or truncated row. 1 if it is broken."""
    _ = home
    verdict = open_services().anchoring.verify(anchor)
    if json:
        print_json({"whole": verdict.whole, "rows": verdict.rows, "problems": verdict.problems})
    elif verdict.whole:
        print_lines([f"whole: {verdict.rows} rows"])
    else:
        for problem in verdict.problems:
            note(f"nightkey: audit: {problem}")
    if not verdict.whole:
        raise typer.Exit(1)


@app.command("anchor")
def make_anchor(*, json: Json = False, home: Home = None) -> None:
    """Sign today's head of the log and print it, one line of JSON: keep it in another place."""
    _ = home, json  # the line is JSON as it is
    print_lines([open_services().anchoring.anchor()])
