"""References of workflows that may be stale, as rows: indexes have them, whoever reads them decides."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    exists,
    false,
    func,
    not_,
    or_,
    select,
)

from vaultcore.damage import is_sound
from vaultcore.model import ConsumerKind, Stage
from vaultcore.paging import walk_keyset, without_index
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


_R = references.c
_KEYS: tuple[ColumnElement[Any], ...] = (_R.consumer_id, _R.node_id, _R.written)
_SUSPECT = and_(
    or_(_R.item_id.is_(None), func.coalesce(_R.pinned, _R.last_version) != _R.current_version),  # as the index
    or_(_R.item_id.is_(None), ~_R.mentioned),
)
"""It leads nowhere, or to a version that is not current."""


def walk_stale_references(
    connection: Connection, now: datetime, *, page_size: int, consumer_ids: Collection[str] | None = None
) -> Iterator[list[StaleReference | UnreadReference]]:
    """In pages, each found by index, so that the time follows what may be stale; one that cannot be read has
    its place among the others. `consumer_ids`: of these alone.
    """
    dialect = connection.dialect.name
    expired, idle = items.c.expires_at <= now, and_(~_R.mentioned, _R.idle_at <= now)
    walks: list[tuple[Select[*tuple[Any, ...]], tuple[ColumnElement[Any], ...]]]
    if consumer_ids is not None:
        mine = _R.consumer_id.in_(sorted(consumer_ids))
        walks = [(_select().where(mine, or_(_SUSPECT, expired, idle)), _KEYS)]
    else:
        sound_end, sound_rest = is_sound(items.c.expires_at, dialect), is_sound(_R.idle_at, dialect)
        ended: tuple[ColumnElement[Any], ...] = (items.c.expires_at, items.c.id, *_KEYS)
        walks = [  # none of them gives what one before it gave
            (_select().where(_SUSPECT), _KEYS),
            (_select(by_item=dialect).where(expired, sound_end, _is_not(_SUSPECT)), ended),
            (
                _select().where(idle, sound_rest, _is_not(_SUSPECT), _is_not(expired)),
                (_R.idle_at, *_KEYS),
            ),
        ]
    for query, keys in walks:
        for rows in walk_keyset(connection, query, keys, size=page_size):
            yield [_read_apart(row) for row in rows]


def _is_not(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Also where nothing is known of it."""
    return not_(func.coalesce(condition, false()))


def _select(*, by_item: str | None = None) -> Select[*tuple[Any, ...]]:
    """References that are looked at, with their items; `by_item`, on that kind of database: found by these."""
    r, other = references.c, references.alias()
    is_used_too = exists().where(
        other.c.consumer_id == r.consumer_id,
        or_(other.c.written == r.written, other.c.item_id == r.item_id),
        ~other.c.mentioned,
    )
    if by_item is None:
        joined = references.outerjoin(items, items.c.id == r.item_id)
    else:  # SQLite would go through all references, and look up the item of each
        item_id = without_index(items.c.id) if by_item == "sqlite" else items.c.id
        joined = items.join(references, item_id == r.item_id)
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
            items.c.id,
            items.c.name.label("item"),
            items.c.expires_at,
            items.c.overlap_seconds,
            versions.c.number.label("current"),
            versions.c.activated_at,
        )
        .select_from(
            joined.outerjoin(
                versions, and_(versions.c.item_id == r.item_id, versions.c.stage == Stage.CURRENT.value)
            )
        )
        .where(
            r.consumer == ConsumerKind.WORKFLOW.value,
            r.active.is_(True),
            or_(~r.mentioned, ~is_used_too),
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
