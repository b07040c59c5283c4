"""A test message to each route of an owner, one after the other, and what came of each."""

from dataclasses import dataclass

from vaultcore.database import Database
from vaultcore.errors import NightkeyError
from vaultcore.owners import Owners
from worker.services.notifying import Letters
from worker.services.sending import Sender


@dataclass(frozen=True, kw_only=True)
class Checked:
    """`error` None: the route took it."""

    id: str
    route: str
    error: str | None


class CheckingRoutes:
    def __init__(self, *, database: Database, owners: Owners, letters: Letters, sender: Sender) -> None:
        self._database = database
        self._owners = owners
        self._letters = letters
        self._sender = sender

    def check(self, name: str) -> list[Checked]:
        with self._database.read() as connection:
            owner = self._owners.get(connection, name)
            urls = [(route, self._owners.open_route(connection, route.id)) for route in owner.routes]
        message = self._letters.write("test", {"owner": owner.name}, zone=owner.zone)
        checked = []
        for route, url in urls:
            problem = None
            try:
                self._sender.send(url, message)
            except NightkeyError as error:
                problem = str(error)
            checked.append(Checked(id=route.id, route=route.shown, error=problem))
        return checked
