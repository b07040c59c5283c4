"""A service that numbers its tokens, and writes the number as a number, as text, or in a header."""

import json
import threading
from collections.abc import Callable
from typing import Any

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer

Write = Callable[[int], Any]


class NumberedTokens(LoopbackServer):
    """`POST /tokens` with a label, `GET /me` by a token, `GET /tokens/LABEL` and `DELETE /tokens/NUMBER`.

    `issued`, `used` and `listed` say how each answer writes the number; each has it in header X-Id, too.
    `DELETE /own/NUMBER` and `/own/` are opened by the token itself. `deaf` are tokens that are never accepted.
    """

    def __init__(self, *, issued: Write = int, used: Write = int, listed: Write = int) -> None:
        super().__init__()
        self.issued, self.used, self.listed = issued, used, listed
        self.live: dict[int, tuple[str, str]] = {}
        """By number: label and value."""
        self.deaf: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._last = 0

    def issue(self, label: str = "") -> str:
        self._last += 1
        self.live[self._last] = (label, f"value-of-number-{self._last}")
        return self.live[self._last][1]

    def accepts(self, value: str) -> bool:
        return value not in self.deaf and any(value == held for _, held in self.live.values())

    def deletions(self) -> list[str]:
        return [path for method, path in self.asked if method == "DELETE"]

    def respond(self, incoming: Incoming) -> Answer:
        with self._lock:
            self.asked.append((incoming.method, incoming.path))
            _, where, *rest = incoming.path.split("/")
            if incoming.method == "POST":
                return self._issue(incoming)
            if where == "me":
                return self._show(incoming)
            if incoming.method == "DELETE" and where == "own":
                return self._delete_own(incoming, rest[0])
            if incoming.method == "DELETE":
                return self._delete(int(rest[0]))
            return Answer(
                status=200,
                body=[{"id": self.listed(n)} for n, (label, _) in self.live.items() if label == rest[0]],
            )

    def _issue(self, incoming: Incoming) -> Answer:
        value = self.issue(json.loads(incoming.body)["label"])
        return self._answer({"token": value, "id": self.issued(self._last)}, self._last)

    def _show(self, incoming: Incoming) -> Answer:
        number = self._number_of(incoming)
        if number is None:
            return Answer(status=401)
        return self._answer({"id": self.used(number)}, number)

    def _answer(self, body: dict[str, Any], number: int) -> Answer:
        return Answer(status=200, body=body, headers={"X-Id": str(number)})

    def _delete_own(self, incoming: Incoming, number: str) -> Answer:
        own = self._number_of(incoming)
        if own is None or number not in ("", str(own)):
            return Answer(status=401)
        return self._delete(own)

    def _delete(self, number: int) -> Answer:
        return Answer(status=404 if self.live.pop(number, None) is None else 204)

    def _number_of(self, incoming: Incoming) -> int | None:
        value = incoming.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.accepts(value):
            return None
        return next(number for number, (_, held) in self.live.items() if held == value)

    def describe(self, port: int | None = None, **changes: Any) -> dict[str, Any]:
        """Settings of rotator `http`; None leaves one out."""
        url = self.url if port is None else f"http://127.0.0.1:{port}"
        by_itself = {"Authorization": "Bearer {{ rotation.value }}"}
        described = {
            "id": "id",
            "verify_id": "id",
            "issue": {"url": f"{url}/tokens", "body": {"label": "{{ rotation.label }}"}},
            "verify": {"method": "GET", "url": f"{url}/me", "headers": by_itself},
            "revoke": {"method": "DELETE", "url": f"{url}/tokens/{{{{ rotation.id }}}}"},
            "find": {"method": "GET", "url": f"{url}/tokens/{{{{ rotation.label }}}}"},
        }
        return {name: value for name, value in (described | changes).items() if value is not None}
