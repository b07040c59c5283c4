"""Keyset pages: a walk over rows whose memory does not grow with them, and which always ends."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Row

from vaultcore.errors import NightkeyError

R = TypeVar("R", bound=Row[*tuple[Any, ...]])
K = TypeVar("K", bound=tuple[Any, ...])


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
            raise refuse_to_go_round()
        reached.add(last)


def refuse_to_go_round() -> NightkeyError:
    """Of a walk that a page has not led on."""
    return NightkeyError(
        "the database gives the same rows again and again, so its indexes are damaged: restore it from "
        "its backup, or make them anew (REINDEX)"
    )
