"""The use cases of owners: who is told, where, and when; what is given is checked here and stored at once."""

from dataclasses import dataclass

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.model import UNCHANGED, Owner, Unchanged
from vaultcore.owners import Owners
from vaultcore.quiet import QuietHours
from vaultcore.secret import Secret
from worker.delivery.late_sender import LateSender
from worker.delivery.routes import check_route
from worker.domain.revisions import Expected, check_revision, revision_of_owner


@dataclass(frozen=True, kw_only=True)
class _Address:
    """A route that can be delivered to, its masked form, and whom it leads to."""

    url: Secret
    shown: str
    recipients: tuple[str, ...]


class AddressBook:
    def __init__(
        self, *, database: Database, owners: Owners, audit: AuditLog, sender: LateSender, schemes: str
    ) -> None:
        self._database = database
        self._owners = owners
        self._audit = audit
        self._sender = sender
        self._schemes = schemes

    def create(
        self,
        name: str,
        *,
        route: Secret | None = None,
        zone: str = "UTC",
        quiet: QuietHours | None = None,
        deputy: str | None = None,
        actor: str,
    ) -> Owner:
        """A new owner, with a route if one is given: both or neither."""
        address = None if route is None else self._check(route)
        with self._database.write() as connection:
            owner = self._owners.create(connection, name, zone=zone, quiet=quiet, deputy=deputy, actor=actor)
            return owner if address is None else self._add(connection, owner, address, actor)

    def get(self, name: str) -> Owner:
        with self._database.read() as connection:
            return self._owners.get(connection, name)

    def update(
        self,
        name: str,
        *,
        zone: str | Unchanged = UNCHANGED,
        quiet: QuietHours | Unchanged | None = UNCHANGED,
        deputy: str | Unchanged | None = UNCHANGED,
        expected: Expected | None = None,
        actor: str,
    ) -> Owner:
        """Changes what is given; None takes it away. `ChangedError` if the owner is not as `expected`."""
        with self._database.write() as connection:
            if expected is not None:
                self._audit.take_turn(connection)
                check_revision(expected, revision_of_owner(self._owners.get(connection, name)), name)
            return self._owners.update(connection, name, zone=zone, quiet=quiet, deputy=deputy, actor=actor)

    def add_route(self, name: str, route: Secret, *, actor: str) -> Owner:
        """`InvalidInputError` for a route that cannot be delivered to."""
        address = self._check(route)
        with self._database.write() as connection:
            return self._add(connection, self._owners.get(connection, name), address, actor)

    def remove_route(self, name: str, route_id: str, *, actor: str) -> Owner:
        with self._database.write() as connection:
            self._owners.remove_route(connection, self._owners.get(connection, name), route_id, actor=actor)
            return self._owners.get(connection, name)

    def find_secret(self, route: Secret) -> str | None:
        """What secret a route holds, in words ("a password"); None: others may see it."""
        check_route(route, schemes=self._schemes)
        return self._sender.find_secret(route)

    def _check(self, route: Secret) -> _Address:
        shown = check_route(route, schemes=self._schemes)
        return _Address(url=route, shown=shown, recipients=self._sender.check(route))

    def _add(self, connection: Connection, owner: Owner, address: _Address, actor: str) -> Owner:
        self._owners.add_route(
            connection, owner, address.url, shown=address.shown, recipients=address.recipients, actor=actor
        )
        return self._owners.get(connection, owner.name)
