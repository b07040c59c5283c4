"""Versions as rows: read whole, written, and known to the unit of work that read or wrote them; and what of an
item's row follows from its current version.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Integer, LargeBinary, Row, bindparam, insert, select, update

from vaultcore.errors import NotFoundError
from vaultcore.item_parts import ITEM, VERSIONS, KnownItem, KnownVersion, item_as_known, versions_as_known
from vaultcore.known_items import KnownPart, changing, find_known, keep_known, know, knows
from vaultcore.mac_writing import RowChange, update_known
from vaultcore.model import Item, Stage
from vaultcore.row_macs import check_mac
from vaultcore.rows import (
    derived_columns,
    item_from_row,
    owners_of,
    select_items,
    version_from_whole_row,
)
from vaultcore.tables import items, versions

_ALL: Final = tuple(versions.c)
_CHANGED: Final = RowChange(returning=_ALL)
WAS: Final = {
    was: RowChange(
        where=(
            versions.c.stage == was.value,
            versions.c.record.is_not(None) | versions.c.digest.is_not(None),
        ),
        returning=_ALL,
    )
    for was in (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS)
}
"""Changes of a version that holds a value, and is in that stage."""
IS_KEY: Final = RowChange(where=(versions.c.digest.is_not(None),), returning=_ALL)
"""A change of a key of ours."""
_WITH_CURRENT: Final = RowChange(
    returning=(
        *items.c,
        bindparam("number", type_=Integer).label("current_number"),
        bindparam("its_version", type_=LargeBinary).label("current_mac"),
    )
)
BESIDE: Final = "item:"
"""Stands before the columns of an item that are read beside a version's."""
_INSERT = insert(versions).returning(*_ALL)
_OF_ITEM = select(versions).where(versions.c.item_id == bindparam("item")).order_by(versions.c.number)
_OF_ITEMS = (
    select(versions)
    .where(versions.c.item_id.in_(bindparam("these", expanding=True)))
    .order_by(versions.c.item_id, versions.c.number)
)
_WITH_ITEM = (
    select(versions, items.c.name, *(column.label(f"{BESIDE}{column.name}") for column in items.columns))
    .join(items, items.c.id == versions.c.item_id)
    .where(versions.c.item_id == bindparam("item"), versions.c.number == bindparam("number"))
)


def know_versions(connection: Connection, item_id: str) -> Mapping[int, KnownVersion]:
    """All of the item, by number."""

    def read() -> KnownPart[Mapping[int, KnownVersion]]:
        rows = connection.execute(_OF_ITEM, {"item": item_id}).all()
        return versions_as_known({row.number: _known(connection, row) for row in rows})

    return know(connection, item_id, VERSIONS, read)


def learn_versions(connection: Connection, item_ids: Collection[str]) -> None:
    """Those of these items together, before each is asked for; what is known of them is not read. They are
    checked in this order.
    """
    if not knows(connection):
        return
    unknown = [one for one in dict.fromkeys(item_ids) if find_known(connection, one, VERSIONS) is None]
    if len(unknown) <= 1:  # which is read when it is asked for
        return
    rows: dict[str, list[Row[*tuple[Any, ...]]]] = {item_id: [] for item_id in unknown}
    for row in connection.execute(_OF_ITEMS, {"these": sorted(unknown)}):
        rows[row.item_id].append(row)
    for item_id, its in rows.items():
        known = {row.number: _known(connection, row) for row in its}
        keep_known(connection, item_id, VERSIONS, versions_as_known(known))


def read_sealed(connection: Connection, item_id: str, number: int) -> tuple[str, Row[*tuple[Any, ...]]]:
    """The name of the item, and the row of its version, both checked."""
    item = find_known(connection, item_id, ITEM)
    known = {} if item is None else know_versions(connection, item_id)
    if item is not None and number in known:
        return item.item.name, known[number].row
    row = connection.execute(_WITH_ITEM, {"item": item_id, "number": number}).one_or_none()
    if row is None:
        raise missing_version(item_id, number)
    check_mac(connection, versions, row, f"version {number} of item {row.name}")
    check_mac(connection, items, row, f"item {row.name}", prefix=BESIDE)
    return row.name, row


