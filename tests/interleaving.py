"""One act in the middle of another: at a statement of it, in a thread of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from sqlalchemy import Engine, event

from tests.postgres import count_waiting


@contextmanager
def act_at(engine: Engine, act: Callable[[], object], *marks: str) -> Iterator[list[Future[object]]]:
    """Before the first statement of this thread that has these marks in it: until the act is over, or waits for
    a row. What came of it is there when the block has ended.
    """
    begun, mine = list[Future[object]](), get_ident()

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if all(mark in statement for mark in marks) and not begun and get_ident() == mine:
            begun.append(pool.submit(act))
            while not (begun[0].done() or count_waiting(engine)):
                pass

    with ThreadPoolExecutor(1) as pool:
        event.listen(engine, "before_cursor_execute", see)
        try:
            yield begun
        finally:
            event.remove(engine, "before_cursor_execute", see)
