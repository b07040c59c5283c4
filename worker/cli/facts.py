"""What is to be known of one thing, each fact on a line of its own behind its name."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from worker.cli.layout import measure, wrap
from worker.cli.output import write_text
from worker.cli.screen import localise, screen, show_moment
from worker.cli.terminal import fit_cell
from worker.wording.times import say_distance

_GAP: Final = 2
_LEAST: Final = 20


def print_facts(facts: Iterable[tuple[str, str | None]]) -> None:
    """One that is None, or empty, is left out."""
    told = [(name, fit_cell(localise(text))) for name, text in facts if text]
    margin = max((measure(name) for name, _ in told), default=0) + _GAP
    width = screen().width if screen().is_fitted else None
    for name, text in told:
        lines = [text] if width is None else wrap(text, max(width - margin, _LEAST))
        for number, line in enumerate(lines):
            head = name if number == 0 else ""
            write_text(f"{head}{' ' * (margin - measure(head))}{line}\n")


def say_when(moment: datetime) -> str:
    """By the reader's clock, and for a person at a terminal how far away that is."""
    shown = show_moment(moment)
    return f"{shown}, {say_distance(moment, screen().clock())}" if screen().is_fitted else shown
