"""What a rotation costs that asks nobody outside, in one process, on both databases: one after the other, and
side by side as a night drives them.

Beside it stands the bare driver: it writes the same rows by the same statements, with as many commits that
reach the disk, and seals and opens as many values. Counts of commits and statements are the same on every
machine. `--write PAGE` puts the table into a page.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event, func, select

from tests.benchmarks.grounds import open_vault, start_durable_postgres
from tests.benchmarks.table import BenchRow, add_options, tell
from tests.postgres import create_database, run_sql, show_for_sqlalchemy, wait_until_left
from vaultcore.crypto.envelope import Binding, open_sealed, seal
from vaultcore.model import Consumers, Mode, Policy
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.rows.rotations import get_rotation

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
_WARM = 3
_PROFILED = 20
_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")
"""`WITH`: on PostgreSQL, two writes that are one statement."""
_VALUES = 3
"""How many values a rotation opens, beside the one that it seals."""


@dataclass
class Written:
    """What rotations sent to the database: its writes in order (None: a commit), and all statements' number."""

    writes: list[tuple[str, Any, bool] | None] = field(default_factory=list)
    statements: int = 0

    @property
    def commits(self) -> int:
        return self.writes.count(None)


def watch(services: Services, written: Written) -> Callable[[], None]:
    """Notes what is sent from now on; what it returns ends that."""
    engine = services.database.engine

    def see(_connection: Any, _cursor: Any, statement: str, given: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("BEGIN", "PRAGMA")):
            return
        written.statements += 1
        if statement.lstrip().startswith(_WRITES):
            written.writes.append((statement, given, many))

    def commit(_connection: Any) -> None:
        written.writes.append(None)

    event.listen(engine, "before_cursor_execute", see)
    event.listen(engine, "commit", commit)

    def end() -> None:
        event.remove(engine, "before_cursor_execute", see)
        event.remove(engine, "commit", commit)

    return end


def open_rotations(services: Services, number: int, *, prefix: str = "prod-service") -> list[str]:
    """Items whose value is made here, each with a rotation that a person asked for."""
    policy = Policy(
        mode=Mode.AUTO, rotator="random", stated=True, consumers=Consumers.NONE, lead=timedelta(days=14)
    )
    opened = []
    for place in range(number):
        with services.database.write() as connection:
            created = services.vault.create(
                connection,
                name=f"{prefix}-{place}",
                value=Secret(f"the first value of {prefix}-{place}"),
                owner_ids=(services.owners.get(connection, "operators").id,),
                expires_at=services.clock() + timedelta(days=3),
                policy=policy,
                actor="bench",
            )
        opened.append(services.rotation.opening.request(created.item.id, asked_by="bench").id)
    return opened


def rotate(services: Services, rotation_ids: list[str]) -> None:
    for rotation_id in rotation_ids:
        advanced = services.rotation.rotations.drive(rotation_id)
        assert advanced is not None
        assert advanced.rotation.state is State.WATCHING, advanced.rotation.state


def rotate_side_by_side(services: Services, rotation_ids: list[str]) -> None:
    """They are all that is due."""
    services.rotation.side_by_side.drive_all(tell=lambda _: None, stopped=lambda: False)
    with services.database.read() as connection:
        states = {get_rotation(connection, one).state for one in rotation_ids}
    assert states == {State.WATCHING}, states


@dataclass(frozen=True, kw_only=True)
class Spent:
    """For each rotation: seconds by the clock and of CPU, and what was sent."""

    seconds: float
    cpu: float
    written: Written


def spend(services: Services, rotation_ids: list[str], rotate: Callable[[Services, list[str]], None]) -> Spent:
    written = Written()
    end = watch(services, written)
    began, spent = time.perf_counter(), time.process_time()
    rotate(services, rotation_ids)
    spent, taken = time.process_time() - spent, time.perf_counter() - began
    end()
    number = len(rotation_ids)
    return Spent(seconds=taken / number, cpu=spent / number, written=written)


