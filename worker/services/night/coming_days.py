"""What happens on which day: items that lapse, and items whose replacement a night begins or asks for."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from vaultcore.access import Action, Principal, whose
from vaultcore.database import Database
from vaultcore.errors import UnreadableError
from vaultcore.model import Item
from vaultcore.owners import Owners
from worker.config import Settings
from worker.domain.slots import latest_slot, next_slot
from worker.rows.coming_days import Event, count_between, list_between

DAYS_MAX: Final = 131
"""As many as are asked for at once: a month, or four."""
LISTED_MAX: Final = 50
_TICK: Final = timedelta(microseconds=1)
_Between = tuple[datetime | None, datetime]


@dataclass(frozen=True, kw_only=True)
class DayEntry:
    """`item`: what cannot be read has the error that says so in its place."""

    event: Event
    item: Item | UnreadableError


@dataclass(frozen=True, kw_only=True)
class ComingDay:
    """`due` and `lapse` count all of its items; `entries` are those that were asked for, the lapsing first."""

    day: date
    due: int
    lapse: int
    entries: tuple[DayEntry, ...]


class ComingDays:
    """Days are those of the reader's zone. Nights that have begun already hold nothing that is due."""

    def __init__(
        self, *, database: Database, owners: Owners, settings: Settings, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._owners = owners
        self._settings = settings
        self._clock = clock

    def look(
        self,
        first: date,
        days: int,
        *,
        zone: ZoneInfo,
        entries: int,
        offset: int = 0,
        seen_by: Principal,
    ) -> list[ComingDay]:
        """So many days from the first on, each with as many of its items, behind the first `offset`."""
        names = whose(seen_by, Action.ITEM_SEE)
        with self._database.read() as connection:
            owner_ids = (
                None if names is None else [self._owners.get(connection, name).id for name in sorted(names)]
            )
            return [
                self._look_at(
                    connection,
                    first + timedelta(days=number),
                    zone=zone,
                    entries=entries,
                    offset=offset,
                    owner_ids=owner_ids,
                )
                for number in range(min(days, DAYS_MAX))
            ]

    def _look_at(
        self,
        connection: Connection,
        day: date,
        *,
        zone: ZoneInfo,
        entries: int,
        offset: int,
        owner_ids: Collection[str] | None,
    ) -> ComingDay:
        start = datetime.combine(day, time(), zone)
        end = datetime.combine(day + timedelta(days=1), time(), zone)
        spans: dict[Event, _Between | None] = {
            Event.LAPSES: (start - _TICK, end - _TICK),
            Event.DUE: self._find_nights(start, end),
        }
        counts = dict.fromkeys(Event, 0)
        found: list[DayEntry] = []
        skipped = offset
        for event, span in spans.items():
            if span is None:
                continue
            counts[event] = count_between(connection, event, *span, seen_by=owner_ids)
            room = entries - len(found)
            if room > 0 and counts[event] > skipped:
                listed = list_between(connection, event, *span, limit=room, offset=skipped, seen_by=owner_ids)
                found += [DayEntry(event=event, item=one) for one in listed]
            skipped = max(skipped - counts[event], 0)
        return ComingDay(day=day, due=counts[Event.DUE], lapse=counts[Event.LAPSES], entries=tuple(found))

    def _find_nights(self, start: datetime, end: datetime) -> _Between | None:
        """What falls due for the nights that begin on that day and are still to come; None: none does. The next
        night has all that is due by then.
        """
        now = self._clock()
        cron, zone = self._settings.night_at, self._settings.zone
        slots = list(self._walk_slots(max(start - _TICK, now), end))
        if not slots:
            return None
        before = latest_slot(cron, zone, slots[0] - _TICK)
        return (None if before <= now else before, slots[-1])

    def _walk_slots(self, after: datetime, until: datetime) -> Iterator[datetime]:
        slot = next_slot(self._settings.night_at, self._settings.zone, after)
        while slot < until:
            yield slot
            slot = next_slot(self._settings.night_at, self._settings.zone, slot)
