"""Items that will lapse, as rows: in the order in which they do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from vaultcore.damage import is_sound
from vaultcore.paging import walk_keyset
from vaultcore.stored import check_row
from vaultcore.tables import item_owners, items
from worker.rows.unread import UnreadItem, read_item

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class ComingExpiry:
    """When it lapses is read with the whole item, which may have changed by then."""

    item_id: str
    name: str


def walk_coming_expiries(
    connection: Connection, now: datetime, *, owner_id: str | None
) -> Iterator[ComingExpiry | UnreadItem]:
    """Those of an owner's items, or of all; at the end the items whose expiry is no time."""
    sound = is_sound(items.c.expires_at, connection.dialect.name)
    every = select(items.c.id, items.c.name, items.c.expires_at)
    if owner_id is not None:
        mine = select(item_owners.c.item_id).where(item_owners.c.owner_id == owner_id)
        every = every.where(items.c.id.in_(mine))
    coming = every.where(items.c.expires_at > now, sound)
    for page in walk_keyset(connection, coming, (items.c.expires_at, items.c.id), size=_PAGE):
        yield from (read_item(row, _read) for row in page)
    for row in connection.execute(every.where(~sound).order_by(items.c.id)):
        yield read_item(row, _read)


def _read(row: Row[*tuple[Any, ...]]) -> ComingExpiry:
    check_row(row, f"item {row.name}")
    return ComingExpiry(item_id=row.id, name=row.name)
