"""Which scheduled time is the latest that has come. Pure: beat only rings, this decides."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

# cronsim goes by the wall clock, which shows an hour twice when daylight saving ends. Begun this far
# from `now`, further than any such change reaches, it names each time once, whenever it is asked.
_MARGIN = timedelta(hours=3)


def latest_slot(cron: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The latest time at or before `now` that the expression names in the zone, in UTC.

    In the hour that daylight saving repeats or skips, cronsim's rules hold: a fixed time runs once.
    """
    return next(slot for slot in _slots(cron, zone, now + _MARGIN, reverse=True) if slot <= now)


def next_slot(cron: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The first time after `now` that the expression names in the zone, in UTC."""
    return next(slot for slot in _slots(cron, zone, now - _MARGIN, reverse=False) if slot > now)


def _slots(cron: str, zone: ZoneInfo, start: datetime, *, reverse: bool) -> Iterator[datetime]:
    slot: datetime
    for slot in CronSim(cron, start.astimezone(zone), reverse=reverse):
        yield slot.astimezone(UTC)
