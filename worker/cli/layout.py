"""A table in the width of a terminal. Pure: columns come in, lines go out."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.cli.cells import NOTHING

_GAP: Final = 2
_PROSE: Final = 24
"""A column that is wider than that may become so narrow, before another is left out."""
_LEAST: Final = 16
"""No column becomes narrower than that."""
_BREAKS: Final = re.compile(r"(?<=[-/_.,:@=+])")
_BLANKS: Final = re.compile(r"(?<= )")
_COMMAND: Final = re.compile(r"nightkey [a-z][^()`;,]*")
"""What somebody copies: it stands on one line where one is long enough."""
_HELD: Final = "\u00a0"
Paint = Callable[[str, str], str]
"""Gives a text its colour, by the whole cell of which it is a line."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """`spare`: it can be left out where there is no room, the one with the highest number first; 0: never."""

    heading: str
    cells: Sequence[str]
    spare: int = 0
    paint: Paint | None = None
    widest: int = field(init=False)

    def __post_init__(self) -> None:
        widest = max((measure(cell) for cell in self.cells), default=0)
        object.__setattr__(self, "widest", max(widest, measure(self.heading)))

    @property
    def is_empty(self) -> bool:
        return all(cell == NOTHING for cell in self.cells)

    @property
    def least(self) -> int:
        return min(self.widest, max(_LEAST, measure(self.heading)))


def lay_out(columns: Sequence[Column], width: int | None) -> Iterator[str]:
    """The lines: a heading, then a line for each row, or more where a cell is wrapped. Without a width nothing
    is; where the width is too small for columns beside each other they stand below each other.
    """
    kept = list(columns) if width is None else _choose(columns, width)
    widths = [one.widest for one in kept] if width is None else _fit(kept, width)
    if widths is None:
        yield from _stack(kept, width or 0)
        return
    yield from _lines([one.heading for one in kept], widths, [None] * len(kept))
    paints = [one.paint for one in kept]
    for row in zip(*(one.cells for one in kept), strict=True):
        yield from _lines(row, widths, paints)


def _choose(columns: Sequence[Column], width: int) -> list[Column]:
    """All, or without what says nothing, or without what can be spared."""
    kept = list(columns)
    empty = [one for one in columns[1:] if one.is_empty]
    spare = [one for one in columns[1:] if one.spare and not one.is_empty]
    for goes in (*reversed(empty), *sorted(spare, key=lambda one: -one.spare)):
        if _need(kept) <= width:
            break
        kept = [one for one in kept if one is not goes]
    return kept


def _need(columns: Sequence[Column]) -> int:
    return sum(min(one.widest, _PROSE) + _GAP for one in columns) - _GAP


def _fit(columns: Sequence[Column], width: int) -> list[int] | None:
    """A width for each, the widest made narrower until they fit; None: they do not."""
    widths = [one.widest for one in columns]
    room = width - _GAP * (len(columns) - 1)
    while sum(widths) > room:
        wide = [(size, place) for place, size in enumerate(widths) if size > columns[place].least]
        if not wide:
            return None
        widths[max(wide)[1]] -= 1
    return widths


def _lines(row: Sequence[str], widths: Sequence[int], paints: Sequence[Paint | None]) -> Iterator[str]:
    """A row, whose cells may take several lines. Colour comes last: it has no width."""
    wrapped = [wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
    for number in range(max(map(len, wrapped))):
        shown, blanks = "", 0
        for cell, lines, size, paint in zip(row, wrapped, widths, paints, strict=True):
            text = lines[number] if number < len(lines) else ""
            if text:
                shown += " " * blanks + (text if paint is None else paint(text, cell))
            blanks = (0 if text else blanks) + size - measure(text) + _GAP
        yield shown


def _stack(columns: Sequence[Column], width: int) -> Iterator[str]:
    """Each row as lines of its own, a blank one between two rows."""
    head = max(measure(one.heading) for one in columns)
    for number in range(len(columns[0].cells)):
        if number:
            yield ""
        for one in columns:
            cell = one.cells[number]
            for place, line in enumerate(wrap(cell, max(width - head - _GAP, _LEAST))):
                blanks = " " * (head + _GAP - (measure(one.heading) if not place else 0))
                painted = line if one.paint is None else one.paint(line, cell)
                yield f"{one.heading if not place else ''}{blanks}{painted}"


def fold(text: str, width: int | None) -> list[str]:
    """Prose, each line of it wrapped behind its own indentation; as it is without a width."""
    if width is None:
        return [text]
    folded = []
    for line in text.split("\n"):
        blanks = line[: len(line) - len(line.lstrip())]
        folded += [blanks + part for part in wrap(line.lstrip(), max(width - len(blanks), _LEAST))]
    return folded


def wrap(text: str, width: int) -> list[str]:
    """In lines of at most that width, parted at blanks, else at marks, else anywhere."""
    if measure(text) <= width:
        return [text]
    whole = _COMMAND.sub(lambda found: _hold(found.group(), width), text)
    return [line.replace(_HELD, " ").rstrip() for line in _part(whole, width) if line.strip()] or [""]


def _hold(command: str, width: int) -> str:
    ending = command[len(command.rstrip()) :]
    command = command.rstrip()
    return (command.replace(" ", _HELD) if measure(command) <= width else command) + ending


def _part(text: str, width: int) -> list[str]:
    lines = [""]
    for part in _BLANKS.split(text):
        if measure(lines[-1] + part.rstrip()) <= width:
            lines[-1] += part
            continue
        if measure(part.rstrip()) <= width:
            lines.append(part)
            continue
        for piece in _BREAKS.split(part):
            rest = piece
            while measure(lines[-1] + rest.rstrip()) > width:
                taken = 0 if measure(rest.rstrip()) <= width and lines[-1] else _count(rest, width, lines[-1])
                lines[-1] += rest[:taken]
                rest = rest[taken:]
                lines.append("")
            lines[-1] += rest
    return lines


def _count(text: str, width: int, before: str) -> int:
    """How many of its characters stand on the line behind what is there; at least one on an empty line."""
    number = 0
    while number < len(text) and measure(before + text[: number + 1]) <= width:
        number += 1
    return number if number or before else 1


def measure(text: str) -> int:
    """How many columns of a terminal it takes: some characters take two, and marks take none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415  # few texts need it

    return cell_len(text)
