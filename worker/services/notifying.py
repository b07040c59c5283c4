"""Notices: written with the change they tell of, delivered from the outbox, each route by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Row, and_, case, func, select, update

from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database, upsert_into
from vaultcore.errors import NightkeyError
from vaultcore.ids import new_id
from vaultcore.owners import Owners
from vaultcore.secret import Secret
from vaultcore.tables import owners, routes
from worker.domain.commands import quote_word
from worker.domain.notices import CLAIM_MARK, Message
from worker.services.claiming import claim_token
from worker.tables import deliveries, notices

_LEASE = timedelta(minutes=5)
_PAUSE_MAX = timedelta(hours=1)
_TRIES = 4


class Sender(Protocol):
    """Sends one message to one route; raises `CounterpartError` with a cause."""

    def send(self, url: Secret, message: Message) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A notice with the state of its deliveries: waiting, sent, failed, or unrouted."""

    id: str
    owner: str
    kind: str
    subject: str
    body: str
    created_at: datetime
    state: str
    sent_at: datetime | None
    error: str | None


class Notifying:
    """Posts, delivers and lists notices."""

    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        keyring: Keyring,
        sender: Sender,
        operators: str,
        pause: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owners = owners
        self._keyring = keyring
        self._sender = sender
        self._operators = operators
        self._pause = pause
        self._clock = clock

    def post(
        self,
        connection: Connection,
        *,
        owner_id: str | None,
        kind: str,
        dedupe_key: str,
        message: Message,
        claim_id: str | None = None,
    ) -> str | None:
        """Writes the notice into the outbox, in the transaction of what it tells of.

        None: a notice of that key is there already. An owner without a route, and an item without
        an owner, fall to the operators.
        """
        now = self._clock()
        notice_id = new_id("ntc", now)
        owner = self.name_owner(connection, owner_id)
        posted = connection.execute(
            upsert_into(connection, notices)
            .values(
                id=notice_id,
                dedupe_key=dedupe_key,
                owner_id=owner_id,
                owner=owner,
                kind=kind,
                subject=message.subject,
                body=message.body,
                claim_id=claim_id,
                created_at=now,
            )
            .on_conflict_do_nothing()
            .returning(notices.c.id)
        ).first()
        if posted is None:
            return None
        self._route(connection, notice_id, owner_id, now)
        return notice_id

    def waiting(self, *, limit: int = 500) -> list[str]:
        """Notices with a delivery that is due; first, what had no route gets those that there are now."""
        self._route_late(limit)
        with self._database.read() as connection:
            return list(
                connection.execute(
                    select(deliveries.c.notice_id)
                    .where(deliveries.c.state == "waiting", deliveries.c.next_at <= self._clock())
                    .group_by(deliveries.c.notice_id)
                    .order_by(func.min(deliveries.c.next_at))
                    .limit(limit)
                ).scalars()
            )

    def next_try(self) -> datetime | None:
        """When the next delivery is to be tried, or its holder's lease ends; None: nothing waits."""
        with self._database.read() as connection:
            return connection.execute(
                select(deliveries.c.next_at)
                .where(deliveries.c.state == "waiting")
                .order_by(deliveries.c.next_at)
                .limit(1)
            ).scalar_one_or_none()

    def deliver(self, notice_id: str) -> None:
        """Tries every route of the notice that is due. A route that fails holds up no other."""
        with self._database.read() as connection:
            due = (
                connection.execute(
                    select(deliveries.c.route_id).where(
                        deliveries.c.notice_id == notice_id, deliveries.c.state == "waiting"
                    )
                )
                .scalars()
                .all()
            )
        for route_id in due:
            self._deliver_to(notice_id, route_id)

    def latest(self, *, limit: int = 1000) -> list[Notice]:
        """Newest first, one per notice: failed if any route failed, waiting if any still waits."""
        with self._database.read() as connection:
            rows = connection.execute(select(notices).order_by(notices.c.id.desc()).limit(limit)).all()
            by_notice: dict[str, list[Row[*tuple[Any, ...]]]] = {row.id: [] for row in rows}
            for delivery in connection.execute(select(deliveries).where(deliveries.c.notice_id.in_(by_notice))):
                by_notice[delivery.notice_id].append(delivery)
        return [_notice(row, by_notice[row.id]) for row in rows]

    def count(self, connection: Connection) -> dict[str, int]:
        """Notices by state; failed where any route failed."""
        state = case(
            (func.count(deliveries.c.route_id) == 0, "unrouted"),
            (func.sum(case((deliveries.c.state == "failed", 1), else_=0)) > 0, "failed"),
            (func.sum(case((deliveries.c.state == "waiting", 1), else_=0)) > 0, "waiting"),
            else_="sent",
        )
        each = (
            select(notices.c.id, state.label("state"))
            .outerjoin(deliveries, deliveries.c.notice_id == notices.c.id)
            .group_by(notices.c.id)
            .subquery()
        )
        return dict(connection.execute(select(each.c.state, func.count()).group_by(each.c.state)).all())

    def problems_since(self, connection: Connection, since: datetime) -> list[str]:
        """What has reached nobody, as sentences: owners without a route, and deliveries that failed since."""
        unrouted = connection.execute(
            select(notices.c.owner, func.count().label("number"))
            .outerjoin(deliveries, deliveries.c.notice_id == notices.c.id)
            .where(deliveries.c.route_id.is_(None))
            .group_by(notices.c.owner)
            .order_by(notices.c.owner)
        )
        problems = [
            f"{row.owner} has no route, so {row.number} notice{'s' if row.number > 1 else ''} reached nobody: "
            f"nightkey owner route {quote_word(row.owner)} --route-file PATH"
            for row in unrouted
        ]
        failed = connection.execute(
            select(notices.c.owner, notices.c.subject, deliveries.c.shown, deliveries.c.last_error)
            .join(deliveries, deliveries.c.notice_id == notices.c.id)
            .where(deliveries.c.state == "failed", deliveries.c.tried_at >= since)
            .order_by(notices.c.id)
        )
        return problems + [
            f"{row.owner} could not be told {row.subject!r} by {row.shown}: {row.last_error}" for row in failed
        ]

    def _route(self, connection: Connection, notice_id: str, owner_id: str | None, now: datetime) -> None:
        for route in self._find_routes(connection, owner_id):
            connection.execute(
                upsert_into(connection, deliveries)
                .values(
                    notice_id=notice_id,
                    route_id=route.id,
                    shown=route.shown,
                    state="waiting",
                    attempts=0,
                    next_at=now,
                )
                .on_conflict_do_nothing()
            )

    def _route_late(self, limit: int) -> None:
        """Notices that were written before there was a route for them are not lost."""
        unrouted = (
            select(notices.c.id, notices.c.owner_id)
            .outerjoin(deliveries, deliveries.c.notice_id == notices.c.id)
            .where(deliveries.c.route_id.is_(None))
            .limit(limit)
        )
        with self._database.read() as connection:
            late = connection.execute(unrouted).all()
        if late:
            with self._database.write() as connection:
                for row in late:
                    self._route(connection, row.id, row.owner_id, self._clock())

    def _deliver_to(self, notice_id: str, route_id: str) -> None:
        now = self._clock()
        with self._database.write() as connection:
            claimed = connection.execute(
                update(deliveries)
                .where(
                    deliveries.c.notice_id == notice_id,
                    deliveries.c.route_id == route_id,
                    deliveries.c.state == "waiting",
                    deliveries.c.next_at <= now,
                )
                .values(next_at=now + _LEASE, attempts=deliveries.c.attempts + 1)
                .returning(deliveries.c.attempts)
            ).scalar_one_or_none()
            if claimed is None:
                return
            row = connection.execute(select(notices).where(notices.c.id == notice_id)).one()
        problem = None
        permanent = False
        try:
            with self._database.read() as connection:
                url = self._owners.open_route(connection, route_id)
            self._sender.send(url, self._fill(row))
        except NightkeyError as error:
            problem, permanent = str(error), not error.can_retry
        with self._database.write() as connection:
            connection.execute(
                update(deliveries)
                .where(and_(deliveries.c.notice_id == notice_id, deliveries.c.route_id == route_id))
                .values(
                    _after_try(
                        problem, permanent=permanent, tries=claimed, pause=self._pause, now=self._clock()
                    )
                )
            )

    def _fill(self, row: Row[*tuple[Any, ...]]) -> Message:
        """The message as it leaves: a claim's token exists outside the keyring only in it."""
        body = row.body
        if row.claim_id is not None:
            body = body.replace(CLAIM_MARK, claim_token(self._keyring, row.claim_id))
        return Message(subject=row.subject, body=body)

    def _find_routes(self, connection: Connection, owner_id: str | None) -> Sequence[Row[*tuple[Any, ...]]]:
        chosen = select(routes.c.id, routes.c.shown).order_by(routes.c.id)
        own = connection.execute(chosen.where(routes.c.owner_id == owner_id)).all()
        if own:
            return own
        return connection.execute(
            chosen.join(owners, owners.c.id == routes.c.owner_id).where(owners.c.name == self._operators)
        ).all()

    def find_operators(self, connection: Connection) -> str | None:
        """The id of the owner who hears of what has no owner; None if nobody has that name."""
        return connection.execute(
            select(owners.c.id).where(owners.c.name == self._operators)
        ).scalar_one_or_none()

    def name_owner(self, connection: Connection, owner_id: str | None) -> str:
        if owner_id is None:
            return self._operators
        return (
            connection.execute(select(owners.c.name).where(owners.c.id == owner_id)).scalar_one_or_none()
            or self._operators
        )


def _after_try(
    problem: str | None, *, permanent: bool, tries: int, pause: timedelta, now: datetime
) -> dict[str, Any]:
    tried = {"tried_at": now, "last_error": problem, "next_at": None}
    if problem is None:
        return {**tried, "state": "sent", "sent_at": now}
    if permanent or tries >= _TRIES:
        return {**tried, "state": "failed"}
    return {**tried, "next_at": now + min(pause * 2 ** (tries - 1), _PAUSE_MAX)}


def _notice(row: Row[*tuple[Any, ...]], tried: Sequence[Row[*tuple[Any, ...]]]) -> Notice:
    states = {delivery.state for delivery in tried}
    state = next((s for s in ("failed", "waiting", "sent") if s in states), "unrouted")
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
        error=errors[0] if errors else None,
    )
