"""The command at a terminal of its own: what a person sees of it, and what they type."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.forking import PATIENCE, start_command

TERMINAL = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
"""What a person's terminal says of itself."""

_AGAIN = 30.0
"""Seconds after which a key is pressed again that nobody noticed."""


class Terminal:
    """Of a command that runs at it. Everything that it shows is kept."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._shown = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self.process: ForkServerProcess | None = None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def shown(self) -> str:
        """As far as it goes by now."""
        with self._changed:
            return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        with self._changed:
            seen = self._changed.wait_for(lambda: text in self.shown or self._ended, PATIENCE)
        assert seen, f"{text!r} is not in {self.shown!r}"
        assert text in self.shown, self.shown

    def type(self, text: str) -> None:
        os.write(self._number, text.encode())

    def end(self) -> int:
        """The status of the command, once it has ended and all is read."""
        assert self.process is not None
        self.process.join(PATIENCE)
        self.finish()
        status = self.process.exitcode
        assert status is not None, self.shown
        return status

    def finish(self) -> None:
        """Until all is read that the command has written."""
        self._reader.join(PATIENCE)

    def _read(self) -> None:
        while True:
            try:
                some = os.read(self._number, 65_536)
            except OSError:  # nobody has the other end any more
                some = b""
            with self._changed:
                self._shown += some
                self._ended = not some
                self._changed.notify_all()
            if not some:
                return


@contextmanager
def at_terminal(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    columns: int,
    lines: int = 40,
    at: datetime | None = None,
) -> Iterator[Terminal]:
    """`nightkey` with these words; `at`: the time that it takes for now. If it still goes on, it is killed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    terminal = Terminal(ours)
    try:
        terminal.process = start_command(
            words, [theirs] * 3, environment={**TERMINAL, **environment}, folder=str(Path.cwd()), at=at
        )
    finally:
        os.close(theirs)
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.join()
        os.close(ours)


def see(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    columns: int,
    lines: int = 40,
    at: datetime | None = None,
) -> tuple[str, int]:
    """All that a command shows which asks nothing, and its status."""
    with at_terminal(words, environment, columns=columns, lines=lines, at=at) as terminal:
        status = terminal.end()
        return terminal.shown, status


def press_ctrl_c(
    words: Sequence[str], environment: Mapping[str, str], *, after: str, then: str = ""
) -> tuple[str, int]:
    """What a new process shows whose own terminal this is, and its status: Ctrl-C is pressed once `after` is
    there, and `then` typed until it ends. Long after it is pressed again, as a person does: one that comes
    between a prompt and its wait for a key is noticed with the next key alone.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    terminal = Terminal(ours)
    started = subprocess.Popen(
        words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(environment),
        preexec_fn=lambda: _take_terminal(theirs),  # noqa: PLW1509  # it calls nothing that another thread may hold
    )
    os.close(theirs)
    try:
        terminal.wait_for(after)
        terminal.type("\x03")
        deadline, again = time.monotonic() + PATIENCE, time.monotonic() + _AGAIN
        status = None
        while status is None and time.monotonic() < deadline:
            if time.monotonic() > again:
                terminal.type("\x03")
                again += _AGAIN
            terminal.type(then)  # again and again: what is typed as Ctrl-C is, goes with it
            with suppress(subprocess.TimeoutExpired):
                status = started.wait(0.2)
        terminal.finish()
        assert status is not None, terminal.shown
        return terminal.shown, status
    finally:
        started.kill()
        started.wait()
        os.close(ours)


def _take_terminal(number: int) -> None:
    """In the child: its keys are signals for its own group from now on."""
    os.setsid()
    fcntl.ioctl(number, termios.TIOCSCTTY, 0)
