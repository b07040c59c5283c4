"""What happens on which day: items that lapse, and items whose replacement a night begins or asks for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.errors import UnreadableError
from vaultcore.model import Item
from vaultcore.owners import Owners
from worker.config import Settings
from worker.domain.slots import latest_slot, next_slot
from worker.rows.coming_days import Event, Part, Span, count_each, list_each
from worker.services.night.visible import find_seen_owners

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
        dates = [first + timedelta(days=number) for number in range(min(days, DAYS_MAX))]
        spans = {day: self._find_spans(day, zone) for day in dates}
        with self._database.read() as connection:
            owner_ids = find_seen_owners(connection, self._owners, seen_by, Action.ITEM_SEE)
            counts = count_each(
                connection, [span for found in spans.values() for span in found], seen_by=owner_ids
            )
            parts = {day: _choose(found, counts, offset=offset, limit=entries) for day, found in spans.items()}
            asked = [part for found in parts.values() for part in found]
            listed = dict(zip(asked, list_each(connection, asked, seen_by=owner_ids), strict=True))

        def count(day: date, event: Event) -> int:
            return sum(counts[span] for span in spans[day] if span.event is event)

        return [
            ComingDay(
                day=day,
                due=count(day, Event.DUE),
                lapse=count(day, Event.LAPSES),
                entries=tuple(
                    DayEntry(event=part.span.event, item=item) for part in parts[day] for item in listed[part]
                ),
            )
            for day in dates
        ]

    def _find_spans(self, day: date, zone: ZoneInfo) -> list[Span]:
        """What lapses on that day, and what falls due for its nights, the lapsing first."""
        start = datetime.combine(day, time(), zone)
        end = datetime.combine(day + timedelta(days=1), time(), zone)
        lapses = Span(event=Event.LAPSES, after=start - _TICK, until=end - _TICK)
        nights = self._find_nights(start, end)
        if nights is None:
            return [lapses]
        return [lapses, Span(event=Event.DUE, after=nights[0], until=nights[1])]

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


def _choose(spans: Sequence[Span], counts: Mapping[Span, int], *, offset: int, limit: int) -> list[Part]:
    """So many of the items of a day, behind the first `offset` of them."""
    parts: list[Part] = []
    skipped, room = offset, limit
    for span in spans:
        number = min(max(counts[span] - skipped, 0), room)
        if number:
            parts.append(Part(span=span, offset=skipped, limit=number))
        skipped, room = max(skipped - counts[span], 0), room - number
    return parts
