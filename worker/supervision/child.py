"""One process that `up` has begun, and the pipe in which it is heard."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from worker.domain.lines import Line
from worker.domain.pulses import PulseKind

_PIECE = 65_536


class Assignment(NamedTuple):
    """What is to run. `lines`: what a worker takes."""

    kind: PulseKind
    lines: frozenset[Line] = frozenset(Line)


Command = Callable[[Assignment, int], Sequence[str]]
"""How to begin one that is to be heard in that pipe."""


def command_for(assignment: Assignment, pipe: int, *, listener: int | None = None) -> Sequence[str]:
    """Ourselves; the kind stands last, as it is read in a list of processes. `listener`: where a server
    listens.
    """
    own = [sys.executable, "-m", "worker.cli.main"]
    heard = ["--pipe", str(pipe), "--parent", str(os.getpid())]
    if assignment.kind is PulseKind.SERVER:
        return [*own, "serve", *heard, "--listener", str(listener)]
    lines = [word for line in sorted(assignment.lines) for word in ("--line", line.value)]
    return [*own, "up", *heard, *lines, "--only", assignment.kind.value]


class Child:
    """In a session of its own, so that a Ctrl-C reaches `up` alone, and it can be killed with what it began."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: int) -> None:
        self._process = process
        self.pipe = pipe

    @classmethod
    def begin(cls, command: Command, assignment: Assignment, inherited: Sequence[int] = ()) -> Self:
        """`inherited`: files that it has, too, by the same numbers."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            process = subprocess.Popen(  # noqa: S603  # ourselves
                command(assignment, writing), start_new_session=True, pass_fds=(writing, *inherited)
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return cls(process, reading)

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self) -> str:
        """What was heard since; nothing, if it has ended, too."""
        try:
            return os.read(self.pipe, _PIECE).decode(errors="replace")
        except BlockingIOError:
            return ""

    def status(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def stop(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        """With its whole session. One that has ended is left alone: its number may be another's by now."""
        if self._process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        os.close(self.pipe)
