"""Transactions that several threads share: one commit for all who wait, each part undone alone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, event, insert, select

from tests.postgres import count_waiting
from vaultcore.database import Database
from vaultcore.errors import ConflictError, GaveWayError, NightkeyError, NotFoundError
from vaultcore.shared_commits import SharedCommits
from vaultcore.written_last import WrittenLast, keep_until_commit

METADATA = MetaData()
ROWS = Table("rows", METADATA, Column("id", Integer, primary_key=True))
LAST = Table("last", METADATA, Column("id", Integer, primary_key=True))
PATIENCE = 120


class Kept:
    """Rows that a transaction writes at its end."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def flush(self, connection: Connection) -> None:
        connection.execute(insert(LAST), [{"id": one} for one in self.ids])

    def add_later(self, later: "Kept") -> None:
        self.ids += later.ids


class KilledError(BaseException):
    """The thread is told to stop."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    METADATA.create_all(made.engine)
    yield made
    made.dispose()


@pytest.fixture
def commits(database: Database) -> list[str]:
    """What was ended, in order."""
    heard: list[str] = []
    event.listen(database.engine, "commit", lambda _: heard.append("commit"))
    return heard


@pytest.fixture
def shared(database: Database) -> SharedCommits:
    return database.share_commits()


def write(connection: Connection, number: int) -> None:
    connection.execute(insert(ROWS).values(id=number))
    kept: WrittenLast | None = keep_until_commit(connection, Kept)
    assert isinstance(kept, Kept)
    kept.ids.append(number)


def stored(database: Database, table: Table = ROWS) -> list[int]:
    """As another sees it."""
    with database.engine.connect() as connection:
        return sorted(connection.execute(select(table.c.id)).scalars())


class Queue:
    """Parts of several threads, the first of which has the turn until all others wait for it."""

    def __init__(self, shared: SharedCommits, pool: ThreadPoolExecutor) -> None:
        self._shared = shared
        self._pool = pool
        self._first_may_end = threading.Event()
        self._first_has_turn = threading.Event()
        self.parts: list[Future[Any]] = []

    def begin(self, act: Callable[[Connection], None]) -> None:
        def first(connection: Connection) -> None:
            self._first_has_turn.set()
            assert self._first_may_end.wait(PATIENCE)
            act(connection)

        self.parts.append(self._pool.submit(self._take_part, first))
        assert self._first_has_turn.wait(PATIENCE)

    def add(self, act: Callable[[Connection], None]) -> None:
        waiting = self._shared._waiting
        self.parts.append(self._pool.submit(self._take_part, act))
        while self._shared._waiting == waiting:
            threading.Event().wait(0.001)

    def go(self) -> list[BaseException | None]:
        self._first_may_end.set()
        return [part.exception(PATIENCE) for part in self.parts]

    def _take_part(self, act: Callable[[Connection], None]) -> None:
        with self._shared.join() as connection:
            act(connection)


@pytest.fixture
def queue(shared: SharedCommits) -> Iterator[Queue]:
    with ThreadPoolExecutor(8) as pool:
        yield Queue(shared, pool)


def test_who_writes_alone_commits_at_once(
    database: Database, shared: SharedCommits, commits: list[str]
) -> None:
    for number in (1, 2):
        with shared.join() as connection:
            write(connection, number)
        assert stored(database) == stored(database, LAST) == list(range(1, number + 1))
    assert len(commits) == 2


def test_all_who_wait_are_committed_together(database: Database, queue: Queue, commits: list[str]) -> None:
    queue.begin(lambda connection: write(connection, 1))
    for number in range(2, 7):
        queue.add(partial(write, number=number))
    assert queue.go() == [None] * 6
    assert stored(database) == stored(database, LAST) == [1, 2, 3, 4, 5, 6]
    assert len(commits) == 1


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_part_that_fails_is_undone_alone(
    database: Database, queue: Queue, commits: list[str], bad: int
) -> None:
    def fail(connection: Connection) -> None:
        write(connection, 9)
        raise NotFoundError("there is none")

    acts: list[Callable[[Connection], None]] = [partial(write, number=number) for number in (1, 2, 3)]
    acts[bad] = fail
    queue.begin(acts[0])
    queue.add(acts[1])
    queue.add(acts[2])
    errors = queue.go()
    assert [type(one) for one in errors] == [
        NotFoundError if number == bad else type(None) for number in range(3)
    ]
    assert stored(database) == stored(database, LAST) == [one for one in (1, 2, 3) if one != bad + 1]
    assert len(commits) == 1


def test_what_the_database_refuses_of_a_part_is_told_to_that_alone(database: Database, queue: Queue) -> None:
    queue.begin(lambda connection: write(connection, 1))
    queue.add(lambda connection: write(connection, 1))
    queue.add(lambda connection: write(connection, 2))
    first, second, third = queue.go()
    assert (first, third) == (None, None)
    assert isinstance(second, ConflictError)
    assert stored(database) == stored(database, LAST) == [1, 2]


def test_a_part_that_meets_a_row_which_others_hold_gives_way(
    database: Database, queue: Queue, commits: list[str]
) -> None:
    """It keeps nobody waiting who shares its transaction, nor who holds the row: that one commits later."""
    if database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    with database.write() as held:
        held.execute(insert(ROWS).values(id=2))
        queue.begin(lambda connection: write(connection, 1))
        queue.add(lambda connection: write(connection, 2))
        queue.add(lambda connection: write(connection, 3))
        first, second, third = queue.go()
        assert (first, type(second), third) == (None, GaveWayError, None)
        assert stored(database) == stored(database, LAST) == [1, 3]
    assert stored(database) == [1, 2, 3]


def test_the_end_of_a_transaction_waits_for_who_is_at_the_same(
    database: Database, shared: SharedCommits, queue: Queue
) -> None:
    """What is written last, such as the audit log, is waited for: each of those before it takes a moment."""
    if database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    with database.engine.begin() as held:
        held.execute(insert(LAST).values(id=1))
        queue.begin(lambda connection: write(connection, 1))
        ended = queue.parts[0]
        queue._first_may_end.set()
        while not count_waiting(database.engine, seconds=0.7):
            assert not ended.done()
        held.rollback()
    assert ended.exception(PATIENCE) is None
    assert stored(database) == stored(database, LAST) == [1]


def test_where_the_database_undoes_all_of_it_everybody_hears(database: Database, queue: Queue) -> None:
    """As SQLite does where the disk is full."""

    def lose(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        raise NotFoundError("there is none")

    queue.begin(lambda connection: write(connection, 1))
    queue.add(lose)
    queue.add(lambda connection: write(connection, 3))
    first, second, third = queue.go()
    assert isinstance(first, GaveWayError)
    assert isinstance(second, NotFoundError)
    assert third is None or isinstance(third, GaveWayError)  # it wrote before that one, or after it
    assert stored(database) == stored(database, LAST) == ([3] if third is None else [])


def test_a_commit_that_fails_is_told_to_all(database: Database, queue: Queue) -> None:
    def refuse(connection: Connection) -> None:
        write(connection, 2)
        kept = keep_until_commit(connection, Kept)
        assert isinstance(kept, Kept)
        kept.ids.append(2)  # twice

    queue.begin(lambda connection: write(connection, 1))
    queue.add(refuse)
    assert [type(one) for one in queue.go()] == [GaveWayError, GaveWayError]
    assert stored(database) == stored(database, LAST) == []


def test_who_is_told_to_stop_while_it_waits_leaves_nobody_waiting(
    database: Database, shared: SharedCommits, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first gives the turn on to one who does not take it."""
    queue.begin(lambda connection: write(connection, 1))
    wait_for = shared._changed.wait_for
    is_stopped = threading.Event()

    def stop(predicate: Callable[[], bool]) -> bool:
        monkeypatch.setattr(shared._changed, "wait_for", wait_for)
        wait_for(predicate)
        is_stopped.set()
        raise KilledError

    monkeypatch.setattr(shared._changed, "wait_for", stop)
    queue.add(lambda connection: write(connection, 2))
    first, second = queue.go()
    assert (first, type(second), is_stopped.is_set()) == (None, KilledError, True)
    assert stored(database) == [1]


