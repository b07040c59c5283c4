"""Items whose `due_at` has come, as rows: by index, earliest first, so that the time follows what is due."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, exists, func, select

from vaultcore.damage import is_sound
from vaultcore.model import Policy
from vaultcore.paging import walk_keyset
from vaultcore.rows import policy_from_json
from vaultcore.stored import check_row
from vaultcore.tables import items, references
from worker.rows.comparisons import differs
from worker.rows.tables import rotations
from worker.rows.unread import UnreadItem, read_item


class DueRow(NamedTuple):
    """A due item as it is stored, with its open rotation.

    `hygiene`: what it lacks, by words. `life`: from when its current version was issued to its expiry, if that
    is known. `is_read`: an active workflow here reads it, or another's rotator. `differs`: from its target,
    since a restore.
    """

    item_id: str
    name: str
    policy: Policy
    hygiene: str
    expires_at: datetime
    life: timedelta | None
    hold_until: datetime | None
    is_read: bool
    rotation_id: str | None
    rotation_state: str | None
    differs: bool


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


def count_due(connection: Connection, now: datetime) -> int:
    return connection.execute(select(func.count()).where(items.c.due_at <= now)).scalar_one()


def walk_due_items(
    connection: Connection, now: datetime, *, page_size: int
) -> Iterator[list[DueRow | UnreadItem]]:
    """In pages; one that cannot be read has its place among the others."""
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
    )
    for rows in walk_keyset(connection, query, (items.c.due_at, items.c.id), size=page_size):
        yield [read_item(row, _read) for row in rows]


def _read(row: Row[*tuple[Any, ...]]) -> DueRow:
    check_row(row, f"item {row.name}")
    return DueRow(
        item_id=row.id,
        name=row.name,
        policy=policy_from_json(row.policy),
        hygiene=row.hygiene,
        expires_at=row.expires_at,
        life=None if row.life_seconds is None else timedelta(seconds=row.life_seconds),
        hold_until=row.hold_until,
        is_read=row.is_read,
        rotation_id=row.rotation_id,
        rotation_state=row.rotation_state,
        differs=row.differs,
    )
