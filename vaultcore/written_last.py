"""What a transaction keeps until its end, to write it in one go: the rows of the audit log.

Only `Database.write` ends a transaction so; whoever has a connection of another kind writes at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import Connection

WRITES = "write"
"""The mark, in `info` of a connection, of a transaction that `Database.write` will end."""
_LAST = "last"


class WrittenLast(Protocol):
    def flush(self, connection: Connection) -> None:
        """Writes what is kept."""


def keep_until_commit(connection: Connection, made: Callable[[], WrittenLast]) -> WrittenLast | None:
    """What the transaction keeps, made if there is none yet. None: nobody would write it at its end."""
    if not connection.info.get(WRITES):
        return None
    kept: WrittenLast | None = connection.info.get(_LAST)
    if kept is None:
        kept = connection.info[_LAST] = made()
    return kept


def write_kept(connection: Connection) -> None:
    kept: WrittenLast | None = connection.info.pop(_LAST, None)
    if kept is not None:
        kept.flush(connection)


def forget_kept(info: dict[Any, Any]) -> None:
    """The transaction is over whose connection has this `info`."""
    info.pop(_LAST, None)


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """A part of a transaction that is undone alone when it raises, with what was kept in it."""
    write_kept(connection)
    info = connection.info
    try:
        with connection.begin_nested():
            yield
            write_kept(connection)
    finally:
        forget_kept(info)
