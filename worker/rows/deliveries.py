"""Deliveries as rows: made, tried, and how each of them ends. It decides nothing and commits nothing.

One that none of us wrote so ends, too, and stays refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, insert, or_, select, update

from vaultcore.mac_writing import AS_IS, update_apart
from vaultcore.row_macs import MAC, is_ours, macs_of
from vaultcore.tables import routes
from vaultcore.upserts import upsert_for
from worker.domain.states import DeliveryState
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


# Made

_ROUTES_OF: Final = (
    select(deliveries.c.route_id).where(deliveries.c.notice_id == bindparam("notice")).distinct()
)


def list_routes_of(connection: Connection, notice_id: str) -> set[str]:
    """The ids of the routes that the notice has been given."""
    return set(connection.execute(_ROUTES_OF, {"notice": notice_id}).scalars())


def add_waiting(
    connection: Connection, new: Iterable[tuple[Key, str, datetime]], *, stands_in: bool = False
) -> None:
    """Each with its route as it is shown, and when it may leave; one that is there already stays as it is."""
    shared = {"stands_in": stands_in, "state": DeliveryState.WAITING.value, "attempts": 0}
    rows = [{**key._asdict(), "shown": shown, "next_at": next_at, **shared} for key, shown, next_at in new]
    if rows:
        connection.execute(_add(connection.dialect.name), rows)


@cache
def _add(dialect: str) -> Any:  # noqa: ANN401  # two dialects, one API
    return upsert_for(dialect, deliveries).on_conflict_do_nothing()


def spread(connection: Connection, key: Key, names: Sequence[str], now: datetime) -> None:
    """A delivery by a route of which nobody had looked whom it leads to becomes one for each of them."""
    row = connection.execute(delete(deliveries).where(is_delivery(key)).returning(deliveries)).mappings().one()
    shared = dict(row) | {"attempts": 0, "next_at": now}
    connection.execute(insert(deliveries), [shared | {"recipient": name} for name in names])


def reaches_its_owner(connection: Connection, notice_id: str) -> bool:
    """Whether another recipient or route of the notice has taken it, or may; none that was forged does."""
    found = connection.execute(
        select(deliveries).where(
            deliveries.c.notice_id == notice_id,
            or_(
                deliveries.c.stands_in.is_(True),
                deliveries.c.state.in_([DeliveryState.SENT.value, DeliveryState.WAITING.value]),
            ),
        )
    )
    return any(is_ours(connection, deliveries, row) for row in found)


# How a try ended


def note_failure(
    connection: Connection, key: Key, *, problem: str, at: datetime, next_at: datetime | None
) -> None:
    """A try failed; `next_at` None: it was the last."""
    connection.execute(
        update(deliveries).where(is_delivery(key)).values(tried_at=at, last_error=problem, next_at=next_at)
    )


def note_part(
    connection: Connection, key: Key, *, part: int, draft: Mapping[str, Any], at: datetime, next_at: datetime
) -> bool:
    """So many parts of it were taken, and the rest has all its tries; False: it waits no more."""
    return _change(
        connection,
        and_(is_delivery(key), deliveries.c.state == DeliveryState.WAITING.value),
        parts_taken=part,
        draft=draft,
        attempts=1,
        tried_at=at,
        next_at=next_at,
        last_error=None,
    )


# Ended, and begun again


class TakenDelivery(NamedTuple):
    """A delivery that was taken whole, in so many `parts`."""

    key: Key
    stands_in: bool
    parts: int


def mark_sent(connection: Connection, sent: Iterable[TakenDelivery], *, at: datetime) -> None:
    """Without another look at them: the digest is of what was checked before it was sent, so that a row that
    was edited meanwhile does not become ours.
    """
    macs = macs_of(connection)
    given = []
    for key, stands_in, parts in sent:
        decides = {**key._asdict(), "stands_in": stands_in, "state": DeliveryState.SENT.value, "draft": None}
        made = {} if macs is None else {"made": macs.make(deliveries, decides)}
        its = {f"its_{name}": value for name, value in key._asdict().items()}
        given.append({**its, "at": at, "parts": parts, **made})
    if given:
        connection.execute(_SENT if macs is None else _SENT_SIGNED, given, execution_options=AS_IS)


_SENT = (
    update(deliveries)
    .where(*(deliveries.c[name] == bindparam(f"its_{name}") for name in Key._fields))
    .values(
        state=DeliveryState.SENT.value,
        sent_at=bindparam("at"),
        tried_at=bindparam("at"),
        next_at=None,
        last_error=None,
        parts_taken=bindparam("parts"),
        draft=None,
    )
)
_SENT_SIGNED = _SENT.values({MAC: bindparam("made")})


def mark_failed(connection: Connection, key: Key) -> None:
    _change(connection, is_delivery(key), state=DeliveryState.FAILED.value)


def withdraw_waiting(connection: Connection, notice_id: str) -> None:
    """Those of the notice that have not left."""
    waiting = and_(deliveries.c.notice_id == notice_id, deliveries.c.state == DeliveryState.WAITING.value)
    _change(connection, waiting, state=DeliveryState.WITHDRAWN.value, next_at=None)


def begin_again(connection: Connection, notice_id: str, *, at: datetime) -> None:
    """Those of the notice that failed wait once more, with all their tries; where the route was taken away they
    are withdrawn.
    """
    failed = and_(deliveries.c.notice_id == notice_id, deliveries.c.state == DeliveryState.FAILED.value)
    gone = deliveries.c.route_id.not_in(select(routes.c.id))
    _change(connection, and_(failed, gone), state=DeliveryState.WITHDRAWN.value)
    _change(connection, failed, state=DeliveryState.WAITING.value, attempts=0, next_at=at)


def count_waiting(connection: Connection, notice_id: str) -> int:
    return connection.execute(
        select(func.count()).where(
            deliveries.c.notice_id == notice_id, deliveries.c.state == DeliveryState.WAITING.value
        )
    ).scalar_one()


def _change(connection: Connection, which: ColumnElement[bool], **values: Any) -> bool:  # noqa: ANN401  # columns
    """Whether any has these values now."""
    return bool(update_apart(connection, deliveries, which, values))
