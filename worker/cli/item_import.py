"""`nightkey item import`: credentials of elsewhere come in, with their values or without; none is rotated."""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.model import UNCHANGED, Unchanged
from worker.cli.inputs import NONE, parse_time, read_document
from worker.cli.item_answers import warn
from worker.cli.output import interruptible, note, print_json, print_lines
from worker.cli.session import Json, ask, who
from worker.cli.value_files import find_readable, read_value_files
from worker.domain.commands import quote_word
from worker.domain.incoming import (
    ENTRIES_MAX,
    Arrival,
    Contents,
    IncomingItem,
    JudgedEntry,
    plan_waiting,
    sort_out,
)
from worker.importing.recognising import FileForm, ReadFile, read_file
from worker.ownership import is_readable_by_all
from worker.wording.incoming import (
    describe_import,
    describe_judged,
    describe_not_taken,
    describe_proposal,
    describe_strangers,
    explain_fault,
    summarise,
)

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

Imported = tuple[FileForm, Contents, Iterator[JudgedEntry]]
"""What the file is and holds, and what becomes of each entry, told as it is stored."""
_PATH: Final = "/nightkey/imports"
_FILE_MAX: Final = 16 * 1024 * 1024
_TOLD_MAX: Final = 100
"""So many entries that are left out, or alone for a reason, are told by a line each; of others their number."""
_STEP: Final = 200
"""So often a person is told how far it is."""


