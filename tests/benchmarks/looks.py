"""What a worker looks through beside what it rotates, on both databases: all that is due, where that is more
than its caps allow, beside the bare select; every row, for damage; and, before an old value goes, what the
documents of all workflows name.

The caps let a twentieth of what is due begin, as the 500 of `night_cap` do where 10,000 are due. What is due is
walked twice then: to find out whose turn it is, and to say of each what is done with it. CPU is that of this
process alone: what PostgreSQL takes is not among it. `--write PAGE` puts the table into a page.
"""

import argparse
import gc
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import insert

from tests.benchmarks.scan import NOW, ONE_DUE_IN, Vault, make_vault, walk_all_due
from tests.benchmarks.table import BenchRow, add_options, take_in_turn, tell
from tests.postgres import create_database, show_for_sqlalchemy, start_postgres
from vaultcore.database import Database
from worker.domain.limits import Caps
from worker.rows.tables import workflows
from worker.services.night.unreadable import walk_unreadable
from worker.services.rotation.document_uses import DocumentUses

_SHARE = 20
_RUNS_OF_ALL = 3
_WORKFLOWS = 2000
_AT_ONCE = 500


def walk_all_unreadable(database: Database) -> int:
    """Through every row, whatever is due."""
    with database.read() as connection:
        return sum(1 for _ in walk_unreadable(connection, NOW, lambda: NOW))


def spend_in_turn(works: Mapping[str, Callable[[], object]], *, runs: int) -> dict[str, float]:
    """Median milliseconds of CPU of each, the works taken in turn."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            began = time.process_time()
            work()
            spent[name].append((time.process_time() - began) * 1000)
    return {name: statistics.median(times) for name, times in spent.items()}


def measure(name: str, vault: Vault, runs: int) -> Iterator[BenchRow]:
    database, cap = vault.services.database, vault.due // _SHARE
    within = partial(walk_all_due, database, Caps(night=cap, target=cap))
    for work in (vault.bare, vault.decide, within):
        assert work() == vault.due, work
    works: dict[str, Callable[[], object]] = {"bare": vault.bare, "due": vault.decide, "within": within}
    spent = spend_in_turn(works, runs=runs)
    for which, said in (("due", "caps have room for all"), ("within", f"caps have room for {cap:,}")):
        yield BenchRow(
            work=f"{name}: {vault.due:,} due, decided, {said}: CPU", measure=spent[which],
            beside=spent["bare"], beside_what="bare select in pages",
        )  # fmt: skip
    assert walk_all_unreadable(database) == 0
    look = take_in_turn({"look": partial(walk_all_unreadable, database)}, runs=_RUNS_OF_ALL)["look"]
    yield BenchRow(
        work=f"{name}: the look for damaged rows, of each of {vault.number:,} items",
        measure=look * 1000 / vault.number,
        unit="us",
    )


def measure_documents(name: str, database: Database) -> Iterator[BenchRow]:
    """The first look of a process reads every document, each later one those that have changed: here none."""
    for start in range(0, _WORKFLOWS, _AT_ONCE):
        with database.write() as connection:
            connection.execute(insert(workflows), [_workflow(n) for n in range(start, start + _AT_ONCE)])
    uses = DocumentUses(clock=_Hours().tell)
    spent = []
    for _ in range(1 + _RUNS_OF_ALL):
        began = time.process_time()
        uses.look_ahead(database)
        spent.append((time.process_time() - began) * 1_000_000 / _WORKFLOWS)
    for which, cpu in (("first look", spent[0]), ("each later look", statistics.median(spent[1:]))):
        yield BenchRow(
            work=f"{name}: documents of {_WORKFLOWS:,} workflows, {which} of a process, of each: CPU",
            measure=cpu,
            unit="us",
        )
    tracemalloc.start()
    kept = DocumentUses(clock=_Hours().tell)
    kept.look_ahead(database)
    gc.collect()
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield BenchRow(
        work=f"{name}: documents of {_WORKFLOWS:,} workflows, kept by a process, of each: memory",
        measure=memory / _WORKFLOWS / 1000,
        unit="kB",
    )
    del kept


class _Hours:
    """A clock that is an hour later whenever it is looked at."""

    def __init__(self) -> None:
        self._now = NOW

    def tell(self) -> datetime:
        self._now += timedelta(hours=1)
        return self._now


def _workflow(n: int) -> dict[str, object]:
    call: dict[str, object] = {
        "componentId": "webhook",
        "url": "https://api.example.com/v1/account",
        "method": "GET",
    }
    call["headers"] = {"Authorization": f"Bearer {{{{ vault.prod-service-{n} }}}}"}
    document = {
        "name": f"sync-{n}",
        "nodes": [
            {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
            {"id": "call", "type": "action", "data": call},
        ],
        "edges": [{"id": "e1", "source": "start", "target": "call"}],
    }
    return {
        "id": f"fl_{n:026d}", "name": f"sync-{n}", "document": json.dumps(document), "runs": "here",
        "active": True, "schedule_type": "manual", "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=9)
    add_options(parser)
    given = parser.parse_args()
    rows: list[BenchRow] = []
    with tempfile.TemporaryDirectory(prefix="nightkey-bench-") as folder, start_postgres() as server:
        addresses = {"SQLite": "", "PostgreSQL": show_for_sqlalchemy(create_database(server, "looks"))}
        for name, address in addresses.items():
            with make_vault(Path(folder) / name, address, given.items, given.items // ONE_DUE_IN) as vault:
                rows += measure(name, vault, given.runs)
                rows += measure_documents(name, vault.services.database)
        tell("looks", rows, write=given.write)


if __name__ == "__main__":
    main()
