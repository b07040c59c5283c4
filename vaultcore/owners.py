"""Owners and their routes: who is told, and where. Every method works in the caller's transaction."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from vaultcore.audit import AuditLog
from vaultcore.crypto.envelope import Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import InvalidInputError, NotFoundError, SealError, UnreadableError
from vaultcore.ids import new_id
from vaultcore.model import UNCHANGED, Owner, Route, Unchanged
from vaultcore.names import judge, skeleton, spellings
from vaultcore.namesakes import refuse_namesake
from vaultcore.quiet import QuietHours, check_zone, parse_quiet
from vaultcore.row_macs import check_mac, find_edited
from vaultcore.rows import renew_first_owners
from vaultcore.secret import Secret
from vaultcore.stored import Unread, check_row, read_all, read_apart
from vaultcore.tables import owners, routes

OWNER_NAME_MAX = 100
_ROUTE_PURPOSE = "route"
_ROUTES = select(routes).where(routes.c.id.in_(bindparam("ids", type_=routes.c.id.type, expanding=True)))


class Owners:
    """Creates, changes, finds and lists owners; seals and opens the URLs of their routes."""

    def __init__(
        self,
        *,
        deployment_id: str,
        keyring: Keyring,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._deployment_id = deployment_id
        self._keyring = keyring
        self._audit = audit
        self._clock = clock

    def create(
        self,
        connection: Connection,
        name: str,
        *,
        zone: str = "UTC",
        quiet: QuietHours | None = None,
        deputy: str | None = None,
        actor: str,
    ) -> Owner:
        """A new owner. `deputy` is the name of another; `RefusedError` for a name that is taken."""
        name = judge(name, what="owner", least=1, most=OWNER_NAME_MAX, example="platform")
        refuse_namesake(connection, owners, name, what="owner")
        now = self._clock()
        owner_id = new_id("own", now)
        connection.execute(
            insert(owners).values(
                id=owner_id,
                name=name,
                skeleton=skeleton(name),
                zone=check_zone(zone),
                quiet=None if quiet is None else str(quiet),
                deputy_id=None if deputy is None else self.get(connection, deputy).id,
                created_at=now,
            )
        )
        self._audit.append(connection, at=now, actor=actor, action="owner.create", subject=owner_id, name=name)
        return self.get(connection, name)

    def get(self, connection: Connection, name: str) -> Owner:
        """The owner of that name; `NotFoundError` if there is none, `TamperedError` if it was changed."""
        rows = connection.execute(select(owners).where(owners.c.name.in_(spellings(name)))).all()
        row = min(rows, key=lambda row: row.name != name, default=None)
        if row is None:
            shown = name[:OWNER_NAME_MAX]
            raise NotFoundError(
                f"no owner {shown!r}: `nightkey owner list` shows them all, `nightkey owner create` makes one"
            )
        owner = self._read(connection, row)
        check_mac(connection, owners, row, f"owner {row.name}")
        return owner

    def ids_of(self, connection: Connection, names: Sequence[str]) -> list[str]:
        return [self.get(connection, one).id for one in names]

    def _read(self, connection: Connection, row: Row[*tuple[Any, ...]]) -> Owner:
        check_row(row, f"owner {row.name}")
        deputy = select(owners.c.name).where(owners.c.id == row.deputy_id)
        return Owner(
            id=row.id,
            name=row.name,
            zone=row.zone,
            quiet=None if row.quiet is None else parse_quiet(row.quiet),
            deputy=None if row.deputy_id is None else connection.execute(deputy).scalar_one_or_none(),
            created_at=row.created_at,
            routes=self.routes(connection, row.id),
        )

    def find_or_create(self, connection: Connection, name: str, *, actor: str) -> str:
        """The id of the owner of that name, who is made if there is none."""
        try:
            return self.get(connection, name).id
        except NotFoundError:
            return self.create(connection, name, actor=actor).id

    def update(
        self,
        connection: Connection,
        name: str,
        *,
        zone: str | Unchanged = UNCHANGED,
        quiet: QuietHours | Unchanged | None = UNCHANGED,
        deputy: str | Unchanged | None = UNCHANGED,
        actor: str,
    ) -> Owner:
        """Changes what is given; None takes it away."""
        owner = self.get(connection, name)
        changed: dict[str, str | None] = {}
        if not isinstance(zone, Unchanged):
            changed["zone"] = check_zone(zone)
        if not isinstance(quiet, Unchanged):
            changed["quiet"] = None if quiet is None else str(quiet)
        if not isinstance(deputy, Unchanged):
            if deputy == owner.name:
                raise InvalidInputError(f"{name} cannot be their own deputy: name somebody else")
            changed["deputy_id"] = None if deputy is None else self.get(connection, deputy).id
        if changed:
            connection.execute(update(owners).where(owners.c.id == owner.id).values(**changed))
            self._audit.append(
                connection, at=self._clock(), actor=actor, action="owner.update", subject=owner.id, **changed
            )
        return self.get(connection, name)

    def rename(self, connection: Connection, owner: Owner, new: str, *, actor: str) -> Owner:
        """`RefusedError` for a name that another owner has, or that looks like it."""
        new = judge(new, what="owner", least=1, most=OWNER_NAME_MAX, example="platform")
        if new == owner.name:
            raise InvalidInputError(f"{owner.name} is their name already: give another one")
        refuse_namesake(connection, owners, new, what="owner", but=owner.id)
        connection.execute(
            update(owners).where(owners.c.id == owner.id).values(name=new, skeleton=skeleton(new))
        )
        renew_first_owners(connection, owner.id)
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action="owner.rename",
            subject=owner.id,
            name=new,
            before=owner.name,
        )
        return self.get(connection, new)

    def delete(self, connection: Connection, owner: Owner, *, to: str | None, actor: str) -> None:
        """Once nothing refers to them any more. `to`: who has what was theirs, for the record."""
        connection.execute(delete(owners).where(owners.c.id == owner.id))
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action="owner.delete",
            subject=owner.id,
            name=owner.name,
            to=to,
        )

    def all(self, connection: Connection) -> Iterator[Owner]:
        for name in connection.execute(select(owners.c.name).order_by(owners.c.name)).scalars():
            yield self.get(connection, name)

    def walk(self, connection: Connection) -> Iterator[Owner | UnreadableError]:
        """By name; in the place of one that cannot be read, or was edited, the error that says so."""
        for row in connection.execute(select(owners).order_by(owners.c.name)).all():
            owner = read_apart(row, lambda one: self._read(connection, one))
            what = f"owner {row.name} ({row.id})"
            if isinstance(owner, Unread):
                yield owner.explain(what)
            else:
                yield find_edited(connection, owners, row, what) or owner

    def routes(self, connection: Connection, owner_id: str) -> tuple[Route, ...]:
        """In the order in which they were added, without their URLs."""
        rows = connection.execute(
            select(routes.c.id, routes.c.owner_id, routes.c.shown, routes.c.recipients, routes.c.created_at)
            .where(routes.c.owner_id == owner_id)
            .order_by(routes.c.id)
        )
        return tuple(read_all(rows, _route)[0])

    def add_route(
        self,
        connection: Connection,
        owner: Owner,
        url: Secret,
        *,
        shown: str,
        recipients: Sequence[str] | None = None,
        actor: str,
    ) -> Route:
        """Seals the URL. Whether it is one that can be delivered to, and who its recipients are, is checked by
        who delivers: None where that is still to be done.
        """
        now = self._clock()
        route_id = new_id("rte", now)
        sealed = seal(url, key=self._keyring.active, binding=self._binding(route_id))
        connection.execute(
            insert(routes).values(
                id=route_id,
                owner_id=owner.id,
                shown=shown,
                recipients=None if recipients is None else list(recipients),
                created_at=now,
                **vars(sealed),
            )
        )
        self._audit.append(
            connection,
            at=now,
            actor=actor,
            action="owner.route",
            subject=owner.id,
            route=route_id,
            shown=shown,
        )
        return Route(id=route_id, owner_id=owner.id, shown=shown, recipients=_named(recipients), created_at=now)

    def set_recipients(self, connection: Connection, route_id: str, recipients: Sequence[str]) -> None:
        """What nobody had looked for when the route was added."""
        connection.execute(update(routes).where(routes.c.id == route_id).values(recipients=list(recipients)))

    def remove_route(self, connection: Connection, owner: Owner, route_id: str, *, actor: str) -> Owner:
        """Takes a route and its sealed URL away; `NotFoundError` if the owner has none of that id."""
        if route_id not in [route.id for route in owner.routes]:
            has = ", ".join(f"{route.id} ({route.shown})" for route in owner.routes) or "none"
            raise NotFoundError(f"{owner.name} has no route {route_id[:60]!r}: it has {has}")
        connection.execute(delete(routes).where(routes.c.id == route_id))
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action="owner.unroute",
            subject=owner.id,
            route=route_id,
        )
        return self.get(connection, owner.name)

    def open_route(self, connection: Connection, route_id: str) -> Secret:
        """Its URL; `TamperedError` if none of us wrote the route so, or gave it to that owner."""
        found = self.open_routes(connection, [route_id])
        if not found:
            raise NotFoundError(f"no route {route_id}")
        return found[route_id]

    def open_routes(self, connection: Connection, route_ids: Collection[str]) -> dict[str, Secret]:
        """The same by the ids of several, of those that are there."""
        urls = {}
        for row in connection.execute(_ROUTES, {"ids": list(route_ids)}):
            check_mac(connection, routes, row, f"route {row.shown}")
            sealed = Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)
            urls[row.id] = open_sealed(sealed, key=self._keyring.key(row.key_id), binding=self._binding(row.id))
        return urls

    def opens(self, row: Row[*tuple[Any, ...]]) -> bool:
        """Whether the record of that route opens. Its URL goes nowhere."""
        try:
            sealed = Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)
            open_sealed(sealed, key=self._keyring.key(row.key_id), binding=self._binding(row.id))
        except (SealError, TypeError, ValueError, AttributeError):  # or values that none of us wrote
            return False
        return True

    def _binding(self, route_id: str) -> Binding:
        return Binding(
            deployment_id=self._deployment_id,
            subject_id=route_id,
            version=1,
            purpose=_ROUTE_PURPOSE,
        )


def _named(recipients: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(name for name in recipients or () if name)


def _route(row: Row[*tuple[Any, ...]]) -> Route:
    check_row(row, f"route {row.id}")
    return Route(
        id=row.id,
        owner_id=row.owner_id,
        shown=row.shown,
        recipients=_named(row.recipients),
        created_at=row.created_at,
    )