def import_items(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What tells of the credentials; - for standard input.")
    ],
    *,
    form: Annotated[
        FileForm | None,
        typer.Option("--format", help="What form the file has; without it, by what is in it."),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(
            "--owner", help="Who answers for what the file names no owner of; several times for several."
        ),
    ] = None,
    values_from: Annotated[
        Path | None,
        typer.Option(
            "--values-from",
            metavar="FOLDER",
            help="Where values stand in a file each: one called as the item, or as its column value_file says.",
        ),
    ] = None,
    expires_at: Annotated[
        str | None,
        typer.Option(
            "--expires-at",
            metavar="TIME|none",
            help="When values lapse for which neither the file nor the value says it. Default: as proposed.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Take variables and fields, too, that are no secrets by their names."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would come in, and store nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring in the credentials that you have; none is rotated.

    FILE is a table (CSV with a header), a .env file, JSON, or what n8n (export:credentials), Vault or OpenBao
    (kv get -format=json), AWS Secrets Manager (batch-get-secret-value, list-secrets) or SDX (GET
    /workflows/vault) gives out, with values or as metadata. What is there already is left alone, so that it can
    be run again; what cannot come in is told, by name and never by value. A page of 200 is stored at once:
    Ctrl-C leaves whole pages.

    See first what it would make, and with which owner, expiry and rotator: nightkey item import FILE --dry-run

    Then: nightkey item import FILE --owner platform
    """
    text, source = read_document(file, most=_FILE_MAX)
    path = None if file == "-" else Path(file)

    def read(now: datetime) -> tuple[FileForm, Contents]:
        problem = ""
        try:
            found = read_file(
                text, now=now, form=form, stem=None if path is None else path.stem, takes_all=everything
            )
            return found.form, sort_out(_add_values(found, values_from, path))
        except InvalidInputError as error:
            problem = f"{source}: {error}"
        raise InvalidInputError(problem)

    def import_here(services: "Services") -> Imported:
        now, importing = services.clock(), services.upkeep.item_import
        said = _read_expiry(expires_at, now)
        found, contents = read(now)
        warn(describe_strangers(importing.find_strangers(contents.entries), owner or ()))
        return (
            found,
            contents,
            importing.take_in(
                contents.entries, owners=owner or (), expires_at=said, actor=who(), dry_run=dry_run
            ),
        )

    def import_there(server: "FarServer") -> Imported:
        found, contents = read(server.clock())
        _refuse_far(contents, source)
        return found, contents, _take_in_there(server, contents.entries, owner or [], dry_run=dry_run)

    form, contents, arriving = ask(import_here, import_there)
    for sentence in describe_not_taken(contents):
        note(f"nightkey: {sentence}")
    judged: list[JudgedEntry] = []
    with interruptible(lambda: _count_stored(judged)):
        for one in arriving:
            judged.append(one)
            if not json:
                _show(one, contents, dry_run=dry_run)
            _show_progress(len(judged), len(contents.entries))
    _tell(
        [
            *(explain_fault(fault, contents.unit) for fault in contents.faults),
            *(
                describe_judged(one, contents.unit)
                for one in judged
                if one.why and one.arrival is not Arrival.NEW
            ),
        ]
    )
    if json:
        print_json({"format": form} | describe_import(contents, judged, dry_run=dry_run))
    else:
        print_lines([summarise(contents, judged, dry_run=dry_run)])
    if any(not fault.passed_over for fault in contents.faults) or any(
        one.arrival is Arrival.LEFT_OUT for one in judged
    ):
        raise typer.Exit(1)


def _refuse_far(contents: Contents, source: str) -> None:
    if any(one.value is not None or one.owners or one.lifetime is not None for one in contents.entries):
        raise InvalidInputError(
            f"{source}: it says values, owners or lifetimes, and those come in beside the vault: import it on "
            "the vault's own machine, or metadata alone from here"
        )


def _take_in_there(
    server: "FarServer", entries: Sequence[IncomingItem], owners: list[str], *, dry_run: bool
) -> Iterator[JudgedEntry]:
    """In pages, each of which is stored by itself. Of what the file has, what is known here is sent."""
    for start in range(0, len(entries), ENTRIES_MAX):
        page = entries[start : start + ENTRIES_MAX]
        sent = [
            {
                "id": one.given_id,
                "name": one.name,
                "created_at": one.created_at,
                "expires_at": one.expires_at,
                "labels": {label.key: label.value for label in one.labels},
            }
            for one in page
        ]
        answer = server.post(_PATH, body={"items": sent, "owners": owners, "dry_run": dry_run}, long=True)
        for one in answer["items"]:
            entry, arrival = page[one["place"] - 1], Arrival(one["arrival"])
            plan = plan_waiting(entry, owners, server.clock()) if arrival is Arrival.NEW else None
            yield JudgedEntry(entry=entry, arrival=arrival, item_id=one["id"], why=one["why"], plan=plan)


def _read_expiry(given: str | None, now: datetime) -> datetime | Unchanged | None:
    if given is None:
        return UNCHANGED
    return None if given == NONE else parse_time(given, now)


def _add_values(read: ReadFile, folder: Path | None, path: Path | None) -> Contents:
    """With the values that stand in files; what everybody may read is told."""
    beside = None if path is None else path.parent
    filled = read_value_files(read.contents, folder, beside)
    held = any(entry.value is not None for entry in read.contents.entries)
    if path is not None and held and is_readable_by_all(path):
        word = quote_word(str(path))
        warn(
            [f"{path} holds values, and everybody may read it: chmod o-r {word}, or delete it when they are in"]
        )
    readable = find_readable(read.contents, folder, beside)
    if readable:
        others = f" and {len(readable) - 1:,} more files" if len(readable) > 1 else ""
        verb = "hold" if len(readable) > 1 else "holds"
        warn([f"{readable[0]}{others} {verb} values, and everybody may read that: chmod o-r, or delete it"])
    return filled


def _count_stored(judged: Sequence[JudgedEntry]) -> str:
    new = sum(one.arrival is Arrival.NEW for one in judged)
    return f"after {len(judged):,} entries, {new:,} of them new: the same command does the rest"


def _show(one: JudgedEntry, contents: Contents, *, dry_run: bool) -> None:
    if one.arrival is not Arrival.NEW:
        return
    print_lines([describe_judged(one, contents.unit)])
    if dry_run and one.plan is not None and one.entry.value is not None:
        print_lines([describe_proposal(one.plan)])


def _show_progress(done: int, of: int) -> None:
    """To a person alone, and only where it takes a while."""
    if of > _STEP and (done % _STEP == 0 or done == of) and sys.stderr is not None and sys.stderr.isatty():
        note(f"nightkey: {done:,} of {of:,} entries")


def _tell(sentences: list[str]) -> None:
    for sentence in sentences[:_TOLD_MAX]:
        note(f"nightkey: {sentence}")
    if len(sentences) > _TOLD_MAX:
        note(f"nightkey: and {len(sentences) - _TOLD_MAX:,} others: --json has them all")
