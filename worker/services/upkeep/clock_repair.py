"""After the wall clock was ahead and has been set back: nothing waits for a time that was never to come."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from vaultcore.database import Database
from worker.log import get_logger
from worker.rows import clocks as clock_rows
from worker.rows.lease_clock import lease_clock

_log = get_logger(__name__)
_SCAN_LEASE = timedelta(minutes=15)
_PAUSE_MAX = timedelta(hours=1)
_EVERY_SECONDS = 600.0


class ClockRepair:
    """Where several machines share the database, one whose own clock is behind judges by the database's.

    That nothing is to be mended is told by no index: there would have to be one for each time that is ever
    written, kept with every write, for what is almost never so. So it is looked for when this process begins,
    when its own clock has gone back, when one of the times that have an index is seen to be ahead, and every
    ten minutes, since that may have passed unseen.
    """

    def __init__(
        self,
        *,
        database: Database,
        lease: timedelta,
        clock: Callable[[], datetime],
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`elapsed`: seconds that no wall clock changes."""
        self._database = database
        self._clock = clock
        self._elapsed = elapsed
        self._seen: datetime | None = None
        self._mended = 0.0
        self._menders: dict[str, Callable[[Connection, datetime], int]] = {
            "rotations": partial(clock_rows.mend_rotations, lease=lease),
            "deliveries": clock_rows.mend_deliveries,
            "heartbeats": partial(clock_rows.mend_heartbeats, pause=_PAUSE_MAX),
            "workflows": clock_rows.mend_workflows,
            "runs": clock_rows.mend_runs,
            "waiting runs": clock_rows.mend_run_states,
            "nights": partial(clock_rows.mend_nights, lease=_SCAN_LEASE),
            "pickups": clock_rows.mend_pickups,
            "findings": clock_rows.mend_findings,
        }

    def mend_if_due(self, *, seen_ahead: bool = False) -> bool:
        """Whether it was time to look for anything. `seen_ahead`: a time was met that is to be mended."""
        now, before = self._clock(), self._seen
        self._seen = now
        rests = before is not None and before <= now and self._elapsed() - self._mended < _EVERY_SECONDS
        if rests and not seen_ahead:
            return False
        self._seen = None  # what raises is looked for again
        self.mend()
        self._seen, self._mended = now, self._elapsed()
        return True

    def mend(self) -> int:
        """Puts right what was written in a future of the clock as it is now; how many rows."""
        with self._database.write() as connection:
            now = self._clock()
            now = max(now, lease_clock(connection, now))
            mended = {what: _try(what, partial(mend, connection, now)) for what, mend in self._menders.items()}
        if any(mended.values()):
            _log.warning("clock.set-back", **{what: number for what, number in mended.items() if number})
        return sum(mended.values())


def _try(what: str, mend: Callable[[], int]) -> int:
    """A table with a row that cannot be read holds up neither the others nor the sweep."""
    try:
        return mend()
    except (ValueError, TypeError, OverflowError) as error:
        _log.warning("clock.not-mended", what=what, error=type(error).__name__)
        return 0
