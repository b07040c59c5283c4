"""What happens to machines, broker and database, each for a while: the soak chooses by chance.

Hours are seconds here. A lease ends after `LEASE_SECONDS`, beat rings each second, and a night is due each
`NIGHT_SECONDS`: so what is away for half a minute is away for longer than the lease, than thirty rings and than
a night, as in a vault with the usual settings what is away for more than a day.
"""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.soak.brokers import Broker, choose_forged
from tests.faults.soak.machines import Machine, is_there, send, wait_until
from tests.forged import Sealer
from tests.postgres import Server
from worker.broker.queues import QUEUES

LEASE_SECONDS = 3
NIGHT_SECONDS = 15


class Part(StrEnum):
    """What a trouble is about: one trouble at a time for each."""

    BROKER = "broker"
    DATABASE = "database"
    WORKERS = "workers"
    BEAT = "beat"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that may be hurt. `first` and `second` work; `spare` is another beat, begun by a trouble alone."""

    first: Machine
    second: Machine
    spare: Machine
    broker: Broker
    vault: Sealer
    database: Server | None
    dice: random.Random

    def choose_worker(self) -> int | None:
        found = self.first.workers() + self.second.workers()
        return self.dice.choice(found) if found else None


Happens = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """`seconds`: how long it lasts, at least and at most."""

    name: str
    part: Part
    happens: Happens
    seconds: tuple[float, float] = (0, 0)
    weight: float = 1


@contextmanager
def _broker_away(scene: Scene) -> Iterator[None]:
    scene.broker.stop()
    try:
        yield
    finally:
        scene.broker.start()


@contextmanager
def _broker_begun_anew(scene: Scene) -> Iterator[None]:
    """As when its disk was lost."""
    scene.broker.stop()
    scene.broker.forget()
    scene.broker.start()
    yield


@contextmanager
def _broker_emptied(scene: Scene) -> Iterator[None]:
    scene.broker.empty()
    yield


@contextmanager
def _forged(scene: Scene) -> Iterator[None]:
    for message in choose_forged(scene.dice, scene.vault):
        scene.broker.put(scene.dice.choice(sorted(QUEUES.values())), message)
    yield


def _database_away(how: signal.Signals) -> Happens:
    @contextmanager
    def happen(scene: Scene) -> Iterator[None]:
        assert scene.database is not None
        scene.database.stop(how)
        try:
            yield
        finally:
            scene.database.start()

    return happen


@contextmanager
def _worker_stopped(scene: Scene) -> Iterator[None]:
    """All of a sudden, in whatever it is at, as when its machine sleeps; it goes on where it was."""
    pid = scene.choose_worker()
    if pid is not None:
        send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if pid is not None:
            send(pid, signal.SIGCONT)


@contextmanager
def _worker_killed(scene: Scene) -> Iterator[None]:
    pid = scene.choose_worker()
    if pid is not None:
        send(pid, signal.SIGKILL)
    yield


@contextmanager
def _workers_restarted(scene: Scene) -> Iterator[None]:
    """One after the other; it finishes what it is at, and `up` begins another."""
    for machine in (scene.first, scene.second):
        for pid in machine.workers():
            if send(pid, signal.SIGTERM) and not wait_until(lambda pid=pid: not is_there(pid)):  # type: ignore[misc]
                machine.wrongs.append(f"{machine.name}: a worker did not end after SIGTERM")
    yield


@contextmanager
def _machines_restarted(scene: Scene) -> Iterator[None]:
    for machine in (scene.first, scene.second):
        machine.stop()
        machine.begin()
    yield


@contextmanager
def _second_beat(scene: Scene) -> Iterator[None]:
    scene.spare.begin()
    try:
        yield
    finally:
        scene.spare.stop()


TROUBLES = (
    Trouble(name="broker away", part=Part.BROKER, happens=_broker_away, seconds=(5, 30)),
    Trouble(name="broker restarted", part=Part.BROKER, happens=_broker_away),
    Trouble(name="broker emptied", part=Part.BROKER, happens=_broker_emptied),
    Trouble(name="broker begun anew", part=Part.BROKER, happens=_broker_begun_anew),
    Trouble(name="messages forged", part=Part.BROKER, happens=_forged),
    Trouble(name="database restarted", part=Part.DATABASE, happens=_database_away(signal.SIGINT)),
    Trouble(
        name="database crashed", part=Part.DATABASE, happens=_database_away(signal.SIGQUIT), seconds=(0, 8)
    ),
    Trouble(name="worker stopped", part=Part.WORKERS, happens=_worker_stopped, seconds=(LEASE_SECONDS + 2, 12)),
    Trouble(
        name="worker stopped for long", part=Part.WORKERS, happens=_worker_stopped, seconds=(35, 45), weight=0.3
    ),
    Trouble(name="worker killed", part=Part.WORKERS, happens=_worker_killed),
    Trouble(name="workers told to end in turn", part=Part.WORKERS, happens=_workers_restarted, weight=0.7),
    Trouble(name="machines restarted in turn", part=Part.WORKERS, happens=_machines_restarted, weight=0.7),
    Trouble(name="second beat", part=Part.BEAT, happens=_second_beat, seconds=(5, 30)),
)
"""Where the database is a file, it cannot be restarted."""


def choose_trouble(dice: random.Random, busy: set[Part], *, has_server: bool) -> Trouble | None:
    """None: all of it is in trouble already."""
    free = [one for one in TROUBLES if one.part not in busy and (has_server or one.part is not Part.DATABASE)]
    return dice.choices(free, [one.weight for one in free])[0] if free else None
