"""Items that hold one credential, and copies whose original moved on: by index, group by group."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, and_, func, or_, select

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
    """By value first, then by what is changed on the other side, which says more. What is declared is one
    family, and no group: a walk over any number of declared copies finds nothing to ask for.
    """
    families = func.count(func.coalesce(items.c.copy_of, items.c.id).distinct())
    by_value = (
        select(versions.c.likeness.label("shared"))
        .join(items, items.c.id == versions.c.item_id)
        .where(versions.c.likeness.is_not(None), versions.c.stage == Stage.CURRENT.value)
        .group_by(versions.c.likeness)
        .having(families > 1)
    )
    by_name = (
        select(item_principals.c.name.label("shared"))
        .join(items, items.c.id == item_principals.c.item_id)
        .group_by(item_principals.c.name)
        .having(families > 1)
    )
    for page in _pages(connection, by_value, versions.c.likeness, page_size):
        groups = _find_groups(connection, _holders([row.shared for row in page]))
        yield [one for group in groups.values() for one in find_shared(group, None)]
    for page in _pages(connection, by_name, item_principals.c.name, page_size):
        groups = _find_groups(connection, _changers([row.shared for row in page]))
        yield [one for name, group in groups.items() for one in find_shared(group, name)]


def walk_stale_copies(connection: Connection, *, page_size: int) -> Iterator[list[Finding]]:
    """Declared copies that have another value than their original, whichever was given first."""
    copies = select(items.c.id).where(items.c.copy_of.is_not(None))
    for page in _pages(connection, copies, items.c.id, page_size, key="id"):
        rows = connection.execute(_stale_among([row.id for row in page]))
        made = [read_apart(row, _read_copy) for row in rows]
        yield [find_stale_copy(one) for one in made if isinstance(one, StaleCopy)]


def _stale_among(ids: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Where both values have a digest, these decide. One that was not read since there are such is not known to
    be another: unless a rotation made the original's after the copy had its own.
    """
    original, its, own = items.alias("original"), versions.alias("its"), versions.alias("own")
    known = and_(its.c.likeness.is_not(None), own.c.likeness.is_not(None))
    return (
        select(
            items.c.id,
            items.c.name,
            original.c.name.label("original"),
            its.c.activated_at,
            known.label("known"),
        )
        .select_from(items)
        .join(original, original.c.id == items.c.copy_of)
        .join(its, and_(its.c.item_id == original.c.id, its.c.stage == Stage.CURRENT.value))
        .join(own, and_(own.c.item_id == items.c.id, own.c.stage == Stage.CURRENT.value))
        .where(
            items.c.id.in_(ids),
            its.c.likeness.is_distinct_from(own.c.likeness),
            or_(
                known,
                and_(its.c.activated_at > own.c.activated_at, its.c.issued_at > own.c.activated_at),
            ),
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


def _holders(likenesses: Sequence[bytes]) -> Select[*tuple[Any, ...]]:
    likeness = versions.c.likeness
    return _sharers(likeness).join(
        versions,
        and_(
            versions.c.item_id == items.c.id,
            versions.c.stage == Stage.CURRENT.value,
            likeness.in_(likenesses),
        ),
    )


def _changers(names: Sequence[str]) -> Select[*tuple[Any, ...]]:
    name = item_principals.c.name
    return _sharers(name).join(item_principals, and_(item_principals.c.item_id == items.c.id, name.in_(names)))


def _sharers(shared: Column[Any]) -> Select[*tuple[Any, ...]]:
    """Items with the name of their original; `place` is that among those of one group, the oldest first."""
    original = items.alias("original")
    oldest = (items.c.created_at, items.c.id)
    place = func.row_number().over(partition_by=shared, order_by=oldest)
    return (
        select(
            items.c.id,
            items.c.name,
            items.c.copy_of,
            original.c.name.label("original"),
            shared.label("shared"),
            place.label("place"),
        )
        .select_from(items)
        .outerjoin(original, original.c.id == items.c.copy_of)
    )


def _find_groups(connection: Connection, query: Select[*tuple[Any, ...]]) -> dict[Any, list[Sharer]]:
    """By what they share, in its order: the first `_OF_ONE_MAX` of each."""
    found = query.subquery()
    groups: dict[Any, list[Sharer]] = {}
    rows = connection.execute(
        select(found).where(found.c.place <= _OF_ONE_MAX).order_by(found.c.shared, found.c.place)
    )
    for row in rows:
        made = read_apart(row, _read_sharer)
        if isinstance(made, Sharer):
            groups.setdefault(row.shared, []).append(made)
    return groups


def _read_sharer(row: Row[*tuple[Any, ...]]) -> Sharer:
    check_row(row, f"item {row.name}")
    return Sharer(item_id=row.id, item=row.name, copy_of=row.copy_of, original=row.original)


def _read_copy(row: Row[*tuple[Any, ...]]) -> StaleCopy:
    check_row(row, f"item {row.name}")
    return StaleCopy(
        item_id=row.id,
        item=row.name,
        original=row.original,
        replaced_at=row.activated_at,
        known=bool(row.known),
    )
