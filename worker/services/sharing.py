"""Items that hold one credential, and copies whose original moved on: by index, group by group."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, and_, func, select

from vaultcore.damage import is_sound
from vaultcore.model import Stage
from vaultcore.paging import walk_pages
from vaultcore.stored import check_row, read_apart
from vaultcore.tables import item_principals, items, versions
from worker.domain.findings import Finding
from worker.domain.sharing import Sharer, StaleCopy, find_shared, find_stale_copy

_OF_ONE_MAX = 1000
"""So many items of one credential are told one by one."""


def walk_shared(connection: Connection, *, page_size: int) -> Iterator[list[Finding]]:
    """By value first, then by what is changed on the other side, which says more."""
    by_value = (
        select(versions.c.likeness.label("shared"))
        .where(versions.c.likeness.is_not(None), versions.c.stage == Stage.CURRENT.value)
        .group_by(versions.c.likeness)
        .having(func.count() > 1)
    )
    by_name = (
        select(item_principals.c.name.label("shared")).group_by(item_principals.c.name).having(func.count() > 1)
    )
    for groups in _pages(connection, by_value, versions.c.likeness, page_size):
        yield [one for row in groups for one in _find(connection, _holders(row.shared), None)]
    for groups in _pages(connection, by_name, item_principals.c.name, page_size):
        yield [one for row in groups for one in _find(connection, _changers(row.shared), row.shared)]


def walk_stale_copies(connection: Connection, *, page_size: int) -> Iterator[list[Finding]]:
    """Declared copies that have the value of before: given earlier than the original's, and not the same."""
    copies = select(items.c.id).where(items.c.copy_of.is_not(None))
    for page in _pages(connection, copies, items.c.id, page_size, key="id"):
        rows = connection.execute(_stale_among([row.id for row in page]))
        made = [read_apart(row, _read_copy) for row in rows]
        yield [find_stale_copy(one) for one in made if isinstance(one, StaleCopy)]


def _stale_among(ids: Sequence[str]) -> Select[*tuple[Any, ...]]:
    original, its, own = items.alias("original"), versions.alias("its"), versions.alias("own")
    return (
        select(items.c.id, items.c.name, original.c.name.label("original"), its.c.activated_at)
        .select_from(items)
        .join(original, original.c.id == items.c.copy_of)
        .join(its, and_(its.c.item_id == original.c.id, its.c.stage == Stage.CURRENT.value))
        .join(own, and_(own.c.item_id == items.c.id, own.c.stage == Stage.CURRENT.value))
        .where(
            items.c.id.in_(ids),
            its.c.activated_at > own.c.activated_at,
            its.c.likeness.is_distinct_from(own.c.likeness),
        )
        .order_by(items.c.id)
    )


def _pages(
    connection: Connection,
    query: Select[*tuple[Any, ...]],
    column: Column[Any],
    size: int,
    *,
    key: str = "shared",
) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    sound = is_sound(column, connection.dialect.name)  # the walk goes by it; `walk_damage` tells the others
    ordered = query.where(sound).order_by(column).limit(size)
    return walk_pages(
        lambda last: connection.execute(ordered if last is None else ordered.where(column > last[0])).all(),
        lambda row: (getattr(row, key),),
        size=size,
    )


def _holders(likeness: bytes) -> Select[*tuple[Any, ...]]:
    return _sharers().join(
        versions,
        and_(
            versions.c.item_id == items.c.id,
            versions.c.stage == Stage.CURRENT.value,
            versions.c.likeness == likeness,
        ),
    )


def _changers(name: str) -> Select[*tuple[Any, ...]]:
    return _sharers().join(
        item_principals, and_(item_principals.c.item_id == items.c.id, item_principals.c.name == name)
    )


def _sharers() -> Select[*tuple[Any, ...]]:
    return (
        select(items.c.id, items.c.name, items.c.copy_of)
        .order_by(items.c.created_at, items.c.id)
        .limit(_OF_ONE_MAX)
    )


def _find(connection: Connection, query: Select[*tuple[Any, ...]], principal: str | None) -> list[Finding]:
    made = [read_apart(row, _read_sharer) for row in connection.execute(query)]
    return find_shared([one for one in made if isinstance(one, Sharer)], principal)


def _read_sharer(row: Row[*tuple[Any, ...]]) -> Sharer:
    check_row(row, f"item {row.name}")
    return Sharer(item_id=row.id, item=row.name, copy_of=row.copy_of)


def _read_copy(row: Row[*tuple[Any, ...]]) -> StaleCopy:
    check_row(row, f"item {row.name}")
    return StaleCopy(item_id=row.id, item=row.name, original=row.original, replaced_at=row.activated_at)
