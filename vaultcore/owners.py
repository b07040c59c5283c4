"""Owners and their routes: who is told, and where. Every method works in the caller's transaction."""

import shlex
from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import Connection, insert, select

from vaultcore.audit import AuditLog
from vaultcore.crypto.envelope import Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.ids import new_id
from vaultcore.model import Owner, Route
from vaultcore.secret import Secret
from vaultcore.tables import owners, routes

OWNER_NAME_MAX = 100
_ROUTE_PURPOSE = "route"


class Owners:
    """Creates, finds and lists owners; seals and opens the URLs of their routes."""

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

    def create(self, connection: Connection, name: str, *, actor: str) -> Owner:
        if not name or len(name) > OWNER_NAME_MAX or not name.isprintable() or name != name.strip():
            raise InvalidInputError(
                f"owner name {name[:OWNER_NAME_MAX]!r}: use 1 to {OWNER_NAME_MAX} printable "
                "characters without blanks at the ends"
            )
        if connection.execute(select(owners.c.id).where(owners.c.name == name)).first():
            raise RefusedError(f"an owner named {name} exists already")
        now = self._clock()
        owner_id = new_id("own", now)
        connection.execute(insert(owners).values(id=owner_id, name=name, created_at=now))
        self._audit.append(connection, at=now, actor=actor, action="owner.create", subject=owner_id, name=name)
        return self.get(connection, name)

    def get(self, connection: Connection, name: str) -> Owner:
        """The owner of that name; `NotFoundError` if there is none."""
        row = connection.execute(select(owners).where(owners.c.name == name)).one_or_none()
        if row is None:
            raise NotFoundError(f"no owner {name!r}: `nightkey owner create {shlex.quote(name)}` makes one")
        return Owner(
            id=row.id,
            name=row.name,
            created_at=row.created_at,
            routes=self.routes(connection, row.id),
        )

    def all(self, connection: Connection) -> Iterator[Owner]:
        for name in connection.execute(select(owners.c.name).order_by(owners.c.name)).scalars():
            yield self.get(connection, name)

    def routes(self, connection: Connection, owner_id: str) -> tuple[Route, ...]:
        """In the order in which they were added, without their URLs."""
        rows = connection.execute(
            select(routes.c.id, routes.c.owner_id, routes.c.shown, routes.c.created_at)
            .where(routes.c.owner_id == owner_id)
            .order_by(routes.c.id)
        )
        return tuple(
            Route(id=row.id, owner_id=row.owner_id, shown=row.shown, created_at=row.created_at) for row in rows
        )

    def add_route(self, connection: Connection, owner: Owner, url: Secret, *, shown: str, actor: str) -> Route:
        """Seals the URL. Whether it is one that can be delivered to is checked by who delivers."""
        now = self._clock()
        route_id = new_id("rte", now)
        sealed = seal(url, key=self._keyring.active, binding=self._binding(route_id))
        connection.execute(
            insert(routes).values(id=route_id, owner_id=owner.id, shown=shown, created_at=now, **vars(sealed))
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
        return Route(id=route_id, owner_id=owner.id, shown=shown, created_at=now)

    def open_route(self, connection: Connection, route_id: str) -> Secret:
        row = connection.execute(select(routes).where(routes.c.id == route_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"no route {route_id}")
        sealed = Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)
        return open_sealed(sealed, key=self._keyring.key(row.key_id), binding=self._binding(route_id))

    def _binding(self, route_id: str) -> Binding:
        return Binding(
            deployment_id=self._deployment_id,
            subject_id=route_id,
            version=1,
            purpose=_ROUTE_PURPOSE,
        )
