"""Where Liquid stands in a text: its pieces, told apart without being understood. Pure, one pass."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

CLOSES: Final = {"{{": "}}", "{%": "%}"}
_OPENS = re.compile(r"\{[{%]")
KEPT_BLOCKS: Final = ("raw", "comment", "doc")
_KEEPS = re.compile(rf"\{{%-?\s*({'|'.join(KEPT_BLOCKS)})\b")


class PieceKind(StrEnum):
    TEXT = auto()
    """What stands beside all markup."""
    OUTPUT = auto()
    """`{{ … }}`"""
    TAG = auto()
    """`{% … %}`"""
    KEPT = auto()
    """What is no markup although it looks like it: a raw block, a comment."""


@dataclass(frozen=True, slots=True)
class Piece:
    kind: PieceKind
    start: int
    text: str


def split_markup(text: str) -> Iterator[Piece]:
    """The pieces in order; together they are the text. Markup that is never closed reaches to its end."""
    at = 0
    ends: dict[str, re.Match[str] | None] = {}
    while at < len(text):
        opened = _OPENS.search(text, at)
        if opened is None:
            break
        if opened.start() > at:
            yield Piece(PieceKind.TEXT, at, text[at : opened.start()])
        kind, end = _close(text, opened, ends)
        yield Piece(kind, opened.start(), text[opened.start() : end])
        at = end
    if at < len(text):
        yield Piece(PieceKind.TEXT, at, text[at:])


def begins_block(tag: str) -> bool:
    """Whether a tag begins what is kept as it is; of a piece, one that never ends."""
    return _KEEPS.match(tag) is not None


def _close(text: str, opened: re.Match[str], ends: dict[str, re.Match[str] | None]) -> tuple[PieceKind, int]:
    keeps = _KEEPS.match(text, opened.start())
    if keeps is not None:
        end = _find_end(text, keeps[1], keeps.end(), ends)
        if end is not None:
            return PieceKind.KEPT, end
    kind = PieceKind.OUTPUT if opened[0] == "{{" else PieceKind.TAG
    if kind is PieceKind.TAG and text[opened.end() : opened.end() + 20].lstrip("- \t\r\n").startswith("#"):
        kind = PieceKind.KEPT
    closed = text.find(CLOSES[opened[0]], opened.end())
    return kind, len(text) if closed == -1 else closed + 2


def _find_end(text: str, name: str, at: int, ends: dict[str, re.Match[str] | None]) -> int | None:
    """Where the block ends; looked for once if there is no end, however many begin."""
    if name in ends and ends[name] is None:
        return None
    ends[name] = re.compile(rf"\{{%-?\s*end{name}\s*-?%\}}").search(text, at)
    found = ends[name]
    return None if found is None else found.end()
