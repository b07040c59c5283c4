"""`nightkey audit`: the record of every change, and whether it is whole."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.errors import InvalidInputError, RefusedError
from worker.cli.audit_export import export, show_key, verify_export
from worker.cli.audit_list import RECORD, list_changes
from worker.cli.commands import Commands
from worker.cli.inputs import confirm, read_text
from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Json, ask, open_services, who
from worker.cli.terminal import fit_cell
from worker.wording.parts import say_count
from worker.wording.plain import Shape
from worker.wording.shapes import describe_checked

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(no_args_is_help=True)
_PATH: Final = RECORD
_ANCHORS_MAX: Final = 1_000_000


app.command("list")(list_changes)
app.command("export")(export)
app.command("key")(show_key)


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
    export_file: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Check what `audit export` has written.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="By this key of `audit key` alone, without a vault."),
    ] = None,
    json: Json = False,
) -> None:
    """Walk the whole chain. It finds any edited, removed, reordered or truncated row. 1 if it is broken.

    With --export an exported file instead: by the vault's key and its log, or anywhere by --key. 1 if it is not
    as it was signed.

    With --rows also what the log is not about: items with their policies, versions and uses, workflows, owners
    and their routes, rotations. 1 if any of them was changed behind the vault's back.
    """
    if export_file is None and key is not None:
        raise InvalidInputError("--key is for --export FILE: give both")
    if export_file is not None and (anchor is not None or rows):
        raise InvalidInputError("--export is checked by itself: give it without --anchor and --rows")
    if export_file is None:
        _verify_log(anchor, rows=rows, json=json)
    else:
        verify_export(export_file, key, json=json)


def _verify_log(anchor: Path | None, *, rows: bool, json: bool) -> None:
    def verify_here(services: "Services") -> Shape:
        from vaultcore.audit_processes import count_spare_processors  # noqa: PLC0415  # as the services

        verdict = services.upkeep.anchors.verify(anchor, processes=count_spare_processors())
        if verdict.lost:
            lost = f"{verdict.lost} of the processes that helped ended early"
            note(f"nightkey: audit: {lost}: what they had not answered for was checked without them")
        found = {"whole": verdict.whole, "rows": verdict.rows, "problems": list(verdict.problems)}
        return found | (describe_checked(services.upkeep.row_verification.check_all()) if rows else {})

    def verify_there(server: "FarServer") -> Shape:
        found: dict[str, Any] = (
            server.get(_PATH, "verify", long=True)
            if anchor is None
            else server.post(_PATH, "verify", body={"anchors": _read_lines(anchor)}, long=True)
        )
        return found | (server.get(_PATH, "rows", long=True) if rows else {})

    found = ask(verify_here, verify_there)
    wrong = found["changed"] if rows else []
    if json:
        print_json(found)
    else:
        if found["whole"]:
            print_lines([f"whole: {say_count(found['rows'], 'row')}"])
        if rows and not wrong:
            checked = say_count(found["checked"], "row")
            print_lines([f"as Nightkey wrote them: {checked} of those that decide, and their records"])
        for problem in found["problems"]:
            note(f"nightkey: audit: {problem}")
        for one in wrong:
            of_item = "" if one["item"] is None else f"{one['item']}: "
            note(f"nightkey: audit: {of_item}{one['detail']}: {one['command']}")
    if not found["whole"] or wrong:
        raise typer.Exit(1)


def _read_lines(file: Path) -> list[str]:
    return [line for line in read_text(file, most=_ANCHORS_MAX).splitlines() if line.strip()]


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
    if not yes and not confirm("Is that right, and shall Nightkey go on by it?"):
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
    anchor = ask(
        lambda services: services.upkeep.anchors.anchor(),
        lambda server: str(server.post(_PATH, "anchor")["anchor"]),
    )
    print_lines([anchor])
