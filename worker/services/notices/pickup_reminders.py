"""Keys that wait to be collected: their owners hear again as the time runs out, like of an expiry."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.stored import do_apart
from worker.domain.distances import show_time_left
from worker.domain.findings import Finding, expiry_level, find_unreadable
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import PICKUP_COMMAND, PICKUP_MARK
from worker.rows.waiting_pickups import UnreadPickup, WaitingPickup, list_waiting
from worker.services.notices.outbox import Outbox

_THRESHOLDS = (7, 3, 1, 0)
"""Days before a pickup ends at which its owner hears of it again."""

_WEEK = timedelta(days=7)
"""How often, where it has no end."""


class PickupReminders:
    def __init__(self, *, database: Database, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock

    def chase(self) -> tuple[int, list[Finding]]:
        """One notice for each threshold that a pickup has crossed since the last one. To how many owners, and
        which pickups cannot be read.
        """
        now = self._clock()
        written, unreadable = 0, list[Finding]()
        with self._database.write() as connection:
            for pickup in list_waiting(connection, now):
                told = (
                    pickup
                    if isinstance(pickup, UnreadPickup)
                    else do_apart(connection, pickup, lambda one: self._remind(connection, one, now))
                )
                if isinstance(told, int):
                    written += told
                else:
                    unreadable.append(_find(pickup, told.problem))
        return written, unreadable

    def _remind(self, connection: Connection, pickup: WaitingPickup, now: datetime) -> int:
        level = _level(pickup.expires_at, pickup.created_at, now)
        if level is None:
            return 0
        told = self._outbox.tell_owners(
            connection,
            pickup.item_id,
            kind=NoticeKind.PICKUP_REMINDER,
            dedupe_key=f"claim:{pickup.id}:{level}",
            data={
                "item": pickup.name,
                "command": PICKUP_COMMAND,
                "token": PICKUP_MARK,
                "expires_at": pickup.expires_at,
                "left": pickup.expires_at and show_time_left(pickup.expires_at, now),
                "taken_by": pickup.taken_by,
                "first": pickup.rotation_id is None,
            },
            about=pickup.id,
            pickup_id=pickup.id,
        )
        return len(told)


def _find(pickup: WaitingPickup | UnreadPickup, problem: str) -> Finding:
    return find_unreadable(
        f"pickups {pickup.id}",
        problem,
        item_id=pickup.item_id,
        item=str(pickup.name),
        what="the key that waits to be collected",
    )


def _level(expires_at: datetime | None, created_at: datetime, now: datetime) -> int | None:
    """How many reminders are due by now; None: the first notice is enough yet."""
    if expires_at is None:
        return int((now - created_at) / _WEEK) or None
    level = expiry_level(expires_at, _THRESHOLDS, now)
    return None if level == expiry_level(expires_at, _THRESHOLDS, created_at) else level
