"""The supervisor with real processes that do as a test says: die, hang, take nothing, or never begin."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from vaultcore.errors import RefusedError
from worker.domain.lines import Line
from worker.domain.pulses import Patience, PulseKind
from worker.supervision.child import Assignment
from worker.supervision.home_lock import hold_home
from worker.supervision.supervisor import Supervisor

QUICK = Patience(
    start=120, silence=3, task=60, ring=3, take=3, pause_max=0.1, steady=30, starts=3, stop_idle=1, stop_busy=60
)
SECONDS = 240

PRELUDE = """
import os, signal, sys, time
pipe, notes = int(sys.argv[1]), sys.argv[2]
def say(signs):
    os.write(pipe, signs.encode())
with open(notes, "a") as file:
    file.write(f"{os.getpid()}\\n")
first = len(open(notes).read().splitlines()) == 1
def work(signs="."):
    while True:
        say(signs)
        time.sleep(0.1)
"""


class Watched:
    """The lines that it says, and the processes that were begun."""

    def __init__(self, notes: Path) -> None:
        self.lines: list[str] = []
        self.notes = notes

    def begun(self) -> list[int]:
        return [int(line) for line in self.notes.read_text().split()] if self.notes.exists() else []

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


def watch(
    folder: Path,
    scripts: Mapping[PulseKind, str] | Mapping[Assignment, str],
    until: Callable[[Watched], bool],
    patience: Patience = QUICK,
) -> tuple[int, Watched]:
    """Runs it in this thread, as it wants to be, and tells it to stop when that is so. Its status."""
    watched = Watched(folder / "begun")
    given = {key if isinstance(key, Assignment) else Assignment(key): script for key, script in scripts.items()}

    def command(assignment: Assignment, pipe: int) -> Sequence[str]:
        return [sys.executable, "-c", PRELUDE + given[assignment], str(pipe), str(watched.notes)]

    over = threading.Event()

    def tell_to_stop() -> None:
        deadline = time.monotonic() + SECONDS
        while not over.is_set() and time.monotonic() < deadline and not until(watched):
            time.sleep(0.05)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Supervisor(given, command=command, tell=watched.lines.append, patience=patience)
    with _terminable():
        teller = threading.Thread(target=tell_to_stop)
        teller.start()
        try:
            status = supervisor.run()
        finally:
            over.set()
            teller.join()
    for pid in watched.begun():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    return status, watched


@contextmanager
def _terminable() -> Iterator[None]:
    """A SIGTERM that comes when it has ended already must not end the tests."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def test_one_that_works_is_left_alone_and_ends_when_it_is_told(tmp_path: Path) -> None:
    began = time.monotonic()
    status, watched = watch(tmp_path, {PulseKind.WORKER: "work()"}, lambda _: time.monotonic() - began > 4)
    assert status == 0
    assert len(watched.begun()) == 1
    assert watched.lines == ["SIGTERM: finishing what is running"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("if first: say('.'); sys.exit(7)\nwork()", "ended with status 7"),
        ("if first: say('.'); os.kill(os.getpid(), signal.SIGKILL)\nwork()", "was ended by SIGKILL"),
        ("if first: say('.'); os.kill(os.getpid(), signal.SIGSTOP)\nwork()", "hangs, and was killed"),
        ("if first: say('.'); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)\nwork()", "hangs"),
        ("if first: say('('); time.sleep(99)\nwork()", "hangs"),
    ],
)
def test_what_dies_or_falls_silent_is_begun_again(tmp_path: Path, script: str, said: str) -> None:
    status, watched = watch(tmp_path, {PulseKind.WORKER: script}, lambda it: len(it.begun()) > 1)
    assert status == 0
    assert len(watched.begun()) == 2
    assert watched.said(f"the worker (process {watched.begun()[0]}) ")
    assert watched.said(said)


def test_one_that_never_begins_to_work_is_killed_and_begun_again(tmp_path: Path) -> None:
    script = "if first: time.sleep(99)\nwork()"
    patience = Patience(**{**vars(QUICK), "start": 2, "starts": 60})  # the next one may be slow to begin, too
    status, watched = watch(tmp_path, {PulseKind.WORKER: script}, lambda it: len(it.begun()) > 1, patience)
    assert status == 0
    assert watched.said("has not begun to work, and was killed")


def test_a_beat_that_lives_and_does_not_ring_is_begun_again(tmp_path: Path) -> None:
    script = "work('.' if first else '.r')"
    status, watched = watch(tmp_path, {PulseKind.BEAT: script}, lambda it: len(it.begun()) > 1)
    assert status == 0
    assert watched.said("does not ring, and was killed")


