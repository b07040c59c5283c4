"""In which of two lines a message waits, so that a slow target system keeps nobody else waiting. Pure."""

from enum import StrEnum
from typing import Final

from worker.domain.work import Task


class Line(StrEnum):
    NIGHT = "night"
    """What keeps nights going: begins them, sweeps, sends notices. None of it asks a target system."""
    TARGETS = "targets"
    """What talks to target systems and runs workflows, and takes as long as they do."""


_AT_TARGETS: Final = frozenset({Task.ROTATE, Task.CHECK, Task.RUN})


def line_of(task: Task) -> Line:
    return Line.TARGETS if task in _AT_TARGETS else Line.NIGHT


def share_lines(workers: int) -> tuple[frozenset[Line], ...]:
    """What each of so many workers takes. One alone takes everything; beside several, one more keeps nights
    going, whatever the others wait for.
    """
    if workers <= 1:
        return (frozenset(Line),) * workers
    return (frozenset({Line.NIGHT}), *(frozenset({Line.TARGETS}),) * workers)
