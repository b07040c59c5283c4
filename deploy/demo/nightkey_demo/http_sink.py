"""A sink that keeps whatever is posted to it. Nothing here prints or logs what it was sent."""

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer

_HANG_SECONDS = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Post:
    """What was posted: header names lower-case, the body parsed JSON, else text."""

    path: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)


class HttpSink(LoopbackServer):
    """Takes a POST on any path and keeps it, also when it was told to refuse it or to hang."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived = threading.Condition()
        self._posts: list[Post] = []
        self._answers: deque[Answer] = deque()
        self._hangs: deque[float] = deque()

    @property
    def requests(self) -> list[Post]:
        """A copy of everything posted so far, in order of arrival."""
        with self._arrived:
            return list(self._posts)

    def answer(
        self,
        status: int,
        times: int = 1,
        *,
        body: Any = None,  # noqa: ANN401 - JSON
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next `times` posts with `status` instead of 200; a `body` of None says if it is good."""
        shown = {"ok": status < 400} if body is None and status != 204 else body
        with self._arrived:
            self._answers.extend([Answer(status=status, body=shown, headers=headers or {})] * times)

    def hang(self, seconds: float = _HANG_SECONDS) -> None:
        """Keep the next post waiting, then answer it; `stop` ends the wait with no answer."""
        with self._arrived:
            self._hangs.append(seconds)

    def wait_for(self, count: int, timeout: float) -> list[Post]:
        """Everything posted once there are `count`; TimeoutError after `timeout` seconds."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._posts) >= count, timeout):
                raise TimeoutError(f"the sink has {len(self._posts)} of {count} posts after {timeout} s")
            return list(self._posts)

    def respond(self, incoming: Incoming) -> Answer | None:
        if incoming.method == "OPTIONS":  # what tests of nodes ask, and nothing that was sent
            return Answer(status=204)
        if incoming.method != "POST":
            return Answer(status=405, body={"error": "method_not_allowed"})
        with self._arrived:
            self._posts.append(Post(path=incoming.path, headers=incoming.headers, body=_parse(incoming.body)))
            answer = self._answers.popleft() if self._answers else Answer(status=200, body={"ok": True})
            hang = self._hangs.popleft() if self._hangs else 0.0
            self._arrived.notify_all()
        if hang and not self.pause(hang):
            return None
        return answer


def _parse(body: bytes) -> object:
    text = body.decode(errors="replace")
    try:
        parsed: object = json.loads(text)
        return parsed
    except ValueError:
        return text