def test_workers_that_live_and_take_nothing_while_messages_wait_are_begun_again(tmp_path: Path) -> None:
    scripts = {PulseKind.WORKER: "work()", PulseKind.BEAT: "work('wr')"}
    status, watched = watch(tmp_path, scripts, lambda it: it.said("takes no message"))
    assert status == 0
    assert not watched.said("the beat")


def test_those_of_one_line_are_begun_again_while_those_of_the_other_take_what_waits(tmp_path: Path) -> None:
    scripts = {
        Assignment(PulseKind.WORKER, frozenset({Line.NIGHT})): "work('()')",
        Assignment(PulseKind.WORKER, frozenset({Line.TARGETS})): "work()",
        Assignment(PulseKind.BEAT): "work('wr')",
    }
    _, watched = watch(tmp_path, scripts, lambda it: it.said("takes no message"))
    assert sum("takes no message" in line for line in watched.lines) == 1
    assert not any("hangs" in line for line in watched.lines)


def test_workers_that_take_what_waits_are_left_alone(tmp_path: Path) -> None:
    began = time.monotonic()
    scripts = {PulseKind.WORKER: "work('()')", PulseKind.BEAT: "work('wr')"}
    _, watched = watch(tmp_path, scripts, lambda _: time.monotonic() - began > 5)
    assert watched.lines == ["SIGTERM: finishing what is running"]


def test_when_all_of_it_was_stopped_for_a_while_nobody_was_late(tmp_path: Path) -> None:
    stopped = f"""
import os, signal, time
worker = os.getpid()
if os.fork() == 0:
    up = os.getppid()
    time.sleep(1)
    for pid in ({os.getpid()}, worker):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(8)
    for pid in ({os.getpid()}, worker):
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    os.kill({os.getpid()}, signal.SIGTERM)
    os._exit(0)
work()
"""
    patience = Patience(**{**vars(QUICK), "silence": 6, "ring": 6, "take": 6})  # less than it was stopped
    status, watched = watch(tmp_path, {PulseKind.WORKER: stopped}, lambda _: False, patience)
    assert status == 0
    assert watched.lines == ["SIGTERM: finishing what is running"]


def test_what_cannot_be_started_at_all_ends_it_and_says_why(tmp_path: Path) -> None:
    status, watched = watch(tmp_path, {PulseKind.WORKER: "sys.exit(7)"}, lambda _: False)
    assert status == 1
    assert len(watched.begun()) == QUICK.starts
    assert "could not be started 3 times in a row, the last time it ended with status 7" in watched.lines[-1]


def test_a_mistake_in_the_configuration_ends_it_at_once(tmp_path: Path) -> None:
    status, watched = watch(tmp_path, {PulseKind.WORKER: "sys.exit(2)"}, lambda _: False)
    assert status == 2
    assert len(watched.begun()) == 1


def test_what_has_worked_once_is_begun_again_for_ever(tmp_path: Path) -> None:
    script = "say('.'); time.sleep(0.1); sys.exit(2)"
    status, watched = watch(tmp_path, {PulseKind.WORKER: script}, lambda it: len(it.begun()) > QUICK.starts + 1)
    assert status == 0
    assert not watched.said("could not be started")


@pytest.mark.parametrize(
    ("script", "killed"),
    [
        ("signal.signal(signal.SIGTERM, lambda *_: None); work()", True),
        ("signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1.5), sys.exit(0))); say('('); work()", False),
    ],
    ids=["idle and deaf", "at a task"],
)
def test_at_the_end_what_is_running_is_waited_for_and_nothing_else(
    tmp_path: Path, script: str, *, killed: bool
) -> None:
    def worked(it: Watched) -> bool:
        return bool(it.begun()) and time.monotonic() - began > 2

    began = time.monotonic()
    status, watched = watch(tmp_path, {PulseKind.WORKER: script}, worked)
    assert status == 0
    assert watched.said("did not end in time, and was killed") is killed


def test_a_home_is_held_once_and_free_again_however_its_holder_ended(tmp_path: Path) -> None:
    held, hold = (
        os.pipe(),
        f"""
import os, subprocess, time
from pathlib import Path
from worker.supervision.child import Assignment
from worker.supervision.home_lock import hold_home
with hold_home(Path({str(tmp_path)!r})):
    subprocess.Popen(["sleep", "60"])  # it has been begun when this returns
    os.write(1, b"held")
    time.sleep(60)
""",
    )
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", hold],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, held[1], 1)],
        setsid=True,
    )
    try:
        assert os.read(held[0], 4) == b"held"
        with pytest.raises(RefusedError, match=f"process {pid} on .*, since 2"), hold_home(tmp_path):
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with hold_home(tmp_path):  # what it has begun lives on, and holds nothing
            pass
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.close(held[0])
        os.close(held[1])
