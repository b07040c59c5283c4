"""Delivery: what is due in the outbox is claimed, sent and marked; each route by itself, many at a time.

A crash between the send and its mark
sends the same notice again, with the same key in its subject.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import NightkeyError
from vaultcore.owners import Owners
from vaultcore.tables import routes
from worker.domain.notices import CLAIM_MARK, Message
from worker.services.claiming import claim_token
from worker.services.digesting import Digesting
from worker.services.notifying import Letters, Notifying
from worker.services.sending import Job, Result, Sending
from worker.tables import deliveries, notices

TRIES = 4
_LEASE = timedelta(minutes=5)
_PAUSE_MAX = timedelta(hours=1)
_PAGE = 500


class Delivering:
    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        keyring: Keyring,
        notifying: Notifying,
        digesting: Digesting,
        letters: Letters,
        sending: Sending,
        pause: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owners = owners
        self._keyring = keyring
        self._notifying = notifying
        self._digesting = digesting
        self._letters = letters
        self._sending = sending
        self._pause = pause
        self._clock = clock

    def is_due(self) -> bool:
        """Whether anything could leave now."""
        with self._database.read() as connection:
            due = connection.execute(
                select(deliveries.c.notice_id)
                .where(deliveries.c.state == "waiting", deliveries.c.next_at <= self._clock())
                .limit(1)
            ).first()
            unrouted = connection.execute(
                select(notices.c.id)
                .outerjoin(deliveries, deliveries.c.notice_id == notices.c.id)
                .where(deliveries.c.route_id.is_(None))
                .limit(1)
            ).first()
        return due is not None or unrouted is not None

    def next_try(self) -> datetime | None:
        """When the next delivery is to be tried, or its holder's lease ends; None: nothing waits."""
        with self._database.read() as connection:
            return connection.execute(
                select(deliveries.c.next_at)
                .where(deliveries.c.state == "waiting")
                .order_by(deliveries.c.next_at)
                .limit(1)
            ).scalar_one_or_none()

    def deliver(self) -> None:
        """Sends what is due, until nothing is. Others may do the same: every row is claimed first."""
        with self._database.write() as connection:
            self._notifying.route_late(connection, limit=_PAGE)
        waiting: deque[tuple[str, str]] = deque()
        while True:
            if not waiting and self._sending.room:
                waiting.extend(self._find_due(busy=self._sending.busy))
            for job in self._claim(_choose(waiting, self._sending.busy, self._sending.room)):
                self._sending.start(job)
            if self._sending.busy:
                self._record(self._sending.collect())
            elif not waiting:
                return

    def retry(self, notice_id: str) -> int:
        """The routes of a notice that did not take it are due again, with all their tries; so are those that
        its owner has got since. Routes that were taken away are not waited for. How many are due.
        """
        mine = deliveries.c.notice_id == notice_id
        with self._database.write() as connection:
            connection.execute(
                update(deliveries)
                .where(mine, deliveries.c.state == "failed", deliveries.c.route_id.not_in(select(routes.c.id)))
                .values(state="withdrawn")
            )
            connection.execute(
                update(deliveries)
                .where(mine, deliveries.c.state == "failed")
                .values(state="waiting", attempts=0, next_at=self._clock())
            )
            self._notifying.route_again(connection, notice_id)
            due = select(func.count()).where(mine, deliveries.c.state == "waiting")
            return connection.execute(due).scalar_one()

    # Inside

    def _find_due(self, *, busy: Collection[str]) -> list[tuple[str, str]]:
        """Notice and route of what may be sent now: routes that have not failed first, then by time."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(deliveries.c.notice_id, deliveries.c.route_id)
                .where(
                    deliveries.c.state == "waiting",
                    deliveries.c.next_at <= self._clock(),
                    deliveries.c.route_id.not_in(busy),
                )
                .order_by(deliveries.c.attempts, deliveries.c.next_at, deliveries.c.notice_id)
                .limit(_PAGE)
            )
            return [(row.notice_id, row.route_id) for row in rows]

    def _claim(self, chosen: Sequence[tuple[str, str]]) -> list[Job]:
        """Those of them that nobody else has taken, with what is to be sent."""
        if not chosen:
            return []
        jobs = []
        with self._database.write() as connection:
            now = self._clock()
            for notice_id, route_id in chosen:
                tries = connection.execute(
                    update(deliveries)
                    .where(
                        _is(notice_id, route_id),
                        deliveries.c.state == "waiting",
                        deliveries.c.next_at <= now,
                    )
                    .values(next_at=now + _LEASE, attempts=deliveries.c.attempts + 1)
                    .returning(deliveries.c.attempts)
                ).scalar_one_or_none()
                if tries is not None:
                    jobs += self._prepare(connection, notice_id, route_id, tries)
        return jobs

    def _prepare(self, connection: Connection, notice_id: str, route_id: str, tries: int) -> list[Job]:
        """What is to be sent, as one job; none if there is nothing to say any more, or no way to say it."""
        problem = ""
        try:
            with connection.begin_nested():
                message = self._write(connection, notice_id, route_id)
                if message is None:
                    connection.execute(
                        update(deliveries)
                        .where(deliveries.c.notice_id == notice_id, deliveries.c.state == "waiting")
                        .values(state="withdrawn", next_at=None)
                    )
                    return []
                url = self._owners.open_route(connection, route_id)
                return [Job(notice_id=notice_id, route_id=route_id, tries=tries, url=url, message=message)]
        except NightkeyError as error:
            problem = str(error)
        self._mark_failed(connection, notice_id, route_id, problem, permanent=True, tries=tries)
        return []

    def _write(self, connection: Connection, notice_id: str, route_id: str) -> Message | None:
        """The message as it leaves: the same at each try, and a claim's token exists nowhere but in it."""
        row = connection.execute(
            select(notices, deliveries.c.stands_in)
            .join(deliveries, deliveries.c.notice_id == notices.c.id)
            .where(_is(notice_id, route_id))
        ).one()
        subject, body = row.subject, row.body
        if body is None:
            composed = self._digesting.compose(connection, row.owner_id, row.night)
            if composed is None:
                return None
            subject, body = composed.subject, composed.body
            connection.execute(
                update(notices).where(notices.c.id == notice_id).values(subject=subject, body=body)
            )
        if row.claim_id is not None:
            body = body.replace(CLAIM_MARK, claim_token(self._keyring, row.claim_id))
        if row.stands_in:
            body = self._letters.write("stand-in", {"owner": row.owner}, zone="UTC").body + "\n" + body
        return Message(subject=f"{subject} [{show_key(notice_id)}]", body=body)

    def _record(self, ended: Sequence[Result]) -> None:
        if not ended:
            return
        with self._database.write() as connection:
            now = self._clock()
            for result in ended:
                job = result.job
                if result.problem is not None:
                    self._mark_failed(
                        connection,
                        job.notice_id,
                        job.route_id,
                        result.problem,
                        permanent=result.permanent,
                        tries=job.tries,
                    )
                    continue
                connection.execute(
                    update(deliveries)
                    .where(_is(job.notice_id, job.route_id))
                    .values(state="sent", sent_at=now, tried_at=now, next_at=None, last_error=None)
                )

    def _mark_failed(
        self,
        connection: Connection,
        notice_id: str,
        route_id: str,
        problem: str,
        *,
        permanent: bool,
        tries: int,
    ) -> None:
        """A route that is away is away for all that is due on it, which counts as tried."""
        self._end_try(connection, notice_id, route_id, problem, permanent=permanent, tries=tries)
        if permanent:
            return
        others = connection.execute(
            update(deliveries)
            .where(
                deliveries.c.route_id == route_id,
                deliveries.c.state == "waiting",
                deliveries.c.next_at <= self._clock(),
            )
            .values(attempts=deliveries.c.attempts + 1)
            .returning(deliveries.c.notice_id, deliveries.c.attempts)
        ).all()
        for row in others:
            self._end_try(connection, row.notice_id, route_id, problem, permanent=False, tries=row.attempts)

    def _end_try(
        self,
        connection: Connection,
        notice_id: str,
        route_id: str,
        problem: str,
        *,
        permanent: bool,
        tries: int,
    ) -> None:
        now = self._clock()
        ends = permanent or tries >= TRIES
        again = now + min(self._pause * 2 ** (tries - 1), _PAUSE_MAX)
        connection.execute(
            update(deliveries)
            .where(_is(notice_id, route_id))
            .values(
                tried_at=now,
                last_error=problem,
                state="failed" if ends else "waiting",
                next_at=None if ends else self._notifying.find_moment(connection, notice_id, route_id, again),
            )
        )
        if ends and not _reaches_its_owner(connection, notice_id):
            self._notifying.stand_in(connection, notice_id)


def show_key(notice_id: str) -> str:
    """What tells a notice from others in its subject: the end of its id, the same however often it is sent."""
    return notice_id[-8:]


def _choose(waiting: deque[tuple[str, str]], busy: Collection[str], room: int) -> list[tuple[str, str]]:
    """The next of those that wait, one for each route; what is behind another of its route is read again."""
    taken: dict[str, tuple[str, str]] = {}
    while waiting and len(taken) < room:
        one = waiting.popleft()
        if one[1] not in busy:
            taken.setdefault(one[1], one)
    return list(taken.values())


def _reaches_its_owner(connection: Connection, notice_id: str) -> bool:
    """Whether another route of the notice has taken it, or may still."""
    found = connection.execute(
        select(deliveries.c.route_id)
        .where(
            deliveries.c.notice_id == notice_id,
            or_(deliveries.c.stands_in.is_(True), deliveries.c.state.in_(["sent", "waiting"])),
        )
        .limit(1)
    ).first()
    return found is not None


def _is(notice_id: str, route_id: str) -> ColumnElement[bool]:
    return and_(deliveries.c.notice_id == notice_id, deliveries.c.route_id == route_id)
