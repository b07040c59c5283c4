"""`nightkey item import`: credentials of elsewhere come in, with their values or without; none is rotated."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.model import UNCHANGED, Unchanged
from worker.cli.inputs import NONE, parse_time, read_document
from worker.cli.item_answers import warn
from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Json, open_services, who
from worker.cli.value_files import find_readable, read_value_files
from worker.domain.commands import quote_word
from worker.domain.incoming import Arrival, Contents, JudgedEntry, sort_out
from worker.importing.recognising import FileForm, ReadFile, read_file
from worker.ownership import is_readable_by_all
from worker.wording.incoming import (
    describe_judged,
    describe_not_taken,
    describe_proposal,
    describe_strangers,
    explain_fault,
    summarise,
)

_FILE_MAX: Final = 16 * 1024 * 1024
_TOLD_MAX: Final = 100
"""So many entries that are left out, or alone for a reason, are told by a line each; of others their number."""
_STEP: Final = 200
"""So often a person is told how far it is."""
_INTERRUPTED: Final = 130


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
    services = open_services()
    now = services.clock()
    said = _read_expiry(expires_at, now)
    text, source = read_document(file, most=_FILE_MAX)
    path = None if file == "-" else Path(file)
    problem = ""
    try:
        read = read_file(
            text, now=now, form=form, stem=None if path is None else path.stem, takes_all=everything
        )
        contents = _add_values(read, values_from, path)
    except InvalidInputError as error:
        problem = f"{source}: {error}"
    del text
    if problem:
        raise InvalidInputError(problem)
    contents = sort_out(contents)
    for sentence in describe_not_taken(contents):
        note(f"nightkey: {sentence}")
    importing = services.upkeep.item_import
    warn(describe_strangers(importing.find_strangers(contents.entries), owner or ()))
    judged: list[JudgedEntry] = []
    with _interruptible(judged):
        for one in importing.take_in(
            contents.entries, owners=owner or (), expires_at=said, actor=who(), dry_run=dry_run
        ):
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
        print_json(_to_document(read.form, contents, judged, dry_run=dry_run))
    else:
        print_lines([summarise(contents, judged, dry_run=dry_run)])
    if any(not fault.passed_over for fault in contents.faults) or any(
        one.arrival is Arrival.LEFT_OUT for one in judged
    ):
        raise typer.Exit(1)


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


@contextmanager
def _interruptible(judged: Sequence[JudgedEntry]) -> Iterator[None]:
    """Ctrl-C leaves the pages that are stored, and says how to go on."""
    stopped = False
    try:
        yield
    except KeyboardInterrupt:
        stopped = True
    if stopped:
        new = sum(one.arrival is Arrival.NEW for one in judged)
        note(
            f"nightkey: interrupted after {len(judged):,} entries, {new:,} of them new: the same command does "
            "the rest"
        )
        raise typer.Exit(_INTERRUPTED)


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


def _to_document(
    form: FileForm, contents: Contents, judged: list[JudgedEntry], *, dry_run: bool
) -> dict[str, object]:
    items = [_describe(one) for one in judged]
    items += [
        {
            "place": fault.place,
            "name": fault.name,
            "arrival": "passed-over" if fault.passed_over else Arrival.LEFT_OUT,
            "why": fault.why,
        }
        for fault in contents.faults
    ]
    return {
        "dry_run": dry_run,
        "format": form,
        "items": items,
        "not_taken": describe_not_taken(contents),
    }


def _describe(one: JudgedEntry) -> dict[str, object]:
    plan = one.plan
    told = {
        "place": one.entry.place,
        "name": one.entry.name,
        "written": one.entry.written,
        "id": one.item_id,
        "given_id": one.entry.given_id,
        "has_value": one.entry.value is not None,
        "expires_at": one.entry.expires_at if plan is None else plan.expires_at,
        "arrival": one.arrival,
        "why": one.why,
    }
    if plan is None:
        return told
    return told | {
        "expiry_from": plan.source,
        "lapsed": plan.lapsed,
        "owners": list(plan.owners),
        "mode": plan.policy.mode,
        "lifetime": plan.policy.lifetime,
        "sort": plan.sort.called,
        "proposed_lifetime": plan.sort.lifetime,
        "proposed_rotator": plan.sort.rotator,
    }