def test_nothing_is_begun_twice_where_it_cannot_be_begun(shared: SharedCommits, database: Database) -> None:
    with database.engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE last")
        connection.commit()
    with pytest.raises(NightkeyError), shared.join() as connection:
        write(connection, 1)
    assert stored(database) == []
    with shared.join() as connection:
        connection.execute(insert(ROWS).values(id=2))
    assert stored(database) == [2]


def test_a_part_that_cannot_begin_takes_nothing_of_the_others_along(database: Database, queue: Queue) -> None:
    """As where it is told to stop in that moment: what others wrote is undone, or keeps its last rows."""
    begun: list[str] = []

    def stop(_connection: Connection, name: str) -> None:
        begun.append(name)
        if len(begun) == 2:
            raise KilledError

    event.listen(database.engine, "savepoint", stop)
    queue.begin(lambda connection: write(connection, 1))
    queue.add(lambda connection: write(connection, 2))
    first, second = queue.go()
    assert isinstance(first, ConflictError)
    assert isinstance(second, KilledError)
    assert stored(database) == stored(database, LAST) == []


@pytest.mark.parametrize("lost", [False, True])
def test_a_part_that_cannot_be_released_undoes_all(database: Database, queue: Queue, lost: bool) -> None:
    """Told to stop in that moment, or the database had undone everything, which nobody had noticed."""

    def stop(connection: Connection, _name: str, _context: None) -> None:
        if lost:
            connection.exec_driver_sql("ROLLBACK")
        else:
            raise KilledError

    def write_last(connection: Connection) -> None:
        write(connection, 2)
        event.listen(database.engine, "release_savepoint", stop)

    queue.begin(lambda connection: write(connection, 1))
    queue.add(write_last)
    first, second = queue.go()
    assert isinstance(first, ConflictError)
    assert isinstance(second, NightkeyError if lost else KilledError)
    assert stored(database) == stored(database, LAST) == []


