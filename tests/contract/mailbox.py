"""A mailbox whose password is set by its administrator over HTTP, and shown to it to log in."""

import json
from collections.abc import Iterable

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer


class Mailbox(LoopbackServer):
    """`PUT /password` replaces all, `POST /passwords` adds one, `POST /passwords/drop` takes one away."""

    def __init__(self, admin_token: str, passwords: Iterable[str]) -> None:
        super().__init__()
        self._admin_token = admin_token
        self.passwords = set(passwords)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def respond(self, incoming: Incoming) -> Answer | None:
        if incoming.path == "/login":
            accepted = incoming.headers.get("x-password") in self.passwords
            return Answer(status=200 if accepted else 401, body={})
        if incoming.headers.get("authorization") != f"Bearer {self._admin_token}":
            return Answer(status=403, body={})
        password = json.loads(incoming.body)["password"]
        if incoming.path == "/password":
            self.passwords = {password}
        elif incoming.path == "/passwords":
            self.passwords.add(password)
        else:
            self.passwords.discard(password)
        return Answer(status=200, body={})
