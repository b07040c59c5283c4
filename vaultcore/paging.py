"""Keyset pages: a walk over rows whose memory does not grow with them, and which always ends."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, literal, tuple_

from vaultcore.errors import NightkeyError

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
) -> Select[*tuple[Any, ...]]:
    """The page of it that comes after the row with these `keys`; None: the first. No key may be null."""
    page = query.order_by(*keys).limit(size)
    if last is None:
        return page
    after = [literal(part, key.type) for key, part in zip(keys, last, strict=True)]
    return page.where(keys[0] > after[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*after))


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
