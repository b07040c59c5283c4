"""Notices as rows, for who reads of them: listed and counted. It changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, and_, case, func, select, text

from vaultcore.errors import NotFoundError
from worker.domain.states import DeliveryState
from worker.rows.tables import deliveries, notices

WORST_FIRST = (DeliveryState.FAILED.value, DeliveryState.WAITING.value, DeliveryState.SENT.value)
"""What a notice is, by the states of its deliveries: the first of these that one of them has."""


UNROUTED = "unrouted"
"""Nothing leads to its owner, or nobody has looked yet."""
IS_UNROUTED: Final = and_(text("NOT notices.routed"), notices.c.routed.is_(False))
"""In words of the index of these: by others a database goes through all notices that were ever written."""


@dataclass(frozen=True, kw_only=True)
class StoredDelivery:
    """One recipient of one route. `recipient`: empty where the route leads to one place. `parts`: how many
    parts of it were taken. `stands_in`: for an owner whom none of their own routes has reached.
    """

    route: str
    recipient: str
    state: str
    attempts: int
    next_at: datetime | None
    sent_at: datetime | None
    error: str | None
    stands_in: bool
    parts: int


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A notice with its deliveries.

    `state`: failed where a route took it no more, waiting, sent, withdrawn, or unrouted. `body` is Markdown,
    None for a digest that has not left yet.
    """

    id: str
    owner: str
    kind: str
    subject: str
    body: str | None
    created_at: datetime
    state: str
    sent_at: datetime | None
    next_at: datetime | None
    error: str | None
    deliveries: tuple[StoredDelivery, ...]


def list_notices(connection: Connection, *, failed: bool = False, limit: int = 1000) -> list[Notice]:
    """Newest first; `failed`: those that a route did not take."""
    query = select(notices).order_by(notices.c.id.desc()).limit(limit)
    if failed:
        query = query.where(
            notices.c.id.in_(
                select(deliveries.c.notice_id).where(deliveries.c.state == DeliveryState.FAILED.value)
            )
        )
    rows = connection.execute(query).all()
    by_notice = deliveries_of(connection, [row.id for row in rows])
    return [notice_from_rows(row, by_notice[row.id]) for row in rows]


def deliveries_of(connection: Connection, notice_ids: Sequence[str]) -> dict[str, list[Row[*tuple[Any, ...]]]]:
    """The rows of the outbox for each of these notices."""
    by_notice: dict[str, list[Row[*tuple[Any, ...]]]] = {one: [] for one in notice_ids}
    for delivery in connection.execute(
        select(deliveries)
        .where(deliveries.c.notice_id.in_(by_notice))
        .order_by(deliveries.c.route_id, deliveries.c.recipient)
    ):
        by_notice[delivery.notice_id].append(delivery)
    return by_notice


def get_notice(connection: Connection, notice_id: str) -> Notice:
    row = connection.execute(select(notices).where(notices.c.id == notice_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"no notice {notice_id[:60]!r}: `nightkey notice list` shows them all")
    tried = connection.execute(
        select(deliveries)
        .where(deliveries.c.notice_id == notice_id)
        .order_by(deliveries.c.route_id, deliveries.c.recipient)
    ).all()
    return notice_from_rows(row, tried)


def count(connection: Connection) -> dict[str, int]:
    """Notices by state; failed where a route did not take it."""
    number = func.count(deliveries.c.route_id)
    state = case(
        ((number == 0) & notices.c.routed.is_(False), UNROUTED),
        *((func.sum(case((deliveries.c.state == one, 1), else_=0)) > 0, one) for one in WORST_FIRST),
        else_=DeliveryState.WITHDRAWN.value,
    )
    each = (
        select(notices.c.id, state.label("state"))
        .outerjoin(deliveries, deliveries.c.notice_id == notices.c.id)
        .group_by(notices.c.id, notices.c.routed)
        .subquery()
    )
    return dict(connection.execute(select(each.c.state, func.count()).group_by(each.c.state)).all())


class Unrouted(NamedTuple):
    """An owner by name, and how many notices wait for a way to them."""

    owner: str
    number: int


def count_unrouted(connection: Connection) -> list[Unrouted]:
    """Owners whom nothing leads to, themselves or in their place, each with the number of notices that wait."""
    rows = connection.execute(
        select(notices.c.owner, func.count().label("number"))
        .where(IS_UNROUTED)
        .group_by(notices.c.owner)
        .order_by(notices.c.owner)
    )
    return [Unrouted(row.owner, row.number) for row in rows]


def show_place(route: str, recipient: str) -> str:
    """Where something went: the route, and whom of it."""
    return f"{route} to {recipient}" if recipient else route


def notice_from_rows(row: Row[*tuple[Any, ...]], tried: Sequence[Row[*tuple[Any, ...]]]) -> Notice:
    states = {delivery.state for delivery in tried}
    otherwise = DeliveryState.WITHDRAWN.value if row.routed else UNROUTED
    state = next((one for one in WORST_FIRST if one in states), otherwise)
    errors = [delivery.last_error for delivery in tried if delivery.last_error]
    return Notice(
        id=row.id,
        owner=row.owner,
        kind=row.kind,
        subject=row.subject,
        body=row.body,
        created_at=row.created_at,
        state=state,
        sent_at=max((d.sent_at for d in tried if d.sent_at), default=None),
        next_at=min((d.next_at for d in tried if d.next_at), default=None),
        error=errors[0] if errors else None,
        deliveries=tuple(
            StoredDelivery(
                route=delivery.shown,
                recipient=delivery.recipient,
                state=delivery.state,
                attempts=delivery.attempts,
                next_at=delivery.next_at,
                sent_at=delivery.sent_at,
                error=delivery.last_error,
                stands_in=delivery.stands_in,
                parts=delivery.parts_taken,
            )
            for delivery in tried
        ),
    )
