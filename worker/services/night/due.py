"""What is due, and what is to be done with it: by index, in keyset pages, so that the time follows what is due.

One walk serves the night and the dry run: it reads a page, decides (pure), and hands what it saw to
whoever asked. An item that cannot be read is itself something seen: it never stops the walk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, or_, select

from vaultcore import rules
from vaultcore.damage import is_sound
from vaultcore.model import Hygiene
from vaultcore.paging import walk_pages
from vaultcore.rows import policy_from_json
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import items, references
from worker.domain.commands import first_value_command
from worker.domain.findings import Finding, find_unreadable
from worker.domain.limits import Candidate, Room, cannot_wait, share_out
from worker.domain.plan import Action, Decision, DueItem, plan_item
from worker.domain.windows import Window, find_moment, parse_window
from worker.rotators.catalog import find_counterpart
from worker.rows.comparisons import differs
from worker.rows.tables import rotations


@dataclass(frozen=True, kw_only=True)
class SeenItem:
    """A due item and what is to be done with it; `decision` is None if the row cannot be read."""

    item_id: str
    name: str
    decision: Decision | None
    finding: Finding | None
    counterpart: str | None = None
    urgent: bool = False
    """Whether it cannot wait for another night, caps or not."""


_IS_READ = (
    exists()
    .where(
        references.c.item_id == items.c.id,
        references.c.consumer_id != items.c.id,
        references.c.active.is_(True),
        ~references.c.mentioned,
        ~references.c.elsewhere,
    )
    .label("is_read")
)


def walk_due(
    connection: Connection, now: datetime, *, page_size: int, room: Room, freezes: Sequence[Window]
) -> Iterator[list[SeenItem]]:
    """Items whose `due_at` has come, in pages, earliest first. The caller may write between pages.

    `room` is what the night's caps leave: where more is due than that, the first to expire have their turn.
    `freezes` hold for every item.
    """
    chosen = _choose(connection, now, page_size=page_size, room=room, freezes=freezes)
    for rows in _pages(connection, now, page_size):
        yield [
            _see_apart(row, now, room if chosen is None else chosen.room_of(row.id), freezes) for row in rows
        ]


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """Whose turn it is in a night that has no room for all; `full` says of the others why it is not theirs."""

    ids: frozenset[str]
    full: Room

    def room_of(self, item_id: str) -> Room:
        return Room(caps=self.full.caps) if item_id in self.ids else self.full


def _choose(
    connection: Connection, now: datetime, *, page_size: int, room: Room, freezes: Sequence[Window]
) -> _Chosen | None:
    """A first walk over what is due, only where the caps could matter; None: there is room for all."""
    due = connection.execute(select(func.count()).where(items.c.due_at <= now)).scalar_one()
    if due <= room.left():
        return None
    free = Room(caps=room.caps)
    waiting: list[Candidate] = []
    for rows in _pages(connection, now, page_size):
        for row in rows:
            seen = _see_apart(row, now, free, freezes)
            if seen.decision is not None and seen.decision.action is Action.ROTATE:
                waiting.append(
                    Candidate(
                        item_id=row.id,
                        expires_at=row.expires_at,
                        counterpart=seen.counterpart,
                        urgent=seen.urgent,
                    )
                )
    ids, full = share_out(waiting, room)
    return _Chosen(ids=ids, full=full)


def _pages(connection: Connection, now: datetime, page_size: int) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    return walk_pages(
        lambda last: _due_page(connection, now, last, page_size),
        lambda row: (row.due_at, row.id),
        size=page_size,
    )


def _due_page(
    connection: Connection, now: datetime, last: tuple[datetime, str] | None, page_size: int
) -> list[Row[*tuple[Any, ...]]]:
    query = (
        select(
            items.c.id,
            items.c.name,
            items.c.policy,
            items.c.hygiene,
            items.c.expires_at,
            items.c.life_seconds,
            items.c.due_at,
            items.c.hold_until,
            _IS_READ,
            rotations.c.id.label("rotation_id"),
            rotations.c.state.label("rotation_state"),
            differs(items.c.id).label("differs"),
        )
        .select_from(items)
        .outerjoin(
            rotations,
            and_(rotations.c.item_id == items.c.id, rotations.c.finished_at.is_(None)),
        )
        .where(
            items.c.due_at.is_not(None),
            items.c.due_at <= now,
            is_sound(
                items.c.due_at, connection.dialect.name
            ),  # the walk goes by it; `walk_damage` tells the others
        )
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


def _see_apart(row: Row[*tuple[Any, ...]], now: datetime, room: Room, freezes: Sequence[Window]) -> SeenItem:
    seen = read_apart(row, lambda one: _see_item(one, now, room, freezes))
    if not isinstance(seen, Unread):
        return seen
    name = str(row.name)
    finding = find_unreadable(row.id, seen.problem, item_id=row.id, item=name)
    return SeenItem(item_id=row.id, name=name, decision=None, finding=finding)


def _see_item(row: Row[*tuple[Any, ...]], now: datetime, room: Room, freezes: Sequence[Window]) -> SeenItem:
    check_row(row, f"item {row.name}")
    item = _read_item(row, now, freezes)
    decision = plan_item(item, now, room)
    return SeenItem(
        item_id=row.id,
        name=row.name,
        decision=decision,
        finding=decision.finding,
        counterpart=item.counterpart,
        urgent=cannot_wait(item.expires_at, item.overlap, now),
    )


def _read_item(row: Row[*tuple[Any, ...]], now: datetime, freezes: Sequence[Window]) -> DueItem:
    policy = policy_from_json(row.policy)
    life = None if row.life_seconds is None else timedelta(seconds=row.life_seconds)
    closed = [*freezes, *map(parse_window, policy.freezes)]
    return DueItem(
        item_id=row.id,
        name=row.name,
        mode=policy.mode,
        expires_at=row.expires_at,
        rotate_from=rules.rotate_from(policy, row.expires_at, item_id=row.id, life=life),
        overlap=rules.overlap_of(policy, life),
        thresholds=rules.thresholds_of(policy, life),
        counterpart=find_counterpart(policy),
        opens=find_moment(map(parse_window, policy.windows), closed, now),
        expiry_first=policy.expiry_first,
        hold_until=row.hold_until,
        open_rotation=row.rotation_id,
        open_state=row.rotation_state,
        lifetime=policy.lifetime,
        unread=not row.is_read and rules.needs_consumer(policy, rules.kind_of(row.name)),
        differs=row.differs,
        give=first_value_command(row.name, policy, expires_at=row.expires_at, now=now)
        if Hygiene.NO_VALUE in row.hygiene.split()
        else None,
    )
