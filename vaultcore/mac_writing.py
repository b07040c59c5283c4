"""Whoever writes a row that decides writes its keyed digest with it: here, for every statement of the engine.

A digest that each writer has to remember is one that some writer forgets. So the engine is listened to: an
insert gets the digests of its rows; an update that changes a deciding column first reads and checks the rows
that it is about to change, and gets the digests of what they become. A row that was changed behind the vault's
back is refused there, and never made honest by the next honest write. SQL as text is not seen: what it writes
to these columns counts as changed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import (
    CTE,
    JSON,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Integer,
    Row,
    RowMapping,
    Select,
    Table,
    Update,
    bindparam,
    cast,
    event,
    false,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from vaultcore.damage import is_sound
from vaultcore.row_macs import MAC, RowMacs, attach, check_mac, columns_of, is_kept, is_ours, macs_of

AS_IS = {"nightkey_mac_as_is": True}
"""Execution options of a statement that writes digests itself."""


def keep_macs(engine: Engine, macs: RowMacs) -> None:
    """From now on the engine's rows have digests, and its connections know whose count."""
    attach(engine, macs)

    def before(
        connection: Connection,
        statement: Any,  # noqa: ANN401  # the library's
        many: Sequence[Mapping[str, Any]],
        one: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> tuple[Any, Any, Any]:
        if isinstance(statement, (Insert, Update)) and not options.keys() & AS_IS.keys():
            table = statement.table
            if isinstance(table, Table) and is_kept(table):
                if isinstance(statement, Insert):
                    return _sign_new(macs, connection, table, statement, many=many, one=one)
                return _sign_changed(macs, connection, table, statement, many=many, one=one)
        return statement, many, one

    event.listen(engine, "before_execute", before, retval=True)


def update_apart(
    connection: Connection,
    table: Table,
    where: ColumnElement[bool],
    values: Mapping[str, Any],
    *,
    given: Mapping[str, Any] | None = None,
) -> Sequence[Row[*tuple[Any, ...]]]:
    """An update that a forged row neither stops nor is made honest by: it gets the values, and no digest.

    For what ends rows or puts them off. What decides is set to plain values. `given`: the parameters of a
    condition that is made once, whose statement is kept. The rows as they were: key and deciding columns.
    """
    keys, macs = list(table.primary_key), macs_of(connection)
    select_rows = _select_apart.__wrapped__ if given is None else _select_apart
    rows = connection.execute(select_rows(table, where, connection.dialect.name), given or {}).all()
    ours, others = list[tuple[list[Any], bytes]](), list[list[Any]]()
    for row in rows:
        stored = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way
        key = [stored[column.name] for column in keys]
        if macs is not None and is_ours(connection, table, row):
            changed = {name: value for name, value in values.items() if name in columns_of(table)}
            ours.append((key, macs.make(table, stored | changed)))
        else:
            others.append(key)
    if ours:
        _write_macs(connection, table, ours, values)
    if others:
        _write(connection, table, others, values)
    return rows


@cache
def _select_apart(table: Table, where: ColumnElement[bool], dialect: str) -> Select[*tuple[Any, ...]]:
    keys = tuple(table.primary_key)
    sound = (is_sound(key, dialect) for key in keys)
    query = _select_decisive(table).where(where, *sound)
    if dialect == "sqlite":  # where writers take turns, and an order would lead through all rows of a table
        return query
    return query.order_by(*keys).with_for_update()


@cache
def _select_decisive(table: Table) -> Select[*tuple[Any, ...]]:
    """The columns of a row that its digest is made of, and the digest."""
    return select(*(table.c[name] for name in columns_of(table)), table.c[MAC])


@dataclass(frozen=True)
class RowChange:
    """How a row that is known is changed, made once: its statement is kept. `where`: what it must be like;
    `also`: what the database makes of columns that decide nothing; `returning`: its key, if nothing. `then`: on
    PostgreSQL, what the same statement writes where it has changed the row, of which it sees `returning`.
    """

    where: tuple[ColumnElement[bool], ...] = ()
    also: tuple[tuple[str, ColumnElement[Any]], ...] = ()
    returning: tuple[ColumnElement[Any], ...] = ()
    then: Callable[[CTE], ReturningInsert[*tuple[Any, ...]]] | None = None


def update_known(
    connection: Connection,
    table: Table,
    known: Mapping[str, Any] | RowMapping,
    values: Mapping[str, Any],
    change: RowChange,
    *,
    given: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Row[*tuple[Any, ...]] | None:
    """A row that was read and checked before is changed where it still has the digest that it had, and is not
    read again: its digest follows from what is `known` of it. The parameters of the change are `given`.
    None: it is not as the change wants it, or has changed since.

    Columns that were edited behind the vault's back since it was read stay as they are, and the digest does not
    hold for them: whoever reads the row next finds that.
    """
    macs = macs_of(connection)
    becomes = {f"new_{name}": value for name, value in values.items()}
    was = {f"its_{key.name}": known[key.name] for key in table.primary_key}
    if macs is not None:
        after = {name: values[name] if name in values else known[name] for name in columns_of(table)}
        becomes[f"new_{MAC}"] = macs.make(table, after)
        was[f"its_{MAC}"] = known[MAC]
    statement = _change_known(table, tuple(sorted(values)), change, () if macs is None else (MAC,))
    return connection.execute(
        statement, {**becomes, **was, **(given or {})}, execution_options={**AS_IS, **(options or {})}
    ).first()


@cache
def _change_known(
    table: Table, names: tuple[str, ...], change: RowChange, digest: tuple[str, ...]
) -> ReturningUpdate[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]]:
    keys = tuple(table.primary_key)
    its = [column == bindparam(f"its_{column.name}") for column in (*keys, *(table.c[name] for name in digest))]
    becomes: dict[Any, Any] = {table.c[name]: bindparam(f"new_{name}") for name in (*names, *digest)}
    becomes |= {table.c[name]: made for name, made in change.also}
    changed = update(table).where(*its, *change.where).values(becomes).returning(*(change.returning or keys))
    return changed if change.then is None else change.then(changed.cte("changed"))


def update_each(connection: Connection, table: Table, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Rows, by their ids, each to values of its own: read and checked together, and written together. Some
    hundred of them at most. `TamperedError` where none of us wrote one of them as it is.
    """
    macs, key = macs_of(connection), table.c.id
    columns = set(columns_of(table))
    query = _select_decisive(table).where(key.in_(list(changes))).order_by(key).with_for_update()
    rows = connection.execute(query).all()
    alike: dict[frozenset[str], list[dict[str, Any]]] = {}
    for row in rows:
        check_mac(connection, table, row, f"a row of {table.name}")
        stored = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way
        values = dict(changes[stored["id"]])
        if macs is not None:
            becomes = {name: value for name, value in values.items() if name in columns}
            values[MAC] = macs.make(table, stored | becomes)
        alike.setdefault(frozenset(values), []).append({"its_id": stored["id"], **values})
    for given in alike.values():
        connection.execute(update(table).where(key == bindparam("its_id")), given, execution_options=AS_IS)


def _sign_new(
    macs: RowMacs,
    connection: Connection,
    table: Table,
    statement: Insert,
    *,
    many: Sequence[Mapping[str, Any]],
    one: Mapping[str, Any],
) -> tuple[Insert, Sequence[Mapping[str, Any]], Mapping[str, Any]]:
    """Rows that an insert brings, as parameters or in the statement itself."""
    if statement.select is not None or statement._multi_values:  # noqa: SLF001  # nothing public says it
        raise TypeError(f"a deciding column of {table.name} is given by a list of parameters, or in one row")
    rows = many or ([one] if one else [])
    in_statement = statement.compile(dialect=connection.dialect).params if statement._values else {}  # noqa: SLF001  # nothing public says it
    if not rows:
        return statement.values({MAC: macs.make(table, _defaults(table) | in_statement)}), many, one
    signed = [{**row, MAC: macs.make(table, {**_defaults(table), **in_statement, **row})} for row in rows]
    return (statement, signed, {}) if many else (statement, [], signed[0])


@dataclass(frozen=True, eq=False)
class _Change:
    """An update of rows with digests, taken apart: once for each statement."""

    statement: Update
    sets: Mapping[str, Any]
    """What it sets of the columns that decide."""

    @property
    def table(self) -> Table:
        table: Table = self.statement.table  # type: ignore[assignment]  # `keep_macs` asked
        return table

    @cached_property
    def rows(self) -> Select[*tuple[Any, ...]]:
        """Those that it is about to change, as they are."""
        query, where = _select_decisive(self.table), self.statement.whereclause
        return (query if where is None else query.where(where)).with_for_update()

    @cached_property
    def own(self) -> frozenset[str]:
        """The names of parameters of `of_one` that are not the statement's."""
        return frozenset({"made", *(f"its_{column.name}" for column in self.table.primary_key)})

    @cached_property
    def of_none(self) -> Update:
        return self.statement.where(false())

    @cached_property
    def of_one(self) -> Update:
        """Of the row with a key that is given, and its digest."""
        return self.statement.where(*_is_its(self.table)).values({MAC: bindparam("made")})


_CHANGES: Final[WeakKeyDictionary[Update, _Change]] = WeakKeyDictionary()
"""Of the statements that there are: those of a module are made once, and so is what they come to."""


def _take_apart(statement: Update, table: Table) -> _Change:
    found = _CHANGES.get(statement)
    if found is None:
        sets: dict[str, Any] = {
            str(getattr(column, "name", column)): value
            for column, value in (statement._values or {}).items()  # noqa: SLF001  # nothing public says it
        }
        decisive = sets.keys() & set(columns_of(table))
        # a copy: what is kept of a statement is not to keep it
        found = _Change(statement.where(), {name: sets[name] for name in decisive})
        _CHANGES[statement] = found
    return found


def _sign_changed(
    macs: RowMacs,
    connection: Connection,
    table: Table,
    statement: Update,
    *,
    many: Sequence[Mapping[str, Any]],
    one: Mapping[str, Any],
) -> tuple[Update, Sequence[Mapping[str, Any]], Mapping[str, Any]]:
    """The update, bound to the very rows that were read and checked, and their digests.

    A parameter of the same name as a column sets it, and is none that decides.
    """
    change = _take_apart(statement, table)
    named = {name for row in (*many, one) for name in row} & set(columns_of(table))
    if not change.sets and not named:
        return statement, many, one
    if many or named or not all(isinstance(value, BindParameter) for value in change.sets.values()):
        raise TypeError(f"a deciding column of {table.name} is changed by one statement, to plain values")
    if not change.own.isdisjoint(one):
        names = " or ".join(sorted(change.own))
        raise TypeError(f"no parameter of an update of {table.name} may be called {names}: those are made here")
    rows = connection.execute(change.rows, one).all()
    if not rows:
        return change.of_none, [], one
    after = {name: one.get(value.key, value.effective_value) for name, value in change.sets.items()}
    keys, found = list(table.primary_key), []
    for row in rows:
        check_mac(connection, table, row, f"a row of {table.name}")
        stored = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way
        found.append(([stored[key.name] for key in keys], macs.make(table, stored | after)))
    if len(found) == 1:
        ((key, mac),) = found
        its = {f"its_{column.name}": value for column, value in zip(keys, key, strict=True)}
        return change.of_one, [], {**one, **its, "made": mac}
    _write_macs(connection, table, found)
    return statement.where(_is_among(connection, keys, [key for key, _ in found])), [], one


def _write_macs(
    connection: Connection,
    table: Table,
    found: Sequence[tuple[list[Any], bytes]],
    values: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Each row's own, in one go, with `values`, or before a statement that writes what they are digests of."""
    _write(connection, table, [key for key, _ in found], values, macs=[mac for _, mac in found])


def _write(
    connection: Connection,
    table: Table,
    rows: Sequence[Sequence[Any]],
    values: Mapping[str, Any],
    *,
    macs: Sequence[bytes] = (),
) -> None:
    """The same values to the rows with these keys, and to each its digest."""
    made = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
    plain = {f"new_{name}": value for name, value in values.items() if name not in made}
    statement = _change_by_key(table, tuple(sorted(values.keys() - made.keys())), with_mac=bool(macs))
    names = [f"its_{key.name}" for key in table.primary_key]
    of_each = [{**dict(zip(names, key, strict=True)), **plain} for key in rows]
    given = [{**one, "made": mac} for one, mac in zip(of_each, macs, strict=True)] if macs else of_each
    connection.execute(statement.values(made) if made else statement, given, execution_options=AS_IS)


@cache
def _change_by_key(table: Table, names: tuple[str, ...], *, with_mac: bool) -> Update:
    becomes: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    if with_mac:
        becomes[MAC] = bindparam("made")
    return update(table).where(*_is_its(table)).values(becomes)


@cache
def _is_its(table: Table) -> tuple[ColumnElement[bool], ...]:
    """The row with the key that is given."""
    return tuple(column == bindparam(f"its_{column.name}") for column in table.primary_key)


def _is_among(connection: Connection, keys: Sequence[Column[Any]], wanted: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401  # an expression
    """The rows with these keys, by one parameter for all: a statement has room for some 32,000 of them."""
    if connection.dialect.name == "sqlite":
        each = func.json_each(json.dumps(wanted)).table_valued("value")
        parts: list[ColumnElement[Any]] = [
            func.json_extract(each.c.value, f"$[{position}]") for position in range(len(keys))
        ]
    else:
        from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415  # on SQLite nobody waits for it

        each = func.jsonb_array_elements(cast(wanted, JSONB)).table_valued("value")
        parts = [cast(each.c.value.op("->>")(position), key.type) for position, key in enumerate(keys)]
    return tuple_(*keys).in_(select(*parts)) if len(keys) > 1 else keys[0].in_(select(*parts))


def _defaults(table: Table) -> dict[str, Any]:
    """What the database gives to the columns that an insert does not name."""
    return {
        name: _default_of(table.c[name])
        for name in columns_of(table)
        if table.c[name].server_default is not None
    }


def _default_of(column: Column[Any]) -> object:
    text = getattr(column.server_default, "arg", None)
    if isinstance(column.type, Boolean):
        return False  # what every one of ours begins with
    if isinstance(column.type, Integer):
        return int(str(text))
    return json.loads(str(text)) if isinstance(column.type, JSON) else str(text)
