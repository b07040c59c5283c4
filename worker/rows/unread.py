"""Rows that cannot be read, as a walk gives them in the place of what it could not make of them.

What is said of such a row may itself be what cannot be read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Row

from vaultcore.stored import Unread, read_apart

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class UnreadRow:
    """`problem` names the fields, or else the kind of the error."""

    problem: str


@dataclass(frozen=True, kw_only=True)
class UnreadItem(UnreadRow):
    item_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class UnreadReference(UnreadRow):
    consumer_id: str
    consumer_name: str
    node_id: str
    written: str
    item_id: str | None


@dataclass(frozen=True, kw_only=True)
class UnreadOwner(UnreadRow):
    owner_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class UnreadWorkflow(UnreadRow):
    workflow_id: str
    name: str


def read_item(row: Row[*tuple[Any, ...]], read: Callable[[Row[*tuple[Any, ...]]], T]) -> T | UnreadItem:
    """What `read` makes of a row that has an item's `id` and `name`."""
    made = read_apart(row, read)
    if isinstance(made, Unread):
        return UnreadItem(item_id=row.id, name=row.name, problem=made.problem)
    return made
