"""When changes may be made: windows that open by cron in a time zone, and freezes. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from vaultcore.errors import InvalidInputError
from vaultcore.rules import parse_duration, show_duration

LENGTH_MAX = timedelta(days=366)
TEXT_MAX = 200

_EXAMPLE = "0 22 * * 5 for 54h in Europe/Zurich"
_FORM = re.compile(r"(?P<cron>.+) for (?P<length>\S+)(?: in (?P<zone>\S+))?")
_DAY = timedelta(days=1)
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)

_Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Opens whenever `cron` says so in `zone`, and stays open for `length` of elapsed time.

    It is open from its start on, and closed at its end. When daylight saving begins or ends, Debian's
    rules hold, as in slots.py: a fixed time that is skipped comes at the first minute after the gap,
    and one that is repeated comes once, the first time; a cron whose minute or hour begins with `*`
    goes by each minute that the clock shows. `parse_window` makes one, and refuses what is none.
    """

    cron: str
    length: timedelta
    zone: ZoneInfo


def parse_window(text: str, *, default_zone: str = "UTC") -> Window:
    """`0 2 * * 1-5 for 4h`, or with a zone, `0 22 * * 5 for 54h in Europe/Zurich`."""
    if len(text) > TEXT_MAX:
        raise _refusal(text[:20] + "…", f"it has {len(text)} characters, {TEXT_MAX} at most")
    parts = _FORM.fullmatch(" ".join(text.split()))
    if parts is None:
        raise _refusal(text, "it is not a cron expression, `for` and a duration, then perhaps `in` and a zone")
    cron, zone = parts["cron"].upper(), parts["zone"] or default_zone
    _check_cron(cron, text)
    try:
        length = parse_duration(parts["length"])
    except InvalidInputError as error:
        raise _refusal(text, str(error)) from None
    if not length:
        raise _refusal(text, f"{parts['length']!r} is no time at all")
    if length > LENGTH_MAX:
        raise _refusal(text, f"{parts['length']!r} is longer than {LENGTH_MAX.days}d")
    try:
        return Window(cron=cron, length=length, zone=ZoneInfo(zone))
    except (OSError, KeyError, ValueError):
        raise _refusal(text, f"{zone!r} is not a time zone") from None


def show_window(window: Window) -> str:
    """The text that `parse_window` reads back, whatever its default zone."""
    return f"{window.cron} for {show_duration(window.length)} in {window.zone.key}"


def open_until(window: Window, now: datetime) -> datetime | None:
    """When it closes, in UTC; None: it is closed at `now`.

    Openings that overlap or touch are one. Those that begin more than 366 days after `now` are not
    looked at, so that a window which never closes has an answer.
    """
    moment = now.astimezone(UTC)
    span = _Spans(window, until=moment + LENGTH_MAX).first(moment)
    return span[1] if span is not None and span[0] <= moment else None


def find_moment(
    windows: Iterable[Window],
    freezes: Iterable[Window],
    now: datetime,
    *,
    horizon: timedelta = LENGTH_MAX,
) -> datetime | None:
    """The first moment from `now` on, in UTC, at which a window is open and no freeze is.

    Without any window it is always open. None: there is no such moment up to `now` plus `horizon`.
    """
    moment = now.astimezone(UTC)
    limit = moment + horizon
    openings = [_Spans(window, until=limit) for window in windows]
    frozen = [_Spans(freeze, until=limit) for freeze in freezes]
    while moment <= limit:
        if openings:
            starts = [span[0] for spans in openings if (span := spans.first(moment)) is not None]
            if not starts:
                return None
            moment = max(moment, min(starts))
        thaws = [span[1] for spans in frozen if (span := spans.first(moment)) is not None and span[0] <= moment]
        if not thaws:
            return moment
        moment = max(thaws)
    return None


def _refusal(text: str, why: str) -> InvalidInputError:
    return InvalidInputError(f"window {text[:80]!r}: {why}; a right one is {_EXAMPLE}")


def _check_cron(cron: str, text: str) -> None:
    if len(cron.split()) != 5:
        raise _refusal(text, f"{cron!r} is not the five fields minute, hour, day, month and weekday")
    try:
        CronSim(cron, _SOME_DAY)
        days = _days(cron, _SOME_DAY.date(), date.max)
    except CronSimError as error:
        raise _refusal(text, f"{cron!r} is not a cron expression ({error})") from None
    if next(days, None) is None:
        raise _refusal(text, f"{cron!r} names no day that ever comes")


