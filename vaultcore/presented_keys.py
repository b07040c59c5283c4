"""Keys that callers present: by which version each is judged, and what there is to note of its use.

Every method works in the caller's transaction.
"""

import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, update

from vaultcore.crypto import apikeys
from vaultcore.crypto.keyring import Keyring
from vaultcore.model import Stage
from vaultcore.row_macs import MAC, is_ours
from vaultcore.rows import select_versions
from vaultcore.secret import Secret
from vaultcore.tables import versions

_USE_GRAIN = timedelta(minutes=1)
"""How often it is noted at most that a key is still presented."""


class KeyUse(StrEnum):
    """What is noted of a key that a caller presents."""

    FIRST = "first"
    AGAIN = "again"
    """It is an older one, and still needed."""


class _Known(NamedTuple):
    """A version, as a key that is presented is held against it."""

    item_id: str
    number: int
    stage: str
    expires_at: datetime | None
    digest: bytes


class ComparedVersion(NamedTuple):
    """A version that a presented key was held against."""

    item_id: str
    number: int
    opens: bool


_NOBODYS: Final = _Known(item_id="", number=0, stage=Stage.DESTROYED.value, expires_at=None, digest=bytes(32))
"""Stands in where no version has a digest: it opens nothing."""
_NOBODYS_ROW: Final[Mapping[str, Any]] = {
    **dict.fromkeys(versions.columns.keys()),
    "item_id": f"vlt_{'0' * 26}",
    "number": 1,
    "stage": Stage.CURRENT.value,
    "external": {},
    "record": bytes(500),
    "digest": bytes(32),
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    MAC: bytes(32),
}
"""As large as a key's row, so that to check its keyed digest takes as long; it does not hold."""


class PresentedKeys:
    """Judges keys of callers, and keeps whether they are in use."""

    def __init__(self, *, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self._keyring = keyring
        self._clock = clock

    def find_news(self, connection: Connection, item_id: str, number: int) -> KeyUse | None:
        """What there is to note of a key that a caller has just presented; None: it is known to be in use."""
        row = connection.execute(
            select(versions.c.stage, versions.c.used_at, versions.c.last_used_at).where(
                versions.c.item_id == item_id, versions.c.number == number
            )
        ).one_or_none()
        if row is None:
            return None
        if row.used_at is None:
            return KeyUse.FIRST
        told = row.last_used_at is not None and abs(self._clock() - row.last_used_at) < _USE_GRAIN
        return KeyUse.AGAIN if row.stage == Stage.PREVIOUS.value and not told else None

    def note_use(self, connection: Connection, item_id: str, number: int) -> bool:
        """A caller presented this key, and it opened: whether it was the first time."""
        now = self._clock()
        here = (versions.c.item_id == item_id, versions.c.number == number)
        first = connection.execute(
            update(versions).where(*here, versions.c.used_at.is_(None)).values(used_at=now, last_used_at=now)
        ).rowcount
        if not first:
            connection.execute(update(versions).where(*here).values(last_used_at=now))
        return bool(first)

    def check_key(
        self,
        connection: Connection,
        key: Secret,
        *,
        stages: tuple[Stage, ...] = (Stage.CURRENT, Stage.PREVIOUS),
    ) -> tuple[str, int] | None:
        """Which item's key this is, by id, and which version; None if it opens nothing (any more)."""
        judged = self.judge_key(connection, key, stages=stages)
        return (judged.item_id, judged.number) if judged.opens else None

    def judge_key(
        self,
        connection: Connection,
        key: Secret,
        *,
        stages: tuple[Stage, ...] = (Stage.CURRENT, Stage.PREVIOUS),
    ) -> ComparedVersion:
        """By which version the key was judged, and whether it opens: only then is it that version's.

        In constant time, which means: what is presented is never itself compared with anything. Its HMAC
        under the keyring's pepper is, so that nobody outside can choose what an index or a comparison gets
        to see, and how far it agrees says nothing of a key. Each text, be it right, revoked, unknown,
        malformed or empty, takes one digest, one lookup and one comparison of 32 bytes, and is judged by all
        the rules before any of them decides. One of nobody's is held against the version whose digest comes
        next: a row is read, and its own digest checked, for each.
        """
        presented = apikeys.digest(key, self._keyring.pepper)
        row = connection.execute(select_versions().where(_next_from(presented))).one_or_none()
        known = (
            _NOBODYS
            if row is None
            else _Known(row.item_id, row.number, row.stage, row.expires_at, row.digest or _NOBODYS.digest)
        )
        judged = (
            is_ours(connection, versions, _NOBODYS_ROW if row is None else row),
            hmac.compare_digest(known.digest, presented),
            apikeys.looks_real(key.expose()),
            known.stage in {stage.value for stage in stages},
            _works_at(self._clock(), known.expires_at),
        )
        return ComparedVersion(known.item_id, known.number, all(judged))


def _works_at(now: datetime, expires_at: object) -> bool:
    """A damaged row may hold no time at all: then no key works by it."""
    return expires_at is None or (isinstance(expires_at, datetime) and expires_at > now)


def _next_from(digest: bytes) -> ColumnElement[bool]:
    """The version with this digest, or else with the one that comes next; after the last comes the first."""
    least = (
        select(versions.c.digest).order_by(versions.c.digest).limit(1)
    )  # PostgreSQL before 18 has no min of bytes
    return versions.c.digest == func.coalesce(
        least.where(versions.c.digest >= digest).scalar_subquery(),
        least.where(versions.c.digest.is_not(None)).scalar_subquery(),
    )
