"""Moments as a person says them: how far away one is, and what the clock of a place shows then. Pure."""

from datetime import UTC, datetime, timedelta, tzinfo

from worker.domain.distances import show_length
from worker.wording.parts import say_count


def say_exactly(length: timedelta) -> str:
    """`90 days`, `1 day 12 hours`: all of it, in whole seconds; of nothing, `no time`."""
    seconds, parts = int(length.total_seconds()), []
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        number, seconds = divmod(seconds, unit)
        if number:
            parts.append(say_count(number, name))
    return " ".join(parts) or "no time"


def say_distance(moment: datetime, now: datetime) -> str:
    """`in 5 days`, `2 hours ago`, `now`."""
    away = moment - now
    if abs(away) < timedelta(minutes=1):
        return "now"
    return f"in {show_length(away)}" if away > timedelta(0) else f"{show_length(away)} ago"


def say_clock(moment: datetime, zone: tzinfo) -> str:
    """`2026-11-27 02:00 CET`: what the clock of the zone shows."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def say_utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
