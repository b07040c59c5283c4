"""What stands in a cell: a value as a person says it, or as a spreadsheet takes it."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from vaultcore.rules import show_duration
from worker.cli.screen import localise, show_moment
from worker.cli.terminal import fit_cell
from worker.domain.reasons import Reason
from worker.wording.plain import to_plain
from worker.wording.reasons import say
from worker.wording.times import say_distance

NOTHING: Final = "-"
_SOON: Final = timedelta(days=60)
"""As far from now a distance says more than a date."""
_ID: Final = re.compile(r"([a-z]+(?:_[a-z]+)?_)[0-9a-hjkmnp-tv-z]{26}")
_SHOWN: Final = 8
"""Of an id, behind its prefix: these tell the second in which it was made."""
_SEVERAL: Final = 3
_HISTORY: Final = frozenset({"at"})
"""Moments of a record, which are told by the clock however near they are."""


def show_cell(value: object) -> str:
    """In whole: for a line, and for a table that somebody else than a person reads."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return show_moment(value)
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Reason):
        return fit_cell(localise(say(value)))
    if isinstance(value, Mapping):
        return fit_cell(json.dumps(to_plain(value), ensure_ascii=False)) if value else NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(show_cell(part) for part in value) or NOTHING
    return fit_cell(localise(str(value)))


def show_near(value: object, *, column: str, now: datetime) -> str:
    """For a person at a terminal: what is near is told by its distance, and the rest by its day."""
    if isinstance(value, list | tuple) and len(value) > _SEVERAL:
        return f"{show_cell(value[:_SEVERAL])} and {len(value) - _SEVERAL} more"
    if not isinstance(value, datetime) or column in _HISTORY:
        return show_cell(value)
    if abs(value - now) < _SOON:
        return say_distance(value, now)
    return show_moment(value).partition(" ")[0]


def shorten_ids(cells: list[str]) -> list[str]:
    """A column of ids, each by a beginning that no other of them has; another column as it is."""
    ids = {cell for cell in cells if cell != NOTHING}
    found = [_ID.fullmatch(one) for one in ids]
    if not ids or not all(found):
        return cells
    shared = _longest_shared(ids)
    least = max(len(one[1]) for one in found if one is not None) + _SHOWN
    return [cell[: max(least, shared + 1)] for cell in cells]


def _longest_shared(ids: Iterable[str]) -> int:
    """Of how many characters two of them begin alike, at most."""
    return max((_count_shared(*pair) for pair in pairwise(sorted(ids))), default=0)


def _count_shared(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
