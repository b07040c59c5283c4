"""A message that is too long for its service, cut into parts that say which they are. Pure."""

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worker.domain.notices import Message

COUNT_MAX = len(" (99 of 99)")
"""What the number of a part adds to a subject."""

_GROWS_MAX = 8
"""How many times as long a text may get in the form of a service, about."""
_BETWEEN = 2
"""Line breaks that a form may put between what was rendered apart."""
_ENTRY = re.compile(r"\n{2,}(?=\S)|\n(?=- )")
_BLOCK = re.compile(r"\n{2,}")
_MARKS = (_ENTRY, _BLOCK, re.compile("\n"), re.compile(" "))
_KEY = re.compile(r" \[[^\[\]]*\]$")


def cut(message: Message, measure: Callable[[str], int], room: int) -> list[Message]:
    """The message in as few parts as may be, the same for the same message; each subject says which part it is.

    `measure`: how much of its `room` a piece of Markdown takes in the service. A part ends with an entry of a
    list or a paragraph, where that is short enough; else with a line, or a word.
    """
    if len(message.body) * _GROWS_MAX <= room:
        return [message]
    bodies = _pack(message.body, _Scale(measure=measure, room=room), _MARKS)
    if len(bodies) < 2:
        return [Message(subject=message.subject, body=body) for body in bodies] or [message]
    return [
        Message(subject=f"{message.subject} ({number} of {len(bodies)})", body=body)
        for number, body in enumerate(bodies, start=1)
    ]


def shorten_subject(subject: str, limit: int) -> str:
    """Its end stays, which tells one notice and one part from another."""
    if len(subject) <= limit:
        return subject
    number = re.search(r" \(\d+ of \d+\)$", subject)
    tail = number[0] if number else ""
    key = _KEY.search(subject[: len(subject) - len(tail)])
    tail = (key[0] if key else "") + tail
    return f"{subject[: max(limit - len(tail) - 1, 0)]}…{tail}"[-limit:]


@dataclass(frozen=True)
class _Scale:
    measure: Callable[[str], int]
    room: int

    def takes(self, text: str) -> bool:
        return self.measure(text) <= self.room


def _pack(text: str, scale: _Scale, marks: Sequence[re.Pattern[str]]) -> list[str]:
    """As much as fits into each, cut where the first of the marks stands; by the next ones what is too long."""
    if scale.takes(text):
        return [text]
    if not marks:
        return _chop(text, scale)
    packed: list[str] = []
    waiting = deque((piece, scale.measure(piece) + _BETWEEN) for piece in _split(text, marks[0]))
    while waiting:
        taken = [waiting.popleft()]
        size = taken[0][1]
        while waiting and size + waiting[0][1] <= scale.room:
            size += waiting[0][1]
            taken.append(waiting.popleft())
        while len(taken) > 1 and not scale.takes("".join(piece for piece, _ in taken)):
            waiting.appendleft(taken.pop())
        together = "".join(piece for piece, _ in taken)
        packed.extend([together] if len(taken) > 1 else _pack(together, scale, marks[1:]))
    return [tidied for part in packed if (tidied := part.strip("\n"))]


def _split(text: str, mark: re.Pattern[str]) -> list[str]:
    """The pieces, each with the mark that ends it: together they are the text."""
    ends = [found.end() for found in mark.finditer(text)]
    return [
        piece for begin, end in zip([0, *ends], [*ends, len(text)], strict=True) if (piece := text[begin:end])
    ]


def _chop(text: str, scale: _Scale) -> list[str]:
    """What has no mark: by halves, down to one character, which is sent whether it fits or not."""
    if len(text) < 2 or scale.takes(text):
        return [text]
    middle = len(text) // 2
    return _chop(text[:middle], scale) + _chop(text[middle:], scale)
