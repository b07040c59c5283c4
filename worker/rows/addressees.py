"""Owners as rows, for who is to tell them something: who answers for what, and what leads to whom."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, exists, select

from vaultcore.errors import NotFoundError
from vaultcore.names import spellings
from vaultcore.row_macs import is_ours
from vaultcore.stored import is_readable, take_readable
from vaultcore.tables import item_owners, items, owners, routes
from vaultcore.unit_of_work import remember
from worker.domain.reach import Person

_IDS = bindparam("ids", type_=owners.c.id.type, expanding=True)
_OWNERS = select(
    owners.c.id, owners.c.name, owners.c.zone, owners.c.quiet, owners.c.deputy_id, owners.c.mac
).where(owners.c.id.in_(_IDS))
_ANSWERING = (
    select(item_owners, owners.c.name)
    .join(item_owners, item_owners.c.owner_id == owners.c.id)
    .where(item_owners.c.item_id == bindparam("item"))
    .order_by(owners.c.name)
)
_POLICY = select(items.c.policy).where(items.c.id == bindparam("item"))
_ROUTES = (
    select(routes.c.owner_id, routes.c.id, routes.c.shown, routes.c.recipients)
    .where(routes.c.owner_id.in_(_IDS))
    .order_by(routes.c.id)
)


class StoredOwner(NamedTuple):
    """None where it is not set, or cannot be read. `is_ours`: one of us wrote it so."""

    id: str
    name: str | None
    zone: str | None
    quiet: str | None
    deputy_id: str | None
    is_ours: bool


class AnsweringOwner(NamedTuple):
    """Who answers for an item."""

    owner_id: str
    name: str


class NamedAddressee(NamedTuple):
    """Who has a name, and whether one of us gave it to them."""

    owner_id: str
    is_ours: bool


class StoredRoute(NamedTuple):
    """`shown`: its URL, masked. `recipients`: None: nobody has looked whom it leads to."""

    id: str
    shown: str
    recipients: list[str] | None


class StoredPolicy(NamedTuple):
    """Of an item, as it is stored: it may be damaged, or none."""

    policy: Mapping[str, Any] | None


def list_answering(connection: Connection, item_id: str | None) -> list[AnsweringOwner]:
    """By name; one whom none of us made an owner of it is not among them."""
    found = connection.execute(_ANSWERING, {"item": item_id})
    return [AnsweringOwner(row.owner_id, row.name) for row in found if is_ours(connection, item_owners, row)]


def list_called(connection: Connection, name: str) -> list[NamedAddressee]:
    """Who has the name, in whatever spelling."""
    rows = connection.execute(
        select(owners).where(owners.c.name.in_(spellings(name))).order_by(owners.c.id)
    ).all()
    return [NamedAddressee(row.id, is_ours(connection, owners, row)) for row in rows]


def get_owner(connection: Connection, owner_id: str) -> StoredOwner:
    """`NotFoundError` for one who was deleted."""
    found = remember(
        connection, ("owner", owner_id), (owners.name,), lambda: list_owners(connection, [owner_id])
    )
    if not found:
        raise NotFoundError(f"the owner {owner_id} was deleted: `nightkey owner list` shows who there is")
    return found[0]


def list_owners(connection: Connection, owner_ids: Collection[str]) -> list[StoredOwner]:
    """Those of them who are there."""
    return [
        StoredOwner(
            id=row.id,
            name=take_readable(row.name),
            zone=take_readable(row.zone),
            quiet=take_readable(row.quiet),
            deputy_id=take_readable(row.deputy_id),
            is_ours=is_ours(connection, owners, row),
        )
        for row in connection.execute(_OWNERS, {"ids": list(owner_ids)})
    ]


def find_owner_id(connection: Connection, name: str) -> str | None:
    """Of the owner whose name is written just so."""
    return connection.execute(select(owners.c.id).where(owners.c.name == name)).scalar_one_or_none()


def list_owned(connection: Connection, owner_id: str) -> set[str]:
    """The ids of their items."""
    owned = select(item_owners.c.item_id).where(item_owners.c.owner_id == owner_id)
    return set(connection.execute(owned).scalars())


def list_people(connection: Connection) -> list[Person]:
    """Every owner."""
    deputies = owners.alias()
    rows = connection.execute(
        select(
            owners.c.name,
            deputies.c.name.label("deputy"),
            exists().where(routes.c.owner_id == owners.c.id).label("routed"),
        ).outerjoin(deputies, deputies.c.id == owners.c.deputy_id)
    )
    return [Person(name=row.name, deputy=row.deputy, routed=bool(row.routed)) for row in rows]


def list_routes(connection: Connection, owner_id: str) -> list[StoredRoute]:
    """In the order in which they were added."""
    return remember(
        connection,
        ("routes", owner_id),
        (routes.name,),
        lambda: list_routes_of_each(connection, [owner_id])[owner_id],
    )


def list_routes_of_each(connection: Connection, owner_ids: Collection[str]) -> dict[str, list[StoredRoute]]:
    """By the ids of these owners."""
    found: dict[str, list[StoredRoute]] = {one: [] for one in owner_ids}
    for row in connection.execute(_ROUTES, {"ids": list(owner_ids)}):
        if is_readable(row.id):  # of others the scan makes a finding of it
            found[row.owner_id].append(StoredRoute(row.id, str(row.shown), row.recipients))
    return found


def find_route_owner(connection: Connection, route_id: str) -> str | None:
    """The id of its owner; None: the route was taken away, or nobody can say whose it is."""
    found = connection.execute(select(routes.c.owner_id).where(routes.c.id == route_id)).scalar_one_or_none()
    return take_readable(found)


def find_policy(connection: Connection, item_id: str | None) -> StoredPolicy | None:
    row = connection.execute(_POLICY, {"item": item_id}).one_or_none()
    return None if row is None else StoredPolicy(row.policy)
