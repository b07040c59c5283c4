"""What waits for a person to decide, and what the coming nights hold: counted and read by index."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from vaultcore.stored import read_all
from vaultcore.tables import items
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import rotations


def list_requested(connection: Connection, *, limit: int) -> list[Rotation]:
    """Rotations that wait for an approval, the one first that ends soonest."""
    rows = connection.execute(
        select(rotations)
        .where(rotations.c.state == State.REQUESTED.value)
        .order_by(rotations.c.next_at, rotations.c.id)
        .limit(limit)
    )
    return read_all(rows, rotation_from_row)[0]


def count_due(connection: Connection, *, after: datetime | None, until: datetime) -> int:
    """Items that fall due up to a time; `after`: those that did before that are not counted."""
    query = select(func.count()).select_from(items).where(items.c.due_at <= until)
    return connection.execute(query if after is None else query.where(items.c.due_at > after)).scalar_one()


def count_lapsing(connection: Connection, *, after: datetime, until: datetime) -> int:
    return connection.execute(
        select(func.count()).select_from(items).where(items.c.expires_at > after, items.c.expires_at <= until)
    ).scalar_one()


def first_expiry(connection: Connection, *, after: datetime) -> datetime | None:
    """When the next item lapses."""
    return connection.execute(
        select(func.min(items.c.expires_at)).where(items.c.expires_at > after)
    ).scalar_one()
