"""Rows whose values come as the driver gives them, for a walk over many that are nearly all alike: nothing is
made of values that decide nothing. What the columns make of theirs is made for one row, where it is asked for.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Dialect, type_coerce
from sqlalchemy.types import NullType

from vaultcore.errors import UnreadableError
from vaultcore.stored import UNREADABLE


def as_given(columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """The same columns under their names, of which nothing is made."""
    return [type_coerce(column, NullType()).label(_name(column)) for column in columns]


class GivenColumns:
    """What the columns of such rows make of their values, `UNREADABLE` where it is none of theirs."""

    def __init__(self, columns: Sequence[ColumnElement[Any]], dialect: Dialect) -> None:
        kinds = [column.type.dialect_impl(dialect) for column in columns]
        self._names = [_name(column) for column in columns]
        self._read = [kind.result_processor(dialect, None) for kind in kinds]

    def read(self, given: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            value if read is None else read(value) for read, value in zip(self._read, given, strict=True)
        )

    def check(self, values: Sequence[Any], what: str) -> None:
        """`UnreadableError` where one of what was read cannot be."""
        wrong = [name for name, value in zip(self._names, values, strict=True) if value is UNREADABLE]
        if wrong:
            raise UnreadableError(what, ", ".join(wrong))


def _name(column: ColumnElement[Any]) -> str:
    name: str = column.key or ""
    return name
