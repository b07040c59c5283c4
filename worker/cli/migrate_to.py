"""`nightkey migrate-to`: the vault moves to another database."""

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.addresses import show_address
from worker.cli.database_address import read_address
from worker.cli.facts import print_facts
from worker.cli.move_progress import show_move
from worker.cli.output import interruptible, note, print_json, print_lines, print_table, write_text
from worker.cli.session import Json, open_settings, who
from worker.config import SETTINGS_FILE
from worker.domain.moves import Stance
from worker.log import configure_logging
from worker.wording.moves import describe_moved, describe_planned
from worker.wording.parts import say_count

if TYPE_CHECKING:  # imported when it is needed
    from worker.wording.plain import Shape

_TOLD_MAX = 20
"""So many rows are named in lines of their own; --json names them all."""


def migrate_to(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="Where to, without a password: postgresql://user@host/name.",
            show_default=False,
        ),
    ] = None,
    *,
    url_file: Annotated[
        str | None,
        typer.Option(
            "--url-file", metavar="PATH", help="A file with the URL and its password; - is standard input."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be copied, and what stands in the way.")
    ] = False,
    rehearse: Annotated[
        bool,
        typer.Option("--rehearse", help="Copy and compare, and leave the vault where it is, at work or not."),
    ] = False,
    json: Json = False,
) -> None:
    """Move the vault to another database, such as PostgreSQL. Nothing may work on it meanwhile; --dry-run and
    --rehearse leave it where it is, and it may be at work.

    Each row is copied, and compared with the old one. The old database stays as it is. A move that was cut off
    goes on where it was: give the same command again. If the vault was written to since, all is copied anew.

    Afterwards write database_url into nightkey.toml: this command does not. A URL with a password comes from
    --url-file, or from the variable NIGHTKEY_MIGRATE_TO; libpq's own ways (PGPASSFILE, ~/.pgpass) work, too.
    """
    from worker.installation import make_moves  # noqa: PLC0415  # --help must not wait for it

    configure_logging("ERROR")
    settings = open_settings()
    address = read_address(url, url_file)
    moves = make_moves(settings)
    with interruptible(lambda: "before its end: the same command goes on where it was"), show_move() as tell:
        if dry_run:
            found = describe_planned(moves.plan(address, tell))
        else:
            moved = moves.rehearse(address, tell) if rehearse else moves.move(address, tell, actor=who())
            found = describe_moved(moved)
    shown = show_address(address)
    if json:
        print_json(found | {"database_url": shown})
    elif dry_run:
        _show_plan(found)
    else:
        _show_move(found, settings.home / SETTINGS_FILE, shown, rehearse=rehearse)
    problems = found["obstacles"] if dry_run else found["differing"] + found["edited"]
    _tell_each(problems)
    if problems:
        raise typer.Exit(1)


def _show_plan(found: "Shape") -> None:
    if found["stance"] is Stance.MOVED:
        _show_moved_already(found)
        return
    rows = [{"table": table, "rows": number} for table, number in found["tables"].items() if number]
    print_table(rows, ("table", "rows"), "the vault has no rows")
    begun = "; a move to it was begun, and would go on" if found["stance"] is Stance.BEGUN else ""
    print_lines([""])
    print_facts(
        [
            ("would copy", say_count(found["rows"], "row")),
            ("from", found["source"]),
            ("to", f"{found['target']}{begun}"),
        ]
    )


def _show_move(found: "Shape", file: Path, shown: str, *, rehearse: bool) -> None:
    if found["stance"] is Stance.MOVED:
        _show_moved_already(found)
    else:
        _show_copied(found)
    if found["handed_over"]:
        _tell_next(found, file, shown)
    elif rehearse and not found["differing"] and not found["edited"]:
        print_lines(["", "The vault is where it was. Without --rehearse the same command hands it over."])


def _show_moved_already(found: "Shape") -> None:
    print_lines([f"moved already: {found['target']} has the vault, and nothing is left to copy"])


def _show_copied(found: "Shape") -> None:
    since, rows = found["written_since"], say_count(found["rows"], "row")
    if since:
        note(f"nightkey: the vault was written to since the move was begun, so all was copied anew: {since[0]}")
    rest = found["rows"] - found["copied"]
    before = f", and {rest:,} before" if rest else ""
    pace = round(found["rows"] / max(found["seconds"], 0.001))
    checked = say_count(found["digests"], "row")
    print_facts(
        [
            ("copied", f"{say_count(found['copied'], 'row')}{before}"),
            ("from", found["source"]),
            ("to", found["target"]),
            ("took", f"{found['seconds']:.1f} s with all checks, {say_count(pace, 'row')} a second"),
            ("compared", "" if found["differing"] else f"{rows}, the same in both"),
            ("audit log", "" if found["edited"] else f"{say_count(found['audit_rows'], 'row')}, whole"),
            (
                "digests",
                "" if found["edited"] else f"{checked}, with their sealed records, as Nightkey wrote them",
            ),
        ]
    )


def _tell_next(found: "Shape", file: Path, shown: str) -> None:
    """What a person does now, in order. A line that is to be copied is not parted."""
    commands = {
        "nightkey status": "how things stand there",
        "nightkey audit verify --rows": "whether all of it is whole",
        "nightkey up": "the nights go on",
    }
    width = max(map(len, commands))
    password = ", with its password in the place of ***" if "***" in shown else ""
    print_lines(["", f"next: write this line into {file}{password}"])
    write_text(f"  database_url = {dumps(shown)}\n")
    print_lines(
        [
            *(f"  {command:<{width}}  {says}" for command, says in commands.items()),
            "",
            f"The old vault, {found['source']}, is as it was.",
            "This home takes it for an older one from now on, and rotates nothing in it.",
            "Delete it when you trust the new one. To stay with it instead: nightkey restore --adopt",
        ]
    )


def _tell_each(problems: Sequence[str]) -> None:
    for sentence in problems[:_TOLD_MAX]:
        note(f"nightkey: {sentence}")
    if len(problems) > _TOLD_MAX:
        note(f"nightkey: and {len(problems) - _TOLD_MAX:,} others: --json has them all")
