"""How the scan's time grows: with what is due, not with what is stored. `make bench` prints the ratios.

Builds vaults of 10,000 and 100,000 items (the same 1,000 due, 1,000 stale references) on SQLite and
times, in one run and in turn: a bare select of what is due, and the scan's own walks.
"""

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from vaultcore.database import Database
from vaultcore.model import Mode, Policy
from vaultcore.rows import policy_to_json
from vaultcore.tables import items, references, versions
from worker.domain.limits import Caps, Room
from worker.services.night.due import walk_due
from worker.services.night.stale import walk_stale

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DUE = 1_000
PAGE = 500
ROOM = Room(caps=Caps(night=DUE, target=DUE))


def build(folder: Path, number: int) -> Database:
    """A vault of `number` items, of which `DUE` are due; each is used by a workflow, `DUE` of them stale."""
    database = Database(f"sqlite:///{folder / f'{number}.db'}")
    database.migrate()
    policy = policy_to_json(Policy(mode=Mode.AUTO, rotator="random", stated=True))
    for start in range(0, number, 10_000):
        rows = range(start, min(start + 10_000, number))
        with database.write() as connection:
            connection.execute(insert(items), [_item(n, policy) for n in rows])
            connection.execute(insert(versions), [_version(n) for n in rows])
            connection.execute(insert(references), [_reference(n) for n in rows])
    return database


def _item(n: int, policy: dict[str, object]) -> dict[str, object]:
    expires_at = NOW + timedelta(days=5 if n < DUE else 200, seconds=n)
    return {
        "id": f"vlt_{n:026d}", "name": f"prod-service-{n}", "kind": "secret", "policy": policy,
        "overlap_seconds": 86400, "idle_seconds": 7776000, "hygiene": "", "expires_at": expires_at,
        "due_at": expires_at - timedelta(days=14), "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip


def _version(n: int) -> dict[str, object]:
    return {
        "item_id": f"vlt_{n:026d}", "number": 2, "stage": "current", "created_at": NOW,
        "activated_at": NOW - timedelta(days=30), "external": {},
    }  # fmt: skip


def _reference(n: int) -> dict[str, object]:
    return {
        "consumer": "workflow", "consumer_id": f"fl_{n:026d}", "consumer_name": f"workflow {n}",
        "active": True, "node_id": "call", "written": f"prod-service-{n}", "item_id": f"vlt_{n:026d}",
        "last_version": 1 if n < DUE else 2, "current_version": 2, "idle_at": NOW + timedelta(days=60),
    }  # fmt: skip


def measure(works: dict[str, Callable[[], int]], runs: int) -> dict[str, float]:
    """Median milliseconds of each, the works taken in turn, so that a noisy moment meets them all."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            began = time.perf_counter()
            assert work() == DUE, name
            taken[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000, help="items in the smaller vault")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightkey-bench-") as name:
        small, large = build(Path(name), given.items), build(Path(name), given.items * 10)
        bare = sqlite3.connect(Path(name) / f"{given.items * 10}.db")

        def select_bare() -> int:
            sql = "SELECT * FROM items WHERE due_at <= ? ORDER BY due_at, id LIMIT ? OFFSET ?"
            stamp = NOW.replace(tzinfo=None).isoformat(" ") + ".000000"
            return sum(len(bare.execute(sql, (stamp, PAGE, at)).fetchall()) for at in range(0, DUE, PAGE))

        def due(database: Database) -> Callable[[], int]:
            def work() -> int:
                with database.read() as connection:
                    return sum(
                        len(page) for page in walk_due(connection, NOW, page_size=PAGE, room=ROOM, freezes=())
                    )

            return work

        def stale(database: Database) -> Callable[[], int]:
            def work() -> int:
                with database.read() as connection:
                    return sum(len(page) for page in walk_stale(connection, NOW, page_size=PAGE))

            return work

        taken = measure(
            {
                "bare select": select_bare, "due": due(small), "due, ten times the items": due(large),
                "stale": stale(small), "stale, ten times the items": stale(large),
            },
            given.runs,
        )  # fmt: skip
        bare.close()
        for database in (small, large):
            database.dispose()
    ratios = {
        "scan and decide / bare select": taken["due, ten times the items"] / taken["bare select"],
        "ten times the items": taken["due, ten times the items"] / taken["due"],
        "stale, ten times the items": taken["stale, ten times the items"] / taken["stale"],
    }
    if given.json:
        print(json.dumps({"milliseconds": taken, "ratios": ratios}))
        return
    for name, milliseconds in taken.items():
        print(f"{name:<28} {milliseconds:8.1f} ms")
    for name, ratio in ratios.items():
        print(f"{name:<28} {ratio:8.2f} times")


if __name__ == "__main__":
    main()
