"""A unit of work: reads and writes of one thread join one transaction, until whoever holds it commits."""

import gc
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, Executable, Table, delete, insert, inspect, select, text, union, update
from sqlalchemy.exc import OperationalError

from vaultcore.database import Database
from vaultcore.engines import DECISIVE
from vaultcore.errors import ConflictError, NightkeyError, NotFoundError
from vaultcore.tables import audit_head
from vaultcore.unit_of_work import remember
from vaultcore.written_last import keep_until_commit, savepoint

HEAD = {"id": 1, "seq": 0, "hash": bytes(32)}


class Kept:
    """Writes the head row at the end."""

    def flush(self, connection: Connection) -> None:
        connection.execute(insert(audit_head).values(**HEAD))

    def add_later(self, later: "Kept") -> None:
        """It says all in one row."""


class Heard:
    """What the unit says to its holder."""

    adds = frozenset[str]()

    def __init__(self) -> None:
        self.said: list[str] = []
        self.is_ahead = False
        self.refuses = False

    def begin(self, connection: Connection) -> None:
        assert connection.in_transaction()
        self.said.append("begin")

    def store(self, connection: Connection) -> None:
        if self.refuses:
            raise ConflictError("taken over")
        connection.execute(select(1))
        self.said.append("store")
        self.is_ahead = False

    def end(self, *, kept: bool) -> None:
        self.said.append("kept" if kept else "undone")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/vault.db")
    with made.engine.begin() as connection:
        audit_head.create(connection)
    yield made
    made.dispose()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def _count(database: Database, table: Table = audit_head) -> int:
    """As another sees it."""
    with database.engine.connect() as connection:
        return len(connection.execute(select(table)).all())


def _insert(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(audit_head).values(**HEAD))


def _begin_badly(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(audit_head).values(**HEAD))
        raise NotFoundError("there is none")


def test_what_is_written_in_it_is_seen_by_others_when_it_is_committed(database: Database, heard: Heard) -> None:
    with database.unit(heard) as unit:
        _insert(database)
        with database.read() as connection:
            assert len(connection.execute(select(audit_head)).all()) == 1
        assert (_count(database), heard.said) == (0, ["begin"])
        unit.leave()
        assert (_count(database), heard.said) == (1, ["begin", "store", "kept"])
        unit.leave()  # nothing to commit
        assert heard.said == ["begin", "store", "kept"]


def test_what_is_left_at_its_end_is_committed(database: Database, heard: Heard) -> None:
    with database.unit(heard):
        _insert(database)
    assert (_count(database), heard.said) == (1, ["begin", "store", "kept"])


def test_one_that_has_only_read_commits_nothing(database: Database, heard: Heard) -> None:
    with database.unit(heard), database.read() as connection:
        connection.execute(select(audit_head)).all()
    assert heard.said == []


def test_a_write_that_fails_undoes_the_whole_transaction(database: Database, heard: Heard) -> None:
    with database.unit(heard):
        with database.write() as connection:
            connection.execute(text("CREATE TABLE another (id INTEGER)"))
        with pytest.raises(NotFoundError):
            _begin_badly(database)
        assert heard.said == ["begin", "undone"]
        _insert(database)
    assert (_count(database), heard.said) == (1, ["begin", "undone", "begin", "store", "kept"])
    assert not inspect(database.engine).has_table("another")


def test_one_by_one_a_write_that_fails_undoes_itself_alone(database: Database, heard: Heard) -> None:
    with database.unit(heard) as unit:
        unit.one_by_one = True
        _insert(database)
        assert (_count(database), heard.said) == (1, ["begin", "store", "kept"])
        with pytest.raises(ConflictError):
            _insert(database)
    assert (_count(database), heard.said) == (1, ["begin", "store", "kept", "begin", "undone"])


def test_what_the_block_raises_leaves_what_was_committed(database: Database, heard: Heard) -> None:
    def break_off() -> None:
        with database.unit(heard) as unit:
            _insert(database)
            unit.leave()
            with database.write() as connection:
                connection.execute(audit_head.delete())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert (_count(database), heard.said) == (1, ["begin", "store", "kept", "begin", "undone"])


def test_who_may_not_commit_loses_what_was_written(database: Database, heard: Heard) -> None:
    heard.refuses = True

    def commit() -> None:
        with database.unit(heard):
            _insert(database)

    with pytest.raises(ConflictError, match="taken over"):
        commit()
    assert (_count(database), heard.said) == (0, ["begin", "undone"])


def test_what_its_holder_has_to_store_is_stored_though_nothing_else_was_written(
    database: Database, heard: Heard
) -> None:
    with database.unit(heard):
        with database.read() as connection:
            connection.execute(select(audit_head)).all()
        heard.is_ahead = True
        with database.apart():
            assert heard.said == ["store", "kept"]
    assert heard.said == ["store", "kept"]


