"""The number of an item's current version, beside each reference to it: whoever makes one current says so.

So a reference that is behind is told from its own row, and found by an index over those that are. It is part of
the row's digest: who edits it to hide that something is stale is found as who edits a pin.
"""

from sqlalchemy import Connection, select

from vaultcore.mac_writing import update_apart
from vaultcore.model import Stage
from vaultcore.tables import references, versions


def find_current_number(connection: Connection, item_id: str) -> int | None:
    """None: the item waits for its first value."""
    return connection.execute(
        select(versions.c.number).where(versions.c.item_id == item_id, versions.c.stage == Stage.CURRENT.value)
    ).scalar_one_or_none()


def note_current_number(connection: Connection, item_id: str, number: int) -> None:
    """That version of the item is current now. A forged reference holds up no activation, and is made honest by
    none.
    """
    update_apart(connection, references, references.c.item_id == item_id, {"current_version": number})
