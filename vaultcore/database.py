"""The database: engine, transactions, and the check that its schema is this release's.

SQLite (WAL, foreign keys, full sync, secure delete) or PostgreSQL, by URL. A write transaction
takes its lock at the start (`BEGIN IMMEDIATE` on SQLite), so two writers wait instead of failing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

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
from vaultcore.stored import keep_damage_apart, prepare_postgresql, prepare_sqlite, read_json
from vaultcore.troubles import DATABASE_URL, explain_database
from vaultcore.unit_of_work import Holder, UnitOfWork, forget_what_changes
from vaultcore.written_last import WRITES, forget_kept, write_kept

SCHEMA_REVISION = "0039"
"""The newest file in `migrations/versions`; a test holds the two together."""

FIRST_REVISION = "0004"
"""The oldest file there; what came before was never released."""

MOVING = "moving"
"""The revision of a database into which a vault is being moved: until that has ended, it is none."""

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
DECISIVE = "decisive"
"""In `info` of a connection whose transaction made, moved or destroyed a value: what it leaves behind. None: a
part of it was undone since, so that nobody knows.
"""
IDLE_SECONDS = 300
GIVES_WAY_SECONDS = 0.5
"""How long a part of a shared transaction waits for a row, since others wait for what the parts before it hold.
It is less than PostgreSQL waits until it looks for a deadlock (`deadlock_timeout`, 1 s), so that it is seldom
somebody else who loses to one.
"""
_GIVES_WAY = "gives way"
"""The mark, in `info` of a connection, of a transaction whose parts wait no longer than that."""
_LIGHTLY = "lightly"
"""The mark, in `info` of a connection, of a transaction whose commit does not wait for the disk."""
_POOLED = "pooled"
"""In `info` of a connection to PostgreSQL: whether a pooler may give it another of the server's each time."""
_SYNCHRONOUS = "synchronous"
"""In `info` of a connection to SQLite: whether its commits wait (`FULL`)."""


def knows_schema(revision: str) -> bool:
    """Whether this release can migrate from it."""
    return revision.isalnum() and any(MIGRATIONS.glob(f"versions/{revision}_*.py"))


