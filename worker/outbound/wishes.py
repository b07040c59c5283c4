"""What another side asks of who calls it: to wait, by `Retry-After` and by headers of rate limits. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

WAIT_MAX: Final = timedelta(days=1)
"""Nobody is waited for longer by their word alone: they are asked again."""
_SECONDS = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?")
_PREFIXES = ("ratelimit", "x-ratelimit", "x-rate-limit")
_PAIR = re.compile(r"(?:^|[;,\s])(r|t|remaining|reset)\s*=\s*\"?([0-9]{1,18})\b", re.IGNORECASE)
_STRUCTURED_MAX = 2000
_EPOCH, _EPOCH_MS = 10**9, 10**12
"""A number from here on is no duration: it is a time, in seconds or in milliseconds since 1970."""


def asked_to_wait(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When it may be called again; None: whenever. `headers` have lower-case names.

    `Retry-After`, as seconds or as a date, is heard with any answer, and so is a limit of which nothing is
    left. What cannot be read is not heard, and a day is the most.
    """
    until = _read_when(headers.get("retry-after", "").strip(), now)
    if until is None:
        until = _end_of_limit(headers, now)
    if until is None or until <= now:
        return None
    return min(until, now + WAIT_MAX)


def _end_of_limit(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Of the limit that lasts longest, where several are used up."""
    ends = []
    for prefix in _PREFIXES:
        remaining = headers.get(f"{prefix}-remaining", "").partition(",")[0].strip()
        reset = headers.get(f"{prefix}-reset", "").partition(",")[0].strip()
        if remaining == "0":
            ends.append(_read_when(reset, now))
    whole = headers.get("ratelimit", "")[:_STRUCTURED_MAX]
    each = whole.split(",") if ";" in whole else [whole]
    ends += [_read_structured(one, now) for one in each]
    return max((end for end in ends if end is not None), default=None)


def _read_structured(text: str, now: datetime) -> datetime | None:
    """`"default";r=0;t=30`, or `remaining=0, reset=30` of an older draft."""
    found = {name.lower(): number for name, number in _PAIR.findall(text)}
    remaining = found.get("r", found.get("remaining"))
    reset = found.get("t", found.get("reset"))
    return _read_when(reset, now) if remaining == "0" and reset is not None else None


def _read_when(text: str, now: datetime) -> datetime | None:
    """Seconds from now, a Unix time, or a date of HTTP or ISO 8601."""
    try:
        if not _SECONDS.fullmatch(text):
            return _read_date(text)
        number = float(text)
        if number >= _EPOCH:
            return datetime.fromtimestamp(number / (1000 if number >= _EPOCH_MS else 1), UTC)
        return now + timedelta(seconds=number)
    except (ValueError, OverflowError, OSError, TypeError, IndexError):
        return None


def _read_date(text: str) -> datetime | None:
    if not text or len(text) > 100:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = parsedate_to_datetime(text)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