def insert_version(connection: Connection, item_id: str, columns: Mapping[str, Any]) -> None:
    known = find_known(connection, item_id, VERSIONS)
    made = {"item_id": item_id, **columns}
    row = connection.execute(_INSERT, made, execution_options=changing(item_id)).one()
    if known is not None:
        _keep(connection, item_id, known, row)


def change_version(
    connection: Connection,
    item_id: str,
    number: int,
    values: Mapping[str, Any],
    *,
    change: RowChange = _CHANGED,
) -> Row[*tuple[Any, ...]] | None:
    """The version as it is now; None: there is none that is as the change wants it."""
    known = find_known(connection, item_id, VERSIONS)
    if known is not None and number in known:
        was = known[number].row._mapping  # noqa: SLF001  # SQLAlchemy's public way
        row = update_known(connection, versions, was, values, change, options=changing(item_id))
        if row is not None:
            _keep(connection, item_id, known, row)
            return row
    of_row = (versions.c.item_id == item_id, versions.c.number == number)
    statement = update(versions).where(*of_row, *change.where).values(values).returning(*change.returning)
    return connection.execute(statement, execution_options=changing(item_id)).one_or_none()


def renew_item(connection: Connection, item_id: str, *, now: datetime, current: Row[*tuple[Any, ...]]) -> None:
    """What of the item's columns follows from its current version, which is that one now."""
    known = find_known(connection, item_id, ITEM)
    if known is not None and _renew_known(connection, known, now=now, current=current):
        return
    row = connection.execute(select_items().where(items.c.id == item_id).with_for_update(of=items)).one()
    item = item_from_row(row, owners_of(connection, [item_id])[item_id], ())  # its labels decide nothing
    follows = {"updated_at": now, **_follow(item, current)}
    connection.execute(update(items).where(items.c.id == item_id).values(follows))


def missing_version(item_id: str, number: int) -> NotFoundError:
    return NotFoundError(f"item {item_id} has no version {number}")


def _renew_known(
    connection: Connection, known: KnownItem, *, now: datetime, current: Row[*tuple[Any, ...]]
) -> bool:
    """False: it has changed since it was read. What is as it was is not written, so that nothing which was
    edited behind the vault's back is put right unseen.
    """
    item, was = known.item, known.row._mapping  # noqa: SLF001  # SQLAlchemy's public way
    differs = {name: value for name, value in _follow(item, current).items() if value != was[name]}
    became = update_known(
        connection,
        items,
        was,
        {"updated_at": now, **differs},
        _WITH_CURRENT,
        given={"number": current.number, "its_version": current.mac},
        options=changing(item.id),
    )
    if became is None:
        return False
    check_mac(connection, items, became, f"item {item.name}")
    made = item_from_row(became, item.owners, item.labels)
    keep_known(connection, item.id, ITEM, item_as_known(known._replace(item=made, row=became)))
    return True


def _follow(item: Item, current: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    """The columns of an item that follow from its current version."""
    return derived_columns(
        item.id,
        item.name,
        item.kind,
        owned=bool(item.owners),
        policy=item.policy,
        expires_at=current.expires_at,
        issued_at=current.issued_at,
    )


def _keep(
    connection: Connection,
    item_id: str,
    known: Mapping[int, KnownVersion],
    row: Row[*tuple[Any, ...]],
) -> None:
    """What is known of the versions, with one of them as it has become."""
    became = {**known, row.number: _known(connection, row)}
    keep_known(connection, item_id, VERSIONS, versions_as_known(became))


def _known(connection: Connection, row: Row[*tuple[Any, ...]]) -> KnownVersion:
    return KnownVersion(version_from_whole_row(connection, row), row)
