"""The labels of items as rows. Every function works in the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select

from vaultcore.errors import TamperedError
from vaultcore.model import Label
from vaultcore.row_macs import find_edited
from vaultcore.tables import item_labels

_LABELS = select(item_labels).where(item_labels.c.item_id.in_(bindparam("items", expanding=True)))


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The labels of an item, in the order of their keys, that one of us wrote; `edited`: there is another.
    `digests`: of the rows of all.
    """

    labels: tuple[Label, ...] = ()
    edited: TamperedError | None = None
    digests: tuple[object, ...] = ()


def find_labels(connection: Connection, item_ids: Sequence[str]) -> dict[str, Labelled]:
    """Those of each of these items."""
    return gather_labels(
        connection, connection.execute(_LABELS, {"items": list(item_ids)}).mappings(), item_ids
    )


def gather_labels(
    connection: Connection, rows: Iterable[RowMapping], item_ids: Sequence[str]
) -> dict[str, Labelled]:
    """The same of rows that were read: each with its columns, and its digest."""
    found: dict[str, list[Label]] = {item_id: [] for item_id in item_ids}
    edited: dict[str, TamperedError] = {}
    digests: dict[str, list[object]] = {item_id: [] for item_id in item_ids}
    for row in rows:
        item_id, key = row["item_id"], row["key"]
        digests[item_id].append(row["mac"])
        problem = find_edited(connection, item_labels, dict(row), f"label {key} of item {item_id}")
        if problem is None:
            found[item_id].append(Label(key=key, value=row["value"]))
        else:
            edited.setdefault(item_id, problem)
    return {
        item_id: Labelled(
            labels=tuple(sorted(labels, key=lambda one: one.key)),
            edited=edited.get(item_id),
            digests=tuple(digests[item_id]),
        )
        for item_id, labels in found.items()
    }


def labels_of(connection: Connection, item_id: str) -> tuple[Label, ...]:
    """`TamperedError` where none of us wrote one of them."""
    found = find_labels(connection, [item_id])[item_id]
    if found.edited is not None:
        raise found.edited
    return found.labels


def set_labels(connection: Connection, wanted: Mapping[str, Sequence[Label]]) -> None:
    """By their ids, the labels of items from now on, in the place of those that they had, which are not looked
    at. The column of the item that follows from them is written with the item.
    """
    connection.execute(delete(item_labels).where(item_labels.c.item_id.in_(list(wanted))))
    rows = [
        {"item_id": item_id, "key": one.key, "value": one.value}
        for item_id, labels in wanted.items()
        for one in labels
    ]
    if rows:
        connection.execute(insert(item_labels), rows)
