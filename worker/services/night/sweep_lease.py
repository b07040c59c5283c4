"""One resume sweep at a time: whoever is first sweeps, and who comes meanwhile leaves it to them at once.

A sweep that was refused may have been rung for by what the one under way has not seen. So that one, at its end,
calls for one more, however many were refused. It is rung for behind all else that was found: by then that has
been called for, too.

Whoever dies in a sweep holds up others for a moment, and nobody loses anything: the rows say what is due, and
the next bell asks them.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from vaultcore.database import Database
from worker.domain.work import RESUME, Work
from worker.rows import sweep_lease as lease_rows

_LEASE = timedelta(seconds=15)
"""Less than beat leaves between two bells. A sweep that takes longer may find another beside it, which does no
harm: each row that is due is leased by one worker, whoever rings for it.
"""


class SweepLease:
    def __init__(self, *, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def run_alone(self, sweep: Callable[[], list[Work]]) -> list[Work]:
        """What the sweep finds, and one more sweep, if any was refused meanwhile; nothing, and nothing is done,
        where another is under way.
        """
        held = self._take()
        if held is None:
            return []
        refused = False
        try:
            found = sweep()
        finally:
            refused = self._give_back(held)
        return [*found, RESUME] if refused else found

    def _take(self) -> datetime | None:
        with self._database.write_lightly() as connection:
            return lease_rows.take(connection, now=self._clock(), lease=_LEASE)

    def _give_back(self, held: datetime) -> bool:
        with self._database.write_lightly() as connection:
            return lease_rows.give_back(connection, held, now=self._clock())
