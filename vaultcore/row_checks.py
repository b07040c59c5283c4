"""Every row that decides, held against its keyed digest, and every sealed record opened: a page at a time.

A record is opened and what it holds thrown away: that is no reveal, nothing of it leaves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Table, false, select

from vaultcore.owners import Owners
from vaultcore.paging import walk_pages
from vaultcore.row_macs import columns_of, is_ours, key_of
from vaultcore.signing_rows import kept_tables, page_after
from vaultcore.tables import versions as version_rows
from vaultcore.versions import Versions

Key = tuple[Any, ...]


class RowFault(StrEnum):
    ROW = "row"
    """None of us wrote the row as it is."""
    RECORD = "record"
    """The row is ours, and its sealed record does not open."""


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """`row` has the columns that its digest is of."""

    table: str
    key: str
    fault: RowFault
    row: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RowPage:
    """What came of some rows of a table. `last` is the primary key to go on after; None: it has no more."""

    rows: int
    wrong: tuple[Wrong, ...]
    last: Key | None


class RowChecks:
    def __init__(self, *, versions: Versions, owners: Owners) -> None:
        self._opens: dict[str, tuple[Sequence[Column[Any]], Callable[[Row[*tuple[Any, ...]]], bool]]] = {
            "versions": (_SEALED, versions.opens),
            "routes": ((), owners.opens),
        }

    def tables(self) -> list[Table]:
        return kept_tables()

    def walk(self, connection: Connection, table: Table, after: Key | None, *, size: int) -> Iterator[RowPage]:
        """The rows of a table by primary key, after that one; what comes last has no `last`, be it empty."""
        columns, _ = self._opens.get(table.name, ((), None))
        ended = False
        for rows in walk_pages(
            lambda last: page_after(connection, table, last or after, size=size, columns=columns),
            partial(_key_of, table),
            size=size,
        ):
            wrong = [found for row in rows if (found := self._check(connection, table, row)) is not None]
            ended = len(rows) < size
            yield RowPage(rows=len(rows), wrong=tuple(wrong), last=None if ended else _key_of(table, rows[-1]))
        if not ended:
            yield RowPage(rows=0, wrong=(), last=None)

    def check_row(self, connection: Connection, table: Table, row: Row[*tuple[Any, ...]]) -> Wrong | None:
        """As `find_rows` read it; None: it is whole."""
        return self._check(connection, table, row)

    def find_rows(
        self, connection: Connection, table: Table, key: str, *, lock: bool = False, cut: bool = False
    ) -> list[Row[*tuple[Any, ...]]]:
        """The rows whose primary key is shown so, those that are not whole first: more than one where a part of
        it was given a blank. `lock`: nobody else changes them in this transaction. `cut`: the last part of the
        key may go on.
        """
        columns, _ = self._opens.get(table.name, ((), None))
        names = [*columns_of(table), "mac"]
        query = select(*(table.c[name] for name in names), *columns).where(_may_begin(table, key))
        found = []
        for row in connection.execute(query.with_for_update() if lock else query):
            shown = key_of(table, dict(row._mapping))  # noqa: SLF001  # SQLAlchemy's public way
            if shown == key or (cut and shown.startswith(key)):
                found.append(row)
        return sorted(found, key=lambda row: self._check(connection, table, row) is None)

    def _check(self, connection: Connection, table: Table, row: Row[*tuple[Any, ...]]) -> Wrong | None:
        stored = dict(row._mapping)  # noqa: SLF001  # as above
        fault = None
        _, opens = self._opens.get(table.name, ((), None))
        if not is_ours(connection, table, stored):
            fault = RowFault.ROW
        elif opens is not None and not opens(row):
            fault = RowFault.RECORD
        if fault is None:
            return None
        named = {name: stored[name] for name in columns_of(table)}
        return Wrong(table=table.name, key=key_of(table, stored), fault=fault, row=named)


def _key_of(table: Table, row: Row[*tuple[Any, ...]]) -> Key:
    return tuple(getattr(row, column.name) for column in table.primary_key)


def _may_begin(table: Table, key: str) -> ColumnElement[bool]:
    """Whether the first part of a row's primary key may be what that shown key begins with."""
    first = next(iter(table.primary_key))
    blanks = [at for at, letter in enumerate(key) if letter == " "][:_BLANKS_MAX]
    starts = {_read_key(first, start) for start in (key, *(key[:at] for at in blanks))} - {None}
    return first.in_(starts) if starts else false()


def _read_key(column: Column[Any], shown: str) -> str | int | datetime | None:
    """Of a key as it is shown, what the column holds; None: it can hold no such thing.

    SQLite compares a number with a text and finds nothing; PostgreSQL ends the transaction.
    """
    if column.type.python_type is datetime:
        return read_time(shown)
    if column.type.python_type is not int:
        return None if "\0" in shown or not _is_text(shown) else shown
    try:
        number = int(shown)
    except ValueError:
        return None
    return number if abs(number) < _NUMBER_END else None


def read_time(shown: str) -> datetime | None:
    """Of a time as a key shows it; None: it is none, or of no zone."""
    try:
        found = datetime.fromisoformat(shown)
    except ValueError:
        return None
    return None if found.tzinfo is None else found


def _is_text(shown: str) -> bool:
    """Whether it can be sent to a database: words of a command line may hold halves of characters."""
    try:
        shown.encode()
    except UnicodeEncodeError:
        return False
    return True


_BLANKS_MAX = 50
"""No key of ours has as many."""
_NUMBER_END = 2**63
"""No whole number of a database comes to it."""
_SEALED = (version_rows.c.wrapped_key, version_rows.c.record)
