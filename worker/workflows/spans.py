"""Which parts of a text are to be hidden, where words were found in it. Pure, in proportion to the text."""

from collections.abc import Iterable, Iterator
from typing import Final

from worker.workflows.finder import Hit, Mark

_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-")

Span = tuple[int, int]


def hide_spans(text: str, walks: Iterable[Iterator[Hit]]) -> list[Span] | None:
    """The parts to hide, in order, that neither overlap nor touch. None: the whole text is to be hidden.

    Of each walk, no hit ends before one begins that came earlier.
    """
    found: list[Span] = []
    for walk in walks:
        spans = _join(text, walk)
        if spans is None:
            return None
        found += spans
    return _unite(sorted(found))


def replace_spans(text: str, spans: list[Span], mark: str) -> str:
    """The text with the mark in place of each."""
    if not spans:
        return text
    parts: list[str] = []
    done = 0
    for start, end in spans:
        parts += (text[done:start], mark)
        done = end
    return "".join([*parts, text[done:]])


def _join(text: str, walk: Iterator[Hit]) -> list[Span] | None:
    """Those of one walk; united on the way, so that many hits take no room."""
    spans: list[Span] = []
    word: Span = (0, 0)
    for hit in walk:
        if hit.mark & Mark.WITH_TEXT:
            return None
        start, end = hit.start, hit.end
        if hit.mark & Mark.IN_WORD:
            word = start, end = _widen(text, start, end, word)
        while spans and spans[-1][1] >= start:
            last_start, last_end = spans.pop()
            start, end = min(start, last_start), max(end, last_end)
        spans.append((start, end))
    return spans


def _unite(spans: list[Span]) -> list[Span]:
    """Of sorted ones."""
    united: list[Span] = []
    for start, end in spans:
        if united and united[-1][1] >= start:
            united[-1] = united[-1][0], max(united[-1][1], end)
        else:
            united.append((start, end))
    return united


def _widen(text: str, start: int, end: int, last: Span) -> Span:
    """The span with all of the base64 word that it stands in. `last` is what came of the one before, so that
    no word is walked through twice.
    """
    if last[0] <= start <= last[1]:
        start = last[0]
    while start > 0 and text[start - 1] in _WORD:
        start -= 1
    end = max(end, last[1]) if start <= last[1] else end
    while end < len(text) and text[end] in _WORD:
        end += 1
    return start, end
