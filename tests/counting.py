"""Counts what a database is asked for: a count is the same on every machine."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Executable, event

_OF_TRANSACTIONS = ("BEGIN", "PRAGMA", "SAVEPOINT", "RELEASE", "ROLLBACK")


@dataclass
class Counted:
    """`statements` as they were sent; many rows in one go are one. `made`: as somebody made them, each with the
    text that the library made of it.
    """

    commits: int = 0
    statements: list[str] = field(default_factory=list)
    made: list[tuple[Executable, str]] = field(default_factory=list)

    def made_beside(self, others: Iterable["Counted"]) -> list[str]:
        """What was put together anew: the text of each that is none of those that were counted before, however
        often it was sent.
        """
        known = {id(made) for other in others for made, _ in other.made}
        return [text for own, text in {id(made): text for made, text in self.made}.items() if own not in known]


@contextmanager
def count_on(engine: Engine) -> Iterator[Counted]:
    """What is done on any of the engine's connections until the block ends."""
    counted = Counted()

    def see(_connection: Any, _cursor: Any, statement: str, _given: Any, context: Any, _many: bool) -> None:
        text = " ".join(statement.split())
        if not statement.startswith(_OF_TRANSACTIONS):
            counted.statements.append(text)
        if context.invoked_statement is not None:
            counted.made.append((context.invoked_statement, text))

    def commit(_connection: Any) -> None:
        counted.commits += 1

    event.listen(engine, "before_cursor_execute", see)
    event.listen(engine, "commit", commit)
    try:
        yield counted
    finally:
        event.remove(engine, "before_cursor_execute", see)
        event.remove(engine, "commit", commit)
