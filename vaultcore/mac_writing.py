"""Whoever writes a row that decides writes its keyed digest with it: here, for every statement of the engine.

A digest that each writer has to remember is one that some writer forgets. So the engine is listened to: an
insert gets the digests of its rows; an update that changes a deciding column first reads and checks the rows
that it is about to change, and gets the digests of what they become. A row that was changed behind the vault's
back is refused there, and never made honest by the next honest write. SQL as text is not seen: what it writes
to these columns counts as changed.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

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
    Table,
    Update,
    and_,
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
                return (
                    _sign_changed(macs, connection, table, statement, many or ([one] if one else [])),
                    many,
                    one,
                )
        return statement, many, one

    event.listen(engine, "before_execute", before, retval=True)


def update_apart(
    connection: Connection, table: Table, where: ColumnElement[bool], values: Mapping[str, Any]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """An update that a forged row neither stops nor is made honest by: it gets the values, and no digest.

    For what ends rows or puts them off. What decides is set to plain values. The rows as they were before: key
    and deciding columns.
    """
    keys, macs = list(table.primary_key), macs_of(connection)
    sound = [is_sound(key, connection.dialect.name) for key in keys]
    query = select(*(table.c[name] for name in columns_of(table)), table.c[MAC])
    rows = connection.execute(query.where(where, *sound).order_by(*keys).with_for_update()).all()
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
        _write_macs(connection, table, keys, ours, values)
    if others:
        _write(connection, table, keys, others, values)
    return rows


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
    query = select(*(table.c[name] for name in columns_of(table)), table.c[MAC])
    rows = connection.execute(query.where(key.in_(list(changes))).order_by(key).with_for_update()).all()
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


def _sign_changed(
    macs: RowMacs, connection: Connection, table: Table, statement: Update, given: Sequence[Mapping[str, Any]]
) -> Update:
    """The update, bound to the very rows that were read and checked, and their digests.

    `given` are parameters: a column that one names is set by it.
    """
    changes = {
        getattr(column, "name", column): value
        for column, value in (statement._values or {}).items()  # noqa: SLF001  # nothing public says it
    }
    decisive = changes.keys() & set(columns_of(table))
    named = {name for row in given for name in row} & set(columns_of(table))
    if not decisive and not named:
        return statement
    if given or not all(isinstance(changes[name], BindParameter) for name in decisive):
        raise TypeError(f"a deciding column of {table.name} is changed by one statement, to plain values")
    keys = list(table.primary_key)
    query = select(*(table.c[name] for name in columns_of(table)), table.c[MAC]).with_for_update()
    where = statement.whereclause
    rows = connection.execute(query if where is None else query.where(where)).all()
    if not rows:
        return statement.where(false())
    after = {name: changes[name].value for name in decisive}
    found = []
    for row in rows:
        check_mac(connection, table, row, f"a row of {table.name}")
        stored = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way
        found.append(([stored[key.name] for key in keys], macs.make(table, stored | after)))
    if len(found) == 1:
        ((key, mac),) = found
        return statement.where(_is_row(keys, key)).values({MAC: mac})
    _write_macs(connection, table, keys, found)
    return statement.where(_is_among(connection, keys, [key for key, _ in found]))


def _write_macs(
    connection: Connection,
    table: Table,
    keys: Sequence[Column[Any]],
    found: Sequence[tuple[list[Any], bytes]],
    values: Mapping[str, Any] | None = None,
) -> None:
    """Each row's own, in one go, with `values`, or before a statement that writes what they are digests of."""
    _write(
        connection,
        table,
        keys,
        [key for key, _ in found],
        {**(values or {}), MAC: bindparam("made")},
        own=[{"made": mac} for _, mac in found],
    )


def _write(
    connection: Connection,
    table: Table,
    keys: Sequence[Column[Any]],
    rows: Sequence[Sequence[Any]],
    values: Mapping[str, Any],
    *,
    own: Iterable[Mapping[str, Any]] = (),
) -> None:
    """The same values to the rows with these keys, and to each its `own`."""
    names = [f"its_{key.name}" for key in keys]
    of_row = and_(*(key == bindparam(name) for key, name in zip(keys, names, strict=True)))
    of_each = [dict(zip(names, key, strict=True)) for key in rows]
    given = [{**key, **one} for key, one in zip(of_each, own, strict=True)] if own else of_each
    connection.execute(update(table).where(of_row).values(values), given, execution_options=AS_IS)


def _is_row(keys: Sequence[Column[Any]], key: Sequence[Any]) -> Any:  # noqa: ANN401  # an expression
    return and_(*(column == value for column, value in zip(keys, key, strict=True)))


def _is_among(connection: Connection, keys: Sequence[Column[Any]], wanted: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401  # as above
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
