"""Stale references, unused items and what items lack, as findings: page by page."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from vaultcore import rules
from vaultcore.model import Consumers, Hygiene, Mode, ReferenceState
from vaultcore.stored import read_apart
from worker.domain.commands import first_value_command, quote_word
from worker.domain.consumption import advise_unread
from worker.domain.distances import count_seconds_left
from worker.domain.findings import (
    MENTIONED,
    Finding,
    FindingKind,
    find_of_item,
    find_unreadable,
    show_lasting,
)
from worker.domain.lacks import LACKS
from worker.domain.reasons import Code, Reason
from worker.rows.item_lacks import LackingItem, Misfit, UnusedItem, walk_lacking, walk_unused
from worker.rows.stale_references import StaleReference, walk_stale_references
from worker.rows.unread import UnreadItem, UnreadReference, UnreadRow
from worker.workflows.remarks import OUTSIDE

R = TypeVar("R")
U = TypeVar("U", bound=UnreadRow)

SCANNED_KINDS = frozenset(FindingKind) - {
    FindingKind.STUCK,
    FindingKind.ROTATION_FAILED,
    FindingKind.DRIFTED,
    FindingKind.UNPROVEN,
    FindingKind.TAMPERED,
    FindingKind.PASSED_OVER,
}
"""What a whole scan sees again each time; the others are opened and resolved by rotations, restores, the check
of all rows that decide and the writing of notices."""

_KEPT_BY_NIGHTS = timedelta(days=2)
"""What lives for less may lapse between two nights."""


def walk_stale(
    connection: Connection, now: datetime, *, page_size: int, consumer_ids: Collection[str] | None = None
) -> Iterator[list[Finding]]:
    """Stale references: indexes have the candidates, `rules.staleness` decides. `consumer_ids`: those of
    these workflows alone.
    """
    for page in walk_stale_references(connection, now, page_size=page_size, consumer_ids=consumer_ids):
        yield from _see(page, lambda row: list(_see_reference(row, now)), _unreadable_reference)


def walk_items(connection: Connection, now: datetime, *, page_size: int) -> Iterator[list[Finding]]:
    """Items that no active consumer uses, and items that lack what their creator should have given."""
    for unused in walk_unused(connection, page_size=page_size):
        yield from _see(unused, _see_unused, _unreadable_item)
    for lacking in walk_lacking(connection, page_size=page_size):
        yield from _see(lacking, lambda row: _see_lacks(row, now), _unreadable_item)


def _see(
    page: Sequence[R | U], see: Callable[[R], list[Finding]], tell: Callable[[R | U, str], Finding]
) -> Iterator[list[Finding]]:
    """What is found of a page, a row that cannot be read included; nothing where nothing is."""
    found: list[Finding] = []
    unread: list[Finding] = []
    for row in page:
        seen = row if isinstance(row, UnreadRow) else read_apart(row, see)
        if isinstance(seen, list):
            found += seen
        else:
            unread.append(tell(row, seen.problem))
    if found or unread:
        yield found + unread


def _unreadable_item(row: UnusedItem | LackingItem | UnreadItem, problem: str) -> Finding:
    return find_unreadable(row.item_id, problem, item_id=row.item_id, item=str(row.name))


def _unreadable_reference(row: StaleReference | UnreadReference, problem: str) -> Finding:
    key = f"{row.consumer_id} {row.node_id} {row.written}"
    return find_unreadable(
        f"item_references {key}",
        problem,
        item_id=row.item_id,
        item=str(row.written),
        workflow=str(row.consumer_name),
        what=f"a reference to it ({key})",
    )


def _see_reference(row: StaleReference, now: datetime) -> Iterator[Finding]:
    state = ReferenceState(
        active=row.active,
        item_id=row.item_id,
        expires_at=row.expires_at,
        current=row.current,
        activated_at=row.activated_at,
        overlap=row.overlap,
        pinned=None if row.mentioned else row.pinned,
        last_version=None if row.mentioned else row.last_version,
        idle_at=None if row.mentioned else row.idle_at,
    )
    for kind in rules.staleness(state, now):
        finding_kind = FindingKind(kind.value)
        name = row.item or row.written
        yield Finding(
            kind=finding_kind,
            subject=f"{row.consumer_id} {name}",
            item_id=row.item_id,
            item=name,
            workflow=row.consumer_name,
            level=MENTIONED if row.mentioned else 1,
            detail=_explain(finding_kind, row, now),
            command=_advise(finding_kind, row, name),
        )


def _explain(kind: FindingKind, row: StaleReference, now: datetime) -> Reason:
    node = None if row.node_id == OUTSIDE else row.node_id
    mentioned = True if row.mentioned else None

    def found(code: Code, **more: int | None) -> Reason:
        return Reason.of(code, workflow=row.consumer_name, node=node, **more)

    if kind is FindingKind.MISSING:
        return found(Code.NAMED, mentioned=mentioned)
    if kind is FindingKind.USES_EXPIRED and row.expires_at is not None:
        seconds = count_seconds_left(row.expires_at, now)
        return found(Code.USED_LAPSED, mentioned=mentioned, seconds=seconds)
    if kind is FindingKind.SUPERSEDED and row.pinned:
        return found(Code.PINNED_OLD, version=row.pinned, current=row.current)
    if kind is FindingKind.SUPERSEDED:
        return found(Code.RAN_OLD, version=row.last_version, current=row.current)
    last = None if row.last_run_at is None else count_seconds_left(row.last_run_at, now)
    return found(Code.HELD_IDLE, seconds=last)


def _advise(kind: FindingKind, row: StaleReference, name: str) -> str:
    """What resolves it, as a person would type it."""
    workflow = quote_word(row.consumer_name)
    if kind is FindingKind.MISSING and rules.is_item_id(name):
        return f"nightkey workflow show {workflow}"
    if kind is FindingKind.MISSING:
        return f"nightkey item create {quote_word(name)} --owner OWNER --value-file PATH"
    if kind is FindingKind.USES_EXPIRED:
        return f"nightkey item show {quote_word(name)}"
    if kind is FindingKind.SUPERSEDED and row.pinned:
        return f"nightkey workflow unpin {workflow} {quote_word(name)}"
    if row.elsewhere:
        return f"nightkey run report {workflow} --status completed --started-at TIME"
    return f"nightkey workflow run {workflow}"


def _see_unused(row: UnusedItem) -> list[Finding]:
    """Nobody reads it: it cannot be replaced here, or is of no use; unless its policy says so itself."""
    if rules.needs_consumer(row.policy, row.kind):
        return [_no_consumer(row)]
    return [_unused(row)] if row.policy.consumers is Consumers.REQUIRED and not row.is_used else []


def _no_consumer(row: UnusedItem) -> Finding:
    name = quote_word(row.name)
    return find_of_item(
        FindingKind.NO_CONSUMER,
        row.item_id,
        row.name,
        detail=Reason.of(Code.NO_CONSUMER, command=f"nightkey item update {name} --consumers none"),
        does=Reason.of(Code.DOES_NOTHING, why=Reason.of(Code.STAYS)),
        command=advise_unread(row.name),
    )


def _unused(row: UnusedItem) -> Finding:
    return find_of_item(
        FindingKind.UNUSED,
        row.item_id,
        row.name,
        detail=Reason.of(Code.UNUSED),
        command=f"nightkey item update {quote_word(row.name)} --consumers none",
    )


def _see_lacks(row: LackingItem, now: datetime) -> list[Finding]:
    return [_see_lack(row, lack, now) for lack in row.lacks]


def _see_lack(row: LackingItem, lack: Hygiene, now: datetime) -> Finding:
    if row.misfit is not None and lack is Hygiene.MISFIT:
        return _misfit(row, row.misfit)
    if row.awaited is not None and lack is Hygiene.NO_VALUE:
        why = Code.NO_VALUE
        policy, expires_at = row.awaited.policy, row.awaited.expires_at
        command = first_value_command(row.name, policy, expires_at=expires_at, now=now)
    else:
        why, options = LACKS[lack]
        command = f"nightkey item update {quote_word(row.name)} {options}"
    return find_of_item(FindingKind(lack), row.item_id, row.name, detail=Reason.of(why), command=command)


def _misfit(row: LackingItem, misfit: Misfit) -> Finding:
    policy, life = misfit.policy, misfit.life
    short = life < _KEPT_BY_NIGHTS
    lasts = show_lasting(life)
    overlap = show_lasting(policy.overlap) if policy.overlap > life / 2 else None
    lead = show_lasting(rules.lead_of(policy, life))
    return find_of_item(
        FindingKind.MISFIT,
        row.item_id,
        row.name,
        level=2 if short else 1,
        detail=Reason.of(
            Code.MISFIT, lasts=lasts, lead=show_lasting(policy.lead), overlap=overlap, short=short or None
        ),
        does=Reason.of(Code.DOES_REPLACE_BEFORE, lead=lead) if policy.mode is Mode.AUTO else None,
        command=f"nightkey item update {quote_word(row.name)} --lifetime {lasts}",
    )
