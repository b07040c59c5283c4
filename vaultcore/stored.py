"""What comes out of the database, value by value and row by row: damage stays where it is.

A stored value that is none of its column (a word where a time should be, JSON that is cut off) comes out as
`Unreadable`, and the page that it is in comes out all the same. Whoever makes something of a row does it by
`read_apart`, or `do_apart` where it writes: what is wrong with one row ends that one row.
"""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Connection,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    Row,
    String,
    Text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError, StatementError
from sqlalchemy.types import TypeEngine

from vaultcore.errors import AuditError, ConflictError, NightkeyError, UnreadableError
from vaultcore.written_last import savepoint

R = TypeVar("R")
T = TypeVar("T")


class Unreadable:
    """Stands where a stored value is none of its column. It can be told, and nothing can be decided by it:
    it has no order, no arithmetic and no parts.
    """

    def __repr__(self) -> str:
        return "unreadable"

    def __bool__(self) -> bool:
        """So that `value or default` gives the default in what is shown. Who decides checks the row first."""
        return False


UNREADABLE: Final = Unreadable()


def is_readable(value: object) -> bool:
    """Whether it came out of the database as what its column says."""
    return value is not UNREADABLE


def take_readable(value: T | None) -> T | None:
    """None also where it cannot be read."""
    return value if is_readable(value) else None


_OF_THE_ROW = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What comes of a value that is not what it should be, or too large to reckon with."""


@dataclass(frozen=True, kw_only=True)
class Unread(Generic[T]):
    """A row, or what was made of one, of which nothing came. `problem` names the fields, or else the kind
    of the error.
    """

    row: Any
    problem: str

    def explain(self, what: str) -> UnreadableError:
        return UnreadableError(what, self.problem)


def unreadable_fields(row: Row[*tuple[Any, ...]]) -> tuple[str, ...]:
    """The names of those of its values that cannot be read."""
    return tuple(name for name, value in row._mapping.items() if value is UNREADABLE)  # noqa: SLF001  # SQLAlchemy's public way


def check_row(row: Row[*tuple[Any, ...]], what: str, *, besides: Collection[str] = ()) -> None:
    """`UnreadableError` where any value of the row cannot be read, `besides` these."""
    if UNREADABLE in row:
        fields = [name for name in unreadable_fields(row) if name not in besides]
        if fields:
            raise UnreadableError(what, ", ".join(fields))


def read_apart(row: R, read: Callable[[R], T]) -> T | Unread[T]:
    """What `read` makes of the row, or of what was made of it; what is wrong with it ends nothing but that."""
    try:
        return read(row)
    except (ConflictError, AuditError):
        raise
    except (*_OF_THE_ROW, NightkeyError, StatementError) as error:
        if not _is_of_the_row(error):
            raise
        return Unread(row=row, problem=_explain(row, error))


def do_apart(connection: Connection, row: R, do: Callable[[R], T]) -> T | Unread[T]:
    """As `read_apart`, for what writes: of a row with which something is wrong nothing is written."""

    def within(one: R) -> T:
        with savepoint(connection):
            return do(one)

    return read_apart(row, within)


def read_all(rows: Iterable[R], read: Callable[[R], T]) -> tuple[list[T], list[Unread[T]]]:
    """What was made of the rows, and those of which nothing could be made."""
    made: list[T] = []
    unread: list[Unread[T]] = []
    for row in rows:
        one = read_apart(row, read)
        if isinstance(one, Unread):
            unread.append(one)
        else:
            made.append(one)
    return made, unread


def _is_of_the_row(error: Exception) -> bool:
    """Of statements: one that could not be sent, or whose values are refused; not a database that is away."""
    return (
        not isinstance(error, StatementError)
        or type(error) is StatementError
        or isinstance(error, (DataError, ProgrammingError))
    )


def _explain(row: object, error: Exception) -> str:
    if isinstance(error, UnreadableError):
        return error.problem
    fields = ", ".join(unreadable_fields(row)) if isinstance(row, Row) else ""
    return fields or (str(error) if isinstance(error, NightkeyError) else type(error).__name__)


# The types of columns, as SQLite gives them: it keeps whatever it is given, whatever the column says


def read_json(text: str | bytes) -> Any:  # noqa: ANN401  # JSON
    """What is stored; `UNREADABLE` where it is not JSON any more, or nested too deeply to be read."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return UNREADABLE


