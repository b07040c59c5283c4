"""Sessions of the console: who is signed in, and the one-time links by which somebody signs in.

What a browser or a link presents is 256 random bits; the vault keeps the SHA-256 digest alone. Every method
works in the caller's transaction.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from vaultcore.access import Principal, machine
from vaultcore.audit import AuditLog
from vaultcore.ids import new_id
from vaultcore.principals import Principals, StoredPrincipal
from vaultcore.row_macs import check_mac
from vaultcore.secret import Secret
from vaultcore.tables import sessions

LINK_LIFETIME: Final = timedelta(minutes=10)
SESSION_LIFETIME: Final = timedelta(hours=12)
_BITS = 256


@dataclass(frozen=True, kw_only=True)
class OpenedSession:
    """`token`: what the browser is to present; it is kept nowhere else."""

    id: str
    token: Secret
    principal: Principal
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class ConsoleSession:
    """One that is open: who is signed in, and until when."""

    id: str
    principal: Principal
    expires_at: datetime


class Sessions:
    """Makes links, opens sessions, finds and ends them."""

    def __init__(self, *, principals: Principals, audit: AuditLog, clock: Callable[[], datetime]) -> None:
        self._principals = principals
        self._audit = audit
        self._clock = clock

    def make_link(self, connection: Connection, principal: StoredPrincipal | None, *, actor: str) -> Secret:
        """What a link holds that signs in once, as the principal, or as whoever may read the keyring."""
        token = _new_token()
        name = actor if principal is None else principal.as_asker().actor
        session_id = self._insert(
            connection, token, principal, actor=name, is_link=True, expires_at=self._clock() + LINK_LIFETIME
        )
        self._note(connection, actor, "session.link", session_id, name=name)
        return token

    def use_link(self, connection: Connection, token: Secret) -> OpenedSession | None:
        """Signs in, once. None: nobody made such a link, it was used, or its time is over."""
        row = connection.execute(
            select(sessions)
            .where(
                sessions.c.digest == _digest(token),
                sessions.c.is_link.is_(True),
                sessions.c.expires_at > self._clock(),
            )
            .with_for_update()
        ).one_or_none()
        if row is None:
            return None
        check_mac(connection, sessions, row, f"the link {row.id}")
        gone = connection.execute(delete(sessions).where(sessions.c.id == row.id))
        if gone.rowcount != 1:  # somebody else was first
            return None
        found = None if row.principal_id is None else self._principals.find_by_id(connection, row.principal_id)
        if row.principal_id is not None and (found is None or found.disabled_at is not None):
            return None
        return self._open(connection, found, actor=row.actor)

    def open(self, connection: Connection, principal: StoredPrincipal) -> OpenedSession:
        """Signs a principal in of whom somebody else has found out who it is."""
        return self._open(connection, principal, actor=principal.as_asker().actor)

    def find(self, connection: Connection, token: Secret) -> ConsoleSession | None:
        """Who presents this; None: nobody who is signed in. A principal that is let in no more is nobody.

        `TamperedError` if none of us wrote the session, or its principal, so.
        """
        row = connection.execute(
            select(sessions).where(
                sessions.c.digest == _digest(token),
                sessions.c.is_link.is_(False),
                sessions.c.expires_at > self._clock(),
            )
        ).one_or_none()
        if row is None:
            return None
        check_mac(connection, sessions, row, f"the session {row.id}")
        if row.principal_id is None:
            return ConsoleSession(id=row.id, principal=machine(row.actor), expires_at=row.expires_at)
        found = self._principals.find_by_id(connection, row.principal_id)
        if found is None or found.disabled_at is not None:
            return None
        return ConsoleSession(id=row.id, principal=found.as_asker(), expires_at=row.expires_at)

    def end(self, connection: Connection, session: ConsoleSession) -> None:
        """Signed out, at once."""
        connection.execute(delete(sessions).where(sessions.c.id == session.id))
        self._note(connection, session.principal.actor, "session.end", session.id)

    def remove_old(self, connection: Connection) -> None:
        """Those whose time is over. They let nobody in any more."""
        connection.execute(delete(sessions).where(sessions.c.expires_at <= self._clock()))

    def _open(self, connection: Connection, principal: StoredPrincipal | None, *, actor: str) -> OpenedSession:
        self.remove_old(connection)
        token, expires_at = _new_token(), self._clock() + SESSION_LIFETIME
        session_id = self._insert(
            connection, token, principal, actor=actor, is_link=False, expires_at=expires_at
        )
        self._note(connection, actor, "session.begin", session_id)
        who = machine(actor) if principal is None else principal.as_asker()
        return OpenedSession(id=session_id, token=token, principal=who, expires_at=expires_at)

    def _insert(
        self,
        connection: Connection,
        token: Secret,
        principal: StoredPrincipal | None,
        *,
        actor: str,
        is_link: bool,
        expires_at: datetime,
    ) -> str:
        now = self._clock()
        session_id = new_id("ses", now)
        connection.execute(
            insert(sessions).values(
                id=session_id,
                digest=_digest(token),
                is_link=is_link,
                principal_id=None if principal is None else principal.id,
                actor=actor,
                created_at=now,
                expires_at=expires_at,
            )
        )
        return session_id

    def _note(self, connection: Connection, actor: str, action: str, subject: str, **details: str) -> None:
        self._audit.append(connection, at=self._clock(), actor=actor, action=action, subject=subject, **details)


def _new_token() -> Secret:
    return Secret(secrets.token_urlsafe(_BITS // 8))


def _digest(token: Secret) -> bytes:
    """No salt and no stretching: what is digested is random, and longer than anybody can guess."""
    return hashlib.sha256(token.expose().encode("utf-8", "surrogatepass")).digest()
