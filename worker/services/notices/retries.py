"""What follows a delivery that failed: another try later, or none, and then others hear of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from worker.domain.backoff import double
from worker.rows import deliveries as delivery_rows
from worker.rows import due_deliveries as due_rows
from worker.rows import outbox as outbox_rows
from worker.rows.deliveries import Key
from worker.services.notices.outbox import Outbox
from worker.services.notices.recipients import Recipients

_PAUSE_MAX = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class SendFailure:
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

    def end(self, connection: Connection, failure: SendFailure) -> None:
        """What failed for one recipient alone, or for good, says nothing of what else is due by that route."""
        self._end_try(connection, failure)
        if not failure.permanent and not failure.alone:
            self._end_others(connection, failure)

    # Inside

    def _end_others(self, connection: Connection, failure: SendFailure) -> None:
        """A route that is away is away for all that is due on it, which counts as tried.

        Where it answered, that may have been for this one alone: the others wait, to be tried before it.
        """
        route_id, now = failure.key.route_id, self._clock()
        if not failure.away:
            again = self._clock() + self._pause_after(failure.tries)
            due_rows.put_off_route(connection, route_id, now, until=again)
            return
        for key, tries in due_rows.count_try_of_route(connection, route_id, now):
            self._end_try(connection, replace(failure, key=key, tries=tries))

    def _end_try(self, connection: Connection, failure: SendFailure) -> None:
        """Another try later, or none: then others hear of it, if nobody at all has heard for the owner."""
        now = self._clock()
        ends = failure.permanent or failure.tries >= self._tries
        again = now + self._pause_after(failure.tries)
        notice_id, route_id, _ = failure.key
        notice = outbox_rows.find(connection, notice_id)
        ends = ends or notice is None  # it is gone
        urgent = notice is not None and bool(notice.urgent)
        again = self._recipients.find_moment(connection, route_id, again, urgent=urgent)
        delivery_rows.note_failure(
            connection, failure.key, problem=failure.problem, at=now, next_at=None if ends else again
        )
        if ends:
            delivery_rows.mark_failed(connection, failure.key)
        if ends and notice is not None and notice.is_ours:
            self._outbox.route_again(connection, notice_id)  # by what the owner has got since
            if not delivery_rows.reaches_its_owner(connection, notice_id):
                self._outbox.stand_in(connection, notice_id)

    def _pause_after(self, tries: int) -> timedelta:
        return double(tries, pause=self._pause, most=_PAUSE_MAX)
