"""Rotations that are due at the same time, taken together and driven side by side by threads of one worker.

Each goes its own way, under its own lease. What they write is committed together, and their calls go out
together: see `vaultcore.shared_commits`. One that fails, or waits, holds up no other. Those of one target share
the logins that stay open there.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Event

from structlog.contextvars import bound_contextvars

from vaultcore.database import Database
from vaultcore.shared_commits import SharedCommits
from worker.domain.rotation import Rotation
from worker.outbound import sessions_kept
from worker.services.rotation.advance import Advanced, Rotations, Tell
from worker.services.rotation.leasing import Leasing


class SideBySide:
    def __init__(self, *, database: Database, leasing: Leasing, rotations: Rotations, at_once: int) -> None:
        """`at_once`: how many are driven at the same moment, at most."""
        self._database = database
        self._leasing = leasing
        self._rotations = rotations
        self.at_once = at_once

    def drive(self, rotation_id: str, *, tell: Tell) -> list[Advanced]:
        """That one if it is due, and others that are, as many as there is room for: each that was driven."""
        if self.at_once == 1:
            alone = self._leasing.take(rotation_id)
            return [] if alone is None else [self._drive(alone, tell, None, lambda: False)]
        return self._drive_all(self._leasing.take_due(most=self.at_once, first=rotation_id), tell)

    def _drive_all(self, leased: list[Rotation], tell: Tell) -> list[Advanced]:
        if len(leased) < 2:
            return [self._drive(one, tell, None, lambda: False) for one in leased]
        shared, stopping = self._database.share_commits(), Event()
        first, *others = leased
        with sessions_kept(), ThreadPoolExecutor(len(others), thread_name_prefix="rotation") as pool:
            beside = [
                pool.submit(copy_context().run, self._drive, one, tell, shared, stopping.is_set)
                for one in others
            ]
            try:
                own = self._drive(first, tell, shared, stopping.is_set)
            except BaseException:  # this process is told to stop, or its database is away
                stopping.set()
                raise
        return [own, *(one.result() for one in beside)]

    def _drive(
        self, leased: Rotation, tell: Tell, shared: SharedCommits | None, stopped: Callable[[], bool]
    ) -> Advanced:
        with bound_contextvars(rotation=leased.id):
            return self._rotations.drive_leased(leased, tell=tell, stopped=stopped, shared=shared)
