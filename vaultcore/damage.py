"""Rows with a value that none of us wrote, found by the database itself, set by set.

SQLite keeps whatever it is given: a word in a column of times, text in one of bytes. Such a row may be
one that no walk ever meets again (what is due is asked for by its time), so the walks cannot find it. What
each column may hold follows from its type; `info={"one_of": …}` names the values of a column that has few, and
`info={"json_text": True}` says of a text that it is a JSON object, kept to the letter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Table,
    Text,
    and_,
    case,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    type_coerce,
)

from vaultcore.tables import UtcDateTime

_DAY = "[2-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]"
_CLOCK = "[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]"
_FOUND_MAX = 1000
"""How many damaged rows of a table are told one by one: where there are more, one restores the whole."""


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A row that cannot be read. `key`: its primary key, to be shown; `row`: what was asked for beside it."""

    table: str
    key: str
    fields: tuple[str, ...]
    row: Row[*tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class DamageSelect:
    """Asks a table for its damaged rows: made once, since that takes longer than the answer. `fields`: what it
    looks at, in order.
    """

    table: str
    fields: tuple[str, ...]
    keys: int
    query: Select[*tuple[Any, ...]]

    def find(self, connection: Connection, values: Mapping[str, Any]) -> Iterator[Damage]:
        """With the values of the parameters that its rules have."""
        for row in connection.execute(self.query, values):
            fields = tuple(name for name, is_good in zip(self.fields, row, strict=False) if not is_good)
            key = " ".join(str(value) for value in row[len(self.fields) : len(self.fields) + self.keys])
            yield Damage(table=self.table, key=key, fields=fields, row=row)


def select_damage(
    table: Table,
    dialect: str,
    *,
    where: ColumnElement[bool],
    beside: Mapping[str, ColumnElement[Any]],
    rules: Mapping[str, ColumnElement[bool]],
) -> DamageSelect:
    """The damaged rows of a table, or of those of them that count; `beside` is read with each.

    `rules` are what must hold beside the types, by the name of the field that is wrong where one does not.
    """
    sound = {column.name: is_sound(column, dialect) for column in table.columns}
    for name, rule in rules.items():
        sound[name] = and_(sound.get(name, true()), func.coalesce(rule, false()))
    checks = [check.label(f"sound_{position}") for position, check in enumerate(sound.values())]
    keys = [column.label(f"key_{column.name}") for column in table.primary_key]
    others = [column.label(f"beside_{name}") for name, column in beside.items()]
    query = select(*checks, *keys, *others).where(where, not_(and_(*sound.values()))).limit(_FOUND_MAX)
    return DamageSelect(table=table.name, fields=tuple(sound), keys=len(keys), query=query)


def is_whole(connection: Connection, table: Table) -> ColumnElement[bool]:
    """Whether each column of a row is: for a select of what is due, which must be able to go on to the next."""
    return _is_whole(table, connection.dialect.name)


@cache
def _is_whole(table: Table, dialect: str) -> ColumnElement[bool]:
    return and_(*(is_sound(column, dialect) for column in table.columns))


@cache  # follows from the schema alone, and takes longer to build than to ask the database
def is_sound(column: Column[Any], dialect: str) -> ColumnElement[bool]:
    """Whether the column holds what its type says, as the database sees it; never null."""
    check = _of_sqlite(column) if dialect == "sqlite" else _of_postgresql(column)
    values = column.info.get("one_of")
    if values is not None:
        check = and_(check, column.in_([str(value) for value in values]))
    check = func.coalesce(check, false())
    return or_(column.is_(None), check) if column.nullable else check


def _of_sqlite(column: Column[Any]) -> ColumnElement[bool]:
    raw = type_coerce(column, Text())
    kind = func.typeof(raw)
    if isinstance(column.type, UtcDateTime):
        day = func.substr(raw, 1, 10)
        shaped = raw.op("GLOB")(f"{_DAY} {_CLOCK}")
        return and_(kind == "text", shaped, func.date(day, "+0 days") == day)
    if isinstance(column.type, Boolean):
        return and_(kind == "integer", column.in_([False, True]))
    if isinstance(column.type, Integer):
        return and_(kind == "integer", column >= 0)
    if isinstance(column.type, JSON):
        sound = case((_is_json(raw), _has_shape(column, func.json_type(raw))), else_=false())
        return or_(kind.in_(["integer", "real"]), sound) if column.info.get("shape") == "any" else sound
    if isinstance(column.type, LargeBinary):
        return kind == "blob"
    if column.info.get("json_text"):
        return case((_is_json(raw), func.json_type(raw) == "object"), else_=false())
    return and_(kind == "text", *_fits(column))


def _of_postgresql(column: Column[Any]) -> ColumnElement[bool]:
    if isinstance(column.type, UtcDateTime):
        return and_(
            func.isfinite(column),
            column >= literal_column("timestamptz '2000-01-01 00:00:00+00'"),
            column < literal_column("timestamptz '9999-12-31 23:59:59.999999+00'"),
        )
    if isinstance(column.type, Boolean | LargeBinary):
        return true()
    if isinstance(column.type, Integer):
        return column >= 0
    if isinstance(column.type, JSON):
        return _has_shape(column, func.json_typeof(column))
    if column.info.get("json_text"):  # no release before 16 can tell more without raising
        return column.regexp_match(r"^\s*\{.*\}\s*$")
    return and_(*_fits(column))


def number_in(column: ColumnElement[Any], key: str, dialect: str) -> ColumnElement[Any]:
    """A number in a column of JSON; null where that is none."""
    number = column[key].as_integer()
    return case((_is_json(type_coerce(column, Text())), number)) if dialect == "sqlite" else number


def text_in(column: ColumnElement[Any], key: str, dialect: str) -> ColumnElement[Any]:
    """A text in a column of JSON; null where that is none, or has none by that name."""
    found = column[key].as_string()
    return case((_is_json(type_coerce(column, Text())), found)) if dialect == "sqlite" else found


def _is_json(raw: ColumnElement[Any]) -> ColumnElement[bool]:
    """SQLite's functions of JSON raise where it is none: only a CASE keeps them from being called."""
    return and_(func.typeof(raw) == "text", func.json_valid(raw) == 1)


def _has_shape(column: Column[Any], found: ColumnElement[str]) -> ColumnElement[bool]:
    shape = column.info.get("shape", "object")
    return true() if shape == "any" else found == shape


def _fits(column: Column[Any]) -> list[ColumnElement[bool]]:
    """As long as its type allows; and not empty, where it says which of several something is."""
    longest = column.type.length if isinstance(column.type, String) else None
    fits: list[ColumnElement[bool]] = [true()]
    if longest is not None:
        fits.append(func.length(column) <= longest)
    if longest is not None and not column.info.get("may_be_empty", False):
        fits.append(func.length(column) > 0)
    return fits
