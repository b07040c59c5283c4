"""Keys that callers present: whose they are, and that they were seen in use."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import ConflictError, TamperedError, TroubleError
from vaultcore.presented_keys import ComparedVersion, KeyUse, PresentedKeys
from vaultcore.secret import Secret
from worker.rows import rotations as rotation_rows


class PickupEnds(Protocol):
    """Of keys that wait to be collected: what a first use ends."""

    def end_used(self, connection: Connection, item_id: str, number: int, *, actor: str) -> bool:
        """Somebody has the key. Whether a value went: then scrub."""


class CallerKeys:
    """Checks keys; the first use of one proves that it has arrived, and the last that it is still needed."""

    def __init__(
        self,
        *,
        database: Database,
        presented_keys: PresentedKeys,
        audit: AuditLog,
        pickups: PickupEnds,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._presented_keys = presented_keys
        self._audit = audit
        self._pickups = pickups
        self._clock = clock

    def check(self, key: Secret) -> tuple[str, int] | None:
        """Which item's key this is, by id, and which version; None if it opens nothing. That it was used is
        noted.
        """
        found = self.find(key)
        if found is not None:
            self.note(found)
        return found

    def find(self, key: Secret) -> tuple[str, int] | None:
        """The same, and nothing is noted."""
        with self._database.read() as connection:
            return self._presented_keys.check_key(connection, key)

    def judge(self, connection: Connection, key: Secret) -> ComparedVersion:
        """As `check`, in the caller's transaction and without a note. See `PresentedKeys.judge_key`."""
        return self._presented_keys.judge_key(connection, key)

    def note(self, presented: tuple[str, int]) -> None:
        """A caller presented the key of this item and version.

        Where that cannot be written now, the next call is noted.
        """
        item_id, number = presented
        with self._database.read() as connection:
            news = self._presented_keys.find_news(connection, item_id, number)
        ended = False
        if news is not None:
            with suppress(ConflictError, TroubleError, TamperedError), self._database.write() as connection:
                if news is KeyUse.FIRST:  # rotations, pickups, versions, then the audit head: as everybody else
                    rotation_rows.wake_watching(connection, [item_id], self._clock())
                    ended = self._pickups.end_used(connection, item_id, number, actor=f"caller:{item_id}")
                if self._presented_keys.note_use(connection, item_id, number):
                    self._record_first(connection, item_id, number)
        if ended:
            self._database.scrub()

    def _record_first(self, connection: Connection, item_id: str, number: int) -> None:
        """Somebody has the key: that proves to the record that it arrived."""
        self._audit.append(
            connection,
            at=self._clock(),
            actor=f"caller:{item_id}",
            action="version.first-use",
            subject=item_id,
            version=number,
        )
