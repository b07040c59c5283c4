"""Rotations that are due at the same time, driven side by side by threads of one worker.

Each goes its own way, under its own lease. What they do here is committed together, and their calls to the
outside go out together: see `vaultcore.shared_commits`. One that fails, or waits, holds up no other.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event

from structlog.contextvars import bound_contextvars

from vaultcore.database import Database
from vaultcore.shared_commits import SharedCommits
from worker.rows import rotations as rotation_rows
from worker.services.rotation.advance import Advanced, Rotations, Tell


class SideBySide:
    def __init__(
        self,
        *,
        database: Database,
        rotations: Rotations,
        at_once: int,
        target_at_once: int,
        clock: Callable[[], datetime],
    ) -> None:
        """`at_once`: how many are driven at the same moment; `target_at_once`: at one target system."""
        self._database = database
        self._rotations = rotations
        self._at_once = at_once
        self._target_at_once = target_at_once
        self._clock = clock

    def drive(self, rotation_id: str, *, tell: Tell) -> list[Advanced]:
        """That one, and beside it as many others that are due as have room: each that was driven."""
        beside = self._find_beside(rotation_id)
        if not beside:
            alone = self._drive(rotation_id, tell, None, lambda: False)
            return [] if alone is None else [alone]
        shared, stopping = self._database.share_commits(), Event()
        with ThreadPoolExecutor(len(beside), thread_name_prefix="rotation") as pool:
            others = [pool.submit(self._drive, one, tell, shared, stopping.is_set) for one in beside]
            try:
                own = self._drive(rotation_id, tell, shared, stopping.is_set)
            except BaseException:  # this process is told to stop, or its database is away
                stopping.set()
                raise
        return [one for one in (own, *(each.result() for each in others)) if one is not None]

    def _find_beside(self, rotation_id: str) -> list[str]:
        if self._at_once == 1:
            return []
        with self._database.read() as connection:
            due = rotation_rows.due_rotations(
                connection, self._clock(), limit=self._at_once, at_once=self._target_at_once
            )
        return [one for one in due if one != rotation_id][: self._at_once - 1]

    def _drive(
        self, rotation_id: str, tell: Tell, shared: SharedCommits | None, stopped: Callable[[], bool]
    ) -> Advanced | None:
        with bound_contextvars(rotation=rotation_id):
            return self._rotations.drive(rotation_id, tell=tell, stopped=stopped, shared=shared)