def replay(driver: Any, written: Written, services: Services, number: int) -> None:
    """The writes of so many rotations, by the driver alone, and the work on their values."""
    key = services.keyring.active
    binding = Binding(deployment_id=services.deployment_id, subject_id="item", version=2, purpose="item-value")
    for _ in range(number):
        sealed = seal(Secret("a value of some twenty signs"), key=key, binding=binding)
        for _ in range(_VALUES):
            open_sealed(sealed, key=key, binding=binding)
    cursor = driver.cursor()
    begin = "BEGIN IMMEDIATE" if isinstance(driver, sqlite3.Connection) else "BEGIN"
    cursor.execute(begin)
    for write in written.writes:
        if write is None:
            cursor.execute("COMMIT")
            cursor.execute(begin)
        else:
            statement, given, many = write
            (cursor.executemany if many else cursor.execute)(statement, given)
    cursor.execute("COMMIT")


def count_audit_rows(services: Services) -> int:
    with services.database.read() as connection:
        return connection.execute(select(func.count()).select_from(audit)).scalar_one()


def measure(
    name: str, services: Services, driver: Any, number: int, before: Callable[[], None]
) -> Iterator[BenchRow]:
    """`before` keeps the vault as it is for the driver, once all rotations are open."""
    opened = open_rotations(services, number + _WARM)
    rotate(services, opened[:_WARM])
    before()
    recorded = count_audit_rows(services)
    each = spend(services, opened[_WARM:], rotate)
    recorded = count_audit_rows(services) - recorded
    with closing(driver()) as bare:
        began = time.perf_counter()
        replay(bare, each.written, services, number)
        alone = time.perf_counter() - began
    beside = spend(services, open_rotations(services, number, prefix="side-by-side"), rotate_side_by_side)
    work = f"{name}: rotation without target or consumers"
    again = partial(rotate, services, open_rotations(services, _PROFILED, prefix="profiled"))
    yield BenchRow(
        work=work, measure=1 / each.seconds, beside=number / alone, unit="a second",
        beside_what="bare driver, the same writes and commits", at_least=0.25, profile=again,
    )  # fmt: skip
    for way, spent in ((work, each), (f"{work}, side by side", beside)):
        yield BenchRow(work=f"{way}: CPU of each", measure=spent.cpu * 1000, at_most=6, profile=again)
        for what, count, bar in (
            ("commits", spent.written.commits, 4), ("statements", spent.written.statements, 40),
        ):  # fmt: skip
            yield BenchRow(work=f"{way}: {what}", measure=count / number, unit="", at_most=bar, profile=again)
    yield BenchRow(work=f"{work}, side by side", measure=1 / beside.seconds, unit="a second")
    yield BenchRow(work=f"{work}: audit rows", measure=recorded / number, unit="")


@contextmanager
def on_sqlite(folder: Path, number: int) -> Iterator[list[BenchRow]]:
    """Until the block ends the vault is there, for the profile of what was missed."""
    kept = folder / "kept.db"
    with open_vault(folder / "on_sqlite", clock=lambda: NOW) as services:

        def keep() -> None:
            with (
                closing(sqlite3.connect(folder / "on_sqlite" / "nightkey.db")) as now,
                closing(sqlite3.connect(kept)) as copy,
            ):
                now.backup(copy)

        def connect() -> sqlite3.Connection:
            driver = sqlite3.connect(kept, isolation_level=None)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                driver.execute(f"PRAGMA {pragma}")
            return driver

        yield list(measure("SQLite", services, connect, number, keep))


@contextmanager
def on_postgresql(folder: Path, number: int) -> Iterator[list[BenchRow]]:
    """As above."""
    with start_durable_postgres() as server:
        address = create_database(server.address, "vault")
        shown = show_for_sqlalchemy(address)
        with open_vault(folder / "on_postgresql", shown, clock=lambda: NOW) as services:

            def keep() -> None:
                services.database.dispose()
                wait_until_left(shown)
                run_sql(server.address, "CREATE DATABASE kept TEMPLATE vault")

            def connect() -> Any:
                return psycopg.connect(address.replace("/vault", "/kept"), autocommit=True)

            yield list(measure("PostgreSQL", services, connect, number, keep))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=300)
    add_options(parser)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-bench-", dir="/var/tmp") as folder,
        on_sqlite(Path(folder), given.rotations) as rows,
        on_postgresql(Path(folder), given.rotations) as others,
    ):
        tell("rotations", rows + others, write=given.write)


if __name__ == "__main__":
    main()
