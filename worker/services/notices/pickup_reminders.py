"""Keys that wait to be collected: their owners hear again as the time runs out, like of an expiry."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from vaultcore.database import Database
from vaultcore.row_macs import check_mac
from vaultcore.stored import Unread, check_row, do_apart
from vaultcore.tables import items, versions
from worker.domain.findings import Finding, expiry_level, find_unreadable, show_time_left
from worker.domain.notices import CLAIM_COMMAND, CLAIM_MARK
from worker.rows.tables import claims
from worker.services.notices.outbox import Outbox

_THRESHOLDS = (7, 3, 1, 0)
"""Days before a claim ends at which its owner hears of it again."""

_WEEK = timedelta(days=7)
"""How often, where it has no end."""


class PickupReminders:
    def __init__(self, *, database: Database, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock

    def chase(self) -> tuple[int, list[Finding]]:
        """One notice for each threshold that a claim has crossed since the last one. To how many owners, and
        which claims cannot be read.
        """
        now = self._clock()
        written, unreadable = 0, list[Finding]()
        with self._database.write() as connection:
            waiting = connection.execute(
                select(claims, items.c.name)
                .join(items, items.c.id == claims.c.item_id)
                .join(
                    versions, (versions.c.item_id == claims.c.item_id) & (versions.c.number == claims.c.number)
                )
                .where(
                    claims.c.claimed_at.is_(None),
                    versions.c.record.is_not(None),  # else there is nothing to collect any more
                    or_(claims.c.expires_at.is_(None), claims.c.expires_at > now),
                )
                .order_by(claims.c.expires_at, claims.c.id)
            ).all()
            for row in waiting:
                told = do_apart(connection, row, lambda one: self._remind(connection, one, now))
                if isinstance(told, Unread):
                    unreadable.append(_find(told))
                else:
                    written += told
        return written, unreadable

    def _remind(self, connection: Connection, row: Row[*tuple[Any, ...]], now: datetime) -> int:
        what = f"the key of {row.name} that waits to be collected"
        check_row(row, what)
        check_mac(connection, claims, row, what)
        level = _level(row.expires_at, row.created_at, now)
        if level is None:
            return 0
        told = self._outbox.tell_owners(
            connection,
            row.item_id,
            kind="claim-reminder",
            dedupe_key=f"claim:{row.id}:{level}",
            data={
                "item": row.name,
                "command": CLAIM_COMMAND,
                "token": CLAIM_MARK,
                "expires_at": row.expires_at,
                "left": row.expires_at and show_time_left(row.expires_at, now),
                "taken_by": row.taken_by,
                "first": row.rotation_id is None,
            },
            about=row.id,
            claim_id=row.id,
        )
        return len(told)


def _find(unread: Unread[int]) -> Finding:
    row = unread.row
    return find_unreadable(
        f"claims {row.id}",
        unread.problem,
        item_id=row.item_id,
        item=str(row.name),
        what="the key that waits to be collected",
    )


def _level(expires_at: datetime | None, created_at: datetime, now: datetime) -> int | None:
    """How many reminders are due by now; None: the first notice is enough yet."""
    if expires_at is None:
        return int((now - created_at) / _WEEK) or None
    level = expiry_level(expires_at, _THRESHOLDS, now)
    return None if level == expiry_level(expires_at, _THRESHOLDS, created_at) else level
