"""`nightkey up` as a machine runs it: begun, told to stop, and its workers hurt."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

PATIENCE = 240.0
"""Seconds for what takes a few when nobody else needs the machine."""
_UP = b"nightkey is up"


def wait_until(holds: Callable[[], bool], *, seconds: float = PATIENCE) -> bool:
    """Whether it came about in that time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


class Machine:
    """One `up` with its words. `wrongs`: what it should not have done. Its log goes on over all its lives."""

    def __init__(self, name: str, words: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.wrongs: list[str] = []
        self.log = folder / f"{name}.log"
        self._words = words
        self._environment = environment
        self._settings: dict[str, str] = {}
        self._begun_at = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def begin(self, **settings: str) -> None:
        self._settings = settings
        self._output = self.log.open("ab")
        self._begun_at = self.log.stat().st_size
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "up", *self._words],
            env={**self._environment, **settings},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )

    def stop(self) -> None:
        """As systemd does: SIGTERM, and it ends by itself. One that was just begun must hear signals first, and
        one that ends before that, since its database is away, is not begun again.
        """
        wait_until(lambda: self._has_ended() or bool(self._children()))
        if self._process is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.wrongs.append(f"{self.name}: it did not end within {PATIENCE:g} s of SIGTERM")
            self.end()
            return
        if status != 0:
            self.wrongs.append(f"{self.name}: it ended with status {status} after SIGTERM")
        self._forget()

    def look(self) -> None:
        """Once it is up it never ends by itself. One that ended before that, since its database was away just
        then, is begun again, as by whatever keeps services running on its machine.
        """
        if self._process is not None and self._has_ended() and not self._was_up():
            self.begin(**self._settings)

    def workers(self) -> list[int]:
        """The processes of those that it has begun, the oldest first."""
        return [pid for pid in self._children() if _command(pid).endswith("worker")]

    def end(self) -> None:
        """At once, whatever it is at; its children end with it."""
        if self._process is not None:
            for pid in self.workers():
                send(pid, signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._forget()

    def _children(self) -> list[int]:
        if self._process is None:
            return []
        pid = self._process.pid
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def _has_ended(self) -> bool:
        """It is there no more; that is wrong by itself once it was up."""
        if self._process is None or (status := self._process.poll()) is None:
            return self._process is None
        self._forget()
        if self._was_up():
            self.wrongs.append(f"{self.name}: it ended by itself, with status {status}")
        return True

    def _was_up(self) -> bool:
        """Whether its last life came so far that it said so."""
        return _UP in self.log.read_bytes()[self._begun_at :]

    def _forget(self) -> None:
        self._process = None
        if self._output is not None:
            self._output.close()


def send(pid: int, what: signal.Signals) -> bool:
    """False: there is no such process any more."""
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return False
    return True


def is_there(pid: int) -> bool:
    """One that has ended and was not looked at yet is there no more."""
    return _command(pid) != ""


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    except OSError:
        return ""
