"""Work that is done in parts: what is read and written of it, and the calls to the outside between.

A generator of this kind yields each call, and goes on with what that returned. So whoever has it done says by
which thread a call is made, and what else goes on meanwhile; what it reads and writes stays with one thread.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from vaultcore.database import Database

T = TypeVar("T")
Call = Callable[[], Any]
Calls = Generator[Call, Any, T]
"""It yields nothing else, and never inside a transaction."""


def do_alone(database: Database, work: Calls[T]) -> T:
    """By this thread, from its beginning to its end: apart from its unit of work where it calls."""
    answer: Any = None
    while True:
        try:
            call = work.send(answer)
        except StopIteration as end:
            made: T = end.value
            return made
        with database.apart():
            answer = call()
