"""Keys that wait to be collected, as rows, for who reminds their owners."""

from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, or_, select

from vaultcore.row_macs import check_mac
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import items, versions
from worker.rows.tables import pickups


class WaitingPickup(NamedTuple):
    """`name`: of the item; `taken_by`: who began to collect it; `expires_at` None: it waits for ever."""

    id: str
    item_id: str
    name: str
    rotation_id: str | None
    created_at: datetime
    expires_at: datetime | None
    taken_by: str | None


class UnreadPickup(NamedTuple):
    """One that cannot be read, or that none of us wrote so: `problem` says which."""

    id: str
    item_id: str
    name: str
    problem: str


def list_waiting(connection: Connection, now: datetime) -> list[WaitingPickup | UnreadPickup]:
    """While there is something to collect; whose time ends first."""
    rows = connection.execute(
        select(pickups, items.c.name)
        .join(items, items.c.id == pickups.c.item_id)
        .join(versions, (versions.c.item_id == pickups.c.item_id) & (versions.c.number == pickups.c.number))
        .where(
            pickups.c.arrived_at.is_(None),
            pickups.c.ended_at.is_(None),
            versions.c.record.is_not(None),  # else there is nothing to collect any more
            or_(pickups.c.expires_at.is_(None), pickups.c.expires_at > now),
        )
        .order_by(pickups.c.expires_at, pickups.c.id)
    ).all()
    return [_read_apart(connection, row) for row in rows]


def _read_apart(connection: Connection, row: Row[*tuple[Any, ...]]) -> WaitingPickup | UnreadPickup:
    made = read_apart(row, partial(_read, connection))
    if isinstance(made, Unread):
        return UnreadPickup(row.id, row.item_id, row.name, made.problem)
    return made


def _read(connection: Connection, row: Row[*tuple[Any, ...]]) -> WaitingPickup:
    what = f"the key of {row.name} that waits to be collected"
    check_row(row, what)
    check_mac(connection, pickups, row, what)
    return WaitingPickup(
        id=row.id,
        item_id=row.item_id,
        name=row.name,
        rotation_id=row.rotation_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        taken_by=row.taken_by,
    )
