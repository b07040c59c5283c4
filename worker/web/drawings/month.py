"""A month as a small grid: each day with how much falls due and lapses on it. Pure."""

import calendar
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from markupsafe import Markup

from worker.wording.item_states import Tone
from worker.wording.parts import say_count

_CELL_X, _CELL_Y, _HEAD, _BAR = 34, 36, 40, 24
_FULL: Final = 8
"""So many items fill a bar."""
_DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


@dataclass(frozen=True, kw_only=True)
class DayCount:
    due: int
    lapse: int


def draw_month(
    year: int, month: int, days: Mapping[date, DayCount], *, today: date, link: Callable[[date], str]
) -> Markup:
    """Days that `days` does not have are there without anything. A day with something on it is a link."""
    weeks = calendar.Calendar().monthdatescalendar(year, month)
    width, height = 7 * _CELL_X, _HEAD + len(weeks) * _CELL_Y
    parts = [
        Markup('<text x="{x}" y="{y}" text-anchor="middle" class="quiet">{name}</text>').format(
            x=_CELL_X * place + _CELL_X // 2, y=_HEAD - 6, name=name
        )
        for place, name in enumerate(_DAYS)
    ]
    for row, week in enumerate(weeks):
        for place, day in enumerate(week):
            if day.month == month:
                parts.append(
                    _draw_day(
                        day, days.get(day), place * _CELL_X, _HEAD + row * _CELL_Y, day == today, link(day)
                    )
                )
    due = sum(one.due for day, one in days.items() if (day.year, day.month) == (year, month))
    lapse = sum(one.lapse for day, one in days.items() if (day.year, day.month) == (year, month))
    name = f"{calendar.month_name[month]} {year}"
    return Markup(
        '<svg class="drawing month" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" '
        'aria-label="{name}: {said}"><text x="4" y="15" class="strong-text">{name}</text>{parts}</svg>'
    ).format(w=width, h=height, name=name, said=_say(due, lapse), parts=Markup("").join(parts))


def _draw_day(day: date, has: DayCount | None, x: int, y: int, is_today: bool, link: str) -> Markup:
    number = Markup('<text x="{x}" y="{y}" text-anchor="middle"{kind}>{day}</text>').format(
        x=x + _CELL_X // 2,
        y=y + 15,
        day=day.day,
        kind=Markup("") if has is not None else Markup(' class="quiet"'),
    )
    if is_today:
        number = (
            Markup('<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="4" class="today"/>').format(
                x=x + 2, y=y + 0.5, w=_CELL_X - 4, h=_CELL_Y - 3
            )
            + number
        )
    if has is None or not (has.due or has.lapse):
        return number
    return Markup('<a href="{link}"><title>{said}</title>{number}{due}{lapse}</a>').format(
        link=link,
        said=f"{day:%-d %B}: {_say(has.due, has.lapse)}",
        number=number,
        due=_draw_bar(has.due, x + _CELL_X / 2, y + 20, "accent"),
        lapse=_draw_bar(has.lapse, x + _CELL_X / 2, y + 26, Tone.WAITS),
    )


def _draw_bar(number: int, middle: float, y: float, kind: str) -> Markup:
    if not number:
        return Markup("")
    width = max(4, _BAR * min(number, _FULL) / _FULL)
    return Markup('<rect x="{x}" y="{y}" width="{w}" height="4" rx="2" class="{kind}"/>').format(
        x=f"{middle - width / 2:g}", y=y, w=f"{width:g}", kind=kind
    )


def _say(due: int, lapse: int) -> str:
    lapses = f"{say_count(lapse, 'item')} {'lapses' if lapse == 1 else 'lapse'}"
    return f"{say_count(due, 'item')} due, {lapses}"