def _read_text(raw: bytes) -> Any:  # noqa: ANN401  # DBAPI
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return UNREADABLE


class _StoredText(Text):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401, ARG002  # the library's
        return _only(str)


class _String(String):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401, ARG002  # the library's
        return _only(str)


class _Integer(Integer):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401, ARG002  # the library's
        return _only(int)


class _BigInteger(BigInteger):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401, ARG002  # the library's
        return _only(int)


class _Bytes(LargeBinary):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401, ARG002  # the library's
        return _only(bytes)


class _Boolean(Boolean):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401, ARG002  # the library's
        known = {None: None, 0: False, 1: True}
        return lambda value: known.get(value, UNREADABLE) if type(value) in (int, type(None)) else UNREADABLE


_NUMBERS: Final = (int, float)
"""A JSON text that is a number alone is kept as one by SQLite."""


class _Json(sqlite.JSON):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401, ARG002  # the library's
        return lambda value: value if value is None or type(value) in _NUMBERS else read_json(value)


class _StoredTime(sqlite.DATETIME):
    def result_processor(self, dialect: Any, coltype: object) -> Any:  # noqa: ANN401  # the library's
        process: Any = super().result_processor(dialect, coltype)

        def read(value: object) -> Any:  # noqa: ANN401  # DBAPI
            try:
                return process(value)
            except (ValueError, TypeError, OverflowError):
                return UNREADABLE

        return read


def _only(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if value is None or type(value) is kind else UNREADABLE


_OF_SQLITE: dict[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    Text: _StoredText,
    String: _String,
    BigInteger: _BigInteger,
    Integer: _Integer,
    LargeBinary: _Bytes,
    Boolean: _Boolean,
    JSON: _Json,
    DateTime: _StoredTime,
}


def keep_damage_apart(engine: Engine) -> None:
    """Every column of every statement of the engine is read as above: none can be forgotten."""
    if engine.dialect.name == "sqlite":
        engine.dialect.colspecs = {**engine.dialect.colspecs, **_OF_SQLITE}


def prepare_sqlite(connection: Any) -> None:  # noqa: ANN401  # DBAPI
    """Text that is no UTF-8 would otherwise end the statement that reads it."""
    connection.text_factory = _read_text


def fetch_sound(connection: Connection, fetch: Callable[[], T]) -> T:
    """What `fetch` reads (and it changes nothing) with SQLite's own reading of text, which is the faster one.
    Where that meets a text that is no UTF-8, all is read again as above.
    """
    driver: Any = connection.connection.dbapi_connection if connection.dialect.name == "sqlite" else None
    if driver is not None:
        careful, driver.text_factory = driver.text_factory, str
        try:
            return fetch()
        except OperationalError:
            pass  # such a text, or else what the second reading meets, too
        finally:
            driver.text_factory = careful
    return fetch()


def prepare_postgresql(connection: Any) -> None:  # noqa: ANN401  # DBAPI
    """A time that Python does not know (`infinity`, a year beyond 9999) would otherwise end the statement."""
    from psycopg import DataError as Beyond  # noqa: PLC0415  # only where it is installed
    from psycopg.types.datetime import TimestamptzLoader  # noqa: PLC0415  # as above

    class Loader(TimestamptzLoader):
        def load(self, data: Any) -> Any:  # noqa: ANN401  # DBAPI
            try:
                return super().load(data)
            except (Beyond, ValueError, OverflowError):
                return UNREADABLE

    connection.adapters.register_loader("timestamptz", Loader)
