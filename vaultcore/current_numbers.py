"""The number of an item's current version, beside each reference to it: whoever makes one current says so.

So a reference that is behind is told from its own row, and found by an index over those that are. It is part of
the row's digest: who edits it to hide that something is stale is found as who edits a pin.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from vaultcore.errors import UnreadableError
from vaultcore.item_parts import USERS, KnownReferences, references_as_known
from vaultcore.known_items import find_known, keep_known
from vaultcore.mac_writing import RowChange, update_apart, update_known
from vaultcore.model import Stage
from vaultcore.rows import reference_from_row
from vaultcore.tables import references, versions

_AS_READ: Final = RowChange(returning=tuple(references.c))
_OF_ITEM: Final = references.c.item_id == bindparam("of")
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
    if known is not None and len(known.rows) <= _FEW and _write_known(connection, item_id, known, values):
        return
    update_apart(connection, references, _OF_ITEM, values, given={"of": item_id})


def _write_known(
    connection: Connection, item_id: str, known: KnownReferences, values: Mapping[str, Any]
) -> bool:
    """False: one of them is not as it was read any more."""
    written = [
        update_known(connection, references, row._mapping, values, _AS_READ)  # noqa: SLF001  # SQLAlchemy's public way
        for row in known.rows
    ]
    became = [row for row in written if row is not None]
    if len(became) < len(written):
        return False
    try:
        read = [reference_from_row(connection, row) for row in became]
    except UnreadableError:  # edited since: whoever reads it next hears of that
        return True
    keep_known(connection, item_id, USERS, references_as_known(KnownReferences(read, became)))
    return True
