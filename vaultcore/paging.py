"""Keyset pages: a walk over rows whose memory does not grow with them, and which always ends; and single pages
of a list, in either direction.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Row,
    Select,
    bindparam,
    literal,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import NullType

from vaultcore.cursors import Key, Position
from vaultcore.errors import NightkeyError
from vaultcore.tables import UtcDateTime

R = TypeVar("R", bound=Row[*tuple[Any, ...]] | tuple[Any, ...])
K = TypeVar("K", bound=tuple[Any, ...])


def walk_keyset(
    connection: Connection, query: Select[*tuple[Any, ...]], keys: Sequence[ColumnElement[Any]], *, size: int
) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    """The rows of a select in pages, one statement each, in the order of `keys`: columns of it that together
    are its own for each row.
    """
    return walk_pages(
        lambda last: connection.execute(select_page(query, keys, last, size=size)).all(),
        lambda row: tuple(row._mapping[key] for key in keys),  # noqa: SLF001  # SQLAlchemy's public way
        size=size,
    )


def select_page(
    query: Select[*tuple[Any, ...]],
    keys: Sequence[ColumnElement[Any]],
    last: Sequence[Any] | None,
    *,
    size: int,
    descending: bool = False,
) -> Select[*tuple[Any, ...]]:
    """The page of it that comes after the row with these `keys`; None: the first. No key may be null."""
    after = None if last is None else [literal(one, key.type) for key, one in zip(keys, last, strict=True)]
    return _select_after(query, keys, after, size=size, descending=descending)


def bind_page(
    query: Select[*tuple[Any, ...]], keys: Sequence[ColumnElement[Any]], *, goes_on: bool
) -> Select[*tuple[Any, ...]]:
    """As `select_page`, for who keeps the statement: its parameters are `size`, and where it `goes_on` what
    `name_last` gives.
    """
    after = [bindparam(_name(place), type_=key.type) for place, key in enumerate(keys)] if goes_on else None
    return _select_after(query, keys, after, size=bindparam("size"), descending=False)


def name_last(last: Sequence[Any]) -> dict[str, Any]:
    """The keys of the row that such a page comes after, as its parameters."""
    return {_name(place): one for place, one in enumerate(last)}


def _name(place: int) -> str:
    return f"last_{place}"


def _select_after(
    query: Select[*tuple[Any, ...]],
    keys: Sequence[ColumnElement[Any]],
    after: Sequence[ColumnElement[Any]] | None,
    *,
    size: int | ColumnElement[Any],
    descending: bool,
) -> Select[*tuple[Any, ...]]:
    page = query.order_by(*(key.desc() if descending else key for key in keys)).limit(size)
    if after is None:
        return page
    mine, its = (keys[0], after[0]) if len(keys) == 1 else (tuple_(*keys), tuple_(*after))
    return page.where(mine < its if descending else mine > its)


@dataclass(frozen=True, kw_only=True)
class Order:
    """A list's order: by a column, and by their id where that is the same. What has nothing in a `nullable`
    column comes last in either direction. `apart`: the rows are found by another index than that of the order,
    and sorted.
    """

    key: ColumnElement[Any]
    id: ColumnElement[Any]
    nullable: bool = False
    descending: bool = False
    apart: bool = False


def read_positions(
    connection: Connection,
    query: Select[*tuple[Any, ...]],
    order: Order,
    after: Position | None,
    *,
    size: int,
) -> list[Position]:
    """The rows of a list that come after that one. A row that came or went in between changes nothing for the
    others: none of them is left out or comes twice.
    """
    key, row_id = _bare(connection, order.key), _bare(connection, order.id)
    query = query.with_only_columns(key.label("key"), row_id.label("id"), maintain_column_froms=True)
    if order.apart:
        some = query.cte("found").prefix_with("MATERIALIZED")  # else a database may walk along the order
        key, row_id, query = some.c.key, some.c.id, select(some.c.key, some.c.id)
    found: list[Row[*tuple[Any, ...]]] = []
    if after is None or after.key is not None:
        keyed = query.where(key.is_not(None)) if order.nullable else query
        last = None if after is None else (after.key, after.id)
        page = select_page(keyed, (key, row_id), last, size=size, descending=order.descending)
        found += connection.execute(page).all()
    if order.nullable and len(found) < size:
        rest = query.where(key.is_(None)).order_by(key.desc() if order.descending else key)
        last_id = (after.id,) if after is not None and after.key is None else None
        page = select_page(rest, (row_id,), last_id, size=size - len(found), descending=order.descending)
        found += connection.execute(page).all()
    return [Position(key=row.key, id=row.id) for row in found]


def without_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same, for which SQLite looks for no index: it says so with a plus."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _bare(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column as the database has it: a page goes on after a row that cannot be read, too."""
    if connection.dialect.name == "sqlite":
        return type_coerce(column, NullType())
    return type_coerce(column, DateTime(timezone=True)) if isinstance(column.type, UtcDateTime) else column


def is_a_place(key: object) -> bool:
    """Whether a page can go on after it: PostgreSQL has times that no clock shows."""
    return isinstance(key, Key)


def walk_pages(
    read: Callable[[K | None], Sequence[R]], key: Callable[[R], K], *, size: int
) -> Iterator[Sequence[R]]:
    """The pages that `read` gives after a key, in its order; `size` is that of a whole one.

    `NightkeyError` where a page does not lead beyond the one before it: that walk would not end.
    """
    last: K | None = None
    reached: set[K] = set()
    while True:
        rows = read(last)
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = key(rows[-1])
        if last in reached:
            raise _refuse_to_go_round()
        reached.add(last)


def _refuse_to_go_round() -> NightkeyError:
    """Of a walk that a page has not led on."""
    return NightkeyError(
        "the database gives the same rows again and again, so its indexes are damaged: restore it from "
        "its backup, or make them anew (REINDEX)"
    )
