"""The number of an item's current version, beside each reference to it: whoever makes one current says so.

So a reference that is behind is told from its own row, and found by an index over those that are. It is part of
the row's digest: who edits it to hide that something is stale is found as who edits a pin.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, select

from vaultcore.item_parts import USERS, KnownReferences
from vaultcore.known_items import find_known
from vaultcore.mac_writing import RowChange, update_apart, update_known
from vaultcore.model import Stage
from vaultcore.tables import references, versions

_AS_READ: Final = RowChange()
_FEW: Final = 2
"""References that are written one by one: more of them are read once more, and written together."""


def find_current_number(connection: Connection, item_id: str) -> int | None:
    """None: the item waits for its first value."""
    return connection.execute(
        select(versions.c.number).where(versions.c.item_id == item_id, versions.c.stage == Stage.CURRENT.value)
    ).scalar_one_or_none()


def note_current_number(connection: Connection, item_id: str, number: int) -> None:
    """That version of the item is current now. A forged reference holds up no activation, and is made honest by
    none. What is known of them suffices where writers take turns: elsewhere another may have been stored since.
    """
    values = {"current_version": number}
    takes_turns = connection.dialect.name == "sqlite"
    known = find_known(connection, item_id, USERS) if takes_turns else None
    if known is not None and len(known.rows) <= _FEW and _write_known(connection, known, values):
        return
    update_apart(connection, references, references.c.item_id == item_id, values)


def _write_known(connection: Connection, known: KnownReferences, values: Mapping[str, Any]) -> bool:
    """False: one of them is not as it was read any more."""
    changed = [
        update_known(connection, references, row._mapping, values, _AS_READ)  # noqa: SLF001  # SQLAlchemy's public way
        for row in known.rows
    ]
    return None not in changed
