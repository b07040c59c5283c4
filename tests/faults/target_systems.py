"""The token service and the sink of the demonstration, watched, and put back to where they were."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.loopback import Answer, Incoming
from nightkey_demo.target_systems import TargetSystems
from nightkey_demo.token_service import _RECORDS, TokenService, _Token
from tests.faults.kill_points import Passing, Watched


class WatchedTokens(Watched, TokenService):
    """Knows what it accepts: as digests, which is how it keeps tokens. `wrongs` is what nobody should have
    asked it to do: to take away a token of somebody else, or the last one that each of its replicas accepts.
    A token that no workflow has worked with yet is nobody's loss: its answer may never have arrived.
    """

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.wrongs: list[str] = []
        self._foreign: set[str] = set()
        self._in_use: set[str] = set()

    def add_foreign(self, account: str) -> None:
        """A token of another team's, in the same account."""
        self._foreign.add(self.issue(account, label="another-team")[0])

    def accepted(self, account: str) -> dict[str, str]:
        """The digests of the account's live tokens that are ours, each with the token's id."""
        with self._lock:
            live = set(self.live_tokens(account)) - self._foreign
            return {digest: token.id for digest, token in self._by_digest.items() if token.id in live}

    def _revoke(self, token_id: str) -> Answer:
        with self._lock:
            account = next((one.account for one in self._by_digest.values() if one.id == token_id), None)
            before = self._count_known(account)
            answer = super()._revoke(token_id)
            if token_id in self._foreign:
                self.wrongs.append(f"{token_id} of {account} is another team's, and was revoked")
            if token_id in self._in_use and before and not self._count_known(account):
                self.wrongs.append(f"{token_id} of {account} was revoked while no other worked everywhere")
            return answer

    def _serve_account(self, incoming: Incoming, used: _Token) -> Answer:
        answer = super()._serve_account(incoming, used)
        if incoming.path in _RECORDS and answer.status < HTTPStatus.BAD_REQUEST:
            self._in_use.add(used.id)
        return answer

    def _count_known(self, account: str | None) -> int:
        """How many tokens of ours every replica accepts."""
        live = [] if account is None else self.live_tokens(account)
        return sum(self.is_known_everywhere(one) for one in live if one not in self._foreign)

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
            kept = self._foreign
            self._by_digest = {
                key: token for key, token in self._by_digest.items() if not token.revoked or token.id in kept
            }
            self._requests.clear()


class WatchedSink(Watched, HttpSink):
    pass


@dataclass(frozen=True, kw_only=True)
class WatchedTargets(TargetSystems):
    token_service: WatchedTokens
    sink: WatchedSink


@contextmanager
def watched_targets() -> Iterator[WatchedTargets]:
    """As the organisation of the tests wants them; none of the stories here reads mail."""
    with WatchedTokens() as tokens, WatchedSink() as sink:
        yield WatchedTargets(token_service=tokens, mail=None, sink=sink, mail_user="", mail_password="")


def watch(targets: WatchedTargets, passing: Passing | None) -> None:
    targets.token_service.passing = targets.sink.passing = passing


def digest(value: str) -> str:
    """As the token service keeps them."""
    return hashlib.sha256(value.encode()).hexdigest()
