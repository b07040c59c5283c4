"""On what a command's answer is read, and by whom: the form they asked for, their zone, their terminal.

One for each command: `begin_screen` is called before the first word.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Final

from worker.wording.times import say_clock

_UTC: Final = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d)(:\d\d)? UTC\b")
"""How our sentences name a moment."""


class AnswerForm(StrEnum):
    """What an answer is given as. All but the first two are whole: nothing of them is cut."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    CSV = "csv"


@dataclass
class Screen:
    """`zone`: that of the setting `time_zone`, once the settings were read. `held`: what is not written yet,
    since it may go through a pager.
    """

    clock: Callable[[], datetime]
    form: AnswerForm = AnswerForm.TABLE
    zone: tzinfo = UTC
    held: list[str] | None = None

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None: a file or a program takes it, in which whole lines are searched."""
        return shutil.get_terminal_size().columns if is_watched() else None

    @property
    def is_fitted(self) -> bool:
        """Whether tables are cut to what a person sees at once."""
        return self.form is AnswerForm.TABLE and is_watched()

    @property
    def has_colours(self) -> bool:
        return is_watched() and not os.environ.get("NO_COLOR") and not _is_dumb()

    @property
    def can_page(self) -> bool:
        return is_watched() and not _is_dumb()


def utc_now() -> datetime:
    return datetime.now(UTC)


_current = Screen(clock=utc_now)


def begin_screen(clock: Callable[[], datetime]) -> None:
    global _current  # noqa: PLW0603  # a process has one standard output
    _current = Screen(clock=clock)


def screen() -> Screen:
    return _current


def is_watched() -> bool:
    """Whether the answer goes to a terminal."""
    try:
        return sys.stdout is not None and sys.stdout.isatty()
    except ValueError:  # it is closed
        return False


def show_moment(moment: datetime) -> str:
    """By the reader's clock, with the name of their zone."""
    return say_clock(moment, _current.zone)


def localise(text: str) -> str:
    """A sentence with its moments by the reader's clock: they stand in it by UTC."""
    if _current.zone is UTC or " UTC" not in text:
        return text
    return _UTC.sub(_by_their_clock, text)


def _by_their_clock(found: re.Match[str]) -> str:
    minute, seconds = found.groups(default="")
    try:
        moment = datetime.fromisoformat(minute + seconds).replace(tzinfo=UTC).astimezone(_current.zone)
    except (ValueError, OverflowError):
        return found.group()
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}" if seconds else f"{moment:%Y-%m-%d %H:%M %Z}"


def _is_dumb() -> bool:
    return os.environ.get("TERM", "") in ("", "dumb")
