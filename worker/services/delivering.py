"""Delivery: what is due in the outbox is claimed, sent and marked; each route by itself, many at a time.

A crash between the send and its mark sends the same notice again, with the same key in its subject.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConflictError, NightkeyError
from vaultcore.owners import Owners
from vaultcore.tables import routes
from worker.domain.notices import CLAIM_MARK, Message
from worker.services.addressing import Addressing
from worker.services.claiming import claim_token
from worker.services.digesting import Digesting
from worker.services.notifying import Letters, Notifying
from worker.services.sending import Job, Result, Sending
from worker.tables import deliveries, notices

_LEASE = timedelta(minutes=5)
_PAUSE_MAX = timedelta(hours=1)
_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """A try that failed. `tries`: this one included. `permanent` and `away` as in `Result`."""

    notice_id: str
    route_id: str
    tries: int
    problem: str
    permanent: bool
    away: bool = False


class Delivering:
    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        keyring: Keyring,
        addressing: Addressing,
        notifying: Notifying,
        digesting: Digesting,
        letters: Letters,
        sending: Sending,
        pause: timedelta,
        tries: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owners = owners
        self._keyring = keyring
        self._addressing = addressing
        self._notifying = notifying
        self._digesting = digesting
        self._letters = letters
        self._sending = sending
        self._pause = pause
        self._tries = tries
        self._clock = clock

    def is_due(self) -> bool:
        """Whether anything could leave now."""
        with self._database.read() as connection:
            due = connection.execute(
                select(deliveries.c.notice_id)
                .where(deliveries.c.state == "waiting", deliveries.c.next_at <= self._clock())
                .limit(1)
            ).first()
            return due is not None or bool(self._notifying.find_late(connection))

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
        self._route_late()
        waiting: deque[tuple[str, str]] = deque()
        while True:
            if not waiting and self._sending.room:
                waiting.extend(self._find_due(busy=self._sending.busy))
            if not waiting and not self._sending.busy:
                return
            for job in self._claim(_choose(waiting, self._sending.busy, self._sending.room)):
                self._sending.start(job)
            self._record(self._sending.collect())

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

    def _route_late(self) -> None:
        with self._database.read() as connection:
            late = self._notifying.find_late(connection)
        for owner_id in late:
            routed = _PAGE
            while routed == _PAGE:
                with self._database.write() as connection:
                    routed = self._notifying.route_late(connection, owner_id, limit=_PAGE)

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
        try:
            with self._database.write() as connection:
                return [job for one in sorted(chosen) for job in self._claim_one(connection, *one)]
        except ConflictError:  # with another worker: what is still due is found again
            return []

    def _claim_one(self, connection: Connection, notice_id: str, route_id: str) -> list[Job]:
        now = self._clock()
        tries = connection.execute(
            update(deliveries)
            .where(_is(notice_id, route_id), deliveries.c.state == "waiting", deliveries.c.next_at <= now)
            .values(next_at=now + _LEASE, attempts=deliveries.c.attempts + 1)
            .returning(deliveries.c.attempts)
        ).scalar_one_or_none()
        return [] if tries is None else self._prepare(connection, notice_id, route_id, tries)

    def _prepare(self, connection: Connection, notice_id: str, route_id: str, tries: int) -> list[Job]:
        """What is to be sent, as one job; none if there is nothing to say any more, or no way to say it."""
        problem, permanent = "", True
        try:
            with connection.begin_nested():
                message = self._write(connection, notice_id, route_id)
                if message is None:
                    self._notifying.withdraw_notice(connection, notice_id)
                    return []
                url = self._owners.open_route(connection, route_id)
                return [Job(notice_id=notice_id, route_id=route_id, tries=tries, url=url, message=message)]
        except ConflictError:
            raise
        except NightkeyError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  # one notice that cannot be written holds up no other
            problem, permanent = f"it cannot be written ({type(error).__name__})", False
        failure = _Failure(
            notice_id=notice_id, route_id=route_id, tries=tries, problem=problem, permanent=permanent
        )
        self._end_try(connection, failure)
        return []

    def _write(self, connection: Connection, notice_id: str, route_id: str) -> Message | None:
        """The message as it leaves; a claim's token exists nowhere but in it."""
        row = connection.execute(
            select(notices, deliveries.c.stands_in)
            .join(deliveries, deliveries.c.notice_id == notices.c.id)
            .where(_is(notice_id, route_id))
        ).one()
        subject, body = row.subject, row.body
        if row.night is not None:  # a digest says how things stand, at each try
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
        """In one transaction; what it loses to another worker's is recorded again, since it has been sent."""
        while ended:
            try:
                with self._database.write() as connection:
                    for result in ended:
                        self._record_one(connection, result)
            except ConflictError:
                continue
            return

    def _record_one(self, connection: Connection, result: Result) -> None:
        job, now = result.job, self._clock()
        if result.problem is None:
            connection.execute(
                update(deliveries)
                .where(_is(job.notice_id, job.route_id))
                .values(state="sent", sent_at=now, tried_at=now, next_at=None, last_error=None)
            )
            return
        failure = _Failure(
            notice_id=job.notice_id,
            route_id=job.route_id,
            tries=job.tries,
            problem=result.problem,
            permanent=result.permanent,
            away=result.away,
        )
        self._end_try(connection, failure)
        if not failure.permanent:
            self._end_others(connection, failure)

    def _end_others(self, connection: Connection, failure: _Failure) -> None:
        """A route that is away is away for all that is due on it, which counts as tried.

        Where it answered, that may have been for this one alone: the others wait, to be tried before it.
        """
        due = and_(
            deliveries.c.route_id == failure.route_id,
            deliveries.c.state == "waiting",
            deliveries.c.next_at <= self._clock(),
        )
        if not failure.away:
            again = self._clock() + self._pause_after(failure.tries)
            connection.execute(update(deliveries).where(due).values(next_at=again))
            return
        others = connection.execute(
            update(deliveries)
            .where(due)
            .values(attempts=deliveries.c.attempts + 1)
            .returning(deliveries.c.notice_id, deliveries.c.attempts)
        ).all()
        for row in others:
            self._end_try(connection, replace(failure, notice_id=row.notice_id, tries=row.attempts))

    def _end_try(self, connection: Connection, failure: _Failure) -> None:
        """Another try later, or none: then others hear of it, if no other route reaches the owner."""
        now = self._clock()
        ends = failure.permanent or failure.tries >= self._tries
        again = now + self._pause_after(failure.tries)
        notice_id, route_id = failure.notice_id, failure.route_id
        urgent = connection.execute(select(notices.c.urgent).where(notices.c.id == notice_id)).scalar_one()
        again = self._addressing.find_moment(connection, route_id, again, urgent=urgent)
        connection.execute(
            update(deliveries)
            .where(_is(notice_id, route_id))
            .values(
                tried_at=now,
                last_error=failure.problem,
                state="failed" if ends else "waiting",
                next_at=None if ends else again,
            )
        )
        if ends:
            self._notifying.route_again(connection, notice_id)  # by what the owner has got since
            if not _reaches_its_owner(connection, notice_id):
                self._notifying.stand_in(connection, notice_id)

    def _pause_after(self, tries: int) -> timedelta:
        doubled: int = 2 ** (tries - 1)
        return min(self._pause * doubled, _PAUSE_MAX)


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
