"""What belongs to an item in rows of its own, and is read with it: its owners and its labels, in one go."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Connection,
    LargeBinary,
    Row,
    bindparam,
    cast,
    column,
    literal,
    null,
    select,
    union_all,
)

from vaultcore.errors import TamperedError
from vaultcore.label_rows import Labelled, gather_labels
from vaultcore.row_macs import find_edited
from vaultcore.tables import item_labels, item_owners, owners

_OWNER, _LABEL = "owner", "label"
_THESE: BindParameter[Any] = bindparam("items", expanding=True)
_BESIDE: CompoundSelect[*tuple[Any, ...]] = union_all(
    select(
        literal(_OWNER).label("what"),
        item_owners.c.item_id,
        item_owners.c.owner_id.label("key"),
        owners.c.name.label("value"),
        item_owners.c.mac,
        owners.c.mac.label("owner_mac"),
    )
    .join(owners, owners.c.id == item_owners.c.owner_id)
    .where(item_owners.c.item_id.in_(_THESE)),
    select(
        literal(_LABEL),
        item_labels.c.item_id,
        item_labels.c.key,
        item_labels.c.value,
        item_labels.c.mac,
        cast(null(), LargeBinary),
    ).where(item_labels.c.item_id.in_(_THESE)),
).order_by(column("value"))


class OwnersOfItem(NamedTuple):
    """The names of an item's owners, in order, and the digests of their rows. `edited`: none of us made one of
    them the item's.
    """

    names: tuple[str, ...] = ()
    digests: tuple[object, ...] = ()
    edited: TamperedError | None = None


class Beside(NamedTuple):
    """By the ids of the items that were asked for."""

    owners: dict[str, OwnersOfItem]
    labels: dict[str, Labelled]


def find_beside(connection: Connection, item_ids: Sequence[str]) -> Beside:
    rows = connection.execute(_BESIDE, {"items": list(item_ids)}).all()
    labels = [row._mapping for row in rows if row.what == _LABEL]  # noqa: SLF001  # SQLAlchemy's public way
    answering = dict.fromkeys(item_ids, OwnersOfItem())
    for row in rows:
        if row.what == _OWNER:
            answering[row.item_id] = _add_owner(connection, answering[row.item_id], row)
    return Beside(owners=answering, labels=gather_labels(connection, labels, item_ids))


def _add_owner(connection: Connection, known: OwnersOfItem, row: Row[*tuple[Any, ...]]) -> OwnersOfItem:
    stored = {"item_id": row.item_id, "owner_id": row.key, "mac": row.mac}
    edited = find_edited(connection, item_owners, stored, f"owner {row.value} of item {row.item_id}")
    return OwnersOfItem(
        names=(*known.names, row.value),
        digests=(*known.digests, row.mac, row.owner_mac),
        edited=known.edited or edited,
    )
