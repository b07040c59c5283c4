"""Rows as they are stored, of any table and on either database: to be copied, and compared with their copies.

Nothing is made of a value but what its column says. JSON stays the text that it is, so that a null in it is
told from no value; a digest is copied, and not made anew. SQLite keeps a JSON text that is a number alone as a
number.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.types import NullType, UserDefinedType

from vaultcore.composite_keys import is_among
from vaultcore.mac_writing import AS_IS
from vaultcore.paging import select_page, walk_pages

Key = tuple[Any, ...]
RawRow = tuple[Any, ...]
"""The values of all columns, in their order."""

_INTEGER_END: Final = 2**31
_BIG_END: Final = 2**63


class _Written(UserDefinedType[str]):
    """JSON that is text already."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "JSON"


def walk_rows(
    connection: Connection, table: Table, after: Key | None = None, *, upto: Key | None = None, size: int
) -> Iterator[Sequence[RawRow]]:
    """Pages of rows by primary key, after one and up to another; None: from the first, to the last."""
    keys, query = list(table.primary_key), _select(table, connection.dialect.name)
    if upto is not None:
        its = [literal(part, key.type) for key, part in zip(keys, upto, strict=True)]
        query = query.where(keys[0] <= its[0] if len(keys) == 1 else tuple_(*keys) <= tuple_(*its))
    return walk_pages(
        lambda last: _read(connection, table, select_page(query, keys, last or after, size=size)),
        partial(key_of_row, table),
        size=size,
    )


def find_rows(connection: Connection, table: Table, keys: Collection[Key]) -> dict[Key, RawRow]:
    """Those of the rows with these keys that are there."""
    columns = list(table.primary_key)
    among: ColumnElement[bool] = (
        columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else is_among(columns, keys)
    )
    rows = _read(connection, table, _select(table, connection.dialect.name).where(among))
    return {key_of_row(table, row): row for row in rows}


def add_rows(connection: Connection, table: Table, rows: Sequence[RawRow]) -> None:
    """As they are. What points at rows of the same table is left empty: see `link_rows`."""
    names, later = list(table.c.keys()), {column.name for column in own_links(table)}
    given = [
        {name: None if name in later else value for name, value in zip(names, row, strict=True)} for row in rows
    ]
    connection.execute(_insert(table), given, execution_options=AS_IS)


def link_rows(connection: Connection, table: Table, rows: Sequence[RawRow]) -> None:
    """What of these rows points at rows of the same table, once all of them are there."""
    names, links = list(table.c.keys()), own_links(table)
    keys = list(table.primary_key)
    of_row = [key == bindparam(f"its_{key.name}") for key in keys]
    values: dict[str, Any] = {column.name: bindparam(f"new_{column.name}") for column in links}
    stored = [dict(zip(names, row, strict=True)) for row in rows]
    given = [
        {f"its_{key.name}": row[key.name] for key in keys} | {f"new_{one.name}": row[one.name] for one in links}
        for row in stored
        if any(row[one.name] is not None for one in links)
    ]
    if given:
        connection.execute(update(table).where(*of_row).values(values), given, execution_options=AS_IS)


@cache
def own_links(table: Table) -> tuple[Column[Any], ...]:
    """The columns that point at rows of the same table."""
    return tuple(
        column for column in table.columns if any(key.column.table is table for key in column.foreign_keys)
    )


def count_rows(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def key_of_row(table: Table, row: RawRow) -> Key:
    return tuple(row[position] for position in _key_positions(table))


def show_key(key: Key) -> str:
    """As `key_of` of `vaultcore.row_macs` shows it."""
    return " ".join(part.isoformat() if isinstance(part, datetime) else str(part) for part in key)


def find_differences(table: Table, row: RawRow, copy: RawRow) -> tuple[str, ...]:
    """The names of the columns in which the two are not the same."""
    return tuple(
        column.name
        for column, mine, its in zip(table.columns, row, copy, strict=True)
        if mine != its and not (isinstance(column.type, JSON) and _is_same_json(mine, its))
    )


def find_unfit(table: Table, row: RawRow) -> tuple[str, ...]:
    """The names of the columns whose values SQLite holds, and PostgreSQL would refuse: a NUL in a text, and a
    number that is too large.
    """
    return tuple(
        column.name
        for column, value in zip(table.columns, row, strict=True)
        if (isinstance(value, str) and "\0" in value) or _is_too_large(column, value)
    )


# Inside


def _read(connection: Connection, table: Table, query: Select[*tuple[Any, ...]]) -> list[RawRow]:
    rows = connection.execute(query).all()
    numbers = _json_positions(table) if connection.dialect.name == "sqlite" else ()
    if not numbers:
        return [tuple(row) for row in rows]
    return [
        tuple(_to_text(value) if place in numbers else value for place, value in enumerate(row)) for row in rows
    ]


@cache
def _select(table: Table, dialect: str) -> Select[*tuple[Any, ...]]:
    """With the key's columns as they are: pages are ordered by them."""
    return select(*(_as_stored(column, dialect) for column in table.columns))


def _as_stored(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    if not isinstance(column.type, JSON):
        return column
    stored = type_coerce(column, NullType()) if dialect == "sqlite" else cast(column, Text)
    return stored.label(column.name)


@cache
def _insert(table: Table) -> Insert:
    written = {
        column.name: bindparam(column.name, type_=_Written())
        for column in table.columns
        if isinstance(column.type, JSON)
    }
    others: dict[str, Any] = {
        column.name: bindparam(column.name) for column in table.columns if column.name not in written
    }
    return insert(table).values(others | written)


@cache
def _key_positions(table: Table) -> tuple[int, ...]:
    names = list(table.c.keys())
    return tuple(names.index(column.name) for column in table.primary_key)


@cache
def _json_positions(table: Table) -> frozenset[int]:
    return frozenset(place for place, column in enumerate(table.columns) if isinstance(column.type, JSON))


def _to_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, int | float) else value


def _is_same_json(mine: object, its: object) -> bool:
    """The same document, if a number of it was written in another way."""
    if not isinstance(mine, str) or not isinstance(its, str):
        return False
    try:
        return json.dumps(json.loads(mine)) == json.dumps(json.loads(its))
    except (ValueError, RecursionError):
        return False


def _is_too_large(column: Column[Any], value: object) -> bool:
    if not isinstance(value, int):
        return False
    return abs(value) >= (_BIG_END if isinstance(column.type, BigInteger) else _INTEGER_END)
