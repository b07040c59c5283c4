"""Moments as a person says them: how far away one is, and what the clock of a place shows then. Pure."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from worker.wording.parts import say_count

_UNITS: Final = (
    (timedelta(days=365), "year"),
    (timedelta(days=30), "month"),
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)
"""The longest of which there are two comes first; of days there may be sixty."""
_DAYS_MAX: Final = timedelta(days=60)


def say_length(length: timedelta) -> str:
    """`5 days`, `1 hour`: in its largest unit, rounded down; of less than a minute, `less than a minute`."""
    length = abs(length)
    for unit, name in _UNITS:
        if length >= unit and not (unit > timedelta(days=1) and length < _DAYS_MAX):
            return say_count(length // unit, name)
    return "less than a minute"


def say_distance(moment: datetime, now: datetime) -> str:
    """`in 5 days`, `2 hours ago`, `now`."""
    away = moment - now
    if abs(away) < timedelta(minutes=1):
        return "now"
    return f"in {say_length(away)}" if away > timedelta(0) else f"{say_length(away)} ago"


def say_clock(moment: datetime, zone: tzinfo) -> str:
    """`2026-11-27 02:00 CET`: what the clock of the zone shows."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def say_utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
