"""One page of a list, for all of them: which rows are on it, found and counted by an index."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select

from vaultcore.cursors import Position, identify_list, read_cursor, write_cursor
from vaultcore.errors import InvalidInputError, UnreadableError
from vaultcore.paging import Order, is_a_place, read_positions
from vaultcore.row_macs import find_edited, is_kept
from vaultcore.stored import Unread, read_apart
from worker.domain.paging import COUNTED_MAX, LIMIT_MAX, Page, PageRequest, Total

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What can be listed. `sorts`: by its words, the columns of which each has an index with the `id` behind
    it; `usual`: how it is sorted unless somebody says otherwise.
    """

    name: str
    id: ColumnElement[Any]
    sorts: Mapping[str, ColumnElement[Any]]
    usual: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """Ids of the rows of a page, in order, and the cursor of the next one."""

    ids: tuple[Any, ...]
    next: str | None
    total: Total | None


def read_page(
    connection: Connection,
    listing: Listing,
    wanted: Select[*tuple[Any, ...]],
    request: PageRequest,
    *,
    asked: Mapping[str, Any],
    apart: bool = False,
) -> Found:
    """`wanted`: the rows that the filter lets through. `asked`: the filter as it was given, to which a cursor
    is bound. `apart`: they are few, and found by another index than that of the order.

    `InvalidInputError` for what no page is sorted by, and for a cursor of another list.
    """
    if not 1 <= request.limit <= LIMIT_MAX:
        raise InvalidInputError(f"limit: a page has 1 to {LIMIT_MAX} rows")
    sort = request.sort or listing.usual
    order = _order(listing, sort, apart=apart)
    of = identify_list(listing.name, {"sort": sort, **asked})
    after = None if request.cursor is None else _read_cursor(connection, request.cursor, of, order)
    found = read_positions(connection, wanted, order, after, size=request.limit + 1)
    page = found[: request.limit]
    return Found(
        ids=tuple(one.id for one in page),
        next=_write_cursor(page, of) if len(found) > len(page) else None,
        total=_count(connection, listing, wanted) if request.counted else None,
    )


def read_rows(
    connection: Connection, table: Table, found: Found, read: Callable[[Row[*tuple[Any, ...]]], T], *, what: str
) -> Page[T]:
    """The page of these rows, made of them by `read`; `what` they are called in an error."""
    (key,) = table.primary_key
    rows = {
        row._mapping[key]: row  # noqa: SLF001  # SQLAlchemy's public way
        for row in connection.execute(select(table).where(key.in_(found.ids)))
    }
    listed: list[T | UnreadableError] = []
    for one in found.ids:
        row, named = rows[one], f"{what} {one}"
        made = read_apart(row, read)
        if isinstance(made, Unread):
            listed.append(made.explain(named))
        else:
            edited = find_edited(connection, table, row, named) if is_kept(table) else None
            listed.append(edited or made)
    return Page(rows=tuple(listed), next=found.next, total=found.total)


def _order(listing: Listing, sort: str, *, apart: bool) -> Order:
    name = sort.removeprefix("-")
    if name not in listing.sorts:
        offered = ", ".join(listing.sorts)
        raise InvalidInputError(f"sort: use one of {offered}, with - before it for the other direction")
    key = listing.sorts[name]
    nullable = bool(getattr(key, "nullable", False))
    return Order(key=key, id=listing.id, nullable=nullable, descending=sort.startswith("-"), apart=apart)


def _read_cursor(connection: Connection, text: str, of: str, order: Order) -> Position:
    position = read_cursor(text, of=of)
    keys = (order.key.type.python_type, type(None))
    fits = connection.dialect.name == "sqlite" or isinstance(position.key, keys)  # that one compares anything
    if not fits or not isinstance(position.id, order.id.type.python_type):
        raise InvalidInputError("cursor: take it from the link `next` of a page")
    return position


def _write_cursor(page: list[Position], of: str) -> str | None:
    """After its last row, or after the last one of it that has a place."""
    last = next((one for one in reversed(page) if is_a_place(one.key)), None)
    return None if last is None else write_cursor(last, of=of)


def _count(connection: Connection, listing: Listing, wanted: Select[*tuple[Any, ...]]) -> Total:
    """As far as it is told: no more rows are looked at."""
    some = wanted.with_only_columns(listing.id, maintain_column_froms=True).limit(COUNTED_MAX + 1).subquery()
    number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return Total(number=min(number, COUNTED_MAX), more=number > COUNTED_MAX)
