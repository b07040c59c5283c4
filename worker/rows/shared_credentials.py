"""Items that hold one credential, and copies whose original moved on, as rows: by index, group by group."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, and_, func, or_, select

from vaultcore.damage import is_sound
from vaultcore.model import Stage
from vaultcore.paging import walk_keyset
from vaultcore.stored import check_row, read_apart
from vaultcore.tables import item_accounts, items, versions
from worker.domain.sharing import Sharer, StaleCopy

_OF_ONE_MAX = 1000
"""So many items of one credential are told one by one."""
_FAMILIES = func.count(func.coalesce(items.c.copy_of, items.c.id).distinct())
"""What is declared is one family, and no group: a walk over any number of declared copies finds nothing."""


def walk_holders(connection: Connection, *, page_size: int) -> Iterator[list[list[Sharer]]]:
    """Groups of items whose current values are one value, in pages. Who cannot be read is in no group."""
    shared = versions.c.likeness.label("shared")
    query = (
        select(shared)
        .join(items, items.c.id == versions.c.item_id)
        .where(versions.c.likeness.is_not(None), versions.c.stage == Stage.CURRENT.value)
        .group_by(versions.c.likeness)
        .having(_FAMILIES > 1)
    )
    for page in _pages(connection, query, versions.c.likeness, shared, page_size):
        yield list(_find_groups(connection, _holders([row.shared for row in page])).values())


def walk_changers(connection: Connection, *, page_size: int) -> Iterator[dict[str, list[Sharer]]]:
    """Groups of items that change one thing on the other side, by its name, in pages. Who cannot be read is in
    no group.
    """
    shared = item_accounts.c.name.label("shared")
    query = (
        select(shared)
        .join(items, items.c.id == item_accounts.c.item_id)
        .group_by(item_accounts.c.name)
        .having(_FAMILIES > 1)
    )
    for page in _pages(connection, query, item_accounts.c.name, shared, page_size):
        yield _find_groups(connection, _changers([row.shared for row in page]))


def walk_stale_copies(connection: Connection, *, page_size: int) -> Iterator[list[StaleCopy]]:
    """Declared copies that have another value than their original, in pages of copies. One that cannot be read
    is none.
    """
    copies = select(items.c.id).where(items.c.copy_of.is_not(None))
    for page in _pages(connection, copies, items.c.id, items.c.id, page_size):
        rows = connection.execute(_stale_among([row.id for row in page]))
        made = [read_apart(row, _read_copy) for row in rows]
        yield [one for one in made if isinstance(one, StaleCopy)]


def _pages(
    connection: Connection,
    query: Select[*tuple[Any, ...]],
    column: Column[Any],
    key: ColumnElement[Any],
    size: int,
) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    """By the column, which the query selects as `key`."""
    sound = is_sound(column, connection.dialect.name)  # the walk goes by it; `walk_damage` tells the others
    return walk_keyset(connection, query.where(sound), (key,), size=size)


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
    name = item_accounts.c.name
    return _sharers(name).join(item_accounts, and_(item_accounts.c.item_id == items.c.id, name.in_(names)))


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
