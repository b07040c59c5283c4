"""What a unit of work knows of an item: the item itself, its versions, what its rotator uses, and its users."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, ScalarSelect, func, select

from vaultcore.known_items import ItemId, ItemPart, KnownPart, list_digests, tell_some
from vaultcore.model import Item, Reference, Stage, Version
from vaultcore.tables import item_labels, item_owners, items, owners, references, versions


class KnownItem(NamedTuple):
    """`row`: its columns, with `current_number` and `current_mac` of its current version; `beside`: the digests
    of the rows of its owners and labels.
    """

    item: Item
    row: Row[*tuple[Any, ...]]
    beside: tuple[object, ...]


class KnownVersion(NamedTuple):
    """`row`: its columns, sealed ones too."""

    version: Version
    row: Row[*tuple[Any, ...]]


class KnownReferences(NamedTuple):
    references: list[Reference]
    rows: Sequence[Row[*tuple[Any, ...]]]


def _digests_of_item(item_id: ItemId) -> ScalarSelect[str]:
    current = (versions.c.item_id == item_id) & (versions.c.stage == Stage.CURRENT.value)
    owned, labelled = item_owners.c.item_id == item_id, item_labels.c.item_id == item_id
    answering = owners.join(item_owners, item_owners.c.owner_id == owners.c.id)
    first, *rest = (
        func.coalesce(digests, "")
        for digests in (
            list_digests(items, items.c.mac, items.c.id == item_id),
            list_digests(versions, versions.c.mac, current),
            list_digests(item_owners, item_owners.c.mac, owned),
            list_digests(answering, owners.c.mac, owned),
            list_digests(item_labels, item_labels.c.mac, labelled),
        )
    )
    joined: ColumnElement[str] = first
    for one in rest:
        joined = joined.concat(" ").concat(one)
    return select(joined).scalar_subquery()


ITEM: ItemPart[KnownItem] = ItemPart(
    tables=frozenset({items.name, item_owners.name, owners.name, item_labels.name}), digests=_digests_of_item
)

VERSIONS: ItemPart[Mapping[int, KnownVersion]] = ItemPart(
    tables=frozenset({versions.name}),
    digests=lambda item_id: list_digests(versions, versions.c.mac, versions.c.item_id == item_id),
)

USES: ItemPart[KnownReferences] = ItemPart(
    tables=frozenset({references.name}),
    digests=lambda item_id: list_digests(references, references.c.mac, references.c.consumer_id == item_id),
    none=KnownReferences([], []),
)
"""What it uses: the item's rotator does, or any other consumer of that id."""

USERS: ItemPart[KnownReferences] = ItemPart(
    tables=frozenset({references.name}),
    digests=lambda item_id: list_digests(references, references.c.mac, references.c.item_id == item_id),
    none=KnownReferences([], []),
)

COPIES: ItemPart[None] = ItemPart(
    tables=frozenset({items.name}),
    digests=lambda item_id: tell_some(items.c.copy_of == item_id),
    of_others=True,
)
"""Items that are declared to be copies of it. All that is ever known is that there are none."""


def item_as_known(known: KnownItem) -> KnownPart[KnownItem]:
    current = () if known.row.current_number is None else (known.row.current_mac,)
    return KnownPart(known, (known.row.mac, *current, *known.beside))


def versions_as_known(known: Mapping[int, KnownVersion]) -> KnownPart[Mapping[int, KnownVersion]]:
    return KnownPart(known, [one.row.mac for one in known.values()])


def references_as_known(known: KnownReferences) -> KnownPart[KnownReferences]:
    return KnownPart(known, [row.mac for row in known.rows])
