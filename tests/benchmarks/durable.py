"""Durable steps a second beside DBOS Transact, on one PostgreSQL that waits for the disk, in one run.

A rotation without a target is a saga of recorded steps; beside it stands a DBOS workflow of as many, each of
which makes a short value. One by one, and by 16 threads of one process together.
"""

import argparse
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from sqlalchemy import func, select

from tests.benchmarks.grounds import open_grounds, open_vault
from tests.benchmarks.peers import why_missing
from tests.benchmarks.rotations import open_rotations, rotate
from tests.benchmarks.table import BenchRow, add_options, tell
from tests.postgres import create_database, show_for_sqlalchemy
from worker.bootstrap import Services
from worker.rows.tables import rotation_steps

_PEER = "dbos"
_WIDTH = 16
_WARM = 5
_PROFILED = 20


def at_once(do: Callable[[list[str]], object], about: Sequence[str]) -> None:
    """Side by side, each thread one part of them."""
    with ThreadPoolExecutor(_WIDTH) as pool:
        list(pool.map(do, [list(about[place::_WIDTH]) for place in range(_WIDTH)]))


def measure_ours(services: Services, number: int) -> tuple[int, dict[str, float]]:
    """Steps of one rotation, and steps a second."""
    at_once(partial(rotate, services), open_rotations(services, _WIDTH, prefix="warm"))
    taken = {}
    works: dict[str, Callable[[list[str]], object]] = {
        "one by one": partial(rotate, services),
        "together": partial(at_once, partial(rotate, services)),
    }
    for way, work in works.items():
        opened = open_rotations(services, number, prefix=way.replace(" ", "-"))
        taken[way] = _time(partial(work, opened))
    with services.database.read() as connection:
        steps = connection.execute(
            select(func.count()).select_from(rotation_steps).where(rotation_steps.c.rotation_id == opened[-1])
        ).scalar_one()
    return steps, {way: steps * number / each for way, each in taken.items()}


@contextmanager
def start_dbos(address: str) -> Iterator[Callable[[int], str]]:
    """A workflow of so many steps: called, it is done and recorded."""
    from dbos import DBOS, DBOSConfig  # noqa: PLC0415  # of the dependency group `bench`

    DBOS(
        config=DBOSConfig(
            name="bench", system_database_url=address, log_level="ERROR", sys_db_pool_size=_WIDTH + 4
        )
    )

    @DBOS.step()
    def make() -> str:
        return secrets.token_urlsafe(24)

    @DBOS.workflow()
    def work(steps: int) -> str:
        made = ""
        for _ in range(steps):
            made = make()
        return made

    logging.getLogger("dbos").setLevel(logging.ERROR)
    DBOS.launch()
    try:
        yield work
    finally:
        DBOS.destroy()


def measure_theirs(address: str, number: int, steps: int) -> dict[str, float]:
    """Steps a second."""
    with start_dbos(address) as work:

        def run(about: Sequence[object]) -> None:
            for _ in about:
                work(steps)

        works: dict[str, Callable[[list[str]], object]] = {"one by one": run, "together": partial(at_once, run)}
        at_once(run, [""] * _WIDTH)
        return {way: steps * number / _time(partial(do, [""] * number)) for way, do in works.items()}


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=100)
    add_options(parser)
    given = parser.parse_args()
    with ExitStack() as opened:
        folder, server = opened.enter_context(open_grounds())
        address = show_for_sqlalchemy(create_database(server.address, "vault"))
        services = opened.enter_context(open_vault(folder / "home", address))
        steps, ours = measure_ours(services, given.rotations)
        missing = why_missing(_PEER)
        theirs = (
            {} if missing else measure_theirs(create_database(server.address, "dbos"), given.rotations, steps)
        )
        rows = list[BenchRow]()
        for way, rate in ours.items():
            profiled = open_rotations(services, _PROFILED, prefix=f"profiled-{len(rows)}")
            rows.append(
                BenchRow(
                    work=f"durable steps of rotations, {steps} each, {way}", measure=rate, unit="a second",
                    beside=theirs.get(way), beside_what="DBOS Transact", at_least=None if missing else 1,
                    profile=partial(rotate, services, profiled),
                )
            )  # fmt: skip
        if missing:
            rows.append(BenchRow(work="durable steps beside DBOS Transact", skipped=missing))
        tell("durable", rows, write=given.write)


if __name__ == "__main__":
    main()
