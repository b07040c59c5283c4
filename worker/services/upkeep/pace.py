"""What places outside asked of all who call them, known to every worker: the port `worker.outbound.Pace`."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from sqlalchemy import delete, select

from vaultcore.damage import is_whole
from vaultcore.database import Database, upsert_into
from vaultcore.errors import NightkeyError
from worker.outbound.pace import HELD_MAX
from worker.rows.tables import held_places


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
            until = connection.execute(
                select(held_places.c.until).where(
                    held_places.c.place == _digest(place),
                    held_places.c.until > now,
                    held_places.c.until <= now + HELD_MAX,
                    is_whole(connection, held_places),
                )
            ).scalar_one_or_none()
        return until

    def hold(self, place: str, until: datetime) -> None:
        """By its last word. What is over is forgotten."""
        now = self._clock()
        row = {"place": _digest(place), "asked_at": now, "until": min(until, now + HELD_MAX)}
        with suppress(NightkeyError), self._database().write() as connection:
            connection.execute(delete(held_places).where(held_places.c.until <= now))
            connection.execute(
                upsert_into(connection, held_places)
                .values(**row)
                .on_conflict_do_update(index_elements=[held_places.c.place], set_=row)
            )


def _digest(place: str) -> str:
    return hashlib.sha256(place.lower().encode()).hexdigest()
