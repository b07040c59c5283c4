"""What follows a delivery that failed: another try later, or none, and then others hear of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, or_, select, update

from vaultcore.row_macs import is_ours
from worker.rows import deliveries as delivery_rows
from worker.rows.deliveries import Key, is_delivery
from worker.rows.tables import deliveries, notices
from worker.services.notices.outbox import Outbox
from worker.services.notices.recipients import Recipients

_PAUSE_MAX = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A try that failed. `tries`: this one included. `permanent`, `away` and `alone` as in `Result`."""

    key: Key
    tries: int
    problem: str
    permanent: bool
    away: bool = False
    alone: bool = False


class Retries:
    """`tries` in all, the second after `pause`, each pause twice the one before."""

    def __init__(
        self,
        *,
        recipients: Recipients,
        outbox: Outbox,
        pause: timedelta,
        tries: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._recipients = recipients
        self._outbox = outbox
        self._pause = pause
        self._tries = tries
        self._clock = clock

    def end(self, connection: Connection, failure: Failure) -> None:
        """What failed for one recipient alone, or for good, says nothing of what else is due by that route."""
        self._end_try(connection, failure)
        if not failure.permanent and not failure.alone:
            self._end_others(connection, failure)

    # Inside

    def _end_others(self, connection: Connection, failure: Failure) -> None:
        """A route that is away is away for all that is due on it, which counts as tried.

        Where it answered, that may have been for this one alone: the others wait, to be tried before it.
        """
        due = and_(
            deliveries.c.route_id == failure.key.route_id,
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
            .returning(deliveries.c.notice_id, deliveries.c.recipient, deliveries.c.attempts)
        ).all()
        for row in others:
            key = failure.key._replace(notice_id=row.notice_id, recipient=row.recipient)
            self._end_try(connection, replace(failure, key=key, tries=row.attempts))

    def _end_try(self, connection: Connection, failure: Failure) -> None:
        """Another try later, or none: then others hear of it, if nobody at all has heard for the owner."""
        now = self._clock()
        ends = failure.permanent or failure.tries >= self._tries
        again = now + self._pause_after(failure.tries)
        notice_id, route_id, _ = failure.key
        notice = connection.execute(select(notices).where(notices.c.id == notice_id)).one_or_none()
        ends = ends or notice is None  # it is gone
        urgent = notice is not None and bool(notice.urgent)
        again = self._recipients.find_moment(connection, route_id, again, urgent=urgent)
        connection.execute(
            update(deliveries)
            .where(is_delivery(failure.key))
            .values(tried_at=now, last_error=failure.problem, next_at=None if ends else again)
        )
        if ends:
            delivery_rows.change(connection, is_delivery(failure.key), state="failed")
        if ends and notice is not None and is_ours(connection, notices, notice):
            self._outbox.route_again(connection, notice_id)  # by what the owner has got since
            if not _reaches_its_owner(connection, notice_id):
                self._outbox.stand_in(connection, notice_id)

    def _pause_after(self, tries: int) -> timedelta:
        doubled: int = 2 ** (tries - 1)
        return min(self._pause * doubled, _PAUSE_MAX)


def _reaches_its_owner(connection: Connection, notice_id: str) -> bool:
    """Whether another recipient or route of the notice has taken it, or may; none that was forged does."""
    found = connection.execute(
        select(deliveries).where(
            deliveries.c.notice_id == notice_id,
            or_(deliveries.c.stands_in.is_(True), deliveries.c.state.in_(["sent", "waiting"])),
        )
    )
    return any(is_ours(connection, deliveries, row) for row in found)
