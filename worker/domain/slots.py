"""Which scheduled time is the latest that has come. Pure: beat only rings, this decides."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from worker.domain.clocks import is_ahead

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


def may_begin(slot: datetime, *, made_at: datetime | None, awake_since: datetime, now: datetime) -> bool:
    """Whether a night is to begin that was due then. None is that is older than the vault, or than the start
    after a long silence: nothing that was just made or begun rotates at once.

    `made_at` is the vault's, where that is known; one that was made by a clock that was ahead tells nothing.
    """
    return slot >= awake_since and (made_at is None or slot >= made_at or is_ahead(made_at, now))
