"""Items read whole, by their ids."""

from collections.abc import Collection

from sqlalchemy import Connection

from vaultcore.errors import UnreadableError
from vaultcore.model import Item
from vaultcore.row_macs import find_edited
from vaultcore.rows import item_from_row, owners_of, select_items
from vaultcore.stored import Unread, read_apart
from vaultcore.tables import items


def read_items(connection: Connection, item_ids: Collection[str]) -> dict[str, Item | UnreadableError]:
    """By id; for one that cannot be read, or was edited, the error that says so. What is gone is not there."""
    owners = owners_of(connection, sorted(item_ids))
    found: dict[str, Item | UnreadableError] = {}
    for row in connection.execute(select_items().where(items.c.id.in_(sorted(item_ids)))):
        made, what = read_apart(row, lambda one: item_from_row(one, owners[one.id])), f"item {row.name}"
        edited = find_edited(connection, items, row, what)
        found[row.id] = made.explain(what) if isinstance(made, Unread) else edited or made
    return found
