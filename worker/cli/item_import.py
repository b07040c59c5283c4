"""`nightkey item import`: items of another vault come in as metadata, and wait for their values."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.inputs import read_document
from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Json, ask, who
from worker.domain.incoming import (
    ENTRIES_MAX,
    Arrival,
    Contents,
    IncomingItem,
    JudgedEntry,
    describe_import,
    describe_judged,
    describe_not_taken,
    explain_fault,
    sort_out,
    summarise,
)
from worker.importing.vault_list import read_vault_list

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_PATH: Final = "/nightkey/items/import"
_FILE_MAX = 8 * 1024 * 1024
_TOLD_MAX = 100
"""So many entries that are left out, or alone for a reason, are told by a line each; of others their number."""


def import_items(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The list as JSON; - for standard input.")],
    *,
    owner: Annotated[
        list[str] | None,
        typer.Option("--owner", help="Who answers for what comes in; several times for several."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would come in, and store nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Take in the items of another vault as metadata.

    The file is the answer of GET /workflows/vault, without values. What is there already is left
    alone, so that it can be run again. Each new item waits for its value (item
    update NAME --value-file PATH); its expiry is kept and told, and workflows that name it find it.
    """
    text, source = read_document(file, most=_FILE_MAX)

    def import_here(services: "Services") -> "Imported":
        contents = _read(text, source, services.clock())
        return contents, services.upkeep.item_import.take_in(
            contents.entries, owners=owner or (), actor=who(), dry_run=dry_run
        )

    def import_there(server: "FarServer") -> "Imported":
        contents = _read(text, source, server.clock())
        return contents, _take_in_there(server, contents.entries, owner or [], dry_run=dry_run)

    contents, arriving = ask(import_here, import_there)
    for sentence in describe_not_taken(contents):
        note(f"nightkey: {sentence}")
    judged: list[JudgedEntry] = []
    for one in arriving:
        judged.append(one)
        if one.arrival is Arrival.NEW and not json:
            print_lines([describe_judged(one)])
    _tell([*map(explain_fault, contents.faults), *(describe_judged(one) for one in judged if one.why)])
    if json:
        print_json(describe_import(contents, judged, dry_run=dry_run))
    else:
        print_lines([summarise(contents, judged, dry_run=dry_run)])
    if contents.faults or any(one.arrival is Arrival.LEFT_OUT for one in judged):
        raise typer.Exit(1)


Imported = tuple[Contents, Iterator[JudgedEntry]]
"""What the file holds, and what becomes of each entry, told as it is stored."""


def _read(text: str, source: str, now: datetime) -> Contents:
    problem = ""
    try:
        return sort_out(read_vault_list(text, now=now))
    except InvalidInputError as error:
        problem = f"{source}: {error}"
    raise InvalidInputError(problem)


def _take_in_there(
    server: "FarServer", entries: Sequence[IncomingItem], owners: list[str], *, dry_run: bool
) -> Iterator[JudgedEntry]:
    """In pages, each of which is stored by itself. Of what the file has, what is known here is sent."""
    for start in range(0, max(len(entries), 1), ENTRIES_MAX):
        page = entries[start : start + ENTRIES_MAX]
        sent = [
            {"id": one.given_id, "name": one.name, "created_at": one.created_at, "expires_at": one.expires_at}
            for one in page
        ]
        if not sent:
            return
        answer = server.post(_PATH, body={"items": sent, "owners": owners, "dry_run": dry_run}, long=True)
        for one in answer["items"]:
            yield JudgedEntry(
                entry=page[one["place"] - 1],
                arrival=Arrival(one["arrival"]),
                item_id=one["id"],
                why=one["why"],
            )


def _tell(sentences: list[str]) -> None:
    for sentence in sentences[:_TOLD_MAX]:
        note(f"nightkey: {sentence}")
    if len(sentences) > _TOLD_MAX:
        note(f"nightkey: and {len(sentences) - _TOLD_MAX:,} others: --json has them all")
