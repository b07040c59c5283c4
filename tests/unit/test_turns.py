"""Writers of one SQLite file come one after the other: who has just written stands behind who waits already."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from vaultcore import turns
from vaultcore.database import Database
from vaultcore.schema import migrate

FOR_EVER = 600.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'vault.db'}")
    migrate(database)
    yield database
    database.dispose()


@contextmanager
def hold_turn(folder: Path) -> Iterator[None]:
    """As a process does that is stopped while it waits for SQLite."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_turn_taken(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_who_has_just_written_stands_behind_who_waits_already(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "COURTESY_SECONDS", FOR_EVER)
    wrote: list[str] = []

    def write(name: str) -> None:
        with database.write():
            wrote.append(name)

    with database.write():
        other = threading.Thread(target=write, args=("who waited",))
        other.start()
        while not is_turn_taken(tmp_path):
            other.join(0.001)
            assert other.is_alive(), "it wrote in the middle of another's transaction, or gave up"
    write("who had just written")
    other.join()
    assert wrote == ["who waited", "who had just written"]


def test_a_turn_is_given_back_once_a_transaction_has_begun(database: Database, tmp_path: Path) -> None:
    with database.write():
        assert not is_turn_taken(tmp_path)


def test_who_holds_a_turn_and_does_nothing_keeps_nobody_from_writing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "COURTESY_SECONDS", 0.05)
    with hold_turn(tmp_path), database.write() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_a_reader_takes_no_turn(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "COURTESY_SECONDS", FOR_EVER)
    with hold_turn(tmp_path), database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_afterwards_sqlite_waits_as_long_as_before(database: Database) -> None:
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_child_that_was_begun_meanwhile_holds_no_turn(database: Database, tmp_path: Path) -> None:
    """It has all that its parent had open, and the turn is that of whoever has it open."""
    with turns.Turns(tmp_path)._taken():
        opened = [one for one in Path("/proc/self/fd").iterdir() if one.resolve() == tmp_path.resolve()]
        kept = [os.dup(int(one.name)) for one in opened]
    assert kept
    assert not is_turn_taken(tmp_path)
    for descriptor in kept:
        os.close(descriptor)
