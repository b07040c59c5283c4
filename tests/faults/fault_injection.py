"""What a target may do to a request, by chance: each kind counts itself."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from nightkey_demo.loopback import Answer, Incoming
from tests.faults.target_systems import WatchedSink, WatchedTokens, digest

CHANCES: Mapping[str, float] = {
    "500": 0.012,
    "503, took effect": 0.012,
    "429": 0.008,
    "401": 0.003,
    "broke off": 0.008,
    "broke off, took effect": 0.008,
    "hung, no effect": 0.002,
    "hung, took effect": 0.002,
    "hung, took effect later": 0.002,
    "worker killed, took effect": 0.01,
}
"""Per request. `took effect later`: when the client has given up."""

LATE_SECONDS = 1.6
"""How long a request hangs: longer than the workers' patience."""
PATIENCE_SECONDS = 1.2


class FaultInjection:
    """The dice, which many threads throw, and how many requests are being served just now."""

    kill: Callable[[], None]
    """Called while a request has been served and is not answered yet."""

    def __init__(
        self,
        dice: random.Random,
        *,
        without: tuple[str, ...],
        note: Callable[[str], None],
    ) -> None:
        self.on = False
        self.counted: Counter[str] = Counter()
        self.note = note
        self._dice = dice
        self._chances = {kind: chance for kind, chance in CHANCES.items() if kind not in without}
        self._serving = 0
        self._changed = threading.Condition()

    def choose(self) -> str | None:
        with self._changed:
            thrown = self._dice.random()
            for kind, chance in self._chances.items():
                thrown -= chance
                if thrown < 0 and self.on:
                    self.counted[kind] += 1
                    return kind
        return None

    @contextmanager
    def serving(self) -> Iterator[None]:
        with self._changed:
            self._serving += 1
        try:
            yield
        finally:
            with self._changed:
                self._serving -= 1
                self._changed.notify_all()

    def is_over(self, seconds: float) -> bool:
        """Whether, within so many seconds, no request is on its way any more, waited for or not."""
        with self._changed:
            return self._changed.wait_for(lambda: self._serving == 0, seconds)


class FaultyTokens(WatchedTokens):
    trouble: FaultInjection

    def respond(self, incoming: Incoming) -> Answer | None:
        with self.trouble.serving():
            kind = self.trouble.choose()
            answer = self._respond(incoming, kind)
        self._note(incoming, answer, kind)
        return answer

    def _note(self, incoming: Incoming, answer: Answer | None, kind: str | None) -> None:
        """Ids, labels and statuses: a value stands in headers and in an answer's `token` alone."""
        used = self._by_digest.get(digest(incoming.headers.get("authorization", "").removeprefix("Bearer ")))
        by = used.id if used else "-"
        made = answer.body.get("id", "") if answer is not None and isinstance(answer.body, dict) else ""
        asked = f"{incoming.method} {incoming.path} {incoming.query} {incoming.body.decode()}".strip()
        status = "-" if answer is None else answer.status
        self.trouble.note(f"    {asked} by {by}: {status} {made} {f'[{kind}]' if kind else ''}")

    def _respond(self, incoming: Incoming, kind: str | None) -> Answer | None:
        match kind:
            case None:
                return super().respond(incoming)
            case "500" | "429" | "401":
                return Answer(status=int(kind), body={"error": "trouble"})
            case "503, took effect":
                super().respond(incoming)
                return Answer(status=503, body={"error": "trouble"})
            case "broke off":
                return None
            case "broke off, took effect":
                super().respond(incoming)
                return None
            case "hung, no effect":
                self.pause(LATE_SECONDS)
                return None
            case "hung, took effect":
                answer = super().respond(incoming)
                self.pause(LATE_SECONDS)
                return answer
            case "hung, took effect later":
                self.pause(LATE_SECONDS)
                return super().respond(incoming)
            case "worker killed, took effect":
                answer = super().respond(incoming)
                self.trouble.kill()
                return answer
        raise AssertionError(kind)


class FaultySink(WatchedSink):
    trouble: FaultInjection

    def respond(self, incoming: Incoming) -> Answer | None:
        with self.trouble.serving():
            if self.trouble.choose() in ("500", "503, took effect"):
                return Answer(status=503, body={"error": "trouble"})
            return super().respond(incoming)
