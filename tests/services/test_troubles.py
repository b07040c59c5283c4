"""What the machine or the database does not give, really produced: each has its own line and exit status."""

import errno
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.forged import ROTATION
from tests.postgres import Server, create_database, run_sql, show_for_sqlalchemy, start_server
from tests.services.conftest import Moves
from tests.stepping import advance
from vaultcore import engines
from vaultcore.database import Database
from vaultcore.errors import ConflictError, InvalidInputError, LockedError, NightkeyError, Trouble, TroubleError
from vaultcore.schema import find_revision
from vaultcore.troubles import _SENTENCES, explain, say
from worker.bootstrap import Services
from worker.config import SETTINGS_FILE, load_settings
from worker.domain.work import Task, Work
from worker.installation import initialise
from worker.log import configure_logging
from worker.tasks import make_task

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
postgres_only = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def told(act: Callable[[], object], trouble: Trouble) -> str:
    """The one line of that trouble."""
    with pytest.raises(TroubleError) as caught:
        act()
    said = str(caught.value)
    assert caught.value.trouble is trouble, said
    assert len(said.splitlines()) == 1
    assert "unexpected" not in said
    assert "the-value" not in said
    return said


def _file_of(moves: Moves) -> Path:
    return Path(str(moves.services.database.engine.url.database))


def test_every_trouble_has_a_sentence() -> None:
    assert _SENTENCES.keys() == set(Trouble)
    for trouble in Trouble:
        assert "/some/file" in say(trouble, "/some/file")


@pytest.mark.parametrize(
    ("error", "trouble", "status", "again"),
    [
        (MemoryError(), Trouble.MEMORY, 1, True),
        (OSError(errno.ENOSPC, "x"), Trouble.DISK_FULL, 1, True),
        (OSError(errno.EFBIG, "x"), Trouble.DISK_LIMIT, 1, True),
        (OSError(errno.EROFS, "x", "/f"), Trouble.READ_ONLY, 1, False),
        (OSError(errno.EMFILE, "x"), Trouble.FILES, 1, True),
        (OSError(errno.EACCES, "x", "/f"), Trouble.DENIED, 2, False),
        (OSError(errno.ENOENT, "x", "/f"), Trouble.MISSING, 2, False),
        (OSError(errno.EISDIR, "x", "/f"), Trouble.WRONG_KIND, 2, False),
        (OSError(errno.ENAMETOOLONG, "x", "/f"), Trouble.NAME_TOO_LONG, 2, False),
        (socket.gaierror(-2, "x"), Trouble.HOST, 1, True),
        (RuntimeError("can't start new thread"), Trouble.PROCESSES, 1, True),
    ],
)
def test_what_the_system_raises_is_told_apart(
    error: Exception, trouble: Trouble, status: int, again: bool
) -> None:
    found = explain(error, where="the keyring /k")
    assert found is not None
    assert (found.trouble, found.exit_status, found.can_retry) == (trouble, status, again)
    assert ("/f" if getattr(error, "filename", None) else "the keyring /k") in str(found)
    assert explain(found) is found


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "x"), OSError(errno.EAGAIN, "x")])
def test_what_the_process_lacks_is_told_alike_where_no_file_is_named(error: Exception) -> None:
    assert " for this command: " in str(explain(error))


def test_what_is_no_trouble_of_the_machine_is_left_alone() -> None:
    for error in (
        KeyError("x"),
        RuntimeError("x"),
        OSError("x"),
        ConnectionRefusedError(errno.ECONNREFUSED, "x"),
    ):
        assert explain(error) is None


def test_a_worker_says_the_same_in_its_log(capfd: pytest.CaptureFixture[str]) -> None:
    def fill(_: object) -> list[Work]:
        raise OSError(errno.ENOSPC, "the-value", "/broker/message")

    configure_logging("ERROR")
    make_task(Task.ROTATE, fill, lambda _: None)(ROTATION)
    (line,) = capfd.readouterr().err.splitlines()
    logged = json.loads(line)
    assert (logged["event"], logged["trouble"], logged["ids"]) == ("task.failed", "disk-full", [ROTATION])
    assert logged["problem"] == "no space is left for /broker/message: free some on its disk, then repeat it"
    assert "the-value" not in line


