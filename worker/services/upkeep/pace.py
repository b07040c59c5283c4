"""What places outside asked of all who call them, known to every worker: the port `worker.outbound.Pace`."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from vaultcore.database import Database
from vaultcore.errors import NightkeyError
from worker.outbound.pace import HELD_MAX
from worker.rows import held_places

_MOMENT: Final = timedelta(seconds=1)
_PLACES_MAX: Final = 1000


class SharedPace:
    """A place that cannot be looked up or written down is called as if it had asked for nothing: no call fails
    for want of this. One that asked for nothing a moment ago is not looked up again: what it asked of another
    worker since is heard that much later.
    """

    def __init__(self, *, database: Callable[[], Database], clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._free: dict[str, datetime] = {}
        """Places that asked for nothing, with the time at which that was read."""

    def held_until(self, place: str) -> datetime | None:
        """Never further ahead than a place may ask for: such a row was written by another time."""
        now = self._clock()
        seen = self._free.get(place)
        if seen is not None and seen <= now < seen + _MOMENT:
            return None
        until: datetime | None = None
        with suppress(NightkeyError), self._database().read() as connection:
            until = held_places.find_hold(connection, _digest(place), after=now, not_beyond=now + HELD_MAX)
        if until is None:
            if len(self._free) >= _PLACES_MAX:
                self._free.clear()
            self._free[place] = now
        return until

    def hold(self, place: str, until: datetime) -> None:
        """By its last word. What is over is forgotten."""
        now = self._clock()
        with suppress(NightkeyError), self._database().write() as connection:
            held_places.hold(connection, _digest(place), until=min(until, now + HELD_MAX), now=now)
        self._free.pop(place, None)  # another thread may have looked it up meanwhile


def _digest(place: str) -> str:
    return hashlib.sha256(place.lower().encode()).hexdigest()
