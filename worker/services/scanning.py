"""The scan: by index, in keyset pages, so that its time follows what is due and not what is stored.

One walk serves the night and the dry run: it reads a page, decides (pure), and hands what it saw to
whoever asked. An item that cannot be read is itself something seen: it never stops the walk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, or_, select

from vaultcore import rules
from vaultcore.errors import NightkeyError
from vaultcore.model import Consumer, Hygiene, ReferenceState, Stage
from vaultcore.rows import policy_from_json
from vaultcore.tables import items, references, versions
from worker.domain.commands import quote_word
from worker.domain.findings import Finding, FindingKind, show_time_left
from worker.domain.limits import Room
from worker.domain.plan import Action, Decision, DueItem, plan_item
from worker.domain.windows import Window, find_moment, parse_window
from worker.rotators.catalog import find_counterpart
from worker.tables import rotations

SCANNED_KINDS = frozenset(FindingKind) - {
    FindingKind.STUCK,
    FindingKind.ROTATION_FAILED,
    FindingKind.UNPROVEN,
}
"""What a whole scan sees again each time; the others are opened and resolved by rotations."""


@dataclass(frozen=True, kw_only=True)
class SeenItem:
    """A due item and what is to be done with it; `decision` is None if the row cannot be read."""

    item_id: str
    name: str
    decision: Decision | None
    finding: Finding | None


def walk_due(
    connection: Connection, now: datetime, *, page_size: int, room: Room, freezes: Sequence[Window]
) -> Iterator[list[SeenItem]]:
    """Items whose `due_at` has come, in pages, earliest first. The caller may write between pages.

    `room` is what the night's caps leave; it is taken in that order. `freezes` hold for every item.
    """
    last: tuple[datetime, str] | None = None
    while True:
        rows = _due_page(connection, now, last, page_size)
        page = []
        for row in rows:
            seen, room = _see_item(row, now, room, freezes)
            page.append(seen)
        if page:
            yield page
        if len(rows) < page_size:
            return
        last = (rows[-1].due_at, rows[-1].id)


def walk_stale(connection: Connection, now: datetime, *, page_size: int) -> Iterator[list[Finding]]:
    """Stale references: one join selects the candidates, `rules.staleness` decides."""
    last: tuple[str, str, str] | None = None
    while True:
        rows = _reference_page(connection, now, last, page_size)
        found = [finding for row in rows for finding in _see_reference(row, now)]
        if found:
            yield found
        if len(rows) < page_size:
            return
        last = (rows[-1].consumer_id, rows[-1].node_id, rows[-1].written)


def walk_items(connection: Connection, *, page_size: int) -> Iterator[list[Finding]]:
    """Items that no active consumer uses, and items that lack what their creator should have given."""
    used = exists().where(references.c.item_id == items.c.id, references.c.active.is_(True))
    for kind, where in (("unused", ~used), ("hygiene", items.c.hygiene != "")):
        last = ""
        while True:
            rows = connection.execute(
                select(items.c.id, items.c.name, items.c.owner_id, items.c.hygiene)
                .where(where, items.c.id > last)
                .order_by(items.c.id)
                .limit(page_size)
            ).all()
            found = [
                finding
                for row in rows
                for finding in ([_unused(row)] if kind == "unused" else _see_hygiene(row))
            ]
            if found:
                yield found
            if len(rows) < page_size:
                break
            last = rows[-1].id


def _due_page(
    connection: Connection, now: datetime, last: tuple[datetime, str] | None, page_size: int
) -> list[Row[*tuple[Any, ...]]]:
    query = (
        select(
            items.c.id,
            items.c.name,
            items.c.owner_id,
            items.c.policy,
            items.c.expires_at,
            items.c.due_at,
            items.c.hold_until,
            rotations.c.id.label("rotation_id"),
            rotations.c.state.label("rotation_state"),
        )
        .select_from(items)
        .outerjoin(
            rotations,
            and_(rotations.c.item_id == items.c.id, rotations.c.finished_at.is_(None)),
        )
        .where(items.c.due_at.is_not(None), items.c.due_at <= now)
        .order_by(items.c.due_at, items.c.id)
        .limit(page_size)
    )
    if last is not None:
        due_at, item_id = last
        query = query.where(
            items.c.due_at >= due_at,
            or_(items.c.due_at > due_at, items.c.id > item_id),
        )
    return list(connection.execute(query))


def _see_item(
    row: Row[*tuple[Any, ...]], now: datetime, room: Room, freezes: Sequence[Window]
) -> tuple[SeenItem, Room]:
    problem = ""
    try:
        policy = policy_from_json(row.policy)
        opens = find_moment(
            map(parse_window, policy.windows), [*freezes, *map(parse_window, policy.freezes)], now
        )
        counterpart = find_counterpart(policy)
        decision = plan_item(
            DueItem(
                item_id=row.id,
                name=row.name,
                owner_id=row.owner_id,
                mode=policy.mode,
                expires_at=row.expires_at,
                rotate_from=rules.rotate_from(policy, row.expires_at, item_id=row.id),
                overlap=policy.overlap,
                thresholds=policy.thresholds,
                counterpart=counterpart,
                opens=opens,
                expiry_first=policy.expiry_first,
                hold_until=row.hold_until,
                open_rotation=row.rotation_id,
                open_state=row.rotation_state,
            ),
            now,
            room,
        )
    except (KeyError, TypeError, ValueError, AttributeError, NightkeyError) as error:
        problem = type(error).__name__
    else:
        if decision.action is Action.ROTATE:
            room = room.take(counterpart)
        seen = SeenItem(item_id=row.id, name=row.name, decision=decision, finding=decision.finding)
        return seen, room
    finding = Finding(
        kind=FindingKind.UNREADABLE,
        subject=row.id,
        item_id=row.id,
        item=row.name,
        workflow=None,
        owner_id=row.owner_id,
        level=1,
        detail=f"what is stored of it cannot be read ({problem}): restore its row",
    )
    return SeenItem(item_id=row.id, name=row.name, decision=None, finding=finding), room


def _reference_page(
    connection: Connection, now: datetime, last: tuple[str, str, str] | None, page_size: int
) -> list[Row[*tuple[Any, ...]]]:
    r = references.c
    query = (
        select(
            r.consumer_id,
            r.consumer_name,
            r.node_id,
            r.written,
            r.active,
            r.item_id,
            r.pinned,
            r.last_version,
            r.last_run_at,
            r.idle_at,
            items.c.name.label("item"),
            items.c.owner_id,
            items.c.expires_at,
            items.c.overlap_seconds,
            versions.c.number.label("current"),
            versions.c.activated_at,
        )
        .select_from(references)
        .outerjoin(items, items.c.id == r.item_id)
        .outerjoin(
            versions,
            and_(versions.c.item_id == r.item_id, versions.c.stage == Stage.CURRENT.value),
        )
        .where(
            r.consumer == Consumer.WORKFLOW.value,
            r.active.is_(True),
            or_(
                r.item_id.is_(None),
                items.c.expires_at <= now,
                func.coalesce(r.pinned, r.last_version) != versions.c.number,
                r.idle_at <= now,
            ),
        )
        .order_by(r.consumer_id, r.node_id, r.written)
        .limit(page_size)
    )
    if last is not None:
        workflow, node, written = last
        query = query.where(
            or_(
                r.consumer_id > workflow,
                and_(r.consumer_id == workflow, r.node_id > node),
                and_(r.consumer_id == workflow, r.node_id == node, r.written > written),
            )
        )
    return list(connection.execute(query))


def _see_reference(row: Row[*tuple[Any, ...]], now: datetime) -> Iterator[Finding]:
    state = ReferenceState(
        active=row.active,
        item_id=row.item_id,
        expires_at=row.expires_at,
        current=row.current,
        activated_at=row.activated_at,
        overlap=timedelta(seconds=row.overlap_seconds or 0),
        pinned=row.pinned,
        last_version=row.last_version,
        idle_at=row.idle_at,
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
            owner_id=row.owner_id,
            level=1,
            detail=_explain(finding_kind, row, now),
        )


def _explain(kind: FindingKind, row: Row[*tuple[Any, ...]], now: datetime) -> str:
    where = f"node {row.node_id} of workflow {row.consumer_name}"
    if kind is FindingKind.MISSING:
        return f"{where} names it: create it, or correct the node"
    if kind is FindingKind.EXPIRED:
        return f"{where} uses it, and it lapsed {show_time_left(row.expires_at, now)}"
    if kind is FindingKind.SUPERSEDED:
        held = (
            f"is pinned to version {row.pinned}"
            if row.pinned
            else (f"last ran with version {row.last_version}")
        )
        return f"{where} {held}, and version {row.current} is current"
    ran = "has never run" if row.last_run_at is None else f"last ran {show_time_left(row.last_run_at, now)}"
    return f"{where} holds it, and {ran}"


def _unused(row: Row[*tuple[Any, ...]]) -> Finding:
    return Finding(
        kind=FindingKind.UNUSED,
        subject=row.id,
        item_id=row.id,
        item=row.name,
        workflow=None,
        owner_id=row.owner_id,
        level=1,
        detail=f"delete it if nothing else does: nightkey item delete {quote_word(row.name)}",
    )


def _see_hygiene(row: Row[*tuple[Any, ...]]) -> Iterator[Finding]:
    advice = {
        Hygiene.NO_OWNER: "nobody hears of it: nightkey item update NAME --owner OWNER",
        Hygiene.NO_EXPIRY: "nobody will notice when it stops working: give it --expires-at or --lifetime",
        Hygiene.NO_PLAN: "say how it is replaced: --mode auto, approve or notify",
        Hygiene.GENERIC_NAME: "name service and environment, as in prod-ticketing-api-token",
    }
    for lack in row.hygiene.split():
        kind = Hygiene(lack)
        yield Finding(
            kind=FindingKind(lack),
            subject=row.id,
            item_id=row.id,
            item=row.name,
            workflow=None,
            owner_id=row.owner_id,
            level=1,
            detail=advice[kind].replace("NAME", quote_word(row.name)),
        )
