"""Rows by keys of several columns."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, tuple_


def is_among(columns: Sequence[ColumnElement[Any]], keys: Collection[Sequence[Any]]) -> ColumnElement[bool]:
    """Whether a row has one of the keys, in these columns, of which an index has the first.

    Also by the first column alone: several keys as a whole are no key to SQLite, which would go through all.
    """
    return and_(columns[0].in_(list({key[0] for key in keys})), tuple_(*columns).in_(list(keys)))
