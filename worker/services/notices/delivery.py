"""Delivery: what is due in the outbox is claimed, sent and marked; each recipient by itself, many at once.

A crash between the send and its mark sends the same notice, or part of one, again, with the same key in its
subject.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from vaultcore.crypto.keyring import Keyring
from vaultcore.damage import is_whole
from vaultcore.database import Database
from vaultcore.errors import ConflictError, LockedError, NightkeyError, RefusedError, TamperedError
from vaultcore.owners import Owners
from vaultcore.row_macs import MAC, check_mac, columns_of
from vaultcore.secret import Secret
from vaultcore.tables import routes
from worker.domain.notices import CLAIM_MARK, Message
from worker.domain.recipients import WHOLE
from worker.rows import deliveries as delivery_rows
from worker.rows import pickups as pickup_rows
from worker.rows.deliveries import Key, is_delivery
from worker.rows.tables import deliveries, notices
from worker.services.notices.digests import Digests
from worker.services.notices.outbox import Outbox
from worker.services.notices.pickup_token import claim_token
from worker.services.notices.recipients import Recipients
from worker.services.notices.retries import Failure, Retries
from worker.services.notices.send_pool import Job, Result, SendPool
from worker.services.notices.wording import Wording
from worker.services.upkeep.row_verification import RowVerification

_LEASE = timedelta(minutes=5)
_PAGE = 500
_ITS = "its_"
_FOUND = (
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
)


class Delivery:
    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        keyring: Keyring,
        recipients: Recipients,
        outbox: Outbox,
        digests: Digests,
        wording: Wording,
        send_pool: SendPool,
        retries: Retries,
        row_verification: RowVerification,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owners = owners
        self._keyring = keyring
        self._recipients = recipients
        self._outbox = outbox
        self._digests = digests
        self._wording = wording
        self._send_pool = send_pool
        self._retries = retries
        self._row_verification = row_verification
        self._clock = clock

    def is_due(self) -> bool:
        """Whether anything could leave now."""
        with self._database.read() as connection:
            due = connection.execute(
                select(deliveries.c.notice_id)
                .where(
                    deliveries.c.state == "waiting",
                    deliveries.c.next_at <= self._clock(),
                    is_whole(connection, deliveries),
                )
                .limit(1)
            ).first()
            return due is not None or bool(self._outbox.find_late(connection))

    def next_try(self) -> datetime | None:
        """When the next delivery is to be tried, or its holder's lease ends; None: nothing waits."""
        with self._database.read() as connection:
            return connection.execute(
                select(deliveries.c.next_at)
                .where(deliveries.c.state == "waiting", is_whole(connection, deliveries))
                .order_by(deliveries.c.next_at)
                .limit(1)
            ).scalar_one_or_none()

    def deliver(self) -> None:
        """Sends what is due, until nothing is. Others may do the same: every row is claimed first."""
        self._route_late()
        waiting: deque[Key] = deque()
        while True:
            if not waiting and self._send_pool.room:
                waiting.extend(self._find_due(busy=self._send_pool.busy))
            if not waiting and not self._send_pool.busy:
                return
            for job in self._claim(_choose(waiting, self._send_pool.busy, self._send_pool.room)):
                self._send_pool.start(job)
            for job in self._record(self._send_pool.collect()):
                self._send_pool.start(job)

    def retry(self, notice_id: str) -> int:
        """Who did not take a notice gets it again, with all tries; so do those whom its owner has got since.
        Of one that took some parts, the rest is due. Routes that were taken away are not waited for. How many
        are due.
        """
        mine = deliveries.c.notice_id == notice_id
        with self._database.write() as connection:
            failed = and_(mine, deliveries.c.state == "failed")
            gone = deliveries.c.route_id.not_in(select(routes.c.id))
            delivery_rows.change(connection, and_(failed, gone), state="withdrawn")
            delivery_rows.change(connection, failed, state="waiting", attempts=0, next_at=self._clock())
            self._outbox.route_again(connection, notice_id)
            due = select(func.count()).where(mine, deliveries.c.state == "waiting")
            return connection.execute(due).scalar_one()

    # Inside

    def _route_late(self) -> None:
        with self._database.read() as connection:
            late = self._outbox.find_late(connection)
        for owner_id in late:
            routed = _PAGE
            while routed == _PAGE:
                with self._database.write() as connection:
                    routed = self._outbox.route_late(connection, owner_id, limit=_PAGE)

    def _find_due(self, *, busy: Collection[str]) -> list[Key]:
        """What may be sent now: what has not failed first, then by time."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(deliveries.c.notice_id, deliveries.c.route_id, deliveries.c.recipient)
                .where(
                    deliveries.c.state == "waiting",
                    deliveries.c.next_at <= self._clock(),
                    deliveries.c.route_id.not_in(busy),
                    is_whole(connection, deliveries),
                )
                .order_by(deliveries.c.attempts, deliveries.c.next_at, deliveries.c.notice_id)
                .limit(_PAGE)
            )
            return [Key(*row) for row in rows]

    def _claim(self, chosen: Sequence[Key]) -> list[Job]:
        """Those of them that nobody else has taken, with what is to be sent."""
        if not chosen:
            return []
        try:
            with self._database.write() as connection:
                return [job for key in sorted(chosen) for job in self._claim_one(connection, key)]
        except LockedError:
            raise
        except ConflictError:  # with another worker: what is still due is found again
            return []

    def _claim_one(self, connection: Connection, key: Key) -> list[Job]:
        now = self._clock()
        tries = connection.execute(
            update(deliveries)
            .where(is_delivery(key), deliveries.c.state == "waiting", deliveries.c.next_at <= now)
            .values(next_at=now + _LEASE, tried_at=now, attempts=deliveries.c.attempts + 1)
            .returning(deliveries.c.attempts)
        ).scalar_one_or_none()
        return [] if tries is None else self._prepare(connection, key, tries)

    def _prepare(self, connection: Connection, key: Key, tries: int) -> list[Job]:
        """What is to be sent, as one job; none if there is nothing to say any more, or no way to say it."""
        problem, permanent = "", True
        try:
            with connection.begin_nested():
                row = connection.execute(_FOUND.where(is_delivery(key))).one()
                check_mac(connection, notices, row, f"notice {key.notice_id}")
                check_mac(connection, deliveries, row, f"the delivery of notice {key.notice_id}", prefix=_ITS)
                url = self._owners.open_route(connection, key.route_id)
                if key.recipient == WHOLE and row.recipients != [WHOLE]:
                    names = row.recipients or self._find_recipients(connection, key.route_id, url)
                    if names != [WHOLE]:
                        _spread(connection, key, names, self._clock())
                        return []
                return self._write(connection, key, row, tries, url)
        except ConflictError:
            raise
        except TamperedError as error:
            self._row_verification.record(connection, error)
            problem = str(error)
        except NightkeyError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  # one notice that cannot be written holds up no other
            problem, permanent = f"it cannot be written ({type(error).__name__})", False
        failure = Failure(key=key, tries=tries, problem=problem, permanent=permanent, alone=True)
        self._retries.end(connection, failure)
        return []

    def _find_recipients(self, connection: Connection, route_id: str, url: Secret) -> list[str]:
        """By the names under which they are kept with the route from now on."""
        names = [one.name for one in self._send_pool.sender.recipients(url)]
        self._owners.set_recipients(connection, route_id, names)
        return names

    def _write(
        self, connection: Connection, key: Key, row: Row[*tuple[Any, ...]], tries: int, url: Secret
    ) -> list[Job]:
        """The message as it leaves; a claim's token exists nowhere but in it.

        Of one whose first parts were taken, the rest of the same text. Empty where nothing is left to say: then
        it is withdrawn.
        """
        draft = self._compose(connection, row) if row.draft is None else Message(**row.draft)
        if draft is None:
            self._outbox.withdraw_notice(connection, key.notice_id)
            return []
        message = draft
        if row.claim_id is not None:
            self._check_hearer(connection, row)
            token = claim_token(self._keyring, row.claim_id)
            message = Message(subject=draft.subject, body=draft.body.replace(CLAIM_MARK, token))
        part = row.parts_taken + 1
        return [
            Job(key=key, tries=tries, url=url, message=message, draft=draft, stands_in=row.stands_in, part=part)
        ]

    def _check_hearer(self, connection: Connection, row: Row[*tuple[Any, ...]]) -> None:
        """Before a token is put into a message: `RefusedError` if the route is that of somebody else."""
        pickup = pickup_rows.find(connection, row.claim_id)
        if pickup is None or not self._recipients.may_hear(connection, row.hearer_id, pickup.item_id):
            raise RefusedError(
                "the token of a pickup goes to no route of somebody who does not answer for its item: which "
                "route this delivery has was changed since it was written"
            )

    def _compose(self, connection: Connection, row: Row[*tuple[Any, ...]]) -> Message | None:
        """A digest says how things stand, at each try; None: nothing of it is left to tell."""
        subject, body = row.subject, row.body
        if row.night is not None:
            composed = self._digests.compose(connection, row.owner_id, row.night)
            if composed is None:
                return None
            subject, body = composed.subject, composed.body
            if (subject, body) != (row.subject, row.body):
                kept = update(notices).where(notices.c.id == row.id)
                connection.execute(kept.values(subject=subject, body=body))
        if row.stands_in:
            said = self._wording.write(connection, "stand-in", {"owner": row.owner}, zone="UTC")
            body = said.body + "\n" + body
        return Message(subject=f"{subject} [{show_key(row.id)}]", body=body)

    def _record(self, ended: Sequence[Result]) -> list[Job]:
        """In one transaction; what it loses to another worker's is recorded again, since it has been sent.

        The parts that come next: each is sent when the one before it is recorded.
        """
        while ended:
            try:
                with self._database.write() as connection:
                    return [job for result in ended for job in self._record_one(connection, result)]
            except LockedError:
                raise
            except ConflictError:
                continue
        return []

    def _record_one(self, connection: Connection, result: Result) -> list[Job]:
        job, now = result.job, self._clock()
        if result.problem is not None:
            failure = Failure(
                key=job.key,
                tries=job.tries,
                problem=result.problem,
                permanent=result.permanent,
                away=result.away,
                alone=result.alone,
            )
            self._retries.end(connection, failure)
            return []
        if job.part < result.parts:
            return self._go_on(connection, job)
        delivery_rows.mark_sent(connection, job.key, stands_in=job.stands_in, parts=job.part, at=now)
        return []

    def _go_on(self, connection: Connection, job: Job) -> list[Job]:
        """The next part, with all its tries; none if the notice was withdrawn meanwhile."""
        now = self._clock()
        taken = delivery_rows.change(
            connection,
            and_(is_delivery(job.key), deliveries.c.state == "waiting"),
            parts_taken=job.part,
            draft=asdict(job.draft),
            attempts=1,
            tried_at=now,
            next_at=now + _LEASE,
            last_error=None,
        )
        return [replace(job, part=job.part + 1, tries=1)] if taken else []


def show_key(notice_id: str) -> str:
    """What tells a notice from others in its subject: the end of its id, the same however often it is sent."""
    return notice_id[-8:]


def _spread(connection: Connection, key: Key, names: Sequence[str], now: datetime) -> None:
    """A delivery by a route of which nobody had looked whom it leads to becomes one for each of them."""
    row = connection.execute(delete(deliveries).where(is_delivery(key)).returning(deliveries)).mappings().one()
    shared = dict(row) | {"attempts": 0, "next_at": now}
    connection.execute(insert(deliveries), [shared | {"recipient": name} for name in names])


def _choose(waiting: deque[Key], busy: Collection[str], room: int) -> list[Key]:
    """The next of those that wait, one for each route; what is behind another of its route is read again."""
    taken: dict[str, Key] = {}
    while waiting and len(taken) < room:
        key = waiting.popleft()
        if key.route_id not in busy:
            taken.setdefault(key.route_id, key)
    return list(taken.values())