class Database:
    """One engine, and the two ways to use it: `read()` and `write()`.

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
        self.engine = _make_engine(url, is_sqlite=self.is_sqlite, setting=setting)

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
            info[_LIGHTLY] = lightly
            info[_GIVES_WAY] = gives_way
            try:
                with connection.begin():
                    yield connection
                    if gives_way:
                        connection.exec_driver_sql(_wait_for_locks(BUSY_SECONDS))
                    write_kept(connection)
            finally:
                info.pop(WRITES, None)
                info.pop(_LIGHTLY, None)
                info.pop(_GIVES_WAY, None)
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
            conflict = LockedError(f"{BUSY_SECONDS} seconds were not enough: {error}")
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
            self._owes_scrub = False
            held_up = True
            with self._edge(), self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=0")
                try:
                    held_up = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar() != 0
                finally:
                    if held_up:
                        self._owes_scrub = True
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")

    def scrub_again(self) -> None:
        """What held up a scrub of this process may be over."""
        if self._owes_scrub:
            self.scrub()

    def ping(self) -> bool:
        """Whether it answers; if not, it may as well raise."""
        with self.read() as connection:
            return bool(connection.execute(select(1)).scalar_one())

    def revision(self) -> str | None:
        """The schema revision that the database is at; None: it has no schema of ours."""
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def check_schema(self) -> None:
        """Refuses a database of another release, before anything is read from it."""
        found = self.revision()
        if found is None:
            raise ConfigurationError("the database holds no vault yet: run `nightkey init`")
        if found == MOVING:
            raise ConfigurationError(_explain_moving(self.where))
        if found != SCHEMA_REVISION:
            raise ConfigurationError(
                f"the database is at schema {found}, this release needs {SCHEMA_REVISION}: "
                "run `nightkey init` of the newer release to migrate it"
            )

    def migrate(self) -> None:
        """Brings the schema to this release's revision; a database that is there already is left alone.

        `ConfigurationError` for a schema that this release does not know.
        """
        from alembic import command  # noqa: PLC0415  # 150 ms that only init needs
        from alembic.config import Config  # noqa: PLC0415  # as above

        found = self.revision()
        if found == MOVING:
            raise ConfigurationError(_explain_moving(self.where))
        if found is not None and not knows_schema(found):
            raise ConfigurationError(
                f"the database is at schema {found}, and this release migrates from {FIRST_REVISION} to "
                f"{SCHEMA_REVISION}: "
                + (
                    "no release ever had it, so make a new vault in another home, and give it the items anew"
                    if found < FIRST_REVISION
                    else "use the release that made it, or a newer one"
                )
            )
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._without_foreign_keys(), self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if self.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise ConfigurationError("the database holds rows of nothing: restore it from its backup")

    @contextmanager
    def _without_foreign_keys(self) -> Iterator[None]:
        """SQLite changes a table by making it anew, and meanwhile the rows of others belong to nothing."""
        if not self.is_sqlite:
            yield
            return

        def switch_off(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401  # DBAPI
            connection.execute("PRAGMA foreign_keys=OFF")

        self.engine.dispose()
        event.listen(self.engine, "connect", switch_off)
        try:
            yield
        finally:
            event.remove(self.engine, "connect", switch_off)
            self.engine.dispose()

    def dispose(self) -> None:
        self.engine.dispose()


def _is_lost(error: DBAPIError) -> bool:
    """A deadlock, or a serialization failure: the same again may go well at once."""
    return getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


def _explain_moving(where: str) -> str:
    return (
        f"{where} is half a vault: one is being moved there, and that has not ended. Set database_url back to "
        "where the vault is, and give `nightkey migrate-to` again: it goes on"
    )


def _name_place(url: URL) -> str:
    """The file, or `host:port/name`: of an address, what is no secret."""
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    host = url.host or url.query.get("host") or "on this machine"
    port = f":{url.port}" if url.port else ""
    return f"{url.database or ''} at {host}{port}".strip()


def upsert_into(connection: Connection, table: Table) -> Any:  # noqa: ANN401  # two dialects, one API
    """`INSERT` with `on_conflict_do_…`, in the dialect of the connection.

    Tell what happened by `returning()`: an insert's `rowcount` means nothing on PostgreSQL.
    """
    return upsert_for(connection.dialect.name, table)


def upsert_for(dialect: str, table: Table) -> Any:  # noqa: ANN401  # as above
    """The same for who keeps it: the statement of a dialect."""
    if dialect != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  # on SQLite nobody waits for it

    return postgresql.insert(table)


def _make_engine(url: str | URL, *, is_sqlite: bool, setting: str) -> Engine:
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            json_deserializer=read_json,
            pool_pre_ping=not is_sqlite,
            connect_args={"timeout": BUSY_SECONDS} if is_sqlite else {},
        )
    except (SQLAlchemyError, ModuleNotFoundError):
        engine = None
    if engine is None:
        raise ConfigurationError(f"the driver for {setting} is not installed: pip install 'nightkey[postgres]'")
    keep_damage_apart(engine)
    forget_what_changes(engine)
    event.listen(engine, "rollback_savepoint", _forget_what_is_left)
    if is_sqlite:
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "connect", _begin_session)
        event.listen(engine, "begin", _begin_transaction)
    return engine


def _forget_what_is_left(connection: Connection, _name: str, _context: None) -> None:
    """It may have been written in the part that is undone now."""
    if DECISIVE in connection.info:
        connection.info[DECISIVE] = None


def _set_pragmas(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401  # DBAPI
    prepare_sqlite(connection)
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_session(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401  # DBAPI
    """A process that stalls in the middle of a transaction must not hold up all others for ever.

    Behind a pooler the next transaction may be another server connection's, and this one somebody else's: so
    nothing is set beyond a transaction there, and no statement is prepared.
    """
    prepare_postgresql(connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pooled = cursor.fetchone()[0] != connection.info.backend_pid  # a pooler tells a number of its own
        record.info[_POOLED] = pooled
        if pooled:
            connection.prepare_threshold = None
        else:
            cursor.execute(_timeouts(local=False))
    connection.commit()


def _timeouts(*, local: bool) -> str:
    given = {"lock_timeout": BUSY_SECONDS, "idle_in_transaction_session_timeout": IDLE_SECONDS}
    set_each = (f"set_config('{name}', '{seconds}s', {str(local).lower()})" for name, seconds in given.items())
    return f"SELECT {', '.join(set_each)}"


def _wait_for_locks(seconds: float) -> str:
    """In this transaction, from now on."""
    return f"SET LOCAL lock_timeout TO '{seconds * 1000:.0f}ms'"


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler, such as PgBouncer, stands before the server."""
    return bool(connection.info.get(_POOLED))


def _begin_transaction(connection: Connection) -> None:
    """For this transaction alone: a pool of connections may give this one to another program next."""
    if connection.info.get(_POOLED):
        connection.exec_driver_sql(_timeouts(local=True))
    if connection.info.get(_GIVES_WAY):
        connection.exec_driver_sql(_wait_for_locks(GIVES_WAY_SECONDS))
    if connection.info.get(_LIGHTLY):
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")


def _begin(connection: Connection) -> None:
    """SQLite says of a connection whether its commits wait, and lets that be changed between transactions."""
    info = connection.info
    if not info.get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    synchronous = "NORMAL" if info.get(_LIGHTLY) else "FULL"
    if info.get(_SYNCHRONOUS, "FULL") != synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
        info[_SYNCHRONOUS] = synchronous
    connection.exec_driver_sql("BEGIN IMMEDIATE")