class _Spans:
    """What a window is open for, for questions about moments of which none is before the last."""

    def __init__(self, window: Window, *, until: datetime) -> None:
        self._window, self._until = window, until
        self._following: Iterator[_Span] | None = None
        self._span: _Span | None = None

    def first(self, moment: datetime) -> _Span | None:
        """The first span that ends after the moment; None: none opens up to `until`."""
        # What lies days behind, such as each minute of a long freeze, is jumped over, not walked.
        if self._following is None or (self._span is not None and self._span[1] + 2 * _DAY < moment):
            self._following = _spans(self._window, moment, self._until)
            self._span = next(self._following, None)
        while self._span is not None and self._span[1] <= moment:
            self._span = next(self._following, None)
        return self._span


def _spans(window: Window, since: datetime, until: datetime) -> Iterator[_Span]:
    """All it is open for after `since`, and some before, by what opens up to `until`: in order, apart."""
    # Clocks that are set back past midnight show yesterday after today: one day more on either side.
    first = (since - window.length).astimezone(window.zone).date() - _DAY
    last = until.astimezone(window.zone).date() + _DAY
    return _merge(
        (start, end)
        for day in _days(window.cron, first, last)
        for start, end in _spans_of_day(window, day)
        if start <= until
    )


def _merge(spans: Iterable[_Span]) -> Iterator[_Span]:
    """Spans in the order of their starts, with those made one that overlap or touch."""
    merged: _Span | None = None
    for start, end in spans:
        if merged is None:
            merged = start, end
        elif start <= merged[1]:
            merged = merged[0], max(merged[1], end)
        else:
            yield merged
            merged = start, end
    if merged is not None:
        yield merged


# cronsim says which days and which times of day; what those are in the zone is worked out here. By
# itself it loses times where clocks change by half an hour (Lord Howe), and a year of a cron that
# fires each minute takes it seconds: here a day without a change costs what one opening does.


def _days(cron: str, first: date, last: date) -> Iterator[date]:
    start = datetime.combine(first, time(), tzinfo=UTC) - timedelta(seconds=1)
    days = CronSim(" ".join(["0", "0", *cron.split()[2:]]), start)
    return takewhile(lambda day: day <= last, (midnight.date() for midnight in days))


def _spans_of_day(window: Window, day: date) -> Iterable[_Span]:
    """What it is open for by the openings of one day of the zone's calendar."""
    midnight = datetime.combine(day, time(), tzinfo=window.zone)
    offsets = {
        moment.replace(fold=fold).utcoffset() for moment in (midnight, midnight + _DAY) for fold in (0, 1)
    }
    if len(offsets) == 1:
        shift = midnight.astimezone(UTC) - _SOME_DAY
        return [(start + shift, end + shift) for start, end in _spans_of_some_day(window.cron, window.length)]
    repeats = any(field.startswith("*") for field in window.cron.split()[:2])
    walls = (midnight + (start - _SOME_DAY) for start in _times(window.cron))
    instants = sorted({instant for wall in walls for instant in _instants(wall, repeats=repeats)})
    return _merge((instant, instant + window.length) for instant in instants)


@lru_cache(maxsize=256)
def _spans_of_some_day(cron: str, length: timedelta) -> tuple[_Span, ...]:
    return tuple(_merge((start, start + length) for start in _times(cron)))


def _times(cron: str) -> Iterator[datetime]:
    """The cron's times of day, each as that time of 1 January 2000 in UTC."""
    minute, hour = cron.split()[:2]
    slots: Iterator[datetime] = CronSim(f"{minute} {hour} * * *", _SOME_DAY - timedelta(seconds=1))
    return takewhile(lambda slot: slot < _SOME_DAY + _DAY, slots)


def _instants(wall: datetime, *, repeats: bool) -> tuple[datetime, ...]:
    """When, in UTC, it is that time of the wall clock: once, if it is not one that repeats."""
    while True:
        first, second = (wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        if first <= second:  # equal, but where the clock shows the time twice
            return (first, second) if repeats else (first,)
        if repeats:  # the clock skips it
            return ()
        wall += timedelta(minutes=1)
