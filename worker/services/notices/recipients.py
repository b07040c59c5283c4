"""Who hears: the owners of an item, the operators of what nobody owns, their routes and their hours."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.errors import NightkeyError
from vaultcore.owners import Owners
from vaultcore.quiet import check_zone, parse_quiet, quiet_until
from worker.domain.reach import Unreached, find_unreached
from worker.rows import addressees as addressee_rows
from worker.rows.addressees import StoredOwner, StoredRoute

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
        answering = addressee_rows.list_answering(connection, item_id)
        return [one.owner_id for one in answering if one.name != but] or [self.find_operators(connection)]

    def may_hear(self, connection: Connection, owner_id: str, item_id: str) -> bool:
        """Whether the owner may be told of the item: who answers for it, their deputy, the operators."""
        answering = self.find_owners(connection, item_id)
        deputies = [self.find_hearer(connection, one).deputy_id for one in answering]
        return owner_id in (*answering, *deputies, self.find_operators(connection))

    def find_operators(self, connection: Connection) -> str:
        """The id of the owner who hears of what has no owner; they are made if nobody has that name. `NOBODY`
        where none of us gave it to who has it.
        """
        found = addressee_rows.list_called(connection, self._operators)
        if not found:
            return self._owners.find_or_create(connection, self._operators, actor=ACTOR)
        return next((one.owner_id for one in found if one.is_ours), NOBODY)

    def find_hearer(self, connection: Connection, owner_id: str) -> Hearer:
        if owner_id == NOBODY:
            return Hearer(id=NOBODY, name=self._operators, zone="UTC", quiet=None, deputy_id=None)
        return _hearer(addressee_rows.get_owner(connection, owner_id))

    def find_hearers(self, connection: Connection, owner_ids: Collection[str]) -> dict[str, Hearer]:
        """By their ids; those who were deleted are not among them."""
        stored = addressee_rows.list_owners(connection, owner_ids)
        return {one.id: _hearer(one) for one in stored}

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
        return find_unreached(addressee_rows.list_people(connection), self._operators)

    def find_routes(self, connection: Connection, owner_id: str) -> list[StoredRoute]:
        """In the order in which they were added."""
        return addressee_rows.list_routes(connection, owner_id)

    def find_routes_of_each(
        self, connection: Connection, owner_ids: Collection[str]
    ) -> dict[str, list[StoredRoute]]:
        """The same by the ids of these owners."""
        return addressee_rows.list_routes_of_each(connection, owner_ids)

    def find_moment(self, connection: Connection, route_id: str, after: datetime, *, urgent: bool) -> datetime:
        """When something may leave by a route, not before a time: its owner's quiet hours are kept."""
        owner_id = addressee_rows.find_route_owner(connection, route_id)
        if owner_id is None:  # the route was taken away meanwhile
            return after
        owner = self.find_hearers(connection, [owner_id]).get(owner_id)
        return after if owner is None else owner.may_be_told(after, urgent=urgent)


def _hearer(stored: StoredOwner) -> Hearer:
    """What of an owner cannot be read keeps nobody from hearing: their times are then in UTC, and not quiet.
    One that none of us wrote so has neither quiet hours nor a deputy.
    """
    try:
        zone = check_zone(stored.zone or "UTC")
    except NightkeyError:
        zone = "UTC"
    try:
        quiet = None if stored.quiet is None else str(parse_quiet(stored.quiet))
    except NightkeyError:
        quiet = None
    return Hearer(
        id=stored.id,
        name=stored.name or stored.id,
        zone=zone,
        quiet=quiet if stored.is_ours else None,
        deputy_id=stored.deputy_id if stored.is_ours else None,
    )
