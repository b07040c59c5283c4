"""What a scan costs beside the bare select of what is due, on both databases, in one run on the same rows.

`--items` are those of the large vault, of which one in a hundred is due, and has a stale reference; documented
figures are of 1,000,000. Beside it stand a vault with a tenth of the items and as many due, and one that is a
tenth in all. `--write PAGE` puts the table into a page.
"""

import argparse
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import insert

from tests.benchmarks.table import BenchRow, add_options, measure_peak, take_in_turn, tell
from tests.postgres import create_database, show_for_sqlalchemy, start_postgres
from vaultcore.database import Database
from vaultcore.model import Mode, Policy
from vaultcore.rows import policy_to_json
from vaultcore.tables import items, references, versions
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.limits import Caps, CapsLeft
from worker.installation import initialise
from worker.services.night.due import walk_due
from worker.services.night.stale import walk_stale

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
PAGE = 500
ONE_DUE_IN = 100
POLICIES = 20
"""So many that are not the same."""
_AT_ONCE = 10_000
_ROOM_FOR_ALL = Caps(night=10**9, target=10**9)
_BARE = "SELECT * FROM items WHERE due_at <= {0} AND (due_at, id) > ({0}, {0}) ORDER BY due_at, id LIMIT {1}"


@dataclass(frozen=True)
class Vault:
    services: Services
    number: int
    due: int
    driver: Any
    """A connection of the driver alone."""

    def bare(self) -> int:
        """What is due, page by page, by the driver alone: every column as it comes."""
        if self.services.database.is_sqlite:
            stamp = NOW.replace(tzinfo=None).isoformat(" ") + ".000000"
            return self._page(_BARE.format("?", PAGE), stamp, "2000-01-01 00:00:00.000000")
        return self._page(_BARE.format("%s", PAGE), NOW, datetime(2000, 1, 1, tzinfo=UTC))

    def _page(self, sql: str, now: object, earliest: object) -> int:
        seen, last = 0, (earliest, "")
        names: list[str] = []
        while True:
            cursor = self.driver.execute(sql, (now, *last))
            rows = cursor.fetchall()
            seen += len(rows)
            if len(rows) < PAGE:
                return seen
            names = names or [column[0] for column in cursor.description]
            last = (rows[-1][names.index("due_at")], rows[-1][names.index("id")])

    def decide(self) -> int:
        return walk_all_due(self.services.database)

    def find_stale(self) -> int:
        return walk_all_stale(self.services.database)

    def sweep_again(self) -> int:
        assert self.services.night.nights.begin(NOW) is None
        return self.due


def walk_all_due(database: Database, caps: Caps = _ROOM_FOR_ALL) -> int:
    caps_left = CapsLeft(caps=caps)
    with database.read() as connection:
        pages = walk_due(connection, NOW, page_size=PAGE, caps_left=caps_left, freezes=())
        return sum(len(page) for page in pages)


def walk_all_stale(database: Database) -> int:
    with database.read() as connection:
        return sum(len(page) for page in walk_stale(connection, NOW, page_size=PAGE))


@contextmanager
def make_vault(folder: Path, address: str, number: int, due: int) -> Iterator[Vault]:
    """`number` items, of which `due` are due; each is used by a workflow, those that are due by a stale one."""
    settings = load_settings(folder, database_url=address)
    initialise(settings, lambda: NOW)
    services = Services(settings, lambda: NOW)
    try:
        for start in range(0, number, _AT_ONCE):
            rows = range(start, min(start + _AT_ONCE, number))
            with services.database.write() as connection:
                connection.execute(insert(items), [_item(n, due) for n in rows])
                connection.execute(insert(versions), [_version(n, due) for n in rows])
                connection.execute(insert(references), [_reference(n, due) for n in rows])
        with services.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
        url = services.database.engine.url
        with closing(
            sqlite3.connect(str(url.database))
            if services.database.is_sqlite
            else psycopg.connect(address.replace("+psycopg", ""), autocommit=True)
        ) as driver:
            yield Vault(services, number, due, driver)
    finally:
        services.close()


def _expiry(n: int, due: int) -> datetime:
    return NOW + timedelta(days=5 if n < due else 200, seconds=n % 86_400)


def _item(n: int, due: int) -> dict[str, object]:
    expires_at = _expiry(n, due)
    policy = Policy(mode=Mode.AUTO, rotator="random", stated=True, settings={"length": 20 + n % POLICIES})
    return {
        "id": f"vlt_{n:026d}", "name": f"prod-service-{n}", "kind": "secret", "policy": policy_to_json(policy),
        "overlap_seconds": 86400, "idle_seconds": 7776000, "hygiene": "", "expires_at": expires_at,
        "due_at": expires_at - timedelta(days=14), "created_at": NOW, "updated_at": NOW, "mode": "auto",
        "rotator": "random", "life_seconds": None, "copy_of": None,
    }  # fmt: skip


