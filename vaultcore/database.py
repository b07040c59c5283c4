"""The database: engine, transactions, and the check that its schema is this release's.

SQLite (WAL, foreign keys, full sync, secure delete) or PostgreSQL, by URL. A write transaction
takes its lock at the start (`BEGIN IMMEDIATE` on SQLite), so two writers wait instead of failing.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from vaultcore.errors import ConfigurationError, ConflictError

SCHEMA_REVISION = "0012"
"""The newest file in `migrations/versions`; a test holds the two together."""

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
DECISIVE = "decisive"
"""The mark, in `info` of a connection, of a transaction that made, moved or destroyed a value."""
IDLE_SECONDS = 300


class Database:
    """One engine, and the two ways to use it: `read()` and `write()`."""

    def __init__(self, url: str | URL) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            parsed = None
        if parsed is None or parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigurationError(
                "database_url is not one of ours: write sqlite:////path/to/file.db or "
                "postgresql+psycopg://user@host/name"
            )
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.after_change: Callable[[], None] | None = None
        """Called after each commit that made, moved or destroyed a value. It must not raise."""
        self.engine = _make_engine(url, is_sqlite=self.is_sqlite)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose reads all see one state; nothing it does is kept."""
        with self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        What it loses to another transaction (a constraint, a deadlock, a lock that was not given) is a
        `ConflictError`: look again, then decide. The driver's own error quotes the row, and stays here.
        """
        conflict = ""
        decisive = False
        try:
            with self.engine.connect() as connection:
                connection.info["write"] = True
                try:
                    with connection.begin():
                        yield connection
                finally:
                    connection.info.pop("write", None)
                    decisive = connection.info.pop(DECISIVE, False)
        except IntegrityError:
            conflict = "another change was made at the same moment"
        except OperationalError as error:
            if not _is_contention(error):
                raise
            conflict = "the database was busy with another change"
        if conflict:
            raise ConflictError(f"{conflict}: look again, then repeat it")
        if decisive and self.after_change is not None:
            self.after_change()

    def scrub(self) -> None:
        """After a value was destroyed: no copy of it stays behind in the write-ahead log.

        SQLite overwrites deleted bytes (`secure_delete`) and here empties its log; readers may
        hold that up, then the next scrub does it: it never waits, since it would keep all writers
        waiting, too. PostgreSQL keeps dead rows until vacuum.
        """
        if self.is_sqlite:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=0")
                try:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")

    def revision(self) -> str | None:
        """The schema revision that the database is at; None: it has no schema of ours."""
        try:
            with self.read() as connection:
                if not inspect(connection).has_table("alembic_version"):
                    return None
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except OperationalError as error:
            problem = f"cannot be reached ({type(error.orig).__name__}): check database_url and that it runs"
        except DatabaseError as error:
            problem = f"is none, or is damaged ({type(error.orig).__name__}): restore it from its backup"
        raise ConfigurationError(f"the database {problem}")

    def check_schema(self) -> None:
        """Refuses a database of another release, before anything is read from it."""
        found = self.revision()
        if found is None:
            raise ConfigurationError("the database holds no vault yet: run `nightkey init`")
        if found != SCHEMA_REVISION:
            raise ConfigurationError(
                f"the database is at schema {found}, this release needs {SCHEMA_REVISION}: "
                "run `nightkey init` of the newer release to migrate it"
            )

    def migrate(self) -> None:
        """Brings the schema to this release's revision; a database that is there already is left alone."""
        from alembic import command  # noqa: PLC0415  # 150 ms that only init needs
        from alembic.config import Config  # noqa: PLC0415  # as above

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


def _is_contention(error: OperationalError) -> bool:
    """A deadlock, a serialization failure, or a lock that was not given in time."""
    state = getattr(error.orig, "sqlstate", None)
    return state in ("40001", "40P01", "55P03") or "database is locked" in str(error.orig)


def upsert_into(connection: Connection, table: Table) -> Any:  # noqa: ANN401  # two dialects, one API
    """`INSERT` with `on_conflict_do_…`, in the dialect of the connection.

    Tell what happened by `returning()`: an insert's `rowcount` means nothing on PostgreSQL.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _make_engine(url: str | URL, *, is_sqlite: bool) -> Engine:
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            json_deserializer=_read_json,
            pool_pre_ping=not is_sqlite,
            connect_args={"timeout": BUSY_SECONDS} if is_sqlite else {},
        )
    except (SQLAlchemyError, ModuleNotFoundError):
        engine = None
    if engine is None:
        raise ConfigurationError(
            "the driver for database_url is not installed: pip install 'nightkey[postgres]'"
        )
    if is_sqlite:
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "connect", _set_timeouts)
    return engine


def _read_json(text: str) -> Any:  # noqa: ANN401  # JSON
    """What is stored; None where it is no JSON any more, so that one such row does not hide the others."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _set_pragmas(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401  # DBAPI
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _set_timeouts(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401  # DBAPI
    """A process that stalls in the middle of a transaction must not hold up all others for ever."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
    connection.commit()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get("write") else "BEGIN")
