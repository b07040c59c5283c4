"""Quiet hours: a time of day to another in somebody's time zone. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from vaultcore.errors import InvalidInputError

_TEXT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, kw_only=True)
class QuietHours:
    """From `start` to `end`, over midnight where `end` is the earlier of the two."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def parse_quiet(text: str) -> QuietHours:
    """`22:00-07:00`; the same time twice would be all day, and is refused."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidInputError(f"{text[:40]!r} are not quiet hours: write them like 22:00-07:00")
    hours = [int(number) for number in found.groups()]
    quiet = QuietHours(start=time(hours[0], hours[1]), end=time(hours[2], hours[3]))
    if quiet.start == quiet.end:
        raise InvalidInputError(f"quiet hours {text} would never end: leave an hour in which you can be told")
    return quiet


def check_zone(name: str) -> str:
    """The name, if it is one of the IANA time zone database."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidInputError(f"{name[:64]!r} is not a time zone: write one like Europe/Zurich") from None
    return name


def quiet_until(quiet: QuietHours | None, zone: str, now: datetime) -> datetime:
    """When somebody with these quiet hours may be told: their end if `now` lies within them, else `now`.

    By the wall clock of the zone: an hour that summer time takes away or gives twice changes how long they
    last, never when they end.
    """
    if quiet is None:
        return now
    local = now.astimezone(ZoneInfo(zone))
    at = local.time()
    over_midnight = quiet.end < quiet.start
    within = at >= quiet.start or at < quiet.end if over_midnight else quiet.start <= at < quiet.end
    if not within:
        return now
    day = local.date() + timedelta(days=1 if over_midnight and at >= quiet.start else 0)
    first = datetime.combine(day, quiet.end, local.tzinfo)
    ends = (candidate.astimezone(now.tzinfo) for candidate in (first, first.replace(fold=1)))
    return next((end for end in ends if end > now), now)
