"""Deliveries that are due, as rows: found, leased, read to be sent, put off. It commits nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, and_, bindparam, select, tuple_, update

from vaultcore.damage import is_whole, is_whole_for
from vaultcore.row_macs import MAC, check_mac, columns_of
from vaultcore.tables import routes
from worker.domain.states import DeliveryState
from worker.rows.deliveries import Key
from worker.rows.tables import deliveries, notices

_ITS = "its_"
_KEY = [deliveries.c[name] for name in Key._fields]
_THESE = and_(
    deliveries.c.notice_id.in_(bindparam("notices", expanding=True)),
    tuple_(*_KEY).in_(bindparam("keys", expanding=True)),
)
"""As `is_among` has it: by the notice alone, too."""
_NOW = bindparam("now", type_=deliveries.c.next_at.type)
_OUTGOING = (
    select(
        notices,
        deliveries.c.stands_in,
        deliveries.c.draft,
        deliveries.c.parts_taken,
        *(deliveries.c[name].label(f"{_ITS}{name}") for name in (*columns_of(deliveries), MAC)),
        routes.c.recipients,
        routes.c.owner_id.label("hearer_id"),
    )
    .join(deliveries, deliveries.c.notice_id == notices.c.id)
    .outerjoin(routes, routes.c.id == deliveries.c.route_id)
    .where(_THESE)
)
_WAITS = (deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.next_at <= _NOW)
_IS_DUE = and_(_THESE, *_WAITS)
_LEASABLE = select(*_KEY).where(_IS_DUE).order_by(*_KEY).with_for_update()
_LEASE = (
    update(deliveries)
    .where(_THESE)
    .values(next_at=bindparam("until"), tried_at=_NOW, attempts=deliveries.c.attempts + 1)
    .returning(*_KEY, deliveries.c.attempts)
)


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A delivery that is about to leave, with its notice.

    `owner`: the name of whom the notice is for; `hearer_id`: whose route it leaves by. `recipients` of the
    route: None: nobody has looked. `draft`: the message as it was when its first parts were taken. `night`:
    that of a digest, whose text is made when it leaves.
    """

    notice_id: str
    owner_id: str
    owner: str
    subject: str
    body: str | None
    night: datetime | None
    pickup_id: str | None
    stands_in: bool
    draft: dict[str, Any] | None
    parts_taken: int
    recipients: list[str] | None
    hearer_id: str | None


def is_any_due(connection: Connection, now: datetime) -> bool:
    return connection.execute(_find_due(connection.dialect.name), {"now": now}).first() is not None


def find_next_try(connection: Connection) -> datetime | None:
    """When the next delivery is to be tried, or its holder's lease ends; None: nothing waits."""
    return connection.execute(
        select(deliveries.c.next_at)
        .where(deliveries.c.state == DeliveryState.WAITING.value, is_whole(connection, deliveries))
        .order_by(deliveries.c.next_at)
        .limit(1)
    ).scalar_one_or_none()


def list_due(connection: Connection, now: datetime, *, busy: Collection[str], limit: int) -> list[Key]:
    """What is due by routes that are not `busy`: what has not failed first, then by time."""
    given = {"now": now, "busy": list(busy), "most": limit}
    return [Key(*row) for row in connection.execute(_list_due(connection.dialect.name), given)]


@cache
def _find_due(dialect: str) -> Select[str]:
    return select(deliveries.c.notice_id).where(*_WAITS, is_whole_for(dialect, deliveries)).limit(1)


@cache
def _list_due(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(*_KEY)
        .where(
            *_WAITS,
            deliveries.c.route_id.not_in(bindparam("busy", expanding=True)),
            is_whole_for(dialect, deliveries),
        )
        .order_by(deliveries.c.attempts, deliveries.c.next_at, deliveries.c.notice_id)
        .limit(bindparam("most", type_=Integer))
    )


def lease(connection: Connection, keys: Collection[Key], now: datetime, *, lease: timedelta) -> dict[Key, int]:
    """Those of them that are due and that nobody else has, with how many tries each has had, this one included.
    They are locked in order, so that two who want the same wait for each other in turn.
    """
    asked = {**_given(sorted(keys)), "now": now}
    due = [Key(*row) for row in connection.execute(_LEASABLE, asked)]
    if not due:
        return {}
    taken = connection.execute(_LEASE, {**_given(due), "until": now + lease, "now": now})
    tries = {Key(row.notice_id, row.route_id, row.recipient): row.attempts for row in taken}
    return {key: tries[key] for key in due}


def read_outgoing(connection: Connection, keys: Collection[Key]) -> dict[Key, Outgoing]:
    """`TamperedError` if none of us wrote one of the deliveries, or its notice, so."""
    found = {}
    for row in connection.execute(_OUTGOING, _given(list(keys))):
        key = Key(*(getattr(row, f"{_ITS}{name}") for name in Key._fields))
        check_mac(connection, notices, row, f"notice {key.notice_id}")
        check_mac(connection, deliveries, row, f"the delivery of notice {key.notice_id}", prefix=_ITS)
        found[key] = Outgoing(
            notice_id=row.id,
            owner_id=row.owner_id,
            owner=row.owner,
            subject=row.subject,
            body=row.body,
            night=row.night,
            pickup_id=row.pickup_id,
            stands_in=row.stands_in,
            draft=row.draft,
            parts_taken=row.parts_taken,
            recipients=row.recipients,
            hearer_id=row.hearer_id,
        )
    return found


def put_off_route(connection: Connection, route_id: str, now: datetime, *, until: datetime) -> None:
    """All that is due by that route."""
    connection.execute(update(deliveries).where(_is_due_by(route_id, now)).values(next_at=until))


def count_try_of_route(connection: Connection, route_id: str, now: datetime) -> list[tuple[Key, int]]:
    """All that is due by that route counts as tried once more: each, with how many tries it has had."""
    rows = connection.execute(
        update(deliveries)
        .where(_is_due_by(route_id, now))
        .values(attempts=deliveries.c.attempts + 1)
        .returning(deliveries.c.notice_id, deliveries.c.recipient, deliveries.c.attempts)
    ).all()
    return [(Key(row.notice_id, route_id, row.recipient), row.attempts) for row in rows]


def _given(keys: Sequence[Key]) -> dict[str, Any]:
    """The parameters of `_THESE`."""
    return {"keys": keys, "notices": sorted({key.notice_id for key in keys})}


def _is_due_by(route_id: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        deliveries.c.route_id == route_id,
        deliveries.c.state == DeliveryState.WAITING.value,
        deliveries.c.next_at <= now,
    )
