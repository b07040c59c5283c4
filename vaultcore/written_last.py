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

    def add_later(self, later: Any) -> None:  # noqa: ANN401  # one of its own kind
        """What another part of the transaction keeps, after this."""


def keep_until_commit(connection: Connection, made: Callable[[], WrittenLast]) -> WrittenLast | None:
    """What the transaction keeps, made if there is none yet. None: nobody would write it at its end."""
    info = connection.info
    if not info.get(WRITES):
        return None
    kept: WrittenLast | None = info.get(_LAST)
    if kept is None:
        kept = info[_LAST] = made()
    return kept


def write_kept(connection: Connection) -> None:
    kept: WrittenLast | None = connection.info.pop(_LAST, None)
    if kept is not None:
        kept.flush(connection)


def forget_kept(info: dict[Any, Any]) -> None:
    """The transaction is over whose connection has this `info`."""
    info.pop(_LAST, None)


def set_aside(info: dict[Any, Any]) -> WrittenLast | None:
    """What is kept so far where the connection has this `info`: what comes from now on is kept apart."""
    kept: WrittenLast | None = info.pop(_LAST, None)
    return kept


def put_back(info: dict[Any, Any], before: WrittenLast | None) -> None:
    """What was set aside, before whatever was kept since."""
    if before is None:
        return
    since = set_aside(info)
    if since is not None:
        before.add_later(since)
    info[_LAST] = before


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
