"""How fast the audit log is written and verified, on both databases: rows appended one by one, in transactions
of 500 that reach the disk, and the whole chain walked once, by one process and as `nightkey audit verify` does:
with the help of others, which is worth their start in a long log alone.
"""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from tests.benchmarks.grounds import open_on_both
from tests.benchmarks.table import BenchRow, add_options, tell
from vaultcore.audit_processes import count_spare_processors
from worker.bootstrap import Services

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
_OF_ONE = 500
"""Rows of one transaction."""


def append(services: Services, number: int) -> None:
    for start in range(0, number, _OF_ONE):
        with services.database.write() as connection:
            for place in range(start, min(start + _OF_ONE, number)):
                services.audit.append(
                    connection,
                    at=NOW + timedelta(seconds=place),
                    actor="worker",
                    action="rotation.step",
                    subject=f"rot_{place:026d}",
                    item=f"prod-service-{place}",
                    step="activate",
                    state="activated",
                    number=place % 7,
                )


def verify(services: Services, processes: int = 0) -> int:
    with services.database.read() as connection:
        found = services.audit.verify(connection, processes=processes)
    assert found.whole, found.problems
    assert not found.lost
    return found.rows


def measure(name: str, services: Services, number: int) -> Iterator[BenchRow]:
    append(services, _OF_ONE)  # so that statements are built
    verify(services)
    began, spent = time.perf_counter(), time.process_time()
    append(services, number)
    taken, spent = time.perf_counter() - began, time.process_time() - spent
    yield BenchRow(
        work=f"{name}: audit rows appended, {_OF_ONE} in a transaction", measure=number / taken,
        unit="rows/s", at_least=50_000, profile=partial(append, services, number),
    )  # fmt: skip
    yield BenchRow(work=f"{name}: CPU of an appended audit row", measure=spent / number * 1_000_000, unit="us")
    began, spent = time.perf_counter(), time.process_time()
    rows = verify(services)
    taken, spent = time.perf_counter() - began, time.process_time() - spent
    yield BenchRow(work=f"{name}: CPU of a verified audit row", measure=spent / rows * 1_000_000, unit="us")
    yield BenchRow(work=f"{name}: audit rows verified by one process", measure=rows / taken, unit="rows/s")
    processes = count_spare_processors()
    began = time.perf_counter()
    verify(services, processes)
    taken = time.perf_counter() - began
    yield BenchRow(
        work=f"{name}: audit rows verified, with {processes} more process{'' if processes == 1 else 'es'}",
        measure=rows / taken, unit="rows/s", at_least=500_000, profile=partial(verify, services, processes),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    add_options(parser)
    given = parser.parse_args()
    with open_on_both(lambda: NOW) as vaults:
        rows = [row for name, services in vaults.items() for row in measure(name, services, given.rows)]
        tell("audit", rows, write=given.write)


if __name__ == "__main__":
    main()
