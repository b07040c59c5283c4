"""Rows with a value that none of us wrote, found by the database itself, set by set.

SQLite keeps whatever it is given: a word in a column of times, text in one of bytes. Such a row may be
one that no walk ever meets again (what is due is asked for by its time), so the walks cannot find it. What
each column may hold follows from its type; `info={"one_of": …}` names the values of a column that has few, and
`info={"json_text": True}` says of a text that it is a JSON object, kept to the letter.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
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
    select,
    true,
    type_coerce,
)

from vaultcore.tables import UtcDateTime

_TIME = "[2-9]???-??-?? ??:??:??.[0-9][0-9][0-9][0-9][0-9][0-9]"
"""What else is no digit, or no time that there is, SQLite would write otherwise."""
_INTEGER_MAX = 2**31 - 1
"""As PostgreSQL has them: what SQLite would keep beyond leaves no room for the next."""
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
    looks at, in order. Which of them is wrong is asked (`make_query`) only where `has_any` says that one is: to
    make and compile all of these columns is most of the work.
    """

    table: str
    fields: tuple[str, ...]
    keys: int
    has_any: Select[*tuple[Any, ...]]
    make_query: Callable[[], Select[*tuple[Any, ...]]]

    def find(self, connection: Connection, values: Mapping[str, Any]) -> Iterator[Damage]:
        """With the values of the parameters that its rules have."""
        if connection.execute(self.has_any, values).first() is None:
            return
        for row in connection.execute(self.make_query(), values):
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
    held = {name: func.coalesce(rule, false()) for name, rule in rules.items()}
    damaged = and_(where, not_(and_(is_whole_for(dialect, table), *held.values())))
    keys = list(table.primary_key)

    @cache
    def make_query() -> Select[*tuple[Any, ...]]:
        sound = {column.name: is_sound(column, dialect) for column in table.columns}
        sound |= {name: and_(sound.get(name, true()), rule) for name, rule in held.items()}
        checks = [check.label(f"sound_{position}") for position, check in enumerate(sound.values())]
        shown = [column.label(f"key_{column.name}") for column in keys]
        others = [column.label(f"beside_{name}") for name, column in beside.items()]
        return select(*checks, *shown, *others).where(damaged).limit(_FOUND_MAX)

    return DamageSelect(
        table=table.name,
        fields=tuple(dict.fromkeys([*(column.name for column in table.columns), *held])),
        keys=len(keys),
        has_any=select(true()).select_from(table).where(damaged).limit(1),
        make_query=make_query,
    )


def is_whole(connection: Connection, table: Table) -> ColumnElement[bool]:
    """Whether each column of a row is: for a select of what is due, which must be able to go on to the next."""
    return is_whole_for(connection.dialect.name, table)


@cache
def is_whole_for(dialect: str, table: Table) -> ColumnElement[bool]:
    """The same for who keeps it: the condition of a dialect."""
    return _sql(" AND ".join(_write_sound(column, dialect) for column in table.columns))


@cache
def is_sound(column: Column[Any], dialect: str) -> ColumnElement[bool]:
    """Whether the column holds what its type says, as the database sees it; never null."""
    return _sql(_write_sound(column, dialect))


def _sql(condition: str) -> ColumnElement[bool]:
    """Written as it is: of hundreds of columns, a tree of expressions takes far longer to make and to compile
    than the database to answer. It holds words of ours alone.
    """
    return literal_column(f"({condition})", Boolean())


def _write_sound(column: Column[Any], dialect: str) -> str:
    name = f'"{column.table.name}"."{column.name}"'
    parts = _of_sqlite(column, name) if dialect == "sqlite" else _of_postgresql(column, name)
    values = column.info.get("one_of")
    if values is not None:
        parts.append(f"{name} IN ({', '.join(_quote(str(value)) for value in values)})")
    check = f"coalesce({' AND '.join(parts) or 'true'}, false)"
    return f"({name} IS NULL OR {check})" if column.nullable else check


def _of_sqlite(column: Column[Any], name: str) -> list[str]:
    kind = f"typeof({name})"
    if isinstance(column.type, UtcDateTime):
        second = f"substr({name}, 1, 19)"
        return [f"{kind} = 'text'", f"{name} GLOB '{_TIME}'", f"datetime({second}, '+0 days') = {second}"]
    if isinstance(column.type, Boolean):
        return [f"{kind} = 'integer'", f"{name} IN (0, 1)"]
    if isinstance(column.type, Integer):
        most = [] if isinstance(column.type, BigInteger) else [f"{name} <= {_INTEGER_MAX}"]
        return [f"{kind} = 'integer'", f"{name} >= 0", *most]
    if isinstance(column.type, JSON):
        sound = _of_json(name, " AND ".join(_shape(column, f"json_type({name})")) or "true")
        return [f"({kind} IN ('integer', 'real') OR {sound})" if column.info.get("shape") == "any" else sound]
    if isinstance(column.type, LargeBinary):
        return [f"{kind} = 'blob'"]
    if column.info.get("json_text"):
        return [_of_json(name, f"json_type({name}) = 'object'")]
    return [f"{kind} = 'text'", *_fits(column, name)]


def _of_postgresql(column: Column[Any], name: str) -> list[str]:
    if isinstance(column.type, UtcDateTime):
        return [
            f"isfinite({name})",
            f"{name} >= timestamptz '2000-01-01 00:00:00+00'",
            f"{name} < timestamptz '9999-12-31 23:59:59.999999+00'",
        ]
    if isinstance(column.type, Boolean | LargeBinary):
        return []
    if isinstance(column.type, Integer):
        return [f"{name} >= 0"]
    if isinstance(column.type, JSON):
        return _shape(column, f"json_typeof({name})")
    if column.info.get("json_text"):  # no release before 16 can tell more without raising
        return [rf"{name} ~ '^\s*\{{.*\}}\s*$'"]
    return _fits(column, name)


def _of_json(name: str, condition: str) -> str:
    """SQLite's functions of JSON raise where it is none: only a CASE keeps them from being called."""
    return f"CASE WHEN typeof({name}) = 'text' AND json_valid({name}) = 1 THEN {condition} ELSE false END"


def _shape(column: Column[Any], found: str) -> list[str]:
    shape = column.info.get("shape", "object")
    return [] if shape == "any" else [f"{found} = {_quote(shape)}"]


def _fits(column: Column[Any], name: str) -> list[str]:
    """As long as its type allows; and not empty, where it says which of several something is."""
    longest = column.type.length if isinstance(column.type, String) else None
    if longest is None:
        return []
    fits = [f"length({name}) <= {longest}"]
    return fits if column.info.get("may_be_empty", False) else [*fits, f"length({name}) > 0"]


def _quote(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


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
