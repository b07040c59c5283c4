"""Finds words in a text: in one pass over it, however many words there are and however often they stand there.

An automaton looks for the beginnings of words, and what is longer is then compared. At one character it may
follow as many links as a beginning has characters: with whole words, of 10,000 equal letters, say, that would
be 10,000 for each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final

from ahocorasick import STORE_INTS, Automaton

BEGINNING: Final = 32
_COMPARED_FIRST: Final = 64
_FOUND: Final = 16
"""What a beginning that was found costs, of an effort in characters that are compared."""


class Mark(IntFlag):
    """How a word is to be hidden."""

    PLAIN = 0
    IN_WORD = 1
    """With the whole base64 word that it stands in."""
    WITH_TEXT = 2
    """With the whole text that holds it."""


@dataclass(frozen=True, slots=True)
class Hit:
    start: int
    end: int
    mark: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Words with one beginning: the mark of that itself, if it is a word, and those that are longer."""

    length: int
    mark: int | None
    longer: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Segment:
    """Words that are looked for together. It never changes, so it may be shared."""

    words: Mapping[str, int]
    groups: tuple[_Group, ...]
    automaton: Automaton = field(repr=False)

    @classmethod
    def build(cls, words: Mapping[str, int]) -> "_Segment":
        alike: dict[str, list[str]] = {}
        for word in words:
            alike.setdefault(word[:BEGINNING], []).append(word)
        automaton = Automaton(STORE_INTS)
        groups = []
        for number, (beginning, found) in enumerate(alike.items()):
            longer = tuple((word, words[word]) for word in found if word != beginning)
            groups.append(_Group(len(beginning), words.get(beginning), longer))
            automaton.add_word(beginning, number)
        automaton.make_automaton()
        return cls(words, tuple(groups), automaton)

    def walk(self, text: str) -> Iterator[Hit]:
        left = _FOUND * len(text) + 100_000
        groups = self.groups
        for last, number in self.automaton.iter(text):
            group = groups[number]
            end = last + 1
            start = end - group.length
            left -= _FOUND
            if group.mark is not None:
                yield Hit(start, end, group.mark)
            for word, mark in group.longer:
                left -= _COMPARED_FIRST
                if text.startswith(word[BEGINNING : BEGINNING + _COMPARED_FIRST], end):
                    left -= len(word)
                    if text.startswith(word, start):
                        yield Hit(start, start + len(word), mark)
            if left < 0:
                yield Hit(0, len(text), Mark.WITH_TEXT)
                return


class Finder:
    """Words, each with its marks.

    What is added is built into an automaton when it is first needed. One that grew is not built anew each time:
    there are a few, each at least twice as large as the next, so that all building together stays in proportion
    to what was added.

    A text in which more words begin than a text has for other reasons than to take time is told as a hit with
    `WITH_TEXT`, and is not looked at further.
    """

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}
        self._segments: tuple[_Segment, ...] = ()
        self._new: dict[str, int] = {}
        self.least = 1_000_000
        """Characters of the shortest word."""

    def copy(self) -> "Finder":
        made = Finder()
        made._marks, made._segments, made._new = dict(self._marks), self._segments, dict(self._new)
        made.least = self.least
        return made

    def add(self, word: str, mark: Mark = Mark.PLAIN) -> None:
        """A word that is not empty."""
        known, marked = self._marks.get(word, -1), int(mark)
        if known == -1 or known | marked != known:
            self._marks[word] = self._new[word] = max(known, 0) | marked
            self.least = min(self.least, len(word))

    def walk(self, text: str) -> Iterator[Iterator[Hit]]:
        """Where words stand, overlapping ones too: for each automaton in such an order that none ends
        before one begins that came earlier.
        """
        for segment in self.build():
            yield segment.walk(text)

    def stands_in(self, text: str, *, least: int = 1) -> bool:
        """Whether a word of at least so many characters does."""
        if len(text) < max(self.least, least):
            return False
        for segment in self.build():
            for hit in segment.walk(text):
                if hit.end - hit.start >= least:
                    return True
        return False

    def build(self) -> tuple[_Segment, ...]:
        """What was added since it was last needed, too."""
        if self._new:
            words, self._new = self._new, {}
            kept = list(self._segments)
            while kept and len(kept[-1].words) < 2 * len(words):
                words = {**kept.pop().words, **words}
            self._segments = (*kept, _Segment.build(words))
        return self._segments
