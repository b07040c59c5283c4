"""Cursors of PostgreSQL's driver that describe the columns of a result when they are looked at.

The driver describes them each time that it is asked for them, a good part of what a short statement costs. The
library asks each time, to know whether there are any, and looks at them once for each statement.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

from psycopg import Column, Cursor


class LateCursor(Cursor[Any]):
    @property
    def description(self) -> Any:  # noqa: ANN401  # a sequence, where the driver says a list
        result = self.pgresult
        return None if result is None or not result.nfields else _Columns(self)

    def describe(self) -> Sequence[Column]:
        return super().description or []


class _Columns(Sequence[Column]):
    """To be looked at before the cursor has another result."""

    def __init__(self, cursor: LateCursor) -> None:
        self._cursor = cursor

    @cached_property
    def _described(self) -> Sequence[Column]:
        return self._cursor.describe()

    @overload
    def __getitem__(self, place: int) -> Column: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Column]: ...

    def __getitem__(self, place: int | slice) -> Column | Sequence[Column]:
        return self._described[place]

    def __len__(self) -> int:
        return len(self._described)

    def __iter__(self) -> Iterator[Column]:
        return iter(self._described)
