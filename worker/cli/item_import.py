"""`nightkey item import`: items of another vault come in as metadata, and wait for their values."""

from typing import Annotated

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.inputs import read_document
from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Json, open_services, who
from worker.domain.incoming import (
    Arrival,
    Contents,
    JudgedEntry,
    describe_judged,
    describe_not_taken,
    explain_fault,
    sort_out,
    summarise,
)
from worker.importing.vault_list import read_vault_list

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
    services = open_services()
    problem = ""
    try:
        contents = sort_out(read_vault_list(text, now=services.clock()))
    except InvalidInputError as error:
        problem = f"{source}: {error}"
    if problem:
        raise InvalidInputError(problem)
    for sentence in describe_not_taken(contents):
        note(f"nightkey: {sentence}")
    judged: list[JudgedEntry] = []
    for one in services.upkeep.item_import.take_in(
        contents.entries, owners=owner or (), actor=who(), dry_run=dry_run
    ):
        judged.append(one)
        if one.arrival is Arrival.NEW and not json:
            print_lines([describe_judged(one)])
    _tell([*map(explain_fault, contents.faults), *(describe_judged(one) for one in judged if one.why)])
    if json:
        print_json(_to_document(contents, judged, dry_run=dry_run))
    else:
        print_lines([summarise(contents, judged, dry_run=dry_run)])
    if contents.faults or any(one.arrival is Arrival.LEFT_OUT for one in judged):
        raise typer.Exit(1)


def _tell(sentences: list[str]) -> None:
    for sentence in sentences[:_TOLD_MAX]:
        note(f"nightkey: {sentence}")
    if len(sentences) > _TOLD_MAX:
        note(f"nightkey: and {len(sentences) - _TOLD_MAX:,} others: --json has them all")


def _to_document(contents: Contents, judged: list[JudgedEntry], *, dry_run: bool) -> dict[str, object]:
    items = [
        {
            "place": one.entry.place,
            "name": one.entry.name,
            "id": one.item_id,
            "given_id": one.entry.given_id,
            "expires_at": one.entry.expires_at,
            "arrival": one.arrival,
            "why": one.why,
        }
        for one in judged
    ]
    items += [
        {"place": fault.place, "name": fault.name, "arrival": Arrival.LEFT_OUT, "why": fault.why}
        for fault in contents.faults
    ]
    return {"dry_run": dry_run, "items": items, "not_taken": describe_not_taken(contents)}
