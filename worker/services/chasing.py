"""Keys that wait to be collected: their owners hear again as the time runs out, like of an expiry."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from vaultcore.database import Database
from vaultcore.tables import items
from worker.domain.findings import expiry_level, show_time_left
from worker.domain.notices import CLAIM_MARK
from worker.services.notifying import Notifying
from worker.tables import claims

_THRESHOLDS = (7, 3, 1, 0)
"""Days before a claim ends at which its owner hears of it again."""


class Chasing:
    def __init__(self, *, database: Database, notifying: Notifying, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._notifying = notifying
        self._clock = clock

    def chase(self) -> int:
        """One notice for each threshold that a claim has crossed since the last one. To how many owners."""
        now = self._clock()
        written = 0
        with self._database.write() as connection:
            waiting = connection.execute(
                select(claims.c.id, claims.c.created_at, claims.c.expires_at, claims.c.item_id, items.c.name)
                .join(items, items.c.id == claims.c.item_id)
                .where(claims.c.claimed_at.is_(None), claims.c.expires_at > now)
                .order_by(claims.c.expires_at, claims.c.id)
            ).all()
            for row in waiting:
                level = expiry_level(row.expires_at, _THRESHOLDS, now)
                if level is None or level == expiry_level(row.expires_at, _THRESHOLDS, row.created_at):
                    continue  # the first notice is as near as that
                written += len(
                    self._notifying.tell_owners(
                        connection,
                        row.item_id,
                        kind="claim-reminder",
                        dedupe_key=f"claim:{row.id}:{level}",
                        data={
                            "item": row.name,
                            "command": f"nightkey claim {CLAIM_MARK}",
                            "expires_at": row.expires_at,
                            "left": show_time_left(row.expires_at, now),
                        },
                        about=row.id,
                        claim_id=row.id,
                    )
                )
        return written