def _version(n: int, due: int) -> dict[str, object]:
    return {
        "item_id": f"vlt_{n:026d}", "number": 2, "stage": "current", "created_at": NOW,
        "activated_at": NOW - timedelta(days=30), "expires_at": _expiry(n, due), "external": {},
        "key_id": "key", "wrapped_key": b"wrapped", "record": b"sealed",
    }  # fmt: skip


def _reference(n: int, due: int) -> dict[str, object]:
    return {
        "consumer": "workflow", "consumer_id": f"fl_{n:026d}", "consumer_name": f"workflow {n}",
        "active": True, "node_id": "call", "written": f"prod-service-{n}", "item_id": f"vlt_{n:026d}",
        "last_version": 1 if n < due else 2, "current_version": 2, "idle_at": NOW + timedelta(days=60),
    }  # fmt: skip


def measure(name: str, large: Vault, small: Vault, tenth: Vault, *, runs: int) -> Iterator[BenchRow]:
    """`small` has as many due as `large`, among a tenth of its items; of `tenth` all is a tenth."""
    for vault in (large, small, tenth):
        for work in (vault.bare, vault.decide, vault.find_stale):
            assert work() == vault.due, work
    works: dict[str, Callable[[], object]] = {
        "bare": large.bare, "due": large.decide, "due of a tenth": small.decide,
        "stale": large.find_stale, "stale of a tenth": small.find_stale,
    }  # fmt: skip
    taken = take_in_turn(works, runs=runs)
    due = f"{large.due:,} due"
    yield BenchRow(
        work=f"{name}: {due}, decided", measure=taken["due"], beside=taken["bare"], at_most=3.5,
        beside_what="bare select in pages", profile=large.decide,
    )  # fmt: skip
    yield BenchRow(
        work=f"{name}: the same due, ten times the items", measure=taken["due"], at_most=1.3,
        beside=taken["due of a tenth"], beside_what="a tenth of the items", profile=large.decide,
    )  # fmt: skip
    yield BenchRow(
        work=f"{name}: the same stale, ten times the references", measure=taken["stale"], at_most=1.3,
        beside=taken["stale of a tenth"], beside_what="a tenth of them", profile=large.find_stale,
    )  # fmt: skip
    whole, part = (measure_memory(vault) for vault in (large, tenth))
    yield BenchRow(
        work=f"{name}: memory of the walks, beyond that for a tenth",
        measure=whole - part,
        unit="MiB",
        at_most=10,
    )
    large.services.night.nights.begin(NOW)
    again = take_in_turn({"bare": large.bare, "again": large.sweep_again}, runs=runs)
    yield BenchRow(
        work=f"{name}: second sweep of the same night", measure=again["again"], at_most=1.5,
        beside=again["bare"], beside_what="bare select in pages", profile=large.sweep_again,
    )  # fmt: skip


def measure_memory(vault: Vault) -> float:
    """The most that a process of its own held, in MiB, which does nothing but both walks."""
    url = vault.services.database.engine.url.render_as_string(hide_password=False)
    asked = [sys.executable, "-m", "tests.benchmarks.scan", "--walk", url]
    return float(subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout)


def walk_alone(url: str) -> None:
    database = Database(url)
    walk_all_due(database)
    walk_all_stale(database)
    print(measure_peak())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000, help="items of the large vault")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--walk", metavar="URL", help="walk over that vault, and say how much memory it took")
    add_options(parser)
    given = parser.parse_args()
    if given.walk:
        walk_alone(given.walk)
        return
    number, due = given.items, given.items // ONE_DUE_IN
    sizes = {"large": (number, due), "small": (number // 10, due), "tenth": (number // 10, due // 10)}
    rows: list[BenchRow] = []
    with ExitStack() as open_ones:
        folder = Path(open_ones.enter_context(tempfile.TemporaryDirectory(prefix="nightkey-bench-")))
        server = open_ones.enter_context(start_postgres())
        for name in ("SQLite", "PostgreSQL"):
            vaults = []
            for size, (all_items, due_items) in sizes.items():
                address = ""
                if name != "SQLite":
                    address = show_for_sqlalchemy(create_database(server, f"bench_{size}"))
                made = make_vault(folder / name / size, address, all_items, due_items)
                vaults.append(open_ones.enter_context(made))
            rows += measure(name, *vaults, runs=given.runs)
        tell("scan", rows, write=given.write)


if __name__ == "__main__":
    main()
