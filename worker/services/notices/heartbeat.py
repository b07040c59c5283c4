"""A dead man's switch: after each night a URL is called with its outcome, so that silence itself is noticed.

The form is that of healthchecks and the like: `URL/start` when a night begins, `URL` when it ended well and
`URL/fail` when it did not, each by POST with a few lines about it. The call is written down with what it tells
of, and tried until it arrives or is a day old.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import Cause, TamperedError, TargetError
from vaultcore.secret import Secret
from worker.domain.backoff import double
from worker.domain.states import Beat
from worker.outbound import HttpClient, say_status
from worker.rows import heartbeats as heartbeat_rows
from worker.rows.heartbeats import HeartbeatKey
from worker.services.upkeep.row_verification import RowVerification

_LEASE = timedelta(minutes=2)
_PAUSE = timedelta(minutes=1)
_PAUSE_MAX = timedelta(hours=1)
_TOO_OLD = timedelta(days=1)
_TIMEOUT_SECONDS = 10.0


_PATHS = {Beat.START: "/start", Beat.SUCCESS: "", Beat.FAIL: "/fail"}


class Heartbeat:
    """`url` None: nobody listens, and nothing is written down."""

    def __init__(
        self,
        *,
        database: Database,
        http: HttpClient,
        row_verification: RowVerification,
        url: Secret | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._row_verification = row_verification
        self._http = http
        self._url = url
        self._clock = clock

    def post(self, connection: Connection, slot: datetime, beat: Beat, text: str) -> None:
        """In the transaction of what it tells of; once for each night and kind."""
        if self._url is None:
            return
        heartbeat_rows.add(connection, HeartbeatKey(slot, beat.value), text, at=self._clock())

    def take_back(self, connection: Connection, slot: datetime) -> None:
        """A night that turned out not to have ended well: what has not left yet does not say so."""
        heartbeat_rows.outdate(connection, HeartbeatKey(slot, Beat.SUCCESS.value))

    def waiting(self) -> list[str]:
        """Those that are due, in the order in which they happened: each by its night and kind."""
        if self._url is None:
            return []
        with self._database.read() as connection:
            due = heartbeat_rows.list_due(connection, self._clock())
        return [f"{key.slot.isoformat()} {key.beat}" for key in due]

    def send(self, name: str) -> None:
        """One try, by whoever leases it first.

        When the end of a night was heard, its beginning is not said any more: it would pass for another. What
        none of us wrote so is not said at all.
        """
        now = self._clock()
        slot, _, beat = name.partition(" ")
        key = HeartbeatKey(datetime.fromisoformat(slot), beat)
        with self._database.write() as connection:
            leased = heartbeat_rows.lease(connection, key, now, lease=_LEASE)
            if leased is not None and leased.edited is not None:
                self._refuse(connection, key, leased.edited)
                return
        if leased is None or self._url is None:
            return
        problem, asked_for = self._call(self._url, Beat(beat), leased.text)
        ends = problem is None or now - leased.posted_at >= _TOO_OLD
        with self._database.write() as connection:
            if ends:
                heartbeat_rows.end(connection, key, problem=problem)
            else:
                again_at = self._find_next(leased.attempts, asked_for)
                heartbeat_rows.put_off(connection, key, until=again_at, problem=problem)
            if problem is None and beat != Beat.START:
                # a night that failed at first may yet end well, and the other way round
                heartbeat_rows.outdate_earlier(
                    connection, key.slot, beat=Beat.START.value, posted_before=leased.posted_at
                )

    def _find_next(self, attempts: int, asked_for: datetime | None) -> datetime:
        """When it is tried again; not before the service asks for it."""
        again_at = self._clock() + double(attempts, pause=_PAUSE, most=_PAUSE_MAX)
        return again_at if asked_for is None else max(asked_for, again_at)

    def _refuse(self, connection: Connection, key: HeartbeatKey, error: TamperedError) -> None:
        """It is a finding, and stands among what failed to be said."""
        self._row_verification.record(connection, error)
        heartbeat_rows.refuse(connection, key, str(error))

    def _call(self, url: Secret, beat: Beat, text: str) -> tuple[str | None, datetime | None]:
        """What was wrong, None: it arrived; and before when it asks not to be called again. Nothing of the
        address, which is a secret, is said.
        """
        address = url.expose().rstrip("/") + _PATHS[beat]
        try:
            answer = self._http.request(
                "POST",
                address,
                headers={"Content-Type": "text/plain; charset=utf-8"},
                content=text,
                timeout=_TIMEOUT_SECONDS,
            )
        except TargetError as error:
            hint = "" if error.cause is Cause.OUTAGE else " (setting heartbeat_url)"
            return f"{error}{hint}", error.retry_at
        problem = None if answer.cause is None else f"the service {say_status(answer.status)}"
        return problem, answer.retry_at
