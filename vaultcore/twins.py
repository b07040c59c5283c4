"""Items that hold one credential: by what they change on the other side, or by the same value.

One that is declared the other's copy is none of them, nor are two copies of one item.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, Connection, and_, delete, false, func, insert, or_, select, true

from vaultcore.errors import TamperedError
from vaultcore.model import Stage, Twin
from vaultcore.row_macs import MAC, check_mac, find_edited
from vaultcore.tables import item_accounts, items, versions

_WORKS = (Stage.PENDING.value, Stage.CURRENT.value, Stage.PREVIOUS.value)
_OTHERS_MAX = 20


def record_accounts(connection: Connection, wanted: Mapping[str, Collection[str]]) -> None:
    """By their ids, what items change on the other side from now on, in the place of what they did."""
    connection.execute(delete(item_accounts).where(item_accounts.c.item_id.in_(list(wanted))))
    rows = [
        {"item_id": item_id, "name": name} for item_id, names in wanted.items() for name in sorted(set(names))
    ]
    if rows:
        connection.execute(insert(item_accounts), rows)


def accounts_of(connection: Connection, item_ids: Collection[str]) -> dict[str, frozenset[str] | TamperedError]:
    """By item; in the place of those of which none of us wrote one, the error that says so."""
    found: dict[str, frozenset[str] | TamperedError] = dict.fromkeys(item_ids, frozenset())
    for row in connection.execute(select(item_accounts).where(item_accounts.c.item_id.in_(item_ids))):
        edited = find_edited(connection, item_accounts, row, f"what {row.item_id} changes")
        before = found[row.item_id]
        if not isinstance(before, TamperedError):
            found[row.item_id] = edited or before | {row.name}
    return found


def find_twins(
    connection: Connection,
    *,
    item_id: str | None,
    copy_of: str | None,
    accounts: Collection[str] = (),
    likeness: bytes | None = None,
) -> list[Twin]:
    """Other items that change one of these on the other side, or have a version, not yet retired, with this
    value. `item_id` and `copy_of` are the item's own, which may still be to come. `TamperedError` where none of
    us wrote what another changes.
    """
    found: list[Twin] = []
    other = and_(items.c.id != (item_id or ""), _is_no_copy(item_id, copy_of))
    if accounts:
        rows = connection.execute(
            select(
                items.c.id,
                items.c.name,
                item_accounts.c.item_id.label("its_item_id"),
                item_accounts.c.name.label("its_name"),
                item_accounts.c[MAC].label("its_mac"),
            )
            .join(item_accounts, item_accounts.c.item_id == items.c.id)
            .where(item_accounts.c.name.in_(sorted(accounts)), other)
            .order_by(items.c.name)
            .limit(_OTHERS_MAX)
        )
        for row in rows:
            check_mac(connection, item_accounts, row, f"what {row.name} changes", prefix="its_")
            found.append(Twin(item_id=row.id, item=row.name, name=row.its_name))
    if likeness is not None:
        rows = connection.execute(
            select(items.c.id, items.c.name)
            .join(versions, versions.c.item_id == items.c.id)
            .where(versions.c.likeness == likeness, versions.c.stage.in_(_WORKS), other)
            .distinct()
            .order_by(items.c.name)
            .limit(_OTHERS_MAX)
        )
        found += [Twin(item_id=row.id, item=row.name, name=None) for row in rows]
    return found


def _is_no_copy(item_id: str | None, copy_of: str | None) -> ColumnElement[bool]:
    """Neither is the other's copy, nor are both copies of a third."""
    related = [items.c.copy_of == item_id] if item_id is not None else []
    if copy_of is not None:
        related += [items.c.id == copy_of, items.c.copy_of == copy_of]
    return ~func.coalesce(or_(*related), false()) if related else true()


def copies_of(connection: Connection, item_id: str, *, besides: Collection[str] = ()) -> list[str]:
    """The names of the items that are declared copies of it, in order; not of those `besides`, by their ids."""
    query = select(items.c.id, items.c.name).where(items.c.copy_of.is_not(None), items.c.copy_of == item_id)
    return sorted(row.name for row in connection.execute(query) if row.id not in besides)


def unlike_copies(connection: Connection, original_id: str, ids: Collection[str]) -> list[str]:
    """The names of those of these copies whose current value is known to be another than the original's."""
    likeness = likeness_of(connection, original_id)
    if likeness is None:
        return []
    query = (
        select(items.c.name)
        .join(versions, versions.c.item_id == items.c.id)
        .where(items.c.id.in_(ids), versions.c.stage == Stage.CURRENT.value, versions.c.likeness != likeness)
    )
    return sorted(connection.execute(query).scalars())


def likeness_of(connection: Connection, item_id: str) -> bytes | None:
    """That of the item's current value; None: it has none, or it was not read since there are such digests."""
    return likenesses_of(connection, [item_id]).get(item_id)


def likenesses_of(connection: Connection, ids: Collection[str]) -> dict[str, bytes | None]:
    """The same of many items, by id; one without a current value is not among them."""
    query = select(versions.c.item_id, versions.c.likeness).where(
        versions.c.item_id.in_(ids), versions.c.stage == Stage.CURRENT.value
    )
    return {row.item_id: row.likeness for row in connection.execute(query)}


def find_holders(connection: Connection, likenesses: Collection[bytes]) -> dict[bytes, Twin]:
    """The first item by name that has a version, not yet retired, with one of these values."""
    query = (
        select(items.c.id, items.c.name, versions.c.likeness)
        .join(versions, versions.c.item_id == items.c.id)
        .where(versions.c.likeness.in_(likenesses), versions.c.stage.in_(_WORKS))
        .order_by(items.c.name.desc())
    )
    return {row.likeness: Twin(item_id=row.id, item=row.name, name=None) for row in connection.execute(query)}
