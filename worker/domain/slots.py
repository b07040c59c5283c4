"""Which scheduled time is the latest that has come. Pure: beat only rings, this decides."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim


def latest_slot(cron: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The latest time at or before `now` that the expression names in the zone, in UTC.

    In the hour that daylight saving repeats or skips, cronsim's rules hold: a fixed time runs once.
    """
    local = now.astimezone(zone)
    just_after = local.replace(second=0, microsecond=0)
    if _matches(cron, just_after):
        return just_after.astimezone(UTC)
    found: datetime = next(CronSim(cron, just_after, reverse=True))
    return found.astimezone(UTC)


def _matches(cron: str, minute: datetime) -> bool:
    before: datetime = next(CronSim(cron, minute, reverse=True))
    return bool(next(CronSim(cron, before)) == minute)


def next_slot(cron: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The first time after `now` that the expression names in the zone, in UTC."""
    found: datetime = next(CronSim(cron, now.astimezone(zone)))
    return found.astimezone(UTC)
