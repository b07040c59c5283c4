"""A test message to each recipient of an owner's routes, one after the other, and what came of each."""

from dataclasses import dataclass

from vaultcore.database import Database
from vaultcore.errors import NightkeyError
from vaultcore.owners import Owners
from vaultcore.secret import Secret
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import Message
from worker.domain.recipients import WHOLE
from worker.services.notices.send_pool import Sender
from worker.services.notices.wording import LetterWriter


@dataclass(frozen=True, kw_only=True)
class CheckedRoute:
    """`error` None: it was taken. `recipient`: empty where the route leads to one place."""

    id: str
    route: str
    recipient: str
    error: str | None


class RouteTest:
    def __init__(self, *, database: Database, owners: Owners, letters: LetterWriter, sender: Sender) -> None:
        self._database = database
        self._owners = owners
        self._letters = letters
        self._sender = sender

    def check(self, name: str) -> list[CheckedRoute]:
        with self._database.read() as connection:
            owner = self._owners.get(connection, name)
            urls = [(route, self._owners.open_route(connection, route.id)) for route in owner.routes]
        message = self._letters.write(NoticeKind.TEST, {"owner": owner.name}, zone=owner.zone)
        checked = []
        for route, url in urls:
            for recipient in self._recipients(url):
                problem = self._try(url, message, recipient)
                checked.append(CheckedRoute(id=route.id, route=route.shown, recipient=recipient, error=problem))
        return checked

    def _recipients(self, url: Secret) -> list[str]:
        try:
            return [one.name for one in self._sender.recipients(url)]
        except NightkeyError:  # and then it is said by who tries
            return [WHOLE]

    def _try(self, url: Secret, message: Message, recipient: str) -> str | None:
        try:
            parts = self._sender.send(url, message, recipient=recipient, part=1)
            for part in range(2, parts + 1):
                self._sender.send(url, message, recipient=recipient, part=part)
        except NightkeyError as error:
            return str(error)
        return None
