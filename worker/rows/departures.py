"""Departures as rows: who leaves, and what they could read. It decides nothing and commits nothing."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, insert, select, update

from vaultcore.row_macs import check_mac, find_edited
from vaultcore.tables import audit
from worker.rows.tables import departure_items, departures


class LeftRow(NamedTuple):
    """An item that somebody could read. `number`: the latest version that they may know, 0: none of ours.

    `edited`: what to say of a row that none of us wrote so; None: one of us did.
    """

    position: int
    item_id: str
    item: str
    number: int
    edited: str | None


@dataclass(frozen=True, kw_only=True)
class StoredDeparture:
    id: str
    name: str
    emergency: bool
    began_at: datetime
    finished_at: datetime | None


class Deed(NamedTuple):
    """What somebody did, as the audit log has it."""

    action: str
    subject: str
    details: Mapping[str, Any]


def find_open(connection: Connection, name: str) -> StoredDeparture | None:
    """The one of that name that is under way; `TamperedError` if none of us wrote it so."""
    row = connection.execute(
        select(departures).where(departures.c.name == name, departures.c.finished_at.is_(None))
    ).one_or_none()
    return None if row is None else _read(connection, row)


def get(connection: Connection, departure_id: str) -> StoredDeparture:
    """`TamperedError` if none of us wrote it so."""
    return _read(
        connection, connection.execute(select(departures).where(departures.c.id == departure_id)).one()
    )


def add(
    connection: Connection, departure_id: str, *, name: str, asked_by: str, emergency: bool, at: datetime
) -> None:
    connection.execute(
        insert(departures).values(
            id=departure_id, name=name, asked_by=asked_by, emergency=emergency, began_at=at
        )
    )


def add_items(connection: Connection, departure_id: str, left: Iterable[tuple[str, str, int]]) -> None:
    """What they could read, in the order in which it is replaced: the id, the name and the number of each."""
    rows = [
        {"departure_id": departure_id, "position": position, "item_id": item_id, "item": item, "number": number}
        for position, (item_id, item, number) in enumerate(left, start=1)
    ]
    if rows:
        connection.execute(insert(departure_items), rows)


def set_emergency(connection: Connection, departure_id: str) -> None:
    connection.execute(update(departures).where(departures.c.id == departure_id).values(emergency=True))


def finish(connection: Connection, departure_id: str, *, at: datetime) -> None:
    connection.execute(update(departures).where(departures.c.id == departure_id).values(finished_at=at))


def list_items(connection: Connection, departure_id: str) -> list[LeftRow]:
    """In their order."""
    rows = connection.execute(
        select(departure_items)
        .where(departure_items.c.departure_id == departure_id)
        .order_by(departure_items.c.position)
    )
    return [_left(connection, row) for row in rows]


def list_done_by(connection: Connection, actors: Collection[str]) -> list[Deed]:
    rows = connection.execute(
        select(audit.c.action, audit.c.subject, audit.c.details).where(audit.c.actor.in_(sorted(actors)))
    )
    return [Deed(row.action, row.subject, row.details) for row in rows]


def _read(connection: Connection, row: Row[*tuple[Any, ...]]) -> StoredDeparture:
    check_mac(connection, departures, row, f"the departure of {row.name}")
    return StoredDeparture(
        id=row.id,
        name=row.name,
        emergency=row.emergency,
        began_at=row.began_at,
        finished_at=row.finished_at,
    )


def _left(connection: Connection, row: Row[*tuple[Any, ...]]) -> LeftRow:
    edited = find_edited(connection, departure_items, row, "its row")
    return LeftRow(row.position, row.item_id, row.item, row.number, None if edited is None else str(edited))