def test_no_work_ends_because_its_log_is_not_taken() -> None:
    logs = """
import structlog
from worker.log import configure_logging
configure_logging("ERROR")
structlog.get_logger().error("nobody.reads")
print("went on")
"""
    reader, gone = os.pipe()
    os.close(reader)
    for log in (gone, os.open("/dev/full", os.O_WRONLY)):
        ended = subprocess.run([sys.executable, "-c", logs], stdout=subprocess.PIPE, stderr=log, check=False)
        assert ended.stdout == b"went on\n"
        os.close(log)


# SQLite


@sqlite_only
def test_a_full_disk_is_told_with_the_file_and_nothing_is_half_done(moves: Moves) -> None:
    moves.add("prod-first", "the-value")
    engine = moves.services.database.engine
    pages = moves.sql("PRAGMA page_count")[0][0]

    def allow_no_more(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine.dispose()
    event.listen(engine, "connect", allow_no_more)

    def fill() -> None:
        for number in range(1000):
            moves.add(f"prod-item-{number}", "the-value" * 200)

    said = told(fill, Trouble.DISK_FULL)
    assert said.startswith(f"no space is left for the database {_file_of(moves)}: ")
    event.remove(engine, "connect", allow_no_more)
    engine.dispose()
    assert moves.verify().whole
    assert moves.add("prod-last", "the-value").item.version == 1


@sqlite_only
def test_a_database_that_is_locked_for_long_says_so(moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    file = _file_of(moves)
    impatient = Moves(Services(moves.services.settings, moves.services.clock))
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockedError, match=f"the database {file} is locked by another process") as caught:
        impatient.add("prod-x", "the-value")
    assert isinstance(caught.value, ConflictError), "whoever waits for its turn goes on waiting"
    assert (caught.value.exit_status, caught.value.can_retry) == (1, True)
    holder.execute("ROLLBACK")
    holder.close()
    assert impatient.add("prod-x", "the-value").item.version == 1
    impatient.services.close()


@sqlite_only
@pytest.mark.parametrize(
    ("damage", "trouble", "says"),
    [
        (
            lambda file: file.write_bytes(b"no database at all" * 300),
            Trouble.DAMAGED,
            "restore it from its backup",
        ),
        (lambda file: (file.unlink(), file.mkdir()), Trouble.CANNOT_OPEN, "is it a file?"),
    ],
)
def test_what_is_no_database_is_told(
    moves: Moves, damage: Callable[[Path], object], trouble: Trouble, says: str
) -> None:
    file = _file_of(moves)
    moves.services.close()
    for left in file.parent.glob("test.db-*"):
        left.unlink()
    damage(file)
    Moves.edited.add(id(moves.services))
    fresh = Services(moves.services.settings)
    said = told(lambda: fresh.database, trouble)
    assert says in said
    assert str(file) in said


@sqlite_only
def test_a_table_that_is_gone_is_no_riddle(moves: Moves) -> None:
    moves.sql("ALTER TABLE item_owners RENAME TO gone")
    assert "lacks a table or column" in told(lambda: moves.add("prod-x", "the-value"), Trouble.SCHEMA)


def test_half_a_character_is_refused_by_both_databases(moves: Moves) -> None:
    with pytest.raises(InvalidInputError, match="half a character"):
        moves.get("prod-\udcff")


# PostgreSQL


@postgres_only
def test_postgres_says_what_it_cannot_store_and_what_it_refuses(moves: Moves, database_url: str) -> None:
    said = told(lambda: moves.sql("SELECT CAST(:x AS text)", x="the-value\0"), Trouble.NOT_STORABLE)
    assert "NUL" in said
    read_only = "SET TRANSACTION READ ONLY"
    name = moves.services.database.engine.url.database

    def write_what_may_only_be_read() -> None:
        with moves.services.database.write() as connection:
            connection.execute(text(read_only))
            connection.execute(text("CREATE TABLE t (a int)"))

    assert f"the database {name} at " in told(write_what_may_only_be_read, Trouble.READ_ONLY)
    told(lambda: moves.sql("SELECT * FROM nothing"), Trouble.SCHEMA)
    told(lambda: moves.sql("SELECT 1/0"), Trouble.STATEMENT)


def test_a_server_that_cannot_be_reached_is_told_by_its_kind(postgres: str) -> None:
    address = show_for_sqlalchemy(postgres)
    run_sql(postgres, "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    for url, trouble, says in (
        (
            "postgresql+psycopg://u:the-value@127.0.0.1:1/vault",
            Trouble.AWAY,
            "the database vault at 127.0.0.1:1 ",
        ),
        ("postgresql+psycopg://u:the-value@no-such.invalid/vault", Trouble.HOST, "DNS"),
        (address.replace("/postgres?", "/no_such_vault?"), Trouble.NO_DATABASE, "createdb"),
        (address.replace("postgres:@", "nobody_there:the-value@"), Trouble.LOGIN, "pg_hba.conf"),
        (address.replace("postgres:@", "crowded:the-value@"), Trouble.CROWDED, "no more connections"),
    ):
        database = Database(url)
        assert says in told(partial(find_revision, database), trouble)
        database.dispose()
    run_sql(postgres, "DROP ROLE crowded")


@pytest.fixture
def server() -> Iterator[Server]:
    with start_server() as started:
        yield started


def test_a_server_that_restarts_in_the_middle_is_waited_for(server: Server, tmp_path: Path, clock: Any) -> None:
    url = show_for_sqlalchemy(create_database(server.address, "vault"))
    settings = load_settings(tmp_path / "home", database_url=url)
    initialise(settings, clock)
    moves = Moves(Services(settings, clock))
    moves.add("prod-before", "the-value", days=1)

    def stop_in_the_middle() -> None:
        with moves.services.database.write() as connection:
            connection.execute(text("UPDATE items SET hygiene = 'half-done'"))
            server.stop()
            connection.execute(text("SELECT 1"))

    assert "cannot be reached, or broke off" in told(stop_in_the_middle, Trouble.AWAY)
    told(lambda: moves.get("prod-before"), Trouble.AWAY)
    fresh = Services(settings, clock)
    with pytest.raises(NightkeyError) as caught:
        fresh.check()
    assert (caught.value.exit_status, caught.value.can_retry) == (1, True)
    server.start()
    assert moves.sql("SELECT hygiene FROM items")[0][0] != "half-done"
    assert moves.add("prod-after", "the-value").item.version == 1
    fresh.check()
    for made in (fresh, moves.services):
        made.close()


def test_a_database_that_goes_in_a_step_judges_no_value(
    server: Server, tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = show_for_sqlalchemy(create_database(server.address, "vault"))
    settings = load_settings(tmp_path / "home", database_url=url)
    initialise(settings, clock)
    services = Services(settings, clock)
    moves = Moves(services)
    from vaultcore.model import Consumers, Mode, Policy  # noqa: PLC0415  # for this one story

    policy = Policy(
        stated=True,
        mode=Mode.AUTO,
        rotator="random",
        lifetime=timedelta(days=90),
        overlap=timedelta(0),
        consumers=Consumers.NONE,
    )
    item = moves.add("prod-webhook-secret", "the-first-value", days=1, policy=policy).item
    rotation = services.rotation.opening.request(item.name, asked_by="test")
    advanced = advance(services, rotation.id)
    assert advanced is not None
    server.stop()
    told(lambda: advance(services, rotation.id), Trouble.AWAY)
    server.start()
    found = advance(services, rotation.id)
    assert found is not None
    assert (found.rotation.last_cause, found.rotation.candidates) == (None, 0)
    services.close()


# What `init` writes


@pytest.mark.parametrize("fails_at", ["keyring.json", SETTINGS_FILE])
def test_a_disk_that_is_full_in_the_middle_of_init_leaves_nothing_half_written(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    """The disk's part is played by the system call: there is no small disk everywhere."""
    fsync, settings = os.fsync, load_settings(tmp_path / "home")
    written: list[str] = []

    def fill_up(file: int) -> None:
        name = str(Path(f"/proc/self/fd/{file}").readlink())
        written.append(name)
        if f"/.{fails_at}." in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    monkeypatch.setattr("vaultcore.crypto.keyfile.os.fsync", fill_up)
    said = told(lambda: initialise(settings, clock), Trouble.DISK_FULL)
    assert fails_at in said
    left = [path.name for path in settings.home.rglob("*") if path.is_file()]
    assert not [name for name in left if fails_at in name]
    monkeypatch.undo()
    assert any(fails_at in made for made in initialise(settings, clock)), "what is missing is made then"