def test_who_is_told_to_stop_in_a_statement_undoes_all(database: Database, queue: Queue) -> None:
    """SQLAlchemy gives a connection up then."""

    def kill(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement == "SELECT 2":
            raise KilledError

    def stop(connection: Connection) -> None:
        write(connection, 2)
        connection.exec_driver_sql("SELECT 2")

    event.listen(database.engine, "before_cursor_execute", kill)
    queue.begin(lambda connection: write(connection, 1))
    queue.add(stop)
    first, second = queue.go()
    assert isinstance(first, ConflictError)
    assert isinstance(second, KilledError)
    assert stored(database) == stored(database, LAST) == []


class Holder:
    """Of a unit that stores nothing of its own."""

    adds = frozenset[str]()
    is_ahead = False

    def begin(self, connection: Connection) -> None: ...
    def store(self, connection: Connection) -> None: ...
    def end(self, *, kept: bool) -> None: ...


def test_what_is_committed_one_by_one_is_shared_with_nobody(
    database: Database, shared: SharedCommits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what another thread writes, and the commit refuses, would be held against it once more."""
    joined: list[int] = []
    join = shared.join

    def watch() -> Any:
        joined.append(len(stored(database)))
        return join()

    monkeypatch.setattr(shared, "join", watch)
    with database.unit(Holder(), shared) as unit:
        with database.write() as connection:
            write(connection, 1)
        unit.leave()
        unit.one_by_one = True
        for number in (2, 3):
            with database.write() as connection:
                write(connection, number)
            assert stored(database, LAST) == list(range(1, number + 1))
    assert joined == [0]


def test_who_has_read_what_is_not_committed_goes_on_when_it_is(
    database: Database, shared: SharedCommits, queue: Queue
) -> None:
    """Else it would act outside on what may yet be undone."""
    seen: list[tuple[list[int], list[int]]] = []
    has_left = threading.Event()

    def end_last(connection: Connection) -> None:
        has_left.wait(0.2)  # it does not, before this ends
        write(connection, 2)

    def look() -> None:
        with database.unit(Holder(), shared) as unit:
            with database.read() as connection:
                found = sorted(connection.execute(select(ROWS.c.id)).scalars())
                queue.add(end_last)
            unit.leave()
            seen.append((found, stored(database)))
            has_left.set()

    queue.begin(lambda connection: write(connection, 1))
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        while not shared._waiting:
            threading.Event().wait(0.001)
        assert queue.go()[0] is None
        looking.result(PATIENCE)
    assert seen == [([1], [1, 2])]
