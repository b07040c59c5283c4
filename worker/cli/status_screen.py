"""How things stand as lines: worst first, and on a terminal no more of them than it shows at once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.cli.colours import paint_bad, paint_good
from worker.cli.facts import say_when
from worker.cli.layout import fold
from worker.cli.output import table_lines
from worker.cli.screen import AnswerForm, localise, screen, show_moment
from worker.cli.terminal import fit
from worker.wording.parts import say_count
from worker.wording.plain import Shape

SHOWN: Final = 8
"""Problems, and findings, that a person reads at once; `wide` has them all."""
_COLUMNS: Final = ("kind", "item", "workflow", "detail")


@dataclass
class _Room:
    """Lines of the terminal that are still free; `lines` None: nobody counts them."""

    lines: int | None
    written: list[str] = field(default_factory=list)

    def add(self, lines: Iterable[str]) -> None:
        self.written += lines

    def has(self, number: int) -> bool:
        return self.lines is None or len(self.written) + number <= self.lines


def show_status(found: Shape, *, lines: int | None) -> list[str]:
    """`found`: as a program is given it, and `kinds`, those of its problems. `lines`: how many there is room
    for, where somebody sees them at a terminal; what finds no room is counted by its kind.
    """
    whole = screen().form is AnswerForm.WIDE
    facts = ["", *_fold(_say_facts(found))]
    below = len(facts) + len(_close_findings(found["findings"], 0))
    room = _Room(lines)
    if found["problems"]:
        room.add([paint_bad("not well:")])
        room.add(_show_problems(found, room, below=below, whole=whole))
    else:
        room.add([paint_good("all is well")])
    room.add(facts)
    room.add(_show_findings(found["findings"], room, whole=whole))
    return room.written


def _show_problems(found: Shape, room: _Room, *, below: int, whole: bool) -> Iterator[str]:
    """The worst, as many as leave room for how many others there are, and for what stands `below`."""
    problems, kinds = found["problems"], found["kinds"]
    shown: list[str] = []
    number = 0
    for number, problem in enumerate(problems):
        text = _fold([f"  {problem}"])
        rest = _close_problems(kinds[number + 1 :])
        fits = room.has(len(shown) + len(text) + len(rest) + below) or number == 0
        if not whole and (number == SHOWN or not fits):
            break
        shown += text
    else:
        number = len(problems)
    yield from shown
    yield from _close_problems(kinds[number:])


def _close_problems(kinds: Sequence[str]) -> list[str]:
    if not kinds:
        return []
    return _fold([f"  and {len(kinds):,} more ({_count(kinds)}): nightkey status -o wide"])


def _show_findings(findings: Sequence[Shape], room: _Room, *, whole: bool) -> list[str]:
    """The worst of them, and of all of them their number; without room for a table the number alone."""
    if not findings:
        return ["", "no open findings"]
    head = ["", f"{say_count(len(findings), 'open finding')}:"]
    for number in range(len(findings) if whole else min(SHOWN, len(findings)), 0, -1):
        table = table_lines(findings[:number], _COLUMNS, spare=("workflow",))
        lines = [*head, *table, *([] if number == len(findings) else _close_findings(findings, number))]
        if whole or room.has(len(lines)):
            return lines
    return _close_findings(findings, 0)


def _close_findings(findings: Sequence[Shape], shown: int) -> list[str]:
    if not findings:
        return ["", "no open findings"]
    kinds = _count([str(one["kind"]) for one in findings])
    if shown:
        return _fold([f"of {kinds}: nightkey finding list"])
    return ["", *_fold([f"{say_count(len(findings), 'open finding')}: {kinds}: nightkey finding list"])]


def _count(kinds: Sequence[str]) -> str:
    return ", ".join(f"{number:,} {kind}" for kind, number in Counter(kinds).items())


def _say_facts(status: Shape) -> list[str]:
    lines = [f"last night: {_show_night(status['last_night'])}"]
    if status["by_hand"] is not None:
        lines.append(f"since then, by hand: {_show_night(status['by_hand'])}")
    lines += [
        f"next night: {say_when(status['next_night'])}",
        f"{say_count(status['items'], 'item')}, {say_count(status['workflows'], 'workflow')}",
    ]
    for what, counts in (("rotations", status["rotations"]), ("notices", status["notices"])):
        counted = ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items()))
        lines.append(f"{what}: {counted or 'none'}")
    return lines


def _show_night(night: Shape | None) -> str:
    if night is None:
        return "none yet"
    outcome = {"good": "ended well", "failed": "did not end well"}.get(night["outcome"] or "", "has not ended")
    return f"{show_moment(night['slot'])}, {outcome}"


def _fold(lines: Iterable[str]) -> list[str]:
    width = screen().width if screen().is_fitted else None
    return [part for line in lines for part in fold(fit(localise(line)), width)]
