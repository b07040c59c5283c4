"""One resume sweep at a time: whoever is first sweeps, and who comes meanwhile leaves it to them at once.

A sweep that was refused may have been rung for by what the one under way has not seen. So that one, at its end,
calls for one more, however many were refused. It is rung for behind all else that was found: by then that has
been called for, too.

Whoever dies in a sweep holds up others for a moment, and who fails holds up nobody. Nothing is lost by either:
the rows say what is due, and the next bell, or the next sweep at its end, has them asked.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from vaultcore.database import Database
from vaultcore.errors import NightkeyError
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
        try:
            found = sweep()
        except BaseException:
            with suppress(NightkeyError):  # what it failed of is what is told
                self._give_up(held)
            raise
        return [*found, RESUME] if self._give_back(held) else found

    def _take(self) -> datetime | None:
        with self._database.write_lightly() as connection:
            return lease_rows.take(connection, now=self._clock(), lease=_LEASE)

    def _give_back(self, held: datetime) -> bool:
        """Whether to call for one more: also where that cannot be told."""
        try:
            with self._database.write_lightly() as connection:
                return lease_rows.give_back(connection, held, now=self._clock())
        except NightkeyError:  # what was found is called for all the same
            return True

    def _give_up(self, held: datetime) -> None:
        with self._database.write_lightly() as connection:
            lease_rows.give_up(connection, held, now=self._clock())
