"""Items that lapse or fall due between two moments: counted and listed, by the index of that moment."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, func, select

from vaultcore.errors import UnreadableError
from vaultcore.label_rows import find_labels
from vaultcore.model import Item
from vaultcore.row_macs import find_edited
from vaultcore.rows import item_from_row, owners_of, select_items
from vaultcore.stored import Unread, read_apart
from vaultcore.tables import items
from worker.rows.item_lists import owned_by


class Event(StrEnum):
    """What happens to an item."""

    LAPSES = "lapses"
    DUE = "due"
    """Its replacement begins, or is asked for."""


_WHEN = {Event.LAPSES: items.c.expires_at, Event.DUE: items.c.due_at}


def count_between(
    connection: Connection,
    event: Event,
    after: datetime | None,
    until: datetime,
    *,
    seen_by: Collection[str] | None,
) -> int:
    """Behind one moment, or from the beginning, up to another; `seen_by`: items of these owners, by id."""
    query = select(func.count()).select_from(items).where(*_between(event, after, until, seen_by))
    return connection.execute(query).scalar_one()


def list_between(
    connection: Connection,
    event: Event,
    after: datetime | None,
    until: datetime,
    *,
    limit: int,
    offset: int = 0,
    seen_by: Collection[str] | None,
) -> list[Item | UnreadableError]:
    """As they come; in the place of one that cannot be read, or was edited, the error that says so."""
    rows = connection.execute(
        select_items()
        .where(*_between(event, after, until, seen_by))
        .order_by(_WHEN[event], items.c.id)
        .limit(limit)
        .offset(offset)
    ).all()
    ids = [row.id for row in rows]
    owners, labels = owners_of(connection, ids), find_labels(connection, ids)
    found: list[Item | UnreadableError] = []
    for row in rows:
        what = f"item {row.name}"
        made = read_apart(row, lambda one: item_from_row(one, owners[one.id], labels[one.id].labels))
        edited = find_edited(connection, items, row, what)
        found.append(made.explain(what) if isinstance(made, Unread) else edited or made)
    return found


def _between(
    event: Event, after: datetime | None, until: datetime, seen_by: Collection[str] | None
) -> list[ColumnElement[bool]]:
    when = _WHEN[event]
    where: list[ColumnElement[bool]] = [when <= until]
    if after is not None:
        where.append(when > after)
    if seen_by is not None:
        where.append(items.c.id.in_(owned_by(seen_by)))
    return where
