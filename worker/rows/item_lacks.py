"""Items that nobody uses, and items that lack what their creator should have given, as rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from vaultcore import rules
from vaultcore.errors import UnreadableError
from vaultcore.model import Hygiene, Kind, Policy
from vaultcore.paging import walk_keyset
from vaultcore.rows import policy_from_json
from vaultcore.stored import UNREADABLE, check_row, unreadable_fields
from vaultcore.tables import items, references
from worker.rows.unread import UnreadItem, read_item


@dataclass(frozen=True, kw_only=True)
class UnusedItem:
    """No active consumer here reads it; `is_used`: one elsewhere does."""

    item_id: str
    name: str
    kind: Kind
    policy: Policy
    is_used: bool


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A policy, and how long the last replacement lives that does not fit it."""

    policy: Policy
    life: timedelta


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """What is known of a value that was not given yet."""

    policy: Policy
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class LackingItem:
    """What a lack is not about is not read, so that its damage hides no lack: `misfit` is there for that lack
    alone, `awaited` for an item that waits for its value.
    """

    item_id: str
    name: str
    lacks: tuple[Hygiene, ...]
    misfit: Misfit | None
    awaited: Awaited | None


_USED = exists().where(
    references.c.item_id == items.c.id,
    references.c.consumer_id != items.c.id,
    references.c.active.is_(True),
    ~references.c.mentioned,
)
"""By a workflow, wherever it runs, or by the rotator of another item."""

_ITEMS = select(
    items.c.id,
    items.c.name,
    items.c.hygiene,
    items.c.policy,
    items.c.expires_at,
    items.c.life_seconds,
    _USED.label("is_used"),
)


def walk_unused(connection: Connection, *, page_size: int) -> Iterator[list[UnusedItem | UnreadItem]]:
    """Items that no active consumer here reads, in pages; one that cannot be read has its place among them."""
    query = _ITEMS.where(~_USED.where(~references.c.elsewhere))
    for rows in walk_keyset(connection, query, (items.c.id,), size=page_size):
        yield [read_item(row, _read_unused) for row in rows]


def walk_lacking(connection: Connection, *, page_size: int) -> Iterator[list[LackingItem | UnreadItem]]:
    """Items that lack something, in pages; one that cannot be read has its place among them."""
    query = _ITEMS.where(items.c.hygiene != "")
    for rows in walk_keyset(connection, query, (items.c.id,), size=page_size):
        yield [read_item(row, _read_lacking) for row in rows]


def _read_unused(row: Row[*tuple[Any, ...]]) -> UnusedItem:
    return UnusedItem(
        item_id=row.id,
        policy=policy_from_json(row.policy),
        kind=rules.kind_of(row.name),
        name=row.name,
        is_used=row.is_used,
    )


def _read_lacking(row: Row[*tuple[Any, ...]]) -> LackingItem:
    lacks = tuple(map(Hygiene, row.hygiene.split()))
    misfit = awaited = None
    if Hygiene.MISFIT in lacks:
        misfit = Misfit(policy=policy_from_json(row.policy), life=timedelta(seconds=row.life_seconds))
    if Hygiene.NO_VALUE in lacks:
        check_row(row, f"item {row.name}")
        awaited = Awaited(policy=policy_from_json(row.policy), expires_at=row.expires_at)
    if row.name is UNREADABLE:  # every finding names it
        raise UnreadableError(row.id, ", ".join(unreadable_fields(row)))
    return LackingItem(item_id=row.id, name=row.name, lacks=lacks, misfit=misfit, awaited=awaited)
