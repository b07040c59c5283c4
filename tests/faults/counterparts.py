"""The token service and the sink of the demonstration, watched, and put back to where they were."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.points import Passing, Watched
from worker.demo.counterparts import Counterparts
from worker.demo.http_sink import HttpSink
from worker.demo.token_service import TokenService


class WatchedTokens(Watched, TokenService):
    """Knows what it accepts: as digests, which is how it keeps tokens."""

    def accepted(self, account: str) -> dict[str, str]:
        """The digests of the account's live tokens, each with the token's id."""
        with self._lock:
            live = set(self.live_tokens(account))
            return {digest: token.id for digest, token in self._by_digest.items() if token.id in live}

    def remember(self) -> None:
        self._remembered = dict(self._by_digest)

    def put_back(self) -> None:
        """Every token as it was when told to remember; nothing asked for, nothing about to fail."""
        with self._lock:
            self._by_digest = dict(self._remembered)
            for kept in (self._records, self._requests, self._failures, self._hangs, self.default_scopes):
                kept.clear()

    def forget_revoked(self) -> None:
        """What is over: else the service gets slower with each rotation of a long run."""
        with self._lock:
            self._by_digest = {key: token for key, token in self._by_digest.items() if not token.revoked}
            self._requests.clear()


class WatchedSink(Watched, HttpSink):
    pass


@contextmanager
def watched_counterparts() -> Iterator[Counterparts]:
    """As the organisation of the tests wants them; none of the stories here reads mail."""
    with WatchedTokens() as tokens, WatchedSink() as sink:
        yield Counterparts(token_service=tokens, mail=None, sink=sink, mail_user="", mail_password="")


def watch(counterparts: Counterparts, passing: Passing | None) -> None:
    counterparts.token_service.passing = counterparts.sink.passing = passing


def digest(value: str) -> str:
    """As the token service keeps them."""
    return hashlib.sha256(value.encode()).hexdigest()
