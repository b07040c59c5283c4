"""Items read whole, by their ids."""

from collections.abc import Collection

from sqlalchemy import Connection

from vaultcore.errors import UnreadableError
from vaultcore.label_rows import find_labels
from vaultcore.model import Item
from vaultcore.row_macs import find_edited
from vaultcore.rows import item_from_row, owners_of, select_items
from vaultcore.stored import Unread, read_apart
from vaultcore.tables import items


def read_items(connection: Connection, item_ids: Collection[str]) -> dict[str, Item | UnreadableError]:
    """By id; for one that cannot be read, or was edited, the error that says so. What is gone is not there."""
    ids = sorted(item_ids)
    owners, labels = owners_of(connection, ids), find_labels(connection, ids)
    found: dict[str, Item | UnreadableError] = {}
    for row in connection.execute(select_items().where(items.c.id.in_(ids))):
        what = f"item {row.name}"
        made = read_apart(row, lambda one: item_from_row(one, owners[one.id], labels[one.id].labels))
        edited = find_edited(connection, items, row, what)
        found[row.id] = made.explain(what) if isinstance(made, Unread) else edited or made
    return found
