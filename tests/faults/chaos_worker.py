"""A worker that does what it is sent, one message after the other, and may be cut off or stopped in the middle.

As the tasks do: an id comes in, the work is dispatched, no exception leaves, and what follows goes back.
"""

import itertools
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.faults.clock import SharedClock
from tests.faults.fault_injection import PATIENCE_SECONDS
from tests.faults.kill_points import Moment, watch_calls, watch_commits
from tests.faults.vault_copy import VaultCopy, open_services
from tests.faults.worker_process import be_quiet
from tests.forking import processes
from vaultcore.errors import NightkeyError
from worker.bootstrap import Services
from worker.domain.work import RESUME, Task, Work

_numbers = itertools.count(1)
DRIVING = "rotation"
"""How the names of threads begin that drive rotations side by side."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """`bell` is a task, or what a person asks for; `about` an id, a name or a time."""

    bell: str
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Strike:
    """What happens to the worker at the `after`th moment of its work: killed, or stopped until continued."""

    what: signal.Signals
    after: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`rings` for what follows; `error` is the type of what went wrong, `ours` if it is one of our own."""

    rings: list[Message] = field(default_factory=list)
    error: str = ""
    ours: bool = True


class Stopping:
    """Said by a worker that waits to be stopped: it goes on by a word, once it was continued."""


class Fuse:
    """Burns down by a moment each, in any thread that drives a rotation. A worker is stopped only where it has
    no transaction open: in the thread that takes them, while no other is at work.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._left = 0
        self._what = signal.SIGKILL
        self._thread = threading.get_ident()
        self._burning = threading.Lock()

    def light(self, strike: Strike | None) -> None:
        self._left = 0 if strike is None else strike.after
        self._what = signal.SIGKILL if strike is None else strike.what

    def note(self, moment: Moment, _about: str) -> None:
        if self._left == 0 or not self._burns(moment):
            return
        with self._burning:
            self._left -= 1
            if self._left != 0:
                return
        if self._what is signal.SIGSTOP:
            self._line.send(Stopping())
            self._line.recv()
        else:
            os.kill(os.getpid(), self._what)

    def _burns(self, moment: Moment) -> bool:
        is_first = threading.get_ident() == self._thread
        if self._what is signal.SIGSTOP:
            return is_first and moment is not Moment.BEFORE_COMMIT
        return is_first or threading.current_thread().name.startswith(DRIVING)


def _begin_night(services: Services, slot: str) -> list[Work]:
    return services.night.dispatch.begin_night(datetime.fromisoformat(slot))


def _request(services: Services, name: str) -> list[Work]:
    return [Work(Task.ROTATE, services.rotation.opening.request(name, asked_by="test").id)]


def _start(services: Services, workflow: str) -> list[Work]:
    services.runs.runs.start(workflow, actor="test")
    return [RESUME]


PERSONS: dict[str, Callable[[Services, str], list[Work]]] = {
    "night": _begin_night,
    "request": _request,
    "start": _start,
}
"""What a person asks for, or the time of this game; everything else is a task."""


def do(services: Services, message: Message) -> list[Message]:
    asked = PERSONS.get(message.bell)
    if asked is not None:
        rings = asked(services, message.about)
    else:
        rings = services.night.dispatch.do(Work(Task(message.bell), message.about))
    return [Message(bell=work.task.value, about=work.about) for work in rings]


def work(line: Connection, place: VaultCopy, clock_file: Path) -> None:
    """The process: until its line is closed."""
    be_quiet()
    services = open_services(place, SharedClock(clock_file), http_timeout_seconds=PATIENCE_SECONDS)
    fuse = Fuse(line)
    watch_commits(services.database.engine, fuse)
    watch_calls(fuse)
    while True:
        try:
            message, strike = line.recv()
        except EOFError:
            return
        fuse.light(strike)
        try:
            answer = Answer(rings=do(services, message))
        except Exception as error:  # noqa: BLE001  # the edge, as in the tasks
            answer = Answer(error=type(error).__name__, ours=isinstance(error, NightkeyError))
        fuse.light(None)
        line.send(answer)


class ChaosWorker:
    """One such worker, seen from outside, with what it is at."""

    def __init__(self, place: VaultCopy, clock_file: Path) -> None:
        self.line, theirs = processes.Pipe()
        self._process = processes.Process(target=work, args=(theirs, place, clock_file), daemon=True)
        self._process.start()
        theirs.close()
        self.number = next(_numbers)
        self.message: Message | None = None
        self.stopped = False
        self._struck = self._killed = False

    @property
    def doomed(self) -> bool:
        """Whether it was to be expected that it dies."""
        return self._struck or self._killed

    def send(self, message: Message, strike: Strike | None) -> None:
        self.message = message
        self._struck = strike is not None and strike.what is signal.SIGKILL
        with suppress(ConnectionError):  # he was killed just after his last answer: to be heard of at once
            self.line.send((message, strike))

    def hear(self) -> Any:
        """An `Answer`, `Stopping`, or None: it is dead."""
        try:
            return self.line.recv()
        except (EOFError, ConnectionError):
            return None

    def kill(self) -> None:
        self._killed = True
        self._process.kill()

    def stop(self) -> None:
        self.stopped = True
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.stopped = False
        self._signal(signal.SIGCONT)
        self.line.send("go on")

    def _signal(self, what: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, what)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.line.close()
        self._process.close()
