"""`nightkey audit`: whether the record of every change is whole."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vaultcore.errors import InvalidInputError, RefusedError
from worker.cli.commands import Commands
from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Json, open_services, who
from worker.cli.terminal import fit_cell
from worker.wording import say
from worker.wording.parts import say_count

app = Commands(no_args_is_help=True, help="The record of every change.")


@app.command()
def verify(
    *,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", metavar="FILE", help="Anchors kept in another place.")
    ] = None,
    rows: Annotated[
        bool,
        typer.Option("--rows", help="Check every row that decides, due or not, and open every sealed record."),
    ] = False,
    json: Json = False,
) -> None:
    """Walk the whole chain. It finds any edited, removed, reordered or truncated row. 1 if it is broken.

    With --rows also what the log is not about: items with their policies, versions and uses, workflows, owners
    and their routes, rotations. 1 if any of them was changed behind the vault's back.
    """
    services = open_services()
    verdict = services.upkeep.anchors.verify(anchor)
    checked = services.upkeep.row_verification.check_all() if rows else None
    wrong = () if checked is None else checked.wrong
    if json:
        found = [
            {"row": one.subject, "item": one.item, "detail": say(one.detail), "command": one.command}
            for one in wrong
        ]
        more = {} if checked is None else {"checked": checked.rows, "changed": found}
        print_json({"whole": verdict.whole, "rows": verdict.rows, "problems": verdict.problems, **more})
    else:
        if verdict.whole:
            print_lines([f"whole: {say_count(verdict.rows, 'row')}"])
        if checked is not None and not wrong:
            print_lines([f"as Nightkey wrote them: {checked.rows} rows that decide, and their records"])
    if not json:
        for problem in verdict.problems:
            note(f"nightkey: audit: {problem}")
        for one in wrong:
            of_item = "" if one.item is None else f"{one.item}: "
            note(f"nightkey: audit: {of_item}{say(one.detail)}: {one.command}")
    if not verdict.whole or wrong:
        raise typer.Exit(1)


@app.command("accept-row")
def accept_row(
    table: Annotated[str, typer.Argument(metavar="TABLE")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="As `audit verify --rows` shows it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: you have looked at the row.")] = False,
    json: Json = False,
) -> None:
    """Answer for a row that was changed behind the vault. It is shown first, and you are asked. Audited."""
    services = open_services()
    shown = services.upkeep.row_verification.show(table, key)
    for name, text in shown.columns.items():
        note(f"  {name}: {fit_cell(text)}")  # a row that somebody wrote shows no line of its own
    if not yes and not sys.stdin.isatty():
        raise InvalidInputError("there is no terminal to ask: add --yes if you answer for it as it is")
    if not yes and not typer.confirm("Is that right, and shall Nightkey go on by it?", err=True):
        raise RefusedError("nothing was changed")
    services.upkeep.row_verification.accept(table, key, shown=shown.digest, actor=who())
    if json:
        print_json({"table": table, "key": key, "row": shown.columns})
    else:
        print_lines([f"{table} {key}: accepted as it is"])


@app.command("anchor")
def make_anchor(*, json: Json = False) -> None:
    """Sign today's head of the log, and print it. It is one line of JSON: keep it in another place."""
    _ = json  # the line is JSON as it is
    print_lines([open_services().upkeep.anchors.anchor()])
