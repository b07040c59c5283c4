"""When a value ends, as another side says it: read from whatever form it was said in. Pure; no value is kept.

The nearest of all that is known is a version's expiry; one that is over already rejects the candidate.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from vaultcore.errors import Cause, TargetError

_RELATIVE = re.compile(
    r"(?:^|_)(?:expir(?:es?|y|ation)_?(?:in|after)|ttl|lifetime|duration|max_?age|valid_?for)(?:_|$)"
)
_ABSOLUTE = re.compile(r"(?:^|_)(?:at|on|until|not_?(?:valid_?)?after|date|time|exp|expires(?:at|on))$")
"""Names of fields that count from now, and of those that are a time: of others the number's size says it. What
expires after a number counts from now, and what is not valid after one has a time.
"""
_UNIT = re.compile(r"_(ms|millis|milliseconds|minutes|mins?|hours|days|weeks)$")
_SECONDS_IN = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH_FROM = 10**9
"""Seconds: a smaller number is how long, and no time after 2001."""
_UNITS = ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9))
"""A number below the first is a time in so many parts of a second: each holds until the year 5138."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,25}(?:\.[0-9]{1,12})?")
_ASP = re.compile(r"/Date\(([+-]?[0-9]{1,16})(?:[+-][0-9]{4})?\)/")
_PERIOD = re.compile(
    r"P(?:([0-9]{1,6})W)?(?:([0-9]{1,6})D)?"
    r"(?:T(?:([0-9]{1,8})H)?(?:([0-9]{1,8})M)?(?:([0-9]{1,12})(?:\.[0-9]{1,9})?S)?)?"
)
_SECONDS = re.compile(r"([0-9]{1,12})(?:\.[0-9]{1,9})?s")
_ZONE = re.compile(r"(?i)(?<=[0-9]) ?(?:utc|gmt|z)$")
_CLOCK_OFFSET = re.compile(r"(?<=[0-9]) (?=[+-][0-9]{2}:?[0-9]{2}$)")
_WRITTEN = (
    "%b %d %H:%M:%S %Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%d %B %Y", "%B %d, %Y", "%d %b %Y", "%b %d, %Y",
    "%d-%b-%Y",
)  # fmt: skip
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""By their length: dates that are digits alone, of these years (and, as text, from 1970)."""
_YEARS = range(1990, 2200)
_PART = re.compile(r"[0-9]{4}-?(?:W[0-9]{2}|[0-9]{2})|[0-9]{4}")
_YEAR_LAST = re.compile(r"(?:.*[^0-9])?[0-9]{1,2}([./-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})(?:[^0-9].*)?")
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_TEXT_MAX = 100
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""What ends later never does; the last moments of the year 9999 cannot be reckoned with."""


class NoEndError(ValueError):
    """What was there says no end. Its text says what it was in kind, and never what stood there."""


def read_end(raw: object, now: datetime, *, called: str = "") -> datetime:
    """The time that `raw` means, aware and in UTC, be it past or to come; `NoEndError` if it means none.

    A number is seconds from now where it is small, and otherwise a time in seconds, milliseconds, microseconds
    or nanoseconds since 1970. `called` is the name of its field, which decides what its size leaves open
    (`expires_in`, `expires_at`, `ttl_ms`). A text is such a number, a time of ISO 8601, RFC 2822, HTTP or
    OpenSSL, or a period (`PT1H`, `3600s`). Without a time zone it is UTC; a day alone is its first moment, the
    nearer end of it. `20270224` is a day, as a number too, where its field does not count from now. What could
    be one of several days, or names a month or a year alone, is none.
    """
    try:
        if isinstance(raw, bool) or raw is None or not isinstance(raw, int | float | str):
            raise NoEndError(_name_kind(raw))
        end = _read_text(raw.strip(), now, called) if isinstance(raw, str) else _read_number(raw, now, called)
    except (OverflowError, OSError):
        end = None
    if end is None:
        raise NoEndError(_name_kind(raw))
    return end


def find_own_end(value: str) -> datetime | None:
    """The end that a value bears in itself: `exp` of a JWT, or the first end of X.509 certificates in PEM.

    No signature is checked: it is what the value's reader will hold against it. None: it bears none.
    """
    if _CERTIFICATE in value:
        return _read_certificates(value)
    return _read_claim(value)


def find_nearest(*ends: datetime | None) -> datetime | None:
    """The first of these; None: nobody says any."""
    return min((end for end in ends if end is not None), default=None)


def decide_end(said: datetime | None, value: str, lifetime: timedelta | None, now: datetime) -> datetime | None:
    """When a new version lapses: the nearest of what the other side said, what the value itself bears, and
    the policy's lifetime. What is over already ends now: how long ago is nobody's business, and may be 1970.
    """
    end = find_nearest(said, find_own_end(value), None if lifetime is None else now + lifetime)
    return None if end is None else bound_end(end, now)


def bound_end(end: datetime, now: datetime) -> datetime:
    """As it can be stored and reckoned with: not before now, and not at the end of all times."""
    return min(max(end, now), _LATEST)


def check_ahead(end: datetime | None, now: datetime) -> None:
    """A candidate whose end is over is rejected, whatever else accepts it: another one may do better."""
    if end is None or end > now:
        return
    raise TargetError(
        "the new value has lapsed already, by the expiry that the other side gave or that it carries itself",
        cause=Cause.REJECTED,
    )


# Numbers


