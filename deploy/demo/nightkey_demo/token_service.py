"""A service that issues API tokens, and the API that those tokens open.

It holds tokens as digests only and never prints or logs one. State lives in memory, behind one
lock, and outlives a stop and a start of the same object. It may be asked to fail for a moment
(`fail_next`), and to be other than one expects for a while (`faces`).
"""

import hashlib
import hmac
import json
import secrets
import string
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from urllib.parse import parse_qs

from nightkey_demo.faces import (
    REPLICAS,
    SIGN_IN_PATH,
    SOON,
    Face,
    be_busy,
    cut_page,
    learns_at,
    refuse,
    say_end,
)
from nightkey_demo.loopback import Answer, Incoming, LoopbackServer

_ALPHABET: Final = string.ascii_letters + string.digits
_ALL_SCOPES: Final = ("invoices:read", "invoices:write", "tickets")
_MAX_LIFETIME_SECONDS: Final = 10 * 365 * 86_400
# Path, then method, then the scope it needs.
_RECORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "/v1/invoices": {"GET": "invoices:read", "POST": "invoices:write"},
    "/v1/tickets": {"GET": "tickets", "POST": "tickets"},
}
_NOT_FOUND: Final = Answer(status=404, body={"error": "not_found"})
_NOT_ALLOWED: Final = Answer(status=405, body={"error": "method_not_allowed"})
_BAD_REQUEST: Final = Answer(status=400, body={"error": "invalid_request"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it was answered: `token_id` is the token it was made with, if ever issued."""

    method: str
    path: str
    status: int
    token_id: str | None


@dataclass(frozen=True, kw_only=True)
class _Token:
    id: str
    account: str
    label: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked: bool = False

    def refusal(self, now: datetime) -> str | None:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else None


@dataclass(kw_only=True)
class _Fault:
    method: str | None
    path_prefix: str
    times: int = 1
    status: int = 0
    after_effect: bool = False
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    def applies(self, incoming: Incoming) -> bool:
        return self.method in (None, incoming.method) and incoming.path.startswith(self.path_prefix)


class TokenService(LoopbackServer):
    """The issuer (`/v1/tokens`, opened by `admin_token`) and the API (the rest, by a token)."""

    def __init__(
        self,
        admin_token: str | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self.default_scopes: dict[str, list[str]] = {}
        self.admin_token = admin_token or _random_value()
        self._admin_is_given = admin_token is not None
        self._clock = clock
        self._lock = threading.RLock()
        self._by_digest: dict[str, _Token] = {}
        self._records: dict[tuple[str, str], list[str]] = {}
        self._requests: list[Request] = []
        self._failures: list[_Fault] = []
        self._hangs: list[_Fault] = []
        self.faces: frozenset[Face] = frozenset()
        self.busy_seconds, self.soon = 60, SOON
        self._turn = 0
        self._said = 0

    def start(self) -> Self:
        if self._server is None and not self._admin_is_given:
            self.admin_token = _random_value()
        return super().start()

    # In process ---------------------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """A copy of every request answered so far, in order."""
        with self._lock:
            return list(self._requests)

    def issue(
        self, account: str, *, label: str = "initial", scopes: list[str] | None = None
    ) -> tuple[str, str]:
        """Issue a token that never expires: its id and its value. A live label is a ValueError."""
        issued = self._issue(account, label, scopes, None)
        if issued is None:
            raise ValueError(f"account {account!r} has a live token {label!r}; choose a new label")
        return issued[0].id, issued[1]

    def is_live(self, token: str) -> bool:
        with self._lock:
            found = self._by_digest.get(_digest(token))
            return found is not None and found.refusal(self._clock()) is None

    def is_known_everywhere(self, token_id: str) -> bool:
        """Whether it works, whichever replica is asked."""
        with self._lock:
            now = self._clock()
            found = next((token for token in self._by_digest.values() if token.id == token_id), None)
            return found is not None and found.refusal(now) is None and self._lacking(found) == 0

    def live_tokens(self, account: str) -> list[str]:
        """The ids of the account's live tokens, oldest first."""
        with self._lock:
            return [token.id for token in self._live(account)]

    def fail_next(
        self,
        path_prefix: str,
        *,
        status: int = 503,
        times: int = 1,
        after_effect: bool = False,
        method: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        """Answer the next `times` matching requests with `status`, before or after their effect."""
        with self._lock:
            self._failures.append(
                _Fault(
                    method=method,
                    path_prefix=path_prefix,
                    times=times,
                    status=status,
                    after_effect=after_effect,
                    headers={} if retry_after is None else {"Retry-After": retry_after},
                )
            )

    def hang_next(self, path_prefix: str, seconds: float, *, method: str | None = None) -> None:
        """Keep the next matching request waiting, then serve it; `stop` drops it, unserved."""
        with self._lock:
            self._hangs.append(_Fault(method=method, path_prefix=path_prefix, seconds=seconds))

    # Over HTTP ----------------------------------------------------------------------------

    def respond(self, incoming: Incoming) -> Answer | None:
        with self._lock:
            hang = _take(self._hangs, incoming)
            failure = _take(self._failures, incoming)
        if hang is not None and not self.pause(hang.seconds):
            return None
        with self._lock:
            used = self._by_digest.get(_digest(_bearer(incoming)))
            if failure is None:
                answer = self._serve(incoming, used)
            else:
                if failure.after_effect:
                    self._serve(incoming, used)
                answer = Answer(status=failure.status, body={"error": "fault"}, headers=failure.headers)
            self._requests.append(
                Request(
                    method=incoming.method,
                    path=self._show_path(incoming.path),
                    status=answer.status,
                    token_id=used.id if used else None,
                )
            )
            return answer

    def _show_path(self, path: str) -> str:
        """The path if it is known, because what stands in another may be a value."""
        known = {"/v1/tokens", "/v1/account", "/v1/echo", SIGN_IN_PATH, *_RECORDS}
        known |= {f"/v1/tokens/{token.id}" for token in self._by_digest.values()}
        return path if path in known else "(unknown path)"

    def _serve(self, incoming: Incoming, used: _Token | None) -> Answer:
        if Face.BUSY in self.faces:
            self._said += 1
            return be_busy(self._said - 1, self._clock(), self.busy_seconds)
        if incoming.path == SIGN_IN_PATH:
            return Answer(status=200, body="<h1>Sign in</h1>")
        if incoming.path == "/v1/tokens" or incoming.path.startswith("/v1/tokens/"):
            if not hmac.compare_digest(_bearer(incoming).encode(), self.admin_token.encode()):
                return Answer(status=401, body={"error": "invalid_admin_token"})
            return self._serve_admin(incoming)
        if incoming.path not in {"/v1/account", "/v1/echo", *_RECORDS}:
            return _NOT_FOUND
        if Face.SAYS_NO_WITH_200 in self.faces:
            return Answer(status=200, body={"ok": False})
        reason = used.refusal(self._clock()) if used and not self._is_asked_too_early(used) else "unknown"
        if used is None or reason is not None:
            return refuse(reason, self.faces)
        return self._serve_account(incoming, used)

    def _serve_admin(self, incoming: Incoming) -> Answer:
        if incoming.path != "/v1/tokens":
            if incoming.method != "DELETE":
                return _NOT_ALLOWED
            return self._revoke(incoming.path.removeprefix("/v1/tokens/"))
        if incoming.method == "POST":
            return self._create(incoming)
        if incoming.method != "GET":
            return _NOT_ALLOWED
        query = parse_qs(incoming.query)
        if "account" not in query:
            return _BAD_REQUEST
        listed = [
            {
                "id": token.id,
                "label": token.label,
                "created_at": _rfc3339(token.created_at),
                "revoked": token.revoked,
            }
            for token in self._by_digest.values()
            if token.account == query["account"][0]
            and (Face.NO_FILTER in self.faces or token.label == query.get("label", [token.label])[0])
        ]
        if Face.PAGES in self.faces:
            return cut_page(listed, query, incoming.path)
        return Answer(status=200, body={"tokens": listed})

    def _serve_account(self, incoming: Incoming, used: _Token) -> Answer:
        match incoming.method, incoming.path:
            case "GET", "/v1/account":
                return Answer(
                    status=200,
                    body={
                        "account": used.account,
                        "scopes": list(used.scopes),
                        "token_id": used.id,
                    },
                )
            case "POST", "/v1/echo":
                text = incoming.body.decode(errors="replace")
                return Answer(status=200, body={"headers": dict(incoming.headers), "body": text})
        scope = _RECORDS.get(incoming.path, {}).get(incoming.method)
        if scope is None:
            return _NOT_ALLOWED
        if scope not in used.scopes:
            return Answer(status=403, body={"error": "insufficient_scope"})
        kind = incoming.path.removeprefix("/v1/")
        records = self._records.setdefault((used.account, kind), [])
        if incoming.method == "GET":
            return Answer(status=200, body={kind: [{"id": record} for record in records]})
        records.append(f"{kind[:3]}_{len(records) + 1}")
        return Answer(status=201, body={"id": records[-1]})

    def _create(self, incoming: Incoming) -> Answer:
        try:
            wanted = json.loads(incoming.body)
        except ValueError:
            return _BAD_REQUEST
        if not isinstance(wanted, dict) or not _is_acceptable(wanted):
            return _BAD_REQUEST
        account, label = wanted["account"], wanted["label"]
        issued = self._issue(account, label, wanted.get("scopes"), wanted.get("lifetime_seconds"))
        if issued is None:
            live = next(token for token in self._live(account) if token.label == label)
            return Answer(status=409, body={"error": "label_exists", "id": live.id})
        token, value = issued
        ends: Mapping[str, Any] = {
            "expires_at": None if token.expires_at is None else _rfc3339(token.expires_at)
        }
        if self.faces & {Face.ENDS_SOON, Face.ENDED}:
            self._said += 1
            ends = say_end(self._said - 1, token.expires_at or token.created_at, token.created_at, self.faces)
        return Answer(
            status=201,
            body={"id": token.id, "token": value, **ends, "scopes": list(token.scopes)},
        )

    def _is_asked_too_early(self, used: _Token) -> bool:
        """Of the replica whose turn it is."""
        self._turn += 1
        return self._turn % REPLICAS >= REPLICAS - self._lacking(used)

    def _lacking(self, token: _Token) -> int:
        """How many replicas have not heard of it yet."""
        if Face.REPLICAS not in self.faces:
            return 0
        now = self._clock()
        if token.created_at > now:  # the clock was set back since
            return 0
        return sum(learns_at(token.created_at, replica) > now for replica in range(REPLICAS))

    def _revoke(self, token_id: str) -> Answer:
        for digest, token in self._by_digest.items():
            if token.id == token_id:
                self._by_digest[digest] = replace(token, revoked=True)
                return Answer(status=204)
        return _NOT_FOUND

    def _live(self, account: str) -> list[_Token]:
        now = self._clock()
        return [
            token
            for token in self._by_digest.values()
            if token.account == account and token.refusal(now) is None
        ]

    def _end_others(self, account: str) -> None:
        for digest, token in self._by_digest.items():
            if token.account == account:
                self._by_digest[digest] = replace(token, revoked=True)

    def _issue(
        self, account: str, label: str, scopes: list[str] | None, lifetime_seconds: int | None
    ) -> tuple[_Token, str] | None:
        with self._lock:
            if any(token.label == label for token in self._live(account)):
                return None
            now = self._clock()
            if Face.NO_OVERLAP in self.faces:
                self._end_others(account)
            if Face.ENDS_SOON in self.faces:
                lifetime_seconds = int(self.soon.total_seconds())
            granted = self.default_scopes.get(account, _ALL_SCOPES if scopes is None else scopes)
            value = _random_value()
            token = _Token(
                id=f"tok_{secrets.token_hex(8)}",
                account=account,
                label=label,
                scopes=tuple(granted),
                created_at=now,
                expires_at=(None if lifetime_seconds is None else now + timedelta(seconds=lifetime_seconds)),
            )
            self._by_digest[_digest(value)] = token
            return token, value


def _take(faults: list[_Fault], incoming: Incoming) -> _Fault | None:
    for fault in faults:
        if fault.times > 0 and fault.applies(incoming):
            fault.times -= 1
            return fault
    return None


def _is_acceptable(wanted: Mapping[str, Any]) -> bool:
    scopes, lifetime = wanted.get("scopes"), wanted.get("lifetime_seconds")
    return (
        all(isinstance(wanted.get(name), str) and wanted[name] for name in ("account", "label"))
        and (scopes is None or (isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes)))
        and (lifetime is None or (type(lifetime) is int and 0 < lifetime <= _MAX_LIFETIME_SECONDS))
    )


def _bearer(incoming: Incoming) -> str:
    scheme, _, value = incoming.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _random_value() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(40))


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
