"""What places outside asked of all who call them, known to every worker: the port `worker.outbound.Pace`."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from vaultcore.database import Database
from vaultcore.errors import NightkeyError
from worker.outbound.pace import HELD_MAX
from worker.rows import held_places


class SharedPace:
    """A place that cannot be looked up or written down is called as if it had asked for nothing: no call fails
    for want of this.
    """

    def __init__(self, *, database: Callable[[], Database], clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def held_until(self, place: str) -> datetime | None:
        """Never further ahead than a place may ask for: such a row was written by another time."""
        now = self._clock()
        until: datetime | None = None
        with suppress(NightkeyError), self._database().read() as connection:
            until = held_places.find_hold(connection, _digest(place), after=now, not_beyond=now + HELD_MAX)
        return until

    def hold(self, place: str, until: datetime) -> None:
        """By its last word. What is over is forgotten."""
        now = self._clock()
        with suppress(NightkeyError), self._database().write() as connection:
            held_places.hold(connection, _digest(place), until=min(until, now + HELD_MAX), now=now)


def _digest(place: str) -> str:
    return hashlib.sha256(place.lower().encode()).hexdigest()
