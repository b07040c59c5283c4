"""Owners as the night sees them: whose items are whose, and what is stored of them that cannot be meant."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from vaultcore.names import spellings
from vaultcore.quiet import check_zone, parse_quiet
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import item_owners, items, owners
from worker.rows.unread import UnreadOwner


def is_owner(connection: Connection, name: str) -> bool:
    """Whether there is an owner of that name, in any spelling, as any of us wrote it or not."""
    return connection.execute(select(owners.c.id).where(owners.c.name.in_(spellings(name)))).first() is not None


def find_heard_of(connection: Connection, owner_id: str, *, nobodys: bool) -> set[str]:
    """The items of which the owner hears: theirs, and those of whose owners they are the deputy; `nobodys`: and
    what has no owner.
    """
    heard_for = select(owners.c.id).where(or_(owners.c.id == owner_id, owners.c.deputy_id == owner_id))
    found = select(item_owners.c.item_id).where(item_owners.c.owner_id.in_(heard_for))
    heard_of = set(connection.execute(found).scalars())
    if nobodys:
        unowned = select(items.c.id).where(items.c.id.not_in(select(item_owners.c.item_id)))
        heard_of |= set(connection.execute(unowned).scalars())
    return heard_of


def walk_unreadable_owners(connection: Connection) -> Iterator[UnreadOwner]:
    """Owners of whom something cannot be read, or whose hours or time zone are none."""
    for row in connection.execute(select(owners)):
        owner = read_apart(row, _check)
        if isinstance(owner, Unread):
            yield UnreadOwner(owner_id=row.id, name=row.name, problem=owner.problem)


def _check(row: Row[*tuple[Any, ...]]) -> None:
    """What of these cannot be read is not gone by when they are told, which is then at once."""
    check_row(row, f"owner {row.name}")
    check_zone(row.zone)
    if row.quiet is not None:
        parse_quiet(row.quiet)
