"""Principals of an identity provider: people who sign in by it, and who presents its tokens. What their groups
give is theirs, no more and no less, each time they come.
"""

import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection

from vaultcore.access import Principal, Role
from vaultcore.audit import AuditLog
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import Cause, InvalidInputError, NotFoundError, RefusedError, TargetError
from vaultcore.model import PrincipalKind
from vaultcore.names import judge
from vaultcore.owners import Owners
from vaultcore.principals import NAME_MAX, Principals, StoredPrincipal
from vaultcore.secret import Secret
from vaultcore.sessions import OpenedSession, Sessions
from worker.domain.identity import (
    Grant,
    NoEntry,
    RoleRule,
    find_grant,
    find_kind,
    find_names,
    find_subject,
    is_id_token_for,
)
from worker.log import get_logger
from worker.services.access.identity_provider import IdentityProvider
from worker.signing.tokens import RefusedTokenError

_log = get_logger(__name__)
BEGUN_LIFETIME: Final = timedelta(minutes=10)
"""How long somebody may take at the provider."""
ACTOR: Final = "identity-provider"
"""Who makes and changes these principals, in the record."""
_LABEL: Final = "sign-in by an identity provider"
_USED_MAX: Final = 10_000
_SUBJECT_SHOWN: Final = 100
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A sign-in that began: where the browser goes, and what it keeps until it comes back (sealed)."""

    address: str
    kept: Secret


@dataclass(frozen=True, kw_only=True)
class Callback:
    """With what the provider sent a browser back. `issuer`: who says so, where it does (RFC 9207)."""

    state: str
    code: str | None
    issuer: str | None


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """`path`: where they wanted to go."""

    opened: OpenedSession
    path: str


class Identities:
    """`audience`: of tokens that are taken at the interface; empty: none is. `back_to`: the address to which
    the provider sends browsers back.
    """

    def __init__(
        self,
        *,
        provider: IdentityProvider,
        issuer: str,
        client_id: str,
        audience: str,
        rules: tuple[RoleRule, ...],
        groups_claim: str,
        back_to: str,
        database: Database,
        principals: Principals,
        sessions: Sessions,
        owners: Owners,
        audit: AuditLog,
        keyring: Keyring,
        clock: Callable[[], datetime],
    ) -> None:
        self._provider = provider
        self._issuer = issuer
        self._client_id = client_id
        self._audience = audience
        self._rules = rules
        self._groups_claim = groups_claim
        self._back_to = back_to
        self._database = database
        self._principals = principals
        self._sessions = sessions
        self._owners = owners
        self._audit = audit
        self._seal = Fernet(urlsafe_b64encode(keyring.derive(_LABEL)))
        self._used = _UsedOnce()
        self._clock = clock

    @property
    def signs_people_in(self) -> bool:
        return bool(self._client_id)

    def begin(self, path: str) -> Begun:
        """Sends somebody to the provider; `path` is where they want to be afterwards. `TargetError` where the
        provider cannot be asked.
        """
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        address = self._provider.make_address(
            back_to=self._back_to, state=state, nonce=nonce, verifier=verifier
        )
        kept = json.dumps({"state": state, "nonce": nonce, "verifier": verifier, "path": path})
        sealed = self._seal.encrypt_at_time(kept.encode(), self._now())
        return Begun(address=address, kept=Secret(sealed.decode()))

    def finish(self, kept: Secret, answer: Callback) -> SignedIn | NoEntry:
        """Signs in whom the provider sends back to the browser that began, once."""
        begun = self._open(kept)
        if begun is None or not _is_same(answer.state, begun["state"]) or not self._used.use(answer.state):
            return NoEntry.NOT_BEGUN
        if answer.issuer not in (None, self._issuer):
            return NoEntry.BAD_TOKEN
        if answer.code is None:
            return NoEntry.DENIED
        try:
            claims = self._provider.redeem(
                answer.code, back_to=self._back_to, verifier=begun["verifier"], groups_claim=self._groups_claim
            )
        except RefusedTokenError as error:
            _log.warning("sign-in.refused", why=str(error))
            return NoEntry.BAD_TOKEN
        except TargetError as error:
            _log.warning("sign-in.failed", error=str(error))
            return NoEntry.AWAY if error.cause is Cause.OUTAGE else NoEntry.DENIED
        if not is_id_token_for(claims, client_id=self._client_id, nonce=begun["nonce"]):
            _log.warning("sign-in.refused", why="the ID token is of another sign-in, or for another client")
            return NoEntry.BAD_TOKEN
        with self._database.write() as connection:
            found = self._recognise(connection, claims, PrincipalKind.PERSON)
            if isinstance(found, NoEntry):
                self._note_refusal(connection, claims, found)
                return found
            return SignedIn(opened=self._sessions.open(connection, found), path=begun["path"])

    def authenticate(self, token: Secret) -> Principal | None:
        """Who presents this token of the provider; None: nobody who is let in. Whose groups give no role may do
        nothing, and is told so.
        """
        if not self._audience:
            return None
        try:
            claims = self._provider.check_token(token.expose(), audience=self._audience)
        except RefusedTokenError as error:
            _log.info("token.refused", why=str(error))
            return None
        with self._database.read() as connection:
            known = self._find_unchanged(connection, claims)
        if known is not None:
            return known.as_asker()
        with self._database.write() as connection:
            found = self._recognise(connection, claims, find_kind(claims))
        if found is NoEntry.NO_ROLE:
            return Principal(actor=f"{find_kind(claims)}:{self._name(claims)}")
        return None if isinstance(found, NoEntry) else found.as_asker()

    def _recognise(
        self, connection: Connection, claims: Mapping[str, Any], kind: PrincipalKind
    ) -> StoredPrincipal | NoEntry:
        """Who they are from now on: made when they first come, with the roles that their groups give now."""
        subject = self._find_subject(claims)
        if subject is None:
            return NoEntry.BAD_TOKEN
        self._audit.take_turn(connection)  # two who come at once are one
        found = self._principals.find_by_subject(connection, subject)
        if found is not None and found.disabled_at is not None:
            return NoEntry.REVOKED
        grant = self._find_grant(connection, claims)
        if found is None and not grant.roles:
            return NoEntry.NO_ROLE
        if found is None:
            return self._create(connection, claims, subject, kind, grant)
        if not _has(found, grant):
            found = self._principals.update(
                connection, found.name, roles=grant.roles, owners_named=grant.owners, actor=ACTOR
            )
        return found if grant.roles else NoEntry.NO_ROLE

    def _find_unchanged(self, connection: Connection, claims: Mapping[str, Any]) -> StoredPrincipal | None:
        """Whom we know already, with what their groups give; None: something is to be written."""
        subject = self._find_subject(claims)
        found = None if subject is None else self._principals.find_by_subject(connection, subject)
        if found is None or found.disabled_at is not None:
            return None
        return found if _has(found, self._find_grant(connection, claims)) else None

    def _create(
        self,
        connection: Connection,
        claims: Mapping[str, Any],
        subject: str,
        kind: PrincipalKind,
        grant: Grant,
    ) -> StoredPrincipal:
        """By the first of their names that is free: nobody takes another's by being called so elsewhere."""
        *names, last = find_names(claims, subject=subject)
        for name in (*names, last):
            with suppress(*(() if name == last else (InvalidInputError, RefusedError))):
                return self._principals.create(
                    connection,
                    name,
                    kind=kind,
                    roles=grant.roles,
                    owners_named=grant.owners,
                    subject=subject,
                    actor=ACTOR,
                )
        raise AssertionError(last)

    def _find_grant(self, connection: Connection, claims: Mapping[str, Any]) -> Grant:
        """Without owners that there are not, and without the role owner where none is left."""
        given = find_grant(claims, self._rules, groups_claim=self._groups_claim)
        owners = set()
        for name in given.owners:
            try:
                owners.add(self._owners.get(connection, name).name)
            except NotFoundError:
                _log.warning("role-rule.no-owner", owner=name)
        roles = given.roles if owners else given.roles - {Role.OWNER}
        return Grant(roles=roles, owners=frozenset(owners))

    def _find_subject(self, claims: Mapping[str, Any]) -> str | None:
        subject = find_subject(claims)
        return None if subject is None else f"{self._issuer} {subject}"

    def _name(self, claims: Mapping[str, Any]) -> str:
        """For the record, of who is no principal."""
        *names, last = find_names(claims, subject=self._find_subject(claims) or "")
        for name in names:
            with suppress(InvalidInputError):
                return judge(name, what="principal", least=1, most=NAME_MAX, example="ada")
        return last

    def _note_refusal(self, connection: Connection, claims: Mapping[str, Any], why: NoEntry) -> None:
        subject = (find_subject(claims) or "-")[:_SUBJECT_SHOWN]
        self._audit.append(
            connection, at=self._clock(), actor=ACTOR, action="session.refuse", subject=subject, why=why.value
        )

    def _open(self, kept: Secret) -> dict[str, str] | None:
        seconds = BEGUN_LIFETIME // _SECOND
        try:
            opened = self._seal.decrypt_at_time(kept.expose().encode(), seconds, self._now())
        except (InvalidToken, UnicodeEncodeError):
            return None
        begun: dict[str, str] = json.loads(opened)
        return begun

    def _now(self) -> int:
        return int(self._clock().timestamp())


class _UsedOnce:
    """Which sign-ins came back already. Of one process: the provider, too, takes a code once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._used: OrderedDict[str, None] = OrderedDict()

    def use(self, state: str) -> bool:
        """Whether it is the first time."""
        with self._lock:
            if state in self._used:
                return False
            self._used[state] = None
            if len(self._used) > _USED_MAX:
                self._used.popitem(last=False)
            return True


def _has(principal: StoredPrincipal, grant: Grant) -> bool:
    return set(principal.roles) == grant.roles and set(principal.owners) == grant.owners


def _is_same(first: str, second: str) -> bool:
    return hmac.compare_digest(first.encode("utf-8", "surrogatepass"), second.encode())
