"""Deliveries as rows: how each of them ends. One that none of us wrote so ends, too, and stays refused."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, update

from vaultcore.mac_writing import AS_IS, update_apart
from vaultcore.row_macs import MAC, macs_of
from worker.rows.tables import deliveries


class Key(NamedTuple):
    """Which delivery."""

    notice_id: str
    route_id: str
    recipient: str


def is_delivery(key: Key) -> ColumnElement[bool]:
    return and_(
        deliveries.c.notice_id == key.notice_id,
        deliveries.c.route_id == key.route_id,
        deliveries.c.recipient == key.recipient,
    )


def change(connection: Connection, which: ColumnElement[bool], **values: Any) -> int:  # noqa: ANN401  # columns
    """How many have these values now."""
    return len(update_apart(connection, deliveries, which, values))


def mark_sent(connection: Connection, key: Key, *, stands_in: bool, parts: int, at: datetime) -> None:
    """Without another look at it: the digest is of what was checked before it was sent, so that a row that was
    edited meanwhile does not become ours.
    """
    decides: Mapping[str, Any] = key._asdict() | {"stands_in": stands_in, "state": "sent", "draft": None}
    values = {"state": "sent", "sent_at": at, "tried_at": at, "next_at": None, "last_error": None,
              "parts_taken": parts, "draft": None}  # fmt: skip
    macs = macs_of(connection)
    made = {} if macs is None else {MAC: macs.make(deliveries, decides)}
    connection.execute(
        update(deliveries).where(is_delivery(key)).values(values | made), execution_options=AS_IS
    )
