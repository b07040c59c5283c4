"""Items whose `due_at` has come, as rows: by index, earliest first, so that the time follows what is due."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    cast,
    exists,
    func,
    select,
    type_coerce,
)

from vaultcore.damage import is_sound
from vaultcore.paging import walk_keyset
from vaultcore.stored import UNREADABLE, check_row
from vaultcore.tables import items, references
from worker.rows.comparisons import differs
from worker.rows.tables import rotations
from worker.rows.unread import UnreadItem, read_item


class DueRow(NamedTuple):
    """A due item as it is stored, with its open rotation.

    `policy`: as it is stored, so that who reads many decodes each once. `hygiene`: what it lacks, by words.
    `life`: from when its current version was issued to its expiry, if that is known. `is_read`: an active
    workflow here reads it, or another's rotator. `differs`: from its target, since a restore.
    """

    item_id: str
    name: str
    policy: str
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


def _text_of(column: ColumnElement[Any], dialect: str) -> ColumnElement[str]:
    """JSON as it is stored."""
    return type_coerce(column, Text()) if dialect == "sqlite" else cast(column, Text())


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
            _text_of(items.c.policy, connection.dialect.name).label("policy"),
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
    if UNREADABLE in row:
        check_row(row, f"item {row.name}")
    item_id, name, policy, hygiene, expires_at, life, _, hold_until, is_read, rotation_id, state, differs = row
    life = None if life is None else timedelta(seconds=life)
    return DueRow(
        item_id, name, policy, hygiene, expires_at, life, hold_until, is_read, rotation_id, state, differs
    )
