"""The calendar: which items lapse, and which night replaces which, a month at a time and a day at a time."""

import calendar as months
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, UnreadableError
from vaultcore.model import Mode
from worker.rows.coming_days import Event
from worker.services.night.coming_days import LISTED_MAX, ComingDay, DayEntry
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, show
from worker.web.console.visits import Looks, PageRoute
from worker.web.drawings.month import DayCount, draw_month
from worker.wording.coming import say_due, say_lapse
from worker.wording.item_states import Tone

router = APIRouter(prefix=f"{CONSOLE}/calendar", include_in_schema=False, route_class=PageRoute)
_ENTRIES: Final = 3
"""Of a day in the grid."""
_NIGHTS: Final = 90
_WEEKS: Final = 5
"""So many are shown where no month is asked for: what is over tells nobody what comes."""
_YEARS: Final = range(2000, 2200)


@dataclass(frozen=True, kw_only=True)
class ShownEntry:
    """`problem`: why the item cannot be read; then it has no name."""

    name: str
    kind: Tone
    words: str
    at: datetime | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ShownDay:
    """`inside`: it is of the month, or still to come. `more`: how many items it has beside its entries."""

    day: date
    inside: bool
    is_today: bool
    entries: list[ShownEntry]
    more: int


@router.get("", **asks(Action.NIGHT_SEE))
def show_month(request: Request, visitor: Looks, month: Annotated[str, Query(max_length=20)] = "") -> Response:
    """The coming weeks, or a month, as a grid; and the coming 90 nights beside each other."""
    services = services_of(request)
    now = services.clock()
    today = now.astimezone(visitor.zone).date()
    first = _read_month(month) if month else today.replace(day=1)
    start, number = _find_weeks(first) if month else (today - timedelta(days=today.weekday()), _WEEKS)
    found = services.overview.coming_days.look(
        start, number * 7, zone=visitor.zone, entries=_ENTRIES, seen_by=visitor.principal
    )
    coming = services.overview.coming_days.look(
        today, _NIGHTS, zone=visitor.zone, entries=0, seen_by=visitor.principal
    )
    days = [
        _show_day(one, inside=one.day.month == first.month if month else one.day >= today, today=today, now=now)
        for one in found
    ]
    return show(
        request,
        "calendar.html",
        now=now,
        first=first if month else None,
        weeks=[days[place : place + 7] for place in range(0, len(days), 7)],
        is_empty=not any(one.entries or one.more for one in days if one.inside),
        before=_name_month(first - timedelta(days=1) if month else first),
        after=_name_month(first + timedelta(days=31)),
        nights=_NIGHTS,
        small=_draw_coming(coming, today),
        due=sum(one.due for one in coming),
        lapse=sum(one.lapse for one in coming),
    )


def _find_weeks(first: date) -> tuple[date, int]:
    """Where the weeks of a month begin, and how many they are."""
    weeks = months.Calendar().monthdatescalendar(first.year, first.month)
    return weeks[0][0], len(weeks)


def _name_month(day: date) -> str | None:
    """As its address has it; None: the calendar does not go so far."""
    return f"{day:%Y-%m}" if day.year in _YEARS else None


@router.get("/{day}", **asks(Action.NIGHT_SEE))
def show_day(
    request: Request, visitor: Looks, day: str, page: Annotated[int, Query(ge=1, le=100_000)] = 1
) -> Response:
    """All of one day, a page at a time."""
    services = services_of(request)
    now = services.clock()
    wanted = _read_day(day)
    (found,) = services.overview.coming_days.look(
        wanted,
        1,
        zone=visitor.zone,
        entries=LISTED_MAX,
        offset=(page - 1) * LISTED_MAX,
        seen_by=visitor.principal,
    )
    number = found.due + found.lapse
    return show(
        request,
        "calendar_day.html",
        now=now,
        day=wanted,
        due=found.due,
        lapse=found.lapse,
        entries=[_show_entry(one, now) for one in found.entries],
        page=page,
        more=number > page * LISTED_MAX,
        before=wanted - timedelta(days=1),
        after=wanted + timedelta(days=1),
    )


def _read_month(text: str) -> date:
    try:
        return _check(date.fromisoformat(f"{text}-01"))
    except ValueError:
        raise InvalidInputError("the month in this address: write it like 2027-03") from None


def _read_day(text: str) -> date:
    try:
        return _check(date.fromisoformat(text))
    except ValueError:
        raise InvalidInputError("the day in this address: write it like 2027-03-01") from None


def _check(day: date) -> date:
    if day.year not in _YEARS:
        raise InvalidInputError(f"the calendar goes from {_YEARS[0]} to {_YEARS[-1]}")
    return day


def _show_day(found: ComingDay, *, inside: bool, today: date, now: datetime) -> ShownDay:
    return ShownDay(
        day=found.day,
        inside=inside,
        is_today=found.day == today,
        entries=[_show_entry(one, now) for one in found.entries],
        more=found.due + found.lapse - len(found.entries),
    )


def _show_entry(entry: DayEntry, now: datetime) -> ShownEntry:
    item = entry.item
    if isinstance(item, UnreadableError):
        return ShownEntry(name="", kind=Tone.WRONG, words="cannot be read", at=None, problem=str(item))
    needs_somebody = item.version is None or item.policy.mode is not Mode.AUTO
    kind = Tone.WAITS if needs_somebody else Tone.REST
    if entry.event is Event.DUE:
        return ShownEntry(name=item.name, kind=kind, words=say_due(item), at=item.due_at)
    if item.expires_at is not None and item.expires_at <= now:
        kind = Tone.WRONG
    return ShownEntry(name=item.name, kind=kind, words=say_lapse(item, now), at=item.expires_at)


def _draw_coming(days: Sequence[ComingDay], today: date) -> list[Markup]:
    """The months of the coming 90 nights, without anything before today."""
    counts = {one.day: DayCount(due=one.due, lapse=one.lapse) for one in days}
    wanted = dict.fromkeys((day.year, day.month) for day in counts)
    return [
        draw_month(year, month, counts, today=today, link=lambda day: f"{CONSOLE}/calendar/{day.isoformat()}")
        for year, month in wanted
    ]