def _read_number(number: float, now: datetime, called: str) -> datetime | None:
    if not math.isfinite(number):  # one beyond any float is an OverflowError
        return None
    written = _read_dated(number, called)
    if written is not None:
        return written
    name, unit = _read_name(called)
    length = number if unit is None else number * unit
    if abs(length) < _EPOCH_FROM and (_counts_from_now(called) or not _ABSOLUTE.search(name)):
        return now + timedelta(seconds=length)
    for limit, parts in _UNITS:
        if abs(number) < limit:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number / parts)
    return None


def _read_dated(number: float, called: str) -> datetime | None:
    """A date that was written as a number. `NoEndError` for a part of one, or what looks like one and is none,
    in a field that has a time: as a number of seconds it would be in 1970.
    """
    name, unit = _read_name(called)
    digits = str(int(number))
    if number != int(number) or unit is not None or int(digits[:4] if number > 0 else 0) not in _YEARS:
        return None
    found = None if len(digits) < max(_COMPACT) and _counts_from_now(called) else _read_compact(digits)
    is_part = len(digits) in (4, 6, 7, 8, 12) and _ABSOLUTE.search(name) and not _counts_from_now(called)
    if found is None and is_part:
        raise NoEndError("a number that is a part of a date, or like one, and not guessed")
    return found


def _counts_from_now(called: str) -> bool:
    name, unit = _read_name(called)
    return _RELATIVE.search(name) is not None or (unit is not None and unit >= _SECONDS_IN["m"])


def _read_name(called: str) -> tuple[str, float | None]:
    """The last part of a path without its unit, `expiresAt` as `expires_at`; and that unit in seconds."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", called.rpartition(".")[2]).replace("-", "_").lower()
    found = _UNIT.search(name)
    if found is None:
        return name, None
    seconds = 0.001 if found[1].startswith(("ms", "milli")) else _SECONDS_IN[found[1][0]]
    return name[: found.start()], seconds


# Texts


def _read_text(text: str, now: datetime, called: str) -> datetime | None:
    if not text or len(text) > _TEXT_MAX or not text.isascii():
        return None
    found = None if len(text) < max(_COMPACT) and _counts_from_now(called) else _read_compact(text)
    if found is not None:
        return found
    if _NUMBER.fullmatch(text):
        return _read_number(float(text) if "." in text else int(text), now, called)
    asp = _ASP.fullmatch(text)
    if asp is not None:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(asp[1]))
    period = _read_period(text)
    if period is not None:
        return now + period
    if text.isdigit() or _PART.fullmatch(
        text
    ):  # ISO 8601 would take it for a date without hyphens, or its week
        return None
    plain = _CLOCK_OFFSET.sub("", _ZONE.sub("", text))
    for read in (datetime.fromisoformat, _read_mail, _read_written):
        found = _try(read, plain if read is not _read_mail else text)
        if found is not None:
            return found
    return None


def _read_compact(text: str) -> datetime | None:
    """`20270223`, `202702232307` and `20270223230724` are dates, though they are digits alone."""
    form = _COMPACT.get(len(text))
    if form is None or not text.isdigit() or not "1970" <= text[:4] < "2200":
        return None
    return _try(lambda one: datetime.strptime(one, form).replace(tzinfo=UTC), text)


def _read_period(text: str) -> timedelta | None:
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        return timedelta(seconds=int(seconds[1]))
    found = _PERIOD.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    weeks, days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=rest)


def _try(read: Callable[[str], datetime], text: str) -> datetime | None:
    try:
        time = read(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _read_mail(text: str) -> datetime:
    """RFC 2822, as mail and HTTP have it, with HTTP's two older forms. It needs a time of day."""
    if text.count(":") < 1:
        raise ValueError
    return parsedate_to_datetime(text)


def _read_written(text: str) -> datetime:
    for form in _WRITTEN:
        try:
            return datetime.strptime(" ".join(text.split()), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError


def _name_kind(raw: object) -> str:
    """What stood there, in kind alone: it may have been a value that was named by mistake."""
    if raw is None:
        return "nothing"
    if isinstance(raw, bool):
        return "true or false"
    if isinstance(raw, int | float):
        return "a number that is not a time"
    if isinstance(raw, str) and len(raw) <= _TEXT_MAX and _YEAR_LAST.fullmatch(raw.strip()):
        return "a date that does not begin with its year: which is the day and which the month is not guessed"
    if isinstance(raw, str) and _PART.fullmatch(raw.strip()):
        return "a month, a week or a year without a day"
    if isinstance(raw, str):
        return f"a text of {len(raw)} characters that is not a time" if raw.strip() else "an empty text"
    return "an object" if isinstance(raw, dict) else "a list" if isinstance(raw, list) else "something else"


# What a value bears in itself


def _read_claim(value: str) -> datetime | None:
    parts = value.strip().split(".")
    if len(parts) != 3 or not all(parts[:2]):
        return None
    header, claims = (_read_part(part) for part in parts[:2])
    if header is None or "alg" not in header or claims is None:
        return None
    exp = claims.get("exp")
    if isinstance(exp, bool) or not isinstance(exp, int | float):
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=exp)
    except (OverflowError, ValueError):
        return None


def _read_part(part: str) -> dict[str, object] | None:
    try:
        read = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _read_certificates(value: str) -> datetime | None:
    from cryptography import x509  # noqa: PLC0415  # slow to import, and seldom needed

    try:
        found = x509.load_pem_x509_certificates(value.encode())
        return find_nearest(*(one.not_valid_after_utc for one in found))
    except (ValueError, OverflowError):
        return None
