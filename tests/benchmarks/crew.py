"""Worker processes as an operator starts them, the messages that they get, and the wait until all rests."""

import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, update

from worker.app import make_app
from worker.bootstrap import Services
from worker.broker.sealing import Seals
from worker.domain.messages import name_of
from worker.domain.saga import State
from worker.domain.work import after_night
from worker.rows.tables import rotations

_READY = "worker.ready"
_PATIENCE = 600.0
_LOOK_SECONDS = 0.02
_LOOK_SECONDS_MAX = 0.5
_GOOD = frozenset({State.WATCHING.value, State.DONE.value})
_ENDED_BADLY = frozenset({State.STUCK.value, State.ROLLED_BACK.value, State.CANCELLED.value})


@dataclass(frozen=True)
class Crew:
    pid: int
    """Of the `up` that has begun them."""

    def cpu_seconds(self) -> float:
        """What its workers have worked so far, all together."""
        spent = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text("utf-8").rpartition(")")[2].split()
                spent += (int(fields[11]) + int(fields[12])) * (int(fields[1]) == self.pid)
        return spent / os.sysconf("SC_CLK_TCK")


@contextmanager
def start_workers(home: Path, log: Path, number: int, settings: Mapping[str, str]) -> Iterator["Crew"]:
    """So many processes that take messages, all of them ready. `settings` by their names, without prefix."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    ours = {f"NIGHTKEY_{name.upper()}": value for name, value in settings.items()}
    environment = kept | ours | {"HOME": str(home), "NIGHTKEY_HOME": str(home)}
    environment |= {"NIGHTKEY_CONCURRENCY": str(number), "NIGHTKEY_LISTEN": ""}
    with (
        log.open("wb") as written,
        subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "up", "--only", "worker"],
            env=environment, stdout=written, stderr=written,
        ) as process,
    ):  # fmt: skip
        try:
            until = time.monotonic() + _PATIENCE
            while log.read_text("utf-8").count(_READY) < number:
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < until, log.read_text("utf-8")
                time.sleep(_LOOK_SECONDS)
            yield Crew(process.pid)
        finally:
            process.terminate()


def put_off(services: Services, rotation_ids: Collection[str], until: datetime) -> None:
    """None of them is due before that time: a worker that looks for work by itself finds none of them."""
    with services.database.write() as connection:
        connection.execute(
            update(rotations).where(rotations.c.id.in_(list(rotation_ids))).values(next_at=until)
        )


def ring_each(services: Services, rotation_ids: Sequence[str]) -> None:
    """As a night calls for them."""
    seals = Seals(services.keyring, deployment_id=services.deployment_id, clock=services.clock)
    app = make_app(services.settings, seals)
    for work in after_night(rotation_ids, [], at_once=services.rotation.side_by_side.at_once):
        app.send_task(name_of(work.task), args=[work.about] if work.about else [])


def wait_for_rest(services: Services, rotation_ids: Collection[str]) -> None:
    """Until each of them watches or is done. One that cannot come to that ends the benchmark. The more are left
    the more rarely it looks: that takes time from those that work.
    """
    wanted, until = set(rotation_ids), time.monotonic() + _PATIENCE
    asked = select(rotations.c.state, func.count()).where(rotations.c.id.in_(wanted))
    while True:
        with services.database.read() as connection:
            found = connection.execute(asked.group_by(rotations.c.state)).all()
        states = {row[0]: row[1] for row in found}
        assert not states.keys() & _ENDED_BADLY, states
        left = len(wanted) - sum(number for state, number in states.items() if state in _GOOD)
        if not left:
            return
        assert time.monotonic() < until, states
        time.sleep(min(_LOOK_SECONDS * left / 2, _LOOK_SECONDS_MAX))
