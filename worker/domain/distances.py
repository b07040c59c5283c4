"""How long something is, and how far away, as a person says it: on screens, in findings, in letters. Pure."""

from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = (
    (timedelta(days=365), "year"),
    (timedelta(days=30), "month"),
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)
"""The longest of which there are two comes first; of days there may be sixty."""
_DAYS_MAX: Final = timedelta(days=60)
_DAY_SECONDS: Final = 86_400


def show_length(length: timedelta) -> str:
    """`5 days`, `1 hour`: in its largest unit, rounded down; of less than a minute, `less than a minute`."""
    length = abs(length)
    for unit, name in _UNITS:
        if length >= unit and not (unit > timedelta(days=1) and length < _DAYS_MAX):
            number = length // unit
            return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
    return "less than a minute"


def show_time_left(expires_at: datetime, now: datetime) -> str:
    """`in 3 days`, `in 5 hours`, `2 days ago`: of what ends, which is never now."""
    return show_time_left_of(count_seconds_left(expires_at, now))


def show_time_left_of(seconds: int) -> str:
    """As `show_time_left`, of so many seconds."""
    length = show_length(timedelta(seconds=seconds))
    return f"in {length}" if seconds > 0 else f"{length} ago"


def count_seconds_left(expires_at: datetime, now: datetime) -> int:
    """Whole seconds, and at least one before the expiry itself; none or fewer: it has lapsed."""
    left = expires_at - now
    if left.days < 0 or not left:
        past = -left
        return -(past.days * _DAY_SECONDS + past.seconds)
    return max(left.days * _DAY_SECONDS + left.seconds, 1)
