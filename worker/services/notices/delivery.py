"""Delivery: what is due in the outbox is leased, sent and marked; each recipient by itself, many at once.

A crash between the send and its mark sends the same notice, or part of one, again, with the same key in its
subject.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConflictError, LockedError, NightkeyError, RefusedError, TamperedError
from vaultcore.owners import Owners
from vaultcore.secret import Secret
from vaultcore.written_last import savepoint
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import PICKUP_MARK, Message
from worker.domain.recipients import WHOLE
from worker.outbound import open_store, sessions_kept
from worker.rows import deliveries as delivery_rows
from worker.rows import due_deliveries as due_rows
from worker.rows import outbox as outbox_rows
from worker.rows import pickups as pickup_rows
from worker.rows.deliveries import Key, TakenDelivery
from worker.rows.due_deliveries import Outgoing
from worker.services.notices.digests import Digests
from worker.services.notices.outbox import Outbox
from worker.services.notices.pickup_token import pickup_token
from worker.services.notices.recipients import Recipients
from worker.services.notices.retries import Retries, SendFailure
from worker.services.notices.send_pool import SendJob, SendPool, SendResult
from worker.services.notices.wording import Wording
from worker.services.upkeep.row_verification import RowVerification

_LEASE = timedelta(minutes=5)
_PAGE = 500


class _Leased(NamedTuple):
    """With how many tries it has had, this one included."""

    key: Key
    tries: int


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
            due = due_rows.is_any_due(connection, self._clock())
            return due or bool(self._outbox.find_late(connection))

    def next_try(self) -> datetime | None:
        """When the next delivery is to be tried, or its holder's lease ends; None: nothing waits."""
        with self._database.read() as connection:
            return due_rows.find_next_try(connection)

    def deliver(self) -> None:
        """Sends what is due, until nothing is. Others may do the same: every row is leased first.

        Until then a connection to one place serves many notices, whichever the routes that lead there by the
        same credential.
        """
        self._route_late()
        at_once = self._send_pool.threads
        with closing(open_store(at_one_target=at_once, in_all=at_once)) as store, sessions_kept(store):
            self._send_all()

    def _send_all(self) -> None:
        waiting: deque[Key] = deque()
        while True:
            if not waiting and self._send_pool.room:
                waiting.extend(self._find_due(busy=self._send_pool.busy))
            if not waiting and not self._send_pool.busy:
                return
            for job in self._lease(_choose(waiting, self._send_pool.busy, self._send_pool.room)):
                self._send_pool.start(job)
            for job in self._record(self._send_pool.collect()):
                self._send_pool.start(job)

    def retry(self, notice_id: str) -> int:
        """Who did not take a notice gets it again, with all tries; so do those whom its owner has got since.
        Of one that took some parts, the rest is due. Routes that were taken away are not waited for. How many
        are due.
        """
        with self._database.write() as connection:
            delivery_rows.begin_again(connection, notice_id, at=self._clock())
            self._outbox.route_again(connection, notice_id)
            return delivery_rows.count_waiting(connection, notice_id)

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
            return due_rows.list_due(connection, self._clock(), busy=busy, limit=_PAGE)

    def _lease(self, chosen: Sequence[Key]) -> list[SendJob]:
        """Those of them that nobody else has taken, with what is to be sent."""
        if not chosen:
            return []
        try:
            with self._database.write() as connection:
                leased = due_rows.lease(connection, chosen, self._clock(), lease=_LEASE)
                return self._prepare_all(connection, leased)
        except LockedError:
            raise
        except ConflictError:  # with another worker: what is still due is found again
            return []

    def _prepare_all(self, connection: Connection, leased: Mapping[Key, int]) -> list[SendJob]:
        """All together; where that fails, one by one, so that what is wrong with one holds up no other."""
        try:
            with savepoint(connection):
                return self._prepare_together(connection, leased)
        except ConflictError:
            raise
        except Exception:  # noqa: BLE001  # it is told of the one that it is of
            return [job for key, tries in leased.items() for job in self._prepare(connection, key, tries)]

    def _prepare_together(self, connection: Connection, leased: Mapping[Key, int]) -> list[SendJob]:
        outgoing = due_rows.read_outgoing(connection, leased)
        urls = self._owners.open_routes(connection, {key.route_id for key in leased})
        composed = self._compose_digests(connection, [one for one in outgoing.values() if _is_digest(one)])
        jobs: list[SendJob] = []
        for key, tries in leased.items():
            one = outgoing[key]
            if key.recipient == WHOLE and one.recipients != [WHOLE]:
                jobs += self._prepare(connection, key, tries)  # it may become several
            else:
                jobs += self._write(
                    connection, _Leased(key, tries), one, urls[key.route_id], composed.get(key.notice_id)
                )
        return jobs

    def _prepare(self, connection: Connection, key: Key, tries: int) -> list[SendJob]:
        """What is to be sent, as one job; none if there is nothing to say any more, or no way to say it."""
        problem, permanent = "", True
        try:
            with savepoint(connection):
                outgoing = due_rows.read_outgoing(connection, [key])[key]
                url = self._owners.open_route(connection, key.route_id)
                if key.recipient == WHOLE and outgoing.recipients != [WHOLE]:
                    names = outgoing.recipients or self._find_recipients(connection, key.route_id, url)
                    if names != [WHOLE]:
                        delivery_rows.spread(connection, key, names, self._clock())
                        return []
                composed = self._compose_digests(connection, [outgoing] if _is_digest(outgoing) else [])
                return self._write(connection, _Leased(key, tries), outgoing, url, composed.get(key.notice_id))
        except ConflictError:
            raise
        except TamperedError as error:
            self._row_verification.record(connection, error)
            problem = str(error)
        except NightkeyError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  # one notice that cannot be written holds up no other
            problem, permanent = f"it cannot be written ({type(error).__name__})", False
        failure = SendFailure(key=key, tries=tries, problem=problem, permanent=permanent, alone=True)
        self._retries.end(connection, failure)
        return []

    def _find_recipients(self, connection: Connection, route_id: str, url: Secret) -> list[str]:
        """By the names under which they are kept with the route from now on."""
        names = [one.name for one in self._send_pool.sender.recipients(url)]
        self._owners.set_recipients(connection, route_id, names)
        return names

    def _write(
        self,
        connection: Connection,
        leased: _Leased,
        outgoing: Outgoing,
        url: Secret,
        digest: Message | None,
    ) -> list[SendJob]:
        """The message as it leaves; a pickup's token exists nowhere but in it. `digest`: what it says, if it is
        one and something is left to tell.

        Of one whose first parts were taken, the rest of the same text. Empty where nothing is left to say: then
        it is withdrawn.
        """
        if _is_digest(outgoing) and digest is None:
            self._outbox.withdraw_notice(connection, leased.key.notice_id)
            return []
        draft = self._compose(connection, outgoing, digest)
        message = draft
        if outgoing.pickup_id is not None:
            self._check_hearer(connection, outgoing.pickup_id, outgoing.hearer_id)
            token = pickup_token(self._keyring, outgoing.pickup_id)
            message = Message(subject=draft.subject, body=draft.body.replace(PICKUP_MARK, token))
        return [
            SendJob(
                key=leased.key,
                tries=leased.tries,
                url=url,
                message=message,
                draft=draft,
                stands_in=outgoing.stands_in,
                part=outgoing.parts_taken + 1,
            )
        ]

    def _check_hearer(self, connection: Connection, pickup_id: str, hearer_id: str | None) -> None:
        """Before a token is put into a message: `RefusedError` if the route is that of somebody else."""
        pickup = pickup_rows.find(connection, pickup_id)
        hears = (
            pickup is not None
            and hearer_id is not None
            and self._recipients.may_hear(connection, hearer_id, pickup.item_id)
        )
        if not hears:
            raise RefusedError(
                "the token of a pickup goes to no route of somebody who does not answer for its item: which "
                "route this delivery has was changed since it was written"
            )

    def _compose_digests(self, connection: Connection, them: Sequence[Outgoing]) -> dict[str, Message | None]:
        """A digest says how things stand, at each try: by the id of its notice, what it says, which is kept
        with it; None: nothing of it is left to tell.
        """
        composed: dict[str, Message | None] = {}
        for night in {one.night for one in them if one.night is not None}:
            of_night = {one.owner_id: one for one in them if one.night == night}
            said = self._digests.compose_each(connection, of_night, night)
            composed |= {one.notice_id: said[owner_id] for owner_id, one in of_night.items()}
        before = {one.notice_id: (one.subject, one.body) for one in them}
        changed = {
            notice_id: said
            for notice_id, said in composed.items()
            if said is not None and (said.subject, said.body) != before[notice_id]
        }
        outbox_rows.keep_texts(connection, changed)
        return composed

    def _compose(self, connection: Connection, outgoing: Outgoing, digest: Message | None) -> Message:
        """As it was, where parts of it were taken."""
        if outgoing.draft is not None:
            return Message(**outgoing.draft)
        subject = outgoing.subject if digest is None else digest.subject
        body = outgoing.body or "" if digest is None else digest.body
        if outgoing.stands_in:
            said = self._wording.write(connection, NoticeKind.STAND_IN, {"owner": outgoing.owner}, zone="UTC")
            body = said.body + "\n" + body
        return Message(subject=f"{subject} [{show_key(outgoing.notice_id)}]", body=body)

    def _record(self, ended: Sequence[SendResult]) -> list[SendJob]:
        """In one transaction; what it loses to another worker's is recorded again, since it has been sent.

        The parts that come next: each is sent when the one before it is recorded.
        """
        while ended:
            try:
                with self._database.write() as connection:
                    sent = [
                        TakenDelivery(one.job.key, one.job.stands_in, one.job.part)
                        for one in ended
                        if _is_taken_whole(one)
                    ]
                    delivery_rows.mark_sent(connection, sent, at=self._clock())
                    others = [one for one in ended if not _is_taken_whole(one)]
                    return [job for result in others for job in self._record_one(connection, result)]
            except LockedError:
                raise
            except ConflictError:
                continue
        return []

    def _record_one(self, connection: Connection, result: SendResult) -> list[SendJob]:
        """One that failed, or of which a part was taken."""
        job = result.job
        if result.problem is not None:
            failure = SendFailure(
                key=job.key,
                tries=job.tries,
                problem=result.problem,
                permanent=result.permanent,
                away=result.away,
                alone=result.alone,
            )
            self._retries.end(connection, failure)
            return []
        return self._go_on(connection, job)

    def _go_on(self, connection: Connection, job: SendJob) -> list[SendJob]:
        """The next part, with all its tries; none if the notice was withdrawn meanwhile."""
        now = self._clock()
        taken = delivery_rows.note_part(
            connection, job.key, part=job.part, draft=asdict(job.draft), at=now, next_at=now + _LEASE
        )
        return [replace(job, part=job.part + 1, tries=1)] if taken else []


def _is_digest(outgoing: Outgoing) -> bool:
    """Whether what it says is made when it leaves."""
    return outgoing.night is not None and outgoing.draft is None


def _is_taken_whole(result: SendResult) -> bool:
    return result.problem is None and result.job.part >= result.parts


def show_key(notice_id: str) -> str:
    """What tells a notice from others in its subject: the end of its id, the same however often it is sent."""
    return notice_id[-8:]


def _choose(waiting: deque[Key], busy: Collection[str], room: int) -> list[Key]:
    """The next of those that wait, one for each route; what is behind another of its route is read again."""
    taken: dict[str, Key] = {}
    while waiting and len(taken) < room:
        key = waiting.popleft()
        if key.route_id not in busy:
            taken.setdefault(key.route_id, key)
    return list(taken.values())
