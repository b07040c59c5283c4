"""The identity provider, by OpenID Connect: where people are sent to, what it says of them, and whether a token
is its own. All calls leave by our own way out; Authlib says what is sent.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.log import get_logger
from worker.outbound import HttpClient
from worker.signing.key_sets import read_key_set
from worker.signing.keys import SigningKey
from worker.signing.tokens import RefusedTokenError, check, read_kid

if TYPE_CHECKING:
    from authlib.oauth2.client import OAuth2Client

_log = get_logger(__name__)
T = TypeVar("T")
LEEWAY: Final = timedelta(minutes=1)
"""By how much the provider's clock may differ from ours."""
KEYS_PAUSE: Final = timedelta(minutes=1)
"""Its keys are not asked for twice within it, whatever tokens come."""
_METADATA_PAUSE: Final = timedelta(seconds=10)
_FRESH: Final = timedelta(hours=1)
_USABLE: Final = timedelta(days=1)
"""So long what was read is gone by while the provider is away."""
_TIMEOUT: Final = 10.0
"""Seconds for each call: a person waits for it."""
_SCOPES: Final = ("openid", "profile", "email")


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What the provider says of itself. `profile`: where what else it knows of somebody is asked for."""

    authorization: str
    token: str
    keys: str
    profile: str | None
    scopes: tuple[str, ...]
    token_methods: tuple[str, ...]


class IdentityProvider:
    """`TargetError` where it cannot be asked, `RefusedTokenError` for a token that does not hold."""

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: Secret | None,
        algorithms: tuple[str, ...],
        http: HttpClient,
        clock: Callable[[], datetime],
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._algorithms = algorithms
        self._http = http
        self._clock = clock
        self._metadata = _Kept(self._read_metadata, clock, pause=_METADATA_PAUSE)
        self._keys = _Kept(self._read_keys, clock, pause=KEYS_PAUSE)

    def make_address(self, *, back_to: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to sign in; `verifier` stays here, its digest goes along."""
        client = self._make_client(back_to)
        address, _ = client.create_authorization_url(
            self._metadata.get().authorization, state=state, nonce=nonce, code_verifier=verifier
        )
        return str(address)

    def redeem(self, code: str, *, back_to: str, verifier: str, groups_claim: str) -> Mapping[str, Any]:
        """What the provider says of whom it sent back with this code: by its ID token, which is checked, and,
        where that does not name their groups, by what else it tells. None of its tokens is kept.
        """
        metadata = self._metadata.get()
        given = self._exchange(metadata, code, back_to=back_to, verifier=verifier)
        id_token = given.get("id_token")
        if not isinstance(id_token, str):
            raise RefusedTokenError("the provider gave no ID token")
        claims = self.check_token(id_token, audience=self._client_id)
        access_token = given.get("access_token")
        if groups_claim in claims or metadata.profile is None or not isinstance(access_token, str):
            return claims
        return {**self._read_profile(metadata.profile, access_token, claims.get("sub")), **claims}

    def check_token(self, token: str, *, audience: str) -> Mapping[str, Any]:
        """What it says, if it is this issuer's, for that audience, and holds now. A key that is not known is
        asked for, at most once a minute.
        """
        kid = read_kid(token)
        keys = self._keys.get()
        if kid is not None and all(key.kid != kid for key in keys):
            keys = self._keys.renew()
        checked = check(
            token,
            keys,
            now=self._clock(),
            leeway=LEEWAY.total_seconds(),
            issuer=self._issuer,
            audience=audience,
        )
        return checked.claims

    def _exchange(self, metadata: Metadata, code: str, *, back_to: str, verifier: str) -> Mapping[str, Any]:
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415  # an extra

        refused = ""
        try:
            found = self._make_client(back_to).fetch_token(
                metadata.token, grant_type="authorization_code", code=code, code_verifier=verifier
            )
            return dict(found)
        except AuthlibBaseError as error:
            refused = f"the provider did not take the code: {str(error.error)[:60]!r}"
        except ValueError:
            refused = "the provider's answer to the code cannot be read"
        raise RefusedTokenError(refused)

    def _read_profile(self, url: str, access_token: str, subject: object) -> Mapping[str, Any]:
        """Nothing where it cannot be read, or is of somebody else."""
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        answer = self._http.request("GET", url, headers=headers, timeout=_TIMEOUT)
        found = answer.body if answer.status == 200 and isinstance(answer.body, dict) else {}
        return found if found.get("sub") == subject else {}

    def _make_client(self, back_to: str) -> "OAuth2Client":
        from authlib.oauth2.client import OAuth2Client  # noqa: PLC0415  # an extra

        metadata = self._metadata.get()
        groups = ("groups",) if "groups" in metadata.scopes else ()
        secret = None if self._client_secret is None else self._client_secret.expose()
        by_form = metadata.token_methods and "client_secret_basic" not in metadata.token_methods
        method = "none" if secret is None else "client_secret_post" if by_form else "client_secret_basic"
        return OAuth2Client(
            _Session(self._http),
            client_id=self._client_id,
            client_secret=secret,
            token_endpoint_auth_method=method,
            scope=" ".join((*_SCOPES, *groups)),
            redirect_uri=back_to,
            code_challenge_method="S256",
        )

    def _read_metadata(self) -> Metadata:
        document = self._read(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise TargetError(
                "the identity provider calls itself by another address than the setting oidc_issuer: write it "
                "as the provider does, to the last slash",
                cause=Cause.MISTAKE,
            )
        has_profile = "userinfo_endpoint" in document
        return Metadata(
            authorization=self._find_place(document, "authorization_endpoint"),
            token=self._find_place(document, "token_endpoint"),
            keys=self._find_place(document, "jwks_uri"),
            profile=self._find_place(document, "userinfo_endpoint") if has_profile else None,
            scopes=_texts(document.get("scopes_supported")),
            token_methods=_texts(document.get("token_endpoint_auth_methods_supported")),
        )

    def _read_keys(self) -> list[SigningKey]:
        return read_key_set(self._read(self._metadata.get().keys), self._algorithms)

    def _read(self, url: str) -> Mapping[str, Any]:
        answer = self._http.request(
            "GET", url, headers={"Accept": "application/json"}, timeout=_TIMEOUT, follow=True
        )
        if answer.status != 200 or not isinstance(answer.body, dict):
            raise TargetError(
                f"{urlsplit(url).hostname} answered {answer.status}, and no document of an identity provider",
                cause=Cause.OUTAGE,
            )
        return answer.body

    def _find_place(self, document: Mapping[str, Any], name: str) -> str:
        """Encrypted, wherever the provider itself is."""
        place = document.get(name)
        schemes = ("https",) if self._issuer.startswith("https:") else ("https", "http")
        if isinstance(place, str) and urlsplit(place).scheme in schemes and urlsplit(place).hostname:
            return place
        raise TargetError(f"the identity provider names no {name} that can be used", cause=Cause.MISTAKE)


class _Kept(Generic[T]):
    """What was read of the provider, asked for anew when it is old, and never twice within `pause`."""

    def __init__(self, read: Callable[[], T], clock: Callable[[], datetime], *, pause: timedelta) -> None:
        self._read = read
        self._clock = clock
        self._pause = pause
        self._lock = Lock()
        self._value: T | None = None
        self._read_at: datetime | None = None
        self._tried_at: datetime | None = None

    def get(self) -> T:
        if self._value is not None and self._age() < _FRESH:
            return self._value
        return self.renew()

    def renew(self) -> T:
        """As it is now; within the pause, and where it cannot be read, as it was."""
        with self._lock:
            now = self._clock()
            failure: TargetError | None = None
            if self._tried_at is None or not timedelta(0) <= now - self._tried_at < self._pause:
                self._tried_at = now
                try:
                    self._value, self._read_at = self._read(), now
                except TargetError as error:
                    _log.warning("provider.unread", error=str(error), cause=error.cause)
                    failure = error
            if self._value is not None and self._age() < _USABLE:
                return self._value
        raise failure or TargetError("the identity provider did not answer just now", cause=Cause.OUTAGE)

    def _age(self) -> timedelta:
        return _USABLE if self._read_at is None else abs(self._clock() - self._read_at)


class _Session:
    """What Authlib sends by: our own way out."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> "_Reply":  # noqa: ANN401  # Authlib's
        url, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        answer = self._http.request("POST", url, headers=sent, content=body, timeout=_TIMEOUT)
        return _Reply(status_code=answer.status, content=answer.raw)


@dataclass(frozen=True, kw_only=True)
class _Reply:
    status_code: int
    content: bytes

    def json(self) -> Any:  # noqa: ANN401  # JSON
        return json.loads(self.content)

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise TargetError(f"the identity provider answered {self.status_code}", cause=Cause.OUTAGE)


def _texts(given: object) -> tuple[str, ...]:
    return tuple(one for one in given if isinstance(one, str)) if isinstance(given, list) else ()
