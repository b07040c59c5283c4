"""References of workflows that may be stale, as rows: one join selects them, whoever reads them decides."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, exists, func, or_, select

from vaultcore.model import ConsumerKind, Stage
from vaultcore.paging import walk_keyset
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import items, references, versions
from worker.rows.unread import UnreadReference


class StaleReference(NamedTuple):
    """A reference beside its item, if there is one: `item` is its name, `current` the number of its current
    version, and `overlap` how long the version before that goes on.
    """

    consumer_id: str
    consumer_name: str
    node_id: str
    written: str
    active: bool
    item_id: str | None
    mentioned: bool
    pinned: int | None
    last_version: int | None
    last_run_at: datetime | None
    idle_at: datetime | None
    elsewhere: bool
    item: str | None
    expires_at: datetime | None
    overlap: timedelta
    current: int | None
    activated_at: datetime | None


def walk_stale_references(
    connection: Connection, now: datetime, *, page_size: int, consumer_ids: Collection[str] | None = None
) -> Iterator[list[StaleReference | UnreadReference]]:
    """In pages; one that cannot be read has its place among the others. `consumer_ids`: of these alone."""
    r = references.c
    keys = (r.consumer_id, r.node_id, r.written)
    query = _select(now)
    if consumer_ids is not None:
        query = query.where(r.consumer_id.in_(sorted(consumer_ids)))
    for rows in walk_keyset(connection, query, keys, size=page_size):
        yield [_read_apart(row) for row in rows]


def _select(now: datetime) -> Select[*tuple[Any, ...]]:
    r, other = references.c, references.alias()
    is_used_too = exists().where(
        other.c.consumer_id == r.consumer_id,
        or_(other.c.written == r.written, other.c.item_id == r.item_id),
        ~other.c.mentioned,
    )
    return (
        select(
            r.consumer_id,
            r.consumer_name,
            r.node_id,
            r.written,
            r.active,
            r.item_id,
            r.mentioned,
            r.pinned,
            r.last_version,
            r.last_run_at,
            r.idle_at,
            r.elsewhere,
            items.c.name.label("item"),
            items.c.expires_at,
            items.c.overlap_seconds,
            versions.c.number.label("current"),
            versions.c.activated_at,
        )
        .select_from(references)
        .outerjoin(items, items.c.id == r.item_id)
        .outerjoin(
            versions,
            and_(versions.c.item_id == r.item_id, versions.c.stage == Stage.CURRENT.value),
        )
        .where(
            r.consumer == ConsumerKind.WORKFLOW.value,
            r.active.is_(True),
            or_(~r.mentioned, ~is_used_too),
            or_(
                r.item_id.is_(None),
                items.c.expires_at <= now,
                and_(~r.mentioned, func.coalesce(r.pinned, r.last_version) != versions.c.number),
                and_(~r.mentioned, r.idle_at <= now),
            ),
        )
    )


def _read_apart(row: Row[*tuple[Any, ...]]) -> StaleReference | UnreadReference:
    made = read_apart(row, _read)
    if isinstance(made, Unread):
        return UnreadReference(
            consumer_id=row.consumer_id,
            consumer_name=row.consumer_name,
            node_id=row.node_id,
            written=row.written,
            item_id=row.item_id,
            problem=made.problem,
        )
    return made


def _read(row: Row[*tuple[Any, ...]]) -> StaleReference:
    check_row(row, f"{row.written} in node {row.node_id} of {row.consumer_name}")
    return StaleReference(
        consumer_id=row.consumer_id,
        consumer_name=row.consumer_name,
        node_id=row.node_id,
        written=row.written,
        active=row.active,
        item_id=row.item_id,
        mentioned=row.mentioned,
        pinned=row.pinned,
        last_version=row.last_version,
        last_run_at=row.last_run_at,
        idle_at=row.idle_at,
        elsewhere=row.elsewhere,
        item=row.item,
        expires_at=row.expires_at,
        overlap=timedelta(seconds=row.overlap_seconds or 0),
        current=row.current,
        activated_at=row.activated_at,
    )
