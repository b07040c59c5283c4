"""Counts what a database is asked for: a count is the same on every machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Executable, event

_OF_TRANSACTIONS = ("BEGIN", "PRAGMA", "SAVEPOINT", "RELEASE", "ROLLBACK")


@dataclass
class Counted:
    """`statements` as they were sent; many rows in one go are one. `made`: as somebody made them, before the
    library turned them into text.
    """

    commits: int = 0
    statements: list[str] = field(default_factory=list)
    made: list[Executable] = field(default_factory=list)


@contextmanager
def count_on(engine: Engine) -> Iterator[Counted]:
    """What is done on any of the engine's connections until the block ends."""
    counted = Counted()

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(_OF_TRANSACTIONS):
            counted.statements.append(" ".join(statement.split()))

    def take(_connection: Any, made: Executable, *_: Any) -> None:
        counted.made.append(made)

    def commit(_connection: Any) -> None:
        counted.commits += 1

    event.listen(engine, "before_execute", take)
    event.listen(engine, "before_cursor_execute", see)
    event.listen(engine, "commit", commit)
    try:
        yield counted
    finally:
        event.remove(engine, "before_execute", take)
        event.remove(engine, "before_cursor_execute", see)
        event.remove(engine, "commit", commit)
