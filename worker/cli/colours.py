"""Colour, which says again what a word says: that something failed, waits, or is well. Never alone."""

from collections.abc import Callable
from typing import Final

from worker.cli.screen import screen

_RED, _YELLOW, _GREEN, _END = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
_STANDING: Final = frozenset({"state", "status", "stage", "result", "outcome", "fate"})
"""Columns whose words say how something stands."""
_BAD: Final = frozenset("failed stuck error rejected lapsed expired unrouted differs missing".split())
_OPEN: Final = frozenset(
    "requested waiting waits retry undoing discarding warning rolled-back pending running failing due "
    "needs-somebody".split()
)
_WELL: Final = frozenset("done sent success completed good current agrees proven well".split())


def find_paint(column: str) -> Callable[[str, str], str] | None:
    """What colours the cells of a column; None: they have no colour."""
    return paint_standing if column in _STANDING and screen().has_colours else None


def paint_standing(text: str, word: str) -> str:
    for words, colour in ((_BAD, _RED), (_OPEN, _YELLOW), (_WELL, _GREEN)):
        if word in words:
            return f"{colour}{text}{_END}"
    return text


def paint_bad(text: str) -> str:
    return f"{_RED}{text}{_END}" if screen().has_colours else text


def paint_good(text: str) -> str:
    return f"{_GREEN}{text}{_END}" if screen().has_colours else text
