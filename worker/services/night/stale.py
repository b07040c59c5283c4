"""Stale references, unused items and what items lack, as findings: page by page."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from vaultcore import rules
from vaultcore.model import Consumers, Hygiene, Mode, ReferenceState
from vaultcore.stored import read_apart
from worker.domain.commands import first_value_command, quote_word
from worker.domain.consumption import UNREAD, advise_unread
from worker.domain.findings import (
    MENTIONED,
    Finding,
    FindingKind,
    find_of_item,
    find_unreadable,
    show_lasting,
    show_time_left,
)
from worker.rows.item_lacks import LackingItem, Misfit, UnusedItem, walk_lacking, walk_unused
from worker.rows.stale_references import StaleReference, walk_stale_references
from worker.rows.unread import UnreadItem, UnreadReference, UnreadRow
from worker.workflows.document import OUTSIDE

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


def walk_stale(connection: Connection, now: datetime, *, page_size: int) -> Iterator[list[Finding]]:
    """Stale references: one join selects the candidates, `rules.staleness` decides."""
    for page in walk_stale_references(connection, now, page_size=page_size):
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


def _explain(kind: FindingKind, row: StaleReference, now: datetime) -> str:
    node = "the document" if row.node_id == OUTSIDE else f"node {row.node_id}"
    where = f"{node} of workflow {row.consumer_name}"
    if kind is FindingKind.MISSING:
        return f"{where} {'mentions' if row.mentioned else 'names'} it"
    if kind is FindingKind.USES_EXPIRED and row.expires_at is not None:
        verb = "mentions" if row.mentioned else "uses"
        return f"{where} {verb} it, and it lapsed {show_time_left(row.expires_at, now)}"
    if kind is FindingKind.SUPERSEDED:
        held = (
            f"is pinned to version {row.pinned}"
            if row.pinned
            else (f"last ran with version {row.last_version}")
        )
        return f"{where} {held}, and version {row.current} is current"
    ran = "has never run" if row.last_run_at is None else f"last ran {show_time_left(row.last_run_at, now)}"
    return f"{where} holds it, and {ran}"


def _advise(kind: FindingKind, row: StaleReference, name: str) -> str:
    """What settles it, as a person would type it."""
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
        detail=f"no active workflow here uses it: {UNREAD}. Apply one that does; or, if nothing here needs to "
        f"read it, nightkey item update {name} --consumers none; or leave its replacement to its owner",
        does="nothing: its value stays as it is",
        command=advise_unread(row.name),
    )


def _unused(row: UnusedItem) -> Finding:
    return find_of_item(
        FindingKind.UNUSED,
        row.item_id,
        row.name,
        detail="delete it if nothing else does",
        command=f"nightkey item delete {quote_word(row.name)}",
    )


_LACKS: dict[Hygiene, tuple[str, str]] = {
    Hygiene.NO_OWNER: ("nobody but the operators hears of it", "--owner OWNER"),
    Hygiene.NO_EXPIRY: ("nobody will notice when it stops working", "--expires-at TIME"),
    Hygiene.NO_PLAN: ("say how it is replaced: auto, approve or notify", "--mode MODE"),
    Hygiene.GENERIC_NAME: ("name service and environment, as in prod-ticketing-api-token", "--name NAME"),
}
"""What it means that an item lacks it, and the options that give it."""


def _see_lacks(row: LackingItem, now: datetime) -> list[Finding]:
    return [_see_lack(row, lack, now) for lack in row.lacks]


def _see_lack(row: LackingItem, lack: Hygiene, now: datetime) -> Finding:
    if row.misfit is not None and lack is Hygiene.MISFIT:
        return _misfit(row, row.misfit)
    if row.awaited is not None and lack is Hygiene.NO_VALUE:
        why = "it came in without its value: nothing here can use it before that is given"
        policy, expires_at = row.awaited.policy, row.awaited.expires_at
        command = first_value_command(row.name, policy, expires_at=expires_at, now=now)
    else:
        why, options = _LACKS[lack]
        command = f"nightkey item update {quote_word(row.name)} {options}"
    return find_of_item(FindingKind(lack), row.item_id, row.name, detail=why, command=command)


def _misfit(row: LackingItem, misfit: Misfit) -> Finding:
    policy, life = misfit.policy, misfit.life
    lasts, counts = show_lasting(life), show_lasting(policy.lead)
    detail = f"its last replacement lives {lasts}, and its policy counts on a lead of {counts}"
    if policy.overlap > life / 2:
        detail += f" and an overlap of {show_lasting(policy.overlap)}"
    if life < _KEPT_BY_NIGHTS:
        detail += ": a night comes once a day, and may find it lapsed"
    return find_of_item(
        FindingKind.MISFIT,
        row.item_id,
        row.name,
        level=2 if life < _KEPT_BY_NIGHTS else 1,
        detail=f"{detail}. Have its service give longer ones, or say how long they live",
        does=f"replaces it {show_lasting(rules.lead_of(policy, life))} before it lapses"
        if policy.mode is Mode.AUTO
        else None,
        command=f"nightkey item update {quote_word(row.name)} --lifetime {lasts}",
    )
