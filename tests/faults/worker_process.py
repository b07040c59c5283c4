"""One life of a worker: a process that plays a story, and is killed by itself or from outside.

Forked from a server that has imported everything, so that a life begins within milliseconds.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from tests.faults.clock import SharedClock
from tests.faults.invariants import Known, find_audit_violations, find_vault_violations, look
from tests.faults.kill_points import KillPoint, Passing, die, watch_calls, watch_commits
from tests.faults.mutants import MUTANTS
from tests.faults.scenarios import ITEM, SCENARIOS, endings, play
from tests.faults.vault_copy import VaultCopy, let_leases_lapse, open_services
from tests.forking import processes

_starting = threading.Lock()  # multiprocessing keeps one list of its children, for all threads
PATIENCE = 300.0
"""Seconds of silence after which a process is taken for hung: far more than anything here takes."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    place: VaultCopy
    clock: Path
    story: str
    mutant: str | None = None
    dies_at: KillPoint | None = None
    loud: bool = False


@dataclass(frozen=True, kw_only=True)
class Played:
    """The story came to its end: the points that were passed on the way."""

    passed: list[KillPoint]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is true after it. `violations` are those of the vault as a whole."""

    endings: list[str]
    known: Known
    violations: list[str]


@dataclass(frozen=True, kw_only=True)
class Broken:
    """An exception left the story, which no fault may bring about. Its type and text."""

    error: str


def be_quiet() -> None:
    """Hundreds of workers would else fill the test's output with their logs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def run_worker(line: Connection, orders: Orders) -> None:
    """Waits for a word, plays, says so, waits for another, looks around, and says what it saw."""
    if not orders.loud:
        be_quiet()
    if orders.mutant is not None:
        MUTANTS[orders.mutant]()
    clock = SharedClock(orders.clock)
    services = open_services(orders.place, clock)
    story = SCENARIOS[orders.story]
    if orders.dies_at is None:
        let_leases_lapse(services)
    passing = Passing(orders.dies_at, die)
    watch_commits(services.database.engine, passing)
    watch_calls(passing)
    line.recv()
    try:
        play(services, clock, story)
    except Exception as error:  # noqa: BLE001  # said, so that it does not pass for having been killed
        line.send(Broken(error=f"{type(error).__name__}: {error}"))
        return
    line.send(Played(passed=list(passing.passed)))
    line.recv()
    known = look(services, ITEM, run=story.run(services))
    violations = find_vault_violations(services) + find_audit_violations(services)
    line.send(Seen(endings=endings(services), known=known, violations=violations))


class WorkerProcess:
    """The process, seen from outside."""

    def __init__(self, orders: Orders) -> None:
        self._line, theirs = processes.Pipe()
        with _starting:
            self._process = processes.Process(target=run_worker, args=(theirs, orders), daemon=True)
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def go_on(self) -> Any:
        """Gives the word. What the process says next; None: it died instead."""
        try:
            self._line.send("go on")
            if not self._line.poll(PATIENCE):
                raise TimeoutError(f"a worker said nothing for {PATIENCE:g} seconds")
            return self._line.recv()
        except (EOFError, ConnectionError):
            return None

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._line.close()
        with _starting:
            self._process.close()


@contextmanager
def begin_worker(orders: Orders) -> Iterator[WorkerProcess]:
    life = WorkerProcess(orders)
    try:
        yield life
    finally:
        life.end()
