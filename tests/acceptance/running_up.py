"""`nightkey up` as a process of its own, whom a test watches, hurts and ends."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import Nightkey, write_workflow
from tests.forking import start_command

SECONDS = 240
"""What takes a few seconds when nobody else needs the machine."""


class Up:
    """`log` is what it and its children printed."""

    def __init__(self, nightkey: Nightkey, process: ForkServerProcess, log: Path) -> None:
        self.nightkey = nightkey
        self.process = process
        self.log = log

    def wait_until(self, holds: Callable[[], bool], *, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert self.process.is_alive(), f"up ended by itself:\n{self.said()}"
            assert time.monotonic() < deadline, f"it did not come about in time:\n{self.said()}"
            time.sleep(0.1)

    def said(self) -> str:
        return self.log.read_text()

    def children(self, kind: str) -> list[int]:
        """Those that it has begun, the oldest first."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in listed if _command(child).endswith(kind)]

    def wait_until_ready(self, workers: int = 2) -> None:
        self.wait_until(lambda: self.said().count("worker.ready") >= workers and "beat.begun" in self.said())

    def stop(self, seconds: float = SECONDS) -> int | None:
        """Its exit status; None: it did not end in time."""
        self.process.terminate()
        self.process.join(seconds)
        return self.process.exitcode


@contextmanager
def run_up(nightkey: Nightkey, *words: str) -> Iterator[Up]:
    log = nightkey.home.parent / "up.log"
    with log.open("wb") as output, Path(os.devnull).open() as nothing:
        process = start_command(
            ["up", *words],
            [nothing.fileno(), output.fileno(), output.fileno()],
            environment=nightkey.environment,
            folder=str(nightkey.home.parent),
            begins_anew=nightkey.begins_anew,
        )
    try:
        yield Up(nightkey, process, log)
    finally:
        process.kill()
        process.join()


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    except OSError:
        return ""


def is_gone(pid: int) -> bool:
    """No such process any more, or only what its parent has not looked at yet."""
    try:
        return "Z (zombie)" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def ask(nightkey: Nightkey, query: str, *values: Any) -> list[Any]:
    """Rows of the vault's database, or what becomes of them."""
    with closing(sqlite3.connect(nightkey.home / "nightkey.db", timeout=120)) as connection, connection:
        return connection.execute(query, values).fetchall()


def apply_clockwork(nightkey: Nightkey, folder: Path) -> Callable[[], int]:
    """A workflow that runs every second by itself; what it gives counts its runs that ended."""
    nodes: list[dict[str, Any]] = [
        {"id": "start", "componentId": "schedule_trigger"},
        {"id": "keep", "componentId": "data_mapper", "mapping": {"a": "b"}},
    ]
    file = write_workflow(folder, "clockwork", nodes, schedule_type="interval", schedule_value="1 second")
    nightkey("workflow", "apply", str(file))
    return lambda: ask(nightkey, "SELECT count(*) FROM runs WHERE completed_at IS NOT NULL")[0][0]


def look_back(nightkey: Nightkey, *, seen: timedelta = timedelta(hours=1)) -> None:
    """As if the vault were ten days old and had been up since then, until so long ago."""
    now = datetime.now(UTC)
    made = f"{now - timedelta(days=10):%Y-%m-%d %H:%M:%S.%f}"
    ask(nightkey, "UPDATE deployment SET created_at = ?", made)
    ask(
        nightkey,
        "INSERT INTO signs_of_life VALUES ('sgn_before', 'worker', 'a-machine', 1, ?, ?, 60)",
        made,
        f"{now - seen:%Y-%m-%d %H:%M:%S.%f}",
    )


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
