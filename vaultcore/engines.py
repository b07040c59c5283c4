"""Engines of both databases: how their connections are set up, and how a transaction begins on each.

SQLite has WAL, foreign keys, full sync and secure delete; a transaction that writes takes its lock at the
start, when it is its turn. PostgreSQL ends what waits too long for a lock, and who stays idle in a transaction.
What a transaction is for is told by marks in `info` of its connection, which are there before it begins.
"""

from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from vaultcore.errors import ConfigurationError
from vaultcore.stored import keep_damage_apart, prepare_postgresql, prepare_sqlite, read_json
from vaultcore.turns import Turns
from vaultcore.unit_of_work import watch_writes
from vaultcore.written_last import WRITES

BUSY_SECONDS = 30
IDLE_SECONDS = 300
GIVES_WAY_SECONDS = 0.5
"""How long a part of a shared transaction waits for a row, since others wait for what the parts before it hold.
It is less than PostgreSQL waits until it looks for a deadlock (`deadlock_timeout`, 1 s), so that it is seldom
somebody else who loses to one.
"""
GIVES_WAY = "gives way"
"""The mark of a transaction whose parts wait no longer than that."""
LIGHTLY = "lightly"
"""The mark of a transaction whose commit does not wait for the disk."""
DECISIVE = "decisive"
"""The mark of a transaction that made, moved or destroyed a value: what it leaves behind. None: a part of it
was undone since, so that nobody knows.
"""
_SAVEPOINTS: Final = {
    "do_savepoint": "SAVEPOINT",
    "do_rollback_to_savepoint": "ROLLBACK TO SAVEPOINT",
    "do_release_savepoint": "RELEASE SAVEPOINT",
}
"""By what a dialect of the library has for each."""
_POOLED = "pooled"
"""In `info` of a connection to PostgreSQL: whether a pooler may give it another of the server's each time."""
_SYNCHRONOUS = "synchronous"
"""In `info` of a connection to SQLite: whether its commits wait (`FULL`)."""


def make_engine(url: str | URL, *, is_sqlite: bool, setting: str) -> Engine:
    """`ConfigurationError` where its driver is not installed; `setting` is what gave its address."""
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
    watch_writes(engine)
    _set_savepoints(engine.dialect)
    event.listen(engine, "rollback_savepoint", _forget_what_is_left)
    if is_sqlite:
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", partial(_begin, Turns(_find_folder(engine))))
    else:
        event.listen(engine, "connect", _begin_session)
        event.listen(engine, "begin", _begin_transaction)
    return engine


def _set_savepoints(dialect: Dialect) -> None:
    """As text: a statement that the library puts together for each of them anew takes six times as long."""
    for method, words in _SAVEPOINTS.items():
        setattr(dialect, method, partial(_ask_for_savepoint, words))


def _ask_for_savepoint(words: str, connection: Connection, name: str) -> None:
    connection.exec_driver_sql(f"{words} {name}")


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
    from vaultcore.postgres_cursors import LateCursor  # noqa: PLC0415  # only where its driver is installed

    prepare_postgresql(connection)
    connection.cursor_factory = LateCursor
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


def wait_long_for_locks(connection: Connection) -> None:
    """In this transaction, from now on, as one does that gives way to nobody."""
    connection.exec_driver_sql(_wait_for_locks(BUSY_SECONDS))


def _wait_for_locks(seconds: float) -> str:
    return f"SET LOCAL lock_timeout TO '{seconds * 1000:.0f}ms'"


def empty_log(connection: Connection) -> bool:
    """SQLite's write-ahead log, unless readers or writers hold that up: it waits for none of them. Whether it
    is empty.
    """
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        return connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar() == 0
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler, such as PgBouncer, stands before the server."""
    return bool(connection.info.get(_POOLED))


def _begin_transaction(connection: Connection) -> None:
    """For this transaction alone: a pool of connections may give this one to another program next."""
    if connection.info.get(_POOLED):
        connection.exec_driver_sql(_timeouts(local=True))
    if connection.info.get(GIVES_WAY):
        connection.exec_driver_sql(_wait_for_locks(GIVES_WAY_SECONDS))
    if connection.info.get(LIGHTLY):
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")


def _find_folder(engine: Engine) -> Path | None:
    """Of the file; None: it is in memory."""
    name = engine.url.database
    return Path(name).parent if name and name != ":memory:" else None


def _begin(turns: Turns, connection: Connection) -> None:
    """SQLite says of a connection whether its commits wait, and lets that be changed between transactions."""
    info = connection.info
    if not info.get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    synchronous = "NORMAL" if info.get(LIGHTLY) else "FULL"
    if info.get(_SYNCHRONOUS, "FULL") != synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
        info[_SYNCHRONOUS] = synchronous
    turns.begin(connection, patience=BUSY_SECONDS)
