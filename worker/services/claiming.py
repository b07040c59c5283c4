"""Claims: an owner collects a key that was generated while nobody looked, once."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, update

from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.ids import new_id
from vaultcore.secret import Secret
from vaultcore.vault import Vault
from vaultcore.versions import Purpose, Versions
from worker import store
from worker.services.notifying import Notifying
from worker.tables import claims

_REFUSED = "no key waits for that token: it was collected already, taken back after its time, or mistyped"


@dataclass(frozen=True, kw_only=True)
class Collected:
    item: str
    version: int
    key: Secret


class Claiming:
    """Opens a claim with the version it is for, and honours its token once."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        keyring: Keyring,
        notifying: Notifying,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._keyring = keyring
        self._notifying = notifying
        self._clock = clock

    def open(
        self,
        connection: Connection,
        *,
        item_id: str,
        number: int,
        rotation_id: str,
        expires_at: datetime | None,
    ) -> str:
        """`expires_at` None: it waits for ever, since there is no key before it that goes on working."""
        now = self._clock()
        claim_id = new_id("clm", now)
        connection.execute(
            insert(claims).values(
                id=claim_id,
                item_id=item_id,
                number=number,
                rotation_id=rotation_id,
                created_at=now,
                expires_at=expires_at,
            )
        )
        return claim_id

    def collect(self, token: str, *, actor: str) -> Collected:
        """The key, this once: marking it and destroying the stored value commit before it is shown."""
        claim_id, _, _ = token.strip().rpartition("_")
        if not hmac.compare_digest(claim_token(self._keyring, claim_id).encode(), token.strip().encode()):
            raise RefusedError(_REFUSED)
        now = self._clock()
        with self._database.write() as connection:
            claim = connection.execute(
                update(claims)
                .where(
                    claims.c.id == claim_id,
                    claims.c.claimed_at.is_(None),
                    or_(claims.c.expires_at.is_(None), claims.c.expires_at > now),
                )
                .values(claimed_at=now)
                .returning(claims.c.item_id, claims.c.number)
            ).one_or_none()
            if claim is None:
                raise RefusedError(_REFUSED)
            self._notifying.withdraw(connection, claim_id)
            store.wake_watching(connection, [claim.item_id], now)  # rotations are locked before the audit head
            item = self._vault.get(connection, claim.item_id)
            key = self._versions.reveal(connection, item.id, claim.number, purpose=Purpose.CLAIM, actor=actor)
            self._versions.forget_value(connection, item.id, claim.number, actor=actor)
        self._database.scrub()
        return Collected(item=item.name, version=claim.number, key=key)

    def withdraw(self, connection: Connection, rotation_id: str) -> None:
        """The rotation was taken back: its key is not there to be collected any more."""
        gone = connection.execute(
            delete(claims)
            .where(claims.c.rotation_id == rotation_id, claims.c.claimed_at.is_(None))
            .returning(claims.c.id)
        )
        for claim_id in gone.scalars().all():
            self._notifying.withdraw(connection, claim_id)


def claim_token(keyring: Keyring, claim_id: str) -> str:
    """`clm_…_` and 32 hex digits that only the keyring can make: nothing to steal is stored."""
    proof = hmac.digest(keyring.derive("claim"), claim_id.encode(), "sha256").hex()[:32]
    return f"{claim_id}_{proof}"
