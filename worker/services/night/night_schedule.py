"""Which night is to begin now, if any, and when the next one is."""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from vaultcore.database import Database
from worker.domain.signs import awake_since
from worker.domain.slots import latest_slot, may_begin, next_slot
from worker.rows import nights as night_rows
from worker.rows import signs as sign_rows


class NightSchedule:
    """`catch_up`: how long a silence may have been whose missed night is still made up."""

    def __init__(
        self,
        *,
        database: Database,
        cron: str,
        zone: ZoneInfo,
        catch_up: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._cron = cron
        self._zone = zone
        self._catch_up = catch_up
        self._clock = clock

    def next_night(self) -> datetime:
        """When the next one is to begin."""
        return next_slot(self._cron, self._zone, self._clock())

    def due_night(self) -> datetime | None:
        """The slot of the latest night, unless it was due before anybody was there to begin it."""
        now = self._clock()
        slot = latest_slot(self._cron, self._zone, now)
        with self._database.read() as connection:
            made_at = night_rows.vault_made_at(connection)
            since = awake_since(sign_rows.list_signs(connection), now, silence=self._catch_up)
        return slot if may_begin(slot, made_at=made_at, awake_since=since, now=now) else None