@pytest.mark.parametrize(
    ("adds", "statement", "said"),
    [
        ((), select(audit_head), []),
        ((), union(select(audit_head.c.id), select(audit_head.c.seq)), []),
        ((), insert(audit_head).values(**HEAD), ["begin"]),
        (("audit_head",), insert(audit_head).values(**HEAD), []),
        (("audit_head",), update(audit_head).values(seq=1), ["begin"]),
        (("audit_head",), delete(audit_head), ["begin"]),
        ((), select(audit_head.c.id).with_for_update(), ["begin"]),
        ((), text("SELECT 1"), ["begin"]),
    ],
)
def test_who_appends_begins_before_a_row_is_taken_that_others_may_have(
    database: Database, heard: Heard, adds: Sequence[str], statement: Executable, said: list[str]
) -> None:
    """Once, and again in the next transaction."""
    heard.adds = frozenset(adds)
    with database.unit(heard) as unit:
        for _ in range(2):
            with database.append() as connection:
                assert heard.said == []
                connection.execute(statement)
                assert heard.said == said
                connection.execute(delete(audit_head))
                assert heard.said == ["begin"]
            unit.leave()
            assert heard.said == ["begin", "store", "kept"]
            heard.said.clear()


def test_a_connection_that_is_lost_undoes_what_was_written_and_the_next_is_whole(
    database: Database, heard: Heard
) -> None:
    def lose() -> None:
        with database.read() as connection:
            connection.invalidate()
            raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))

    with database.unit(heard):
        _insert(database)
        with pytest.raises(NightkeyError):
            lose()
        assert heard.said == ["begin", "undone"]
        _insert(database)
    assert _count(database) == 1
    with database.read() as connection:
        assert remember(connection, "a", (audit_head.name,), lambda: 1) == 1
        assert remember(connection, "a", (audit_head.name,), lambda: 2) == 2


def test_what_is_done_after_a_commit_leaves_nothing_open(database: Database, heard: Heard) -> None:
    seen: list[int] = []

    def look(_: object) -> None:
        with database.read() as connection:
            seen.append(len(connection.execute(select(audit_head)).all()))

    database.after_change = look
    with database.unit(heard), database.write() as connection:
        connection.info[DECISIVE] = True
        connection.execute(insert(audit_head).values(**HEAD))
    with database.unit(heard):
        with database.write() as connection:
            connection.info[DECISIVE] = True
            connection.execute(audit_head.delete())
        with database.apart():
            _insert(database)  # nobody holds the lock
    assert seen == [1, 0]


def test_nothing_is_committed_in_the_middle_of_a_write(database: Database, heard: Heard) -> None:
    def leave_too_early() -> None:
        with database.unit(heard) as unit, database.write():
            unit.leave()

    with pytest.raises(RuntimeError, match="left in the middle"):
        leave_too_early()
    assert heard.said == ["begin", "undone"]


def test_what_is_done_apart_sees_what_was_committed_for_it_and_joins_nothing(
    database: Database, heard: Heard
) -> None:
    with database.unit(heard):
        _insert(database)
        with database.apart():
            assert _count(database) == 1
            with database.write() as connection:
                connection.execute(audit_head.delete())
            assert _count(database) == 0
    assert heard.said == ["begin", "store", "kept"]


def test_what_was_read_is_remembered_until_its_table_is_written_to(database: Database, heard: Heard) -> None:
    asked: list[int] = []

    def count(connection: Connection) -> int:
        def read() -> int:
            asked.append(1)
            return len(connection.execute(select(audit_head)).all())

        return remember(connection, "how many", (audit_head.name,), read)

    with database.unit(heard) as unit:
        with database.read() as connection:
            assert (count(connection), count(connection), len(asked)) == (0, 0, 1)
        _insert(database)
        with database.read() as connection:
            assert (count(connection), len(asked)) == (1, 2)
        unit.leave()
        with database.read() as connection:
            assert (count(connection), len(asked)) == (1, 3)
    with database.read() as connection:  # outside of a unit it is read each time
        assert (count(connection), count(connection), len(asked)) == (1, 1, 5)


def test_what_is_kept_until_the_end_is_written_before_the_commit(database: Database) -> None:
    with database.write() as connection:
        assert keep_until_commit(connection, Kept) is keep_until_commit(connection, Kept)
        assert not connection.execute(select(audit_head)).all()
    assert _count(database) == 1
    with database.engine.begin() as connection:
        assert keep_until_commit(connection, Kept) is None


def test_a_savepoint_that_is_undone_takes_along_what_was_kept_in_it(database: Database) -> None:
    def fail(connection: Connection) -> None:
        with savepoint(connection):
            keep_until_commit(connection, Kept)
            raise NotFoundError("there is none")

    with database.write() as connection, pytest.raises(NotFoundError):
        fail(connection)
    assert _count(database) == 0
    with database.write() as connection, savepoint(connection):
        keep_until_commit(connection, Kept)
    assert _count(database) == 1


class Held:
    """A local of a block, such as a value that was revealed in it."""


@pytest.mark.parametrize("kind", [NotFoundError, KeyboardInterrupt])
def test_an_error_holds_on_to_nothing_of_its_block(
    database: Database, heard: Heard, kind: type[BaseException]
) -> None:
    """Without the collector, which comes when it comes."""
    gone = list["weakref.ref[Held]"]()

    def fail() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        with database.write() as connection:
            connection.execute(select(1))
            raise kind("it fails")

    gc.disable()
    try:
        with suppress(kind), database.unit(heard):
            fail()
        assert gone[0]() is None
    finally:
        gc.enable()


def test_what_the_holder_refuses_at_the_beginning_is_raised_as_it_is(
    database: Database, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Connection) -> None:
        raise ConflictError("taken over")

    monkeypatch.setattr(heard, "begin", refuse)
    with pytest.raises(ConflictError, match="taken over"), database.unit(heard):
        _insert(database)
    assert (_count(database), heard.said) == (0, ["undone"])
