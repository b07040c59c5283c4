"""The database: SQLite or PostgreSQL, by URL, with the transactions by which all of it is read and written.

One that writes takes its lock at the start on SQLite, so that two writers wait instead of failing: see
`vaultcore.engines`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from vaultcore import engines
from vaultcore.engines import DECISIVE, GIVES_WAY, LIGHTLY, empty_log, make_engine, wait_long_for_locks
from vaultcore.errors import (
    ConfigurationError,
    ConflictError,
    GaveWayError,
    InvalidInputError,
    LockedError,
    Trouble,
    TroubleError,
    raise_alone,
)
from vaultcore.mac_writing import keep_macs
from vaultcore.row_macs import RowMacs
from vaultcore.shared_commits import SharedCommits
from vaultcore.troubles import DATABASE_URL, explain_database
from vaultcore.unit_of_work import Holder, UnitOfWork
from vaultcore.written_last import WRITES, forget_kept, write_kept


class Database:
    """One engine, and the ways to use it: `read()`, `write()`, and in a unit of work `append()`.

    Whatever the driver raises in there leaves as a `TroubleError`, or as what `write` says: neither the
    statement nor what it was given comes along.
    """

    def __init__(self, url: str | URL, *, setting: str = DATABASE_URL) -> None:
        """`setting`: what the address was given by, to be named where it leads nowhere."""
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):  # the second: a port that is no number
            parsed = None
        if parsed is None or parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigurationError(
                f"{setting} is not one of ours: write sqlite:////path/to/file.db or "
                "postgresql+psycopg://user@host/name"
            )
        self._setting = setting
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._file = parsed.database if self.is_sqlite else None
        self.after_change: Callable[[Any], None] | None = None
        """Called after each commit that made, moved or destroyed a value, with what it leaves behind, or None
        where nobody knows that. It must not raise.
        """
        self.where = f"the database {_name_place(parsed)}"
        """What it is called in a sentence: its file, or its host and name, and never who logs in."""
        self._of_thread = threading.local()
        self._owes_scrub = False
        self.engine = make_engine(url, is_sqlite=self.is_sqlite, setting=setting)

    def keep_macs(self, macs: RowMacs) -> None:
        """From now on every row that decides is written with its keyed digest, and readers can check it."""
        keep_macs(self.engine, macs)

    def read(self) -> AbstractContextManager[Connection]:
        """A connection whose reads all see one state; nothing it does is kept.

        Inside a `unit` it sees what that has written, and may not see one state.
        """
        unit = self._unit
        return self._read_alone() if unit is None or unit.one_by_one else unit.read()

    @contextmanager
    def _read_alone(self) -> Iterator[Connection]:
        with self._edge(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            connection.rollback()

    def write(self) -> AbstractContextManager[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        What it loses to another transaction (a constraint, a deadlock, a lock that was not given) is a
        `ConflictError`: look again, then decide. The driver's own error quotes the row, and stays here.

        Inside a `unit` it joins that one's transaction.
        """
        unit = self._unit
        return self._transaction() if unit is None else unit.write()

    def append(self) -> AbstractContextManager[Connection]:
        """As `write`, for who decides by nothing that others may change meanwhile: who opens a value for a
        call, or adds what nobody else knows yet. Inside a `unit` its holder is told only before rows are
        taken that others may have.
        """
        unit = self._unit
        return self._transaction() if unit is None else unit.append()

    @contextmanager
    def write_lightly(self) -> Iterator[Connection]:
        """The same as one transaction, joining none, whose commit does not wait for the disk. Others see it at
        once; if the machine loses its power, it may be undone. So it is for what may be forgotten then.
        """
        with self._transaction(lightly=True) as connection:
            yield connection

    def share_commits(self) -> SharedCommits:
        """For units of several threads. On PostgreSQL a part that meets what others do at the same rows waits
        for a moment at most, and is undone with `GaveWayError`; on SQLite it has waited when it begins.
        """
        if self.is_sqlite:
            return SharedCommits(self._transaction, self._told)
        return SharedCommits(partial(self._transaction, gives_way=True), partial(self._told, gives_way=True))

    @contextmanager
    def unit(self, holder: Holder, shared: SharedCommits | None = None) -> Iterator[UnitOfWork]:
        """Until the block ends, this thread's reads and writes join one transaction, which its holder commits:
        see `UnitOfWork`. What is not committed when the block raises is undone. `shared`: the transactions are
        shared with the units of other threads.
        """
        begin = self._transaction if shared is None else shared.join
        unit = UnitOfWork(begin, holder, alone=self._transaction)
        self._of_thread.unit = unit
        try:
            yield unit
            unit.leave()
        finally:
            unit.undo()
            self._of_thread.unit = None

    @contextmanager
    def apart(self) -> Iterator[None]:
        """For what takes its time, such as a call or a run: what was written is committed, nothing is open, and
        what is read and written inside joins nothing.
        """
        if self._unit is not None:
            self._unit.leave()
        with self._without_unit():
            yield

    @contextmanager
    def _without_unit(self) -> Iterator[None]:
        unit = self._unit
        self._of_thread.unit = None
        try:
            yield
        finally:
            self._of_thread.unit = unit

    @property
    def _unit(self) -> UnitOfWork | None:
        unit: UnitOfWork | None = getattr(self._of_thread, "unit", None)
        return unit

    @contextmanager
    def _transaction(self, *, lightly: bool = False, gives_way: bool = False) -> Iterator[Connection]:
        decided, left = False, None
        with self._told(), self.engine.connect() as connection:
            info = connection.info  # one that is lost gives it no more
            info.pop(DECISIVE, None)  # of what was done with it in another way
            info[WRITES] = True
            info[LIGHTLY] = lightly
            info[GIVES_WAY] = gives_way
            try:
                with connection.begin():
                    yield connection
                    if gives_way:
                        wait_long_for_locks(connection)
                    write_kept(connection)
            finally:
                info.pop(WRITES, None)
                info.pop(LIGHTLY, None)
                info.pop(GIVES_WAY, None)
                forget_kept(info)
                decided, left = DECISIVE in info, info.pop(DECISIVE, None)
        if decided and self.after_change is not None:
            with self._without_unit():
                self.after_change(left)

    @contextmanager
    def _told(self, *, gives_way: bool = False) -> Iterator[None]:
        """Turns what the driver raises in a transaction that writes into an error of ours."""
        conflict: ConflictError | None = None
        try:
            with self._edge(lost=True):
                yield
        except IntegrityError:
            conflict = ConflictError("another change was made at the same moment: look again, then repeat it")
        except OperationalError:
            conflict = ConflictError("the database was busy with another change: look again, then repeat it")
        except TroubleError as error:
            if error.trouble is not Trouble.LOCKED:
                raise
            conflict = LockedError(f"{engines.BUSY_SECONDS} seconds were not enough: {error}")
        if conflict is not None and gives_way:
            conflict = GaveWayError("others are at the same rows: repeat it in a transaction of its own")
        if conflict is not None:
            raise_alone(conflict)

    @contextmanager
    def _edge(self, *, lost: bool = False) -> Iterator[None]:
        """Turns what the driver raises into a coded error; with `lost`, but for what was lost to another."""
        told: TroubleError | InvalidInputError
        try:
            yield
            return
        except DBAPIError as error:
            if lost and (isinstance(error, IntegrityError) or _is_lost(error)):
                raise
            told = explain_database(error, where=self.where, file=self._file, setting=self._setting)
        except UnicodeEncodeError:
            told = InvalidInputError("a text holds half a character (a lone surrogate): write it as UTF-8")
        raise_alone(told)

    def scrub(self) -> None:
        """After a value was destroyed: no copy of it stays behind in the write-ahead log.

        SQLite overwrites deleted bytes (`secure_delete`) and here empties its log; readers and writers
        may hold that up, then the next scrub does it, or `scrub_again`: it never waits, since it would
        keep all writers waiting, too. PostgreSQL keeps dead rows until vacuum.
        """
        if self.is_sqlite:
            self._owes_scrub = True
            with self._edge(), self.engine.connect() as connection:
                self._owes_scrub = not empty_log(connection)

    def scrub_again(self) -> None:
        """What held up a scrub of this process may be over."""
        if self._owes_scrub:
            self.scrub()

    def ping(self) -> bool:
        """Whether it answers; if not, it may as well raise."""
        with self.read() as connection:
            return bool(connection.execute(select(1)).scalar_one())

    def dispose(self) -> None:
        self.engine.dispose()


def _is_lost(error: DBAPIError) -> bool:
    """A deadlock, or a serialization failure: the same again may go well at once."""
    return getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


def _name_place(url: URL) -> str:
    """The file, or `host:port/name`: of an address, what is no secret."""
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    host = url.host or url.query.get("host") or "on this machine"
    port = f":{url.port}" if url.port else ""
    return f"{url.database or ''} at {host}{port}".strip()
