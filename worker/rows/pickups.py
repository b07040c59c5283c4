"""Pickups as rows: opened, taken, arrived, ended. It decides nothing and commits nothing.

One that none of us wrote so is found by nobody, and neither arrives nor ends by what becomes of others.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from vaultcore.damage import is_whole
from vaultcore.mac_writing import update_apart
from vaultcore.model import Kind
from vaultcore.row_macs import check_mac, is_ours
from vaultcore.stored import check_row, read_all
from vaultcore.tables import items, versions
from vaultcore.unit_of_work import remember
from worker.domain.pickups import REPEATS_FOR, Pickup
from worker.rows.tables import pickups


class EndedPickup(NamedTuple):
    """Which version was kept for a pickup, and is not any longer."""

    item_id: str
    number: int


_LOCKED: Final = select(pickups).order_by(pickups.c.id).with_for_update()
_ALL_OF_ROTATION: Final = _LOCKED.where(pickups.c.rotation_id == bindparam("rotation"))
_KEPT: Final = _LOCKED.where(pickups.c.ended_at.is_(None))
_KEPT_OF_ROTATION: Final = _ALL_OF_ROTATION.where(pickups.c.ended_at.is_(None))
_KEPT_OF_KEY: Final = _KEPT.where(
    pickups.c.item_id == bindparam("item"), pickups.c.number == bindparam("number")
)
_KEPT_OF_PAGE: Final = _KEPT.where(pickups.c.id.in_(bindparam("page", expanding=True)))


def add(connection: Connection, pickup_id: str, **values: Any) -> None:  # noqa: ANN401  # columns
    connection.execute(insert(pickups).values(id=pickup_id, **values))


def find(connection: Connection, pickup_id: str) -> Pickup | None:
    """`TamperedError`, here and below, if none of us wrote it so."""
    return _one(connection, _BY_ID, pickup_id)


def of_rotation(connection: Connection, rotation_id: str) -> Pickup | None:
    """The one that the rotation made; None: it needed none, or it was taken back."""
    return remember(
        connection,
        ("pickup", rotation_id),
        (pickups.name, items.name),
        lambda: _one(connection, _OF_ROTATION, rotation_id),
    )


def of_first_key(connection: Connection, item: str) -> Pickup | None:
    """The one of the key with which the item of that name was created, if it had one."""
    return _one(connection, _OF_FIRST_KEY, item)


def take(connection: Connection, pickup_id: str, *, by: str, at: datetime) -> bool:
    """It is kept for them from now on; False: for somebody else already."""
    taken = connection.execute(
        update(pickups)
        .where(pickups.c.id == pickup_id, pickups.c.taken_at.is_(None))
        .values(taken_by=by, taken_at=at)
    )
    if taken.rowcount == 1:
        return True
    theirs = select(pickups.c.id).where(pickups.c.id == pickup_id, pickups.c.taken_by == by)
    return connection.execute(theirs).first() is not None


def arrive(connection: Connection, pickup_id: str, *, at: datetime) -> bool:
    """It counts as collected; False: it did so before, or was taken back."""
    arrived = connection.execute(
        update(pickups)
        .where(pickups.c.id == pickup_id, pickups.c.arrived_at.is_(None), pickups.c.ended_at.is_(None))
        .values(arrived_at=at)
    )
    return arrived.rowcount == 1


def wait_on(connection: Connection, rotation_id: str) -> None:
    """It is taken back no more, since there is no key before it."""
    for row in _ours(connection, _ALL_OF_ROTATION, {"rotation": rotation_id}):
        _set(connection, row.id, expires_at=None)


def end_used(connection: Connection, item_id: str, number: int, *, at: datetime) -> list[str]:
    """A caller presented the key: it has arrived, and is not kept any longer. Which pickups ended by that."""
    ended = _ours(connection, _KEPT_OF_KEY, {"item": item_id, "number": number})
    for row in ended:
        _set(connection, row.id, arrived_at=row.arrived_at or at, ended_at=at)
    return [row.id for row in ended]


def end_all_of(connection: Connection, item_ids: Collection[str], *, at: datetime) -> None:
    """Whatever could be collected of items that had these ids is not any longer."""
    of_items = and_(pickups.c.item_id.in_(item_ids), pickups.c.ended_at.is_(None))
    update_apart(connection, pickups, of_items, {"ended_at": at})


def is_kept_since(connection: Connection, arrived_by: datetime) -> bool:
    """Whether there are any of those that `end_arrived` ends."""
    return connection.execute(_kept_since(connection, arrived_by).limit(1)).first() is not None


def find_arrived(connection: Connection, *, arrived_by: datetime, after: str, limit: int) -> list[tuple[str]]:
    """The ids of those that had arrived by then and are kept still, after that one: a page."""
    due = _kept_since(connection, arrived_by).where(pickups.c.id > after).order_by(pickups.c.id).limit(limit)
    return [(row.id,) for row in connection.execute(due)]


def end_arrived(connection: Connection, page: Sequence[tuple[str]], *, at: datetime) -> list[EndedPickup]:
    """These are not kept any longer: those that ended by that."""
    ended = _ours(connection, _KEPT_OF_PAGE, {"page": [pickup_id for (pickup_id,) in page]})
    for row in ended:
        _set(connection, row.id, ended_at=at)
    return [EndedPickup(row.item_id, row.number) for row in ended]


def take_back(connection: Connection, rotation_id: str, *, at: datetime) -> list[str]:
    """The key goes: who has seen it stays on record, and what nobody saw is gone. Which of them ended."""
    ended = _ours(connection, _KEPT_OF_ROTATION, {"rotation": rotation_id})
    for row in ended:
        if row.taken_at is None:
            connection.execute(delete(pickups).where(pickups.c.id == row.id))
        else:
            _set(connection, row.id, ended_at=at)
    return [row.id for row in ended]


def overdue(connection: Connection, now: datetime) -> list[Pickup]:
    """Those that somebody began to collect an hour ago and that have not arrived, those whose time is over, and
    those of an emergency, where no other key works: while there is something to collect.
    """
    rows = connection.execute(
        _select()
        .where(
            pickups.c.arrived_at.is_(None),
            pickups.c.ended_at.is_(None),
            versions.c.record.is_not(None),
            or_(
                pickups.c.taken_at <= now - REPEATS_FOR,
                pickups.c.expires_at <= now,
                and_(
                    pickups.c.expires_at.is_(None),
                    pickups.c.rotation_id.is_not(None),
                    pickups.c.created_at <= now - REPEATS_FOR,
                ),
            ),
        )
        .order_by(pickups.c.id)
    )
    return read_all(rows, partial(_pickup, connection))[0]  # of others the scan makes a finding


def _ours(
    connection: Connection, query: Select[*tuple[Any, ...]], given: Mapping[str, Any]
) -> list[Row[*tuple[Any, ...]]]:
    """Those that one of us wrote so, locked."""
    return [row for row in connection.execute(query, given) if is_ours(connection, pickups, row)]


def _set(connection: Connection, pickup_id: str, **values: datetime | None) -> None:
    connection.execute(update(pickups).where(pickups.c.id == pickup_id).values(values))


def _kept_since(connection: Connection, arrived_by: datetime) -> Select[*tuple[Any, ...]]:
    return select(pickups.c.id).where(
        pickups.c.arrived_at.is_not(None),
        pickups.c.arrived_at <= arrived_by,
        pickups.c.ended_at.is_(None),
        is_whole(connection, pickups),
    )


def _select() -> Select[*tuple[Any, ...]]:
    return (
        select(
            pickups,
            items.c.name.label("item"),
            versions.c.used_at,
            versions.c.record.is_not(None).label("kept"),
            and_(items.c.kind == Kind.API_KEY.value, versions.c.digest.is_not(None)).label("is_key"),
        )
        .outerjoin(items, items.c.id == pickups.c.item_id)
        .outerjoin(
            versions, (versions.c.item_id == pickups.c.item_id) & (versions.c.number == pickups.c.number)
        )
    )


_LATEST = _select().order_by(pickups.c.id.desc()).limit(1)
_BY_ID = _LATEST.where(pickups.c.id == bindparam("of"))
_OF_ROTATION = _LATEST.where(pickups.c.rotation_id == bindparam("of"))
_OF_FIRST_KEY = _LATEST.where(items.c.name == bindparam("of"), pickups.c.rotation_id.is_(None))


def _one(connection: Connection, query: Select[*tuple[Any, ...]], of: str) -> Pickup | None:
    row = connection.execute(query, {"of": of}).one_or_none()
    return None if row is None else _pickup(connection, row)


def _pickup(connection: Connection, row: Row[*tuple[Any, ...]]) -> Pickup:
    what = f"the key of {row.item} that waits to be collected"
    check_row(row, what)
    check_mac(connection, pickups, row, what)
    return Pickup(
        id=row.id,
        item_id=row.item_id,
        item=row.item,
        number=row.number,
        rotation_id=row.rotation_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        taken_by=row.taken_by,
        taken_at=row.taken_at,
        arrived_at=row.arrived_at,
        ended_at=row.ended_at,
        used_at=row.used_at,
        kept=bool(row.kept),
        is_key=bool(row.is_key),
    )
