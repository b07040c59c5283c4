"""A dead man's switch: after each night a URL is called with its outcome, so that silence itself is noticed.

The form is that of healthchecks and the like: `URL/start` when a night begins, `URL` when it ended well and
`URL/fail` when it did not, each by POST with a few lines about it. The call is written down with what it tells
of, and tried until it arrives or is a day old.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from vaultcore.damage import is_whole
from vaultcore.database import Database, upsert_into
from vaultcore.errors import Cause, CounterpartError, TamperedError
from vaultcore.mac_writing import update_apart
from vaultcore.row_macs import is_ours, key_of
from vaultcore.secret import Secret
from worker.outbound import HttpClient, say_status
from worker.rows.tables import heartbeats
from worker.services.upkeep.row_verification import RowVerification

_LEASE = timedelta(minutes=2)
_PAUSE = timedelta(minutes=1)
_PAUSE_MAX = timedelta(hours=1)
_TOO_OLD = timedelta(days=1)
_TIMEOUT_SECONDS = 10.0


class Beat(StrEnum):
    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


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
        now = self._clock()
        connection.execute(
            upsert_into(connection, heartbeats)
            .values(
                slot=slot, beat=beat.value, text=text, state="waiting", attempts=0, next_at=now, posted_at=now
            )
            .on_conflict_do_nothing()
        )

    def take_back(self, connection: Connection, slot: datetime) -> None:
        """A night that turned out not to have ended well: what has not left yet does not say so."""
        good = and_(
            heartbeats.c.slot == slot,
            heartbeats.c.beat == Beat.SUCCESS.value,
            heartbeats.c.state == "waiting",
        )
        update_apart(connection, heartbeats, good, {"state": "outdated", "next_at": None})

    def waiting(self) -> list[str]:
        """Those that are due, in the order in which they happened: each by its night and kind."""
        if self._url is None:
            return []
        with self._database.read() as connection:
            rows = connection.execute(
                select(heartbeats.c.slot, heartbeats.c.beat)
                .where(
                    heartbeats.c.state == "waiting",
                    heartbeats.c.next_at <= self._clock(),
                    is_whole(connection, heartbeats),
                )
                .order_by(heartbeats.c.posted_at)
            )
            return [f"{row.slot.isoformat()} {row.beat}" for row in rows]

    def send(self, name: str) -> None:
        """One try, by whoever claims it first.

        When the end of a night was heard, its beginning is not said any more: it would pass for another. What
        none of us wrote so is not said at all.
        """
        now = self._clock()
        slot, _, beat = name.partition(" ")
        mine = (heartbeats.c.slot == datetime.fromisoformat(slot)) & (heartbeats.c.beat == beat)
        with self._database.write() as connection:
            row = connection.execute(
                update(heartbeats)
                .where(mine, heartbeats.c.state == "waiting", heartbeats.c.next_at <= now)
                .values(next_at=now + _LEASE, attempts=heartbeats.c.attempts + 1)
                .returning(heartbeats)
            ).one_or_none()
            if row is not None and not is_ours(connection, heartbeats, row):
                self._refuse(connection, mine, row)
                return
        if row is None or self._url is None:
            return
        problem, asked_for = self._call(self._url, Beat(beat), row.text)
        pause = min(_PAUSE * 2 ** min(row.attempts - 1, 10), _PAUSE_MAX)
        again_at = self._clock() + pause if asked_for is None else max(asked_for, self._clock() + pause)
        ends = problem is None or now - row.posted_at >= _TOO_OLD
        values: dict[str, Any] = {
            "next_at": None if ends else again_at,
            "last_error": problem,
        }
        if ends:
            values["state"] = "sent" if problem is None else "failed"
        with self._database.write() as connection:
            still = mine & (heartbeats.c.state == "waiting")
            update_apart(connection, heartbeats, still, values)
            if problem is None and beat != Beat.START:
                before = (heartbeats.c.beat == Beat.START.value) | (heartbeats.c.posted_at < row.posted_at)
                late = (
                    (heartbeats.c.slot == datetime.fromisoformat(slot))
                    & (heartbeats.c.state == "waiting")
                    & before  # a night that failed at first may yet end well, and the other way round
                )
                update_apart(connection, heartbeats, late, {"state": "outdated", "next_at": None})

    def _refuse(self, connection: Connection, mine: ColumnElement[bool], row: Row[*tuple[Any, ...]]) -> None:
        """It is a finding, and stands among what failed to be said."""
        error = TamperedError(
            f"the heartbeat of {row.slot:%Y-%m-%d}",
            table=heartbeats.name,
            key=key_of(heartbeats, row._asdict()),
        )
        self._row_verification.record(connection, error)
        values = {"state": "failed", "next_at": None, "last_error": str(error)}
        update_apart(connection, heartbeats, mine, values)

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
        except CounterpartError as error:
            hint = "" if error.cause is Cause.OUTAGE else " (setting heartbeat_url)"
            return f"{error}{hint}", error.retry_at
        problem = None if answer.cause is None else f"the service {say_status(answer.status)}"
        return problem, answer.retry_at
