"""Who hears: the owners of an item, the operators of what nobody owns, their routes and their hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from vaultcore.errors import NightkeyError
from vaultcore.names import spellings
from vaultcore.owners import Owners
from vaultcore.quiet import check_zone, parse_quiet, quiet_until
from vaultcore.row_macs import is_ours
from vaultcore.stored import UNREADABLE
from vaultcore.tables import item_owners, owners, routes
from worker.domain.reach import Person, Unreached, find_unreached

ACTOR = "nightkey"
NOBODY = "own_nobody"
"""Stands for the operators while somebody has their name whom none of us gave it. It has no route: what is
written to it waits, and goes to the operators once the row was put right or answered for.
"""


@dataclass(frozen=True, kw_only=True)
class Hearer:
    """An owner as an addressee."""

    id: str
    name: str
    zone: str
    quiet: str | None
    deputy_id: str | None

    def may_be_told(self, now: datetime, *, urgent: bool) -> datetime:
        """When: now, or at the end of their quiet hours."""
        if self.quiet is None or urgent:
            return now
        return quiet_until(parse_quiet(self.quiet), self.zone, now)


class Recipients:
    """`operators` is the name of the owner who hears of what has no owner, and of whole nights."""

    def __init__(self, *, owners: Owners, operators: str) -> None:
        self._owners = owners
        self._operators = operators

    def find_owners(self, connection: Connection, item_id: str | None, *, but: str | None = None) -> list[str]:
        """Who answers for the item, if one of us made them its owner; the operators for what nobody does."""
        found = connection.execute(
            select(item_owners, owners.c.name)
            .join(item_owners, item_owners.c.owner_id == owners.c.id)
            .where(item_owners.c.item_id == item_id)
            .order_by(owners.c.name)
        )
        whole = [row for row in found if is_ours(connection, item_owners, row)]
        return [row.owner_id for row in whole if row.name != but] or [self.find_operators(connection)]

    def may_hear(self, connection: Connection, owner_id: str, item_id: str) -> bool:
        """Whether the owner may be told of the item: who answers for it, their deputy, the operators."""
        answering = self.find_owners(connection, item_id)
        deputies = [self.find_hearer(connection, one).deputy_id for one in answering]
        return owner_id in (*answering, *deputies, self.find_operators(connection))

    def find_operators(self, connection: Connection) -> str:
        """The id of the owner who hears of what has no owner; they are made if nobody has that name. `NOBODY`
        where none of us gave it to who has it.
        """
        found = connection.execute(
            select(owners).where(owners.c.name.in_(spellings(self._operators))).order_by(owners.c.id)
        ).all()
        if not found:
            return self._owners.find_or_create(connection, self._operators, actor=ACTOR)
        return next((row.id for row in found if is_ours(connection, owners, row)), NOBODY)

    def find_hearer(self, connection: Connection, owner_id: str) -> Hearer:
        if owner_id == NOBODY:
            return Hearer(id=NOBODY, name=self._operators, zone="UTC", quiet=None, deputy_id=None)
        row = connection.execute(
            select(
                owners.c.id, owners.c.name, owners.c.zone, owners.c.quiet, owners.c.deputy_id, owners.c.mac
            ).where(owners.c.id == owner_id)
        ).one()
        return _hearer(row, is_ours=is_ours(connection, owners, row))

    def find_reachable(self, connection: Connection, owner_id: str) -> Hearer:
        """Who is told: the owner, or their deputy, or the operators: the first who has a route."""
        owner = self.find_hearer(connection, owner_id)
        if self.find_routes(connection, owner.id):
            return owner
        if owner.deputy_id is not None and self.find_routes(connection, owner.deputy_id):
            return self.find_hearer(connection, owner.deputy_id)
        return self.find_hearer(connection, self.find_operators(connection))

    def is_reachable(self, connection: Connection, owner_id: str) -> bool:
        """Whether the owner has a route, or somebody in their place."""
        return bool(self.find_routes(connection, self.find_reachable(connection, owner_id).id))

    def find_unreached(self, connection: Connection) -> list[Unreached]:
        """Who is to hear something, and has no way to: the operators, owners and deputies."""
        deputies = owners.alias()
        rows = connection.execute(
            select(
                owners.c.name,
                deputies.c.name.label("deputy"),
                exists().where(routes.c.owner_id == owners.c.id).label("routed"),
            ).outerjoin(deputies, deputies.c.id == owners.c.deputy_id)
        )
        people = [Person(name=row.name, deputy=row.deputy, routed=bool(row.routed)) for row in rows]
        return find_unreached(people, self._operators)

    def find_routes(self, connection: Connection, owner_id: str) -> Sequence[Row[*tuple[Any, ...]]]:
        """Id, masked form and recipients of each, in the order in which they were added."""
        return connection.execute(
            select(routes.c.id, routes.c.shown, routes.c.recipients)
            .where(routes.c.owner_id == owner_id)
            .order_by(routes.c.id)
        ).all()

    def find_moment(self, connection: Connection, route_id: str, after: datetime, *, urgent: bool) -> datetime:
        """When something may leave by a route, not before a time: its owner's quiet hours are kept."""
        owner_id = connection.execute(
            select(routes.c.owner_id).where(routes.c.id == route_id)
        ).scalar_one_or_none()
        if owner_id is None:  # the route was taken away meanwhile
            return after
        return self.find_hearer(connection, owner_id).may_be_told(after, urgent=urgent)


def _hearer(row: Row[*tuple[Any, ...]], *, is_ours: bool) -> Hearer:
    """What of an owner cannot be read keeps nobody from hearing: their times are then in UTC, and not quiet.
    One that none of us wrote so has neither quiet hours nor a deputy.
    """
    values = zip(row._fields, row, strict=True)
    stored: dict[str, Any] = {name: None if value is UNREADABLE else value for name, value in values}
    try:
        zone = check_zone(stored["zone"] or "UTC")
    except NightkeyError:
        zone = "UTC"
    try:
        quiet = None if stored["quiet"] is None else str(parse_quiet(stored["quiet"]))
    except NightkeyError:
        quiet = None
    return Hearer(
        id=stored["id"],
        name=stored["name"] or stored["id"],
        zone=zone,
        quiet=quiet if is_ours else None,
        deputy_id=stored["deputy_id"] if is_ours else None,
    )
