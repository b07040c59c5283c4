"""Rotations that are due at the same time, taken together and driven side by side by threads of one worker.

Each goes its own way, under its own lease. What they write is committed together, and their calls go out
together: see `vaultcore.shared_commits`. One that fails, or waits, holds up no other. Those of one target share
the logins that stay open there, and so do those that come right after them.

The thread that a signal comes to drives none of them: what it raises, wherever that is, may neither keep a turn
from the others nor forget to wake them. Once told to stop, each ends the step that it is at.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Event

from structlog.contextvars import bound_contextvars

from vaultcore.database import Database
from vaultcore.shared_commits import SharedCommits
from worker.domain.rotation import Rotation
from worker.log import get_logger
from worker.outbound import open_store, sessions_kept
from worker.services.rotation.advance import Advanced, RotationDriver, Tell, name_for_log
from worker.services.rotation.rolling_pool import RollingPool
from worker.services.rotation.rotation_taker import RotationTaker

_log = get_logger(__name__)


class SideBySide:
    def __init__(
        self, *, database: Database, taker: RotationTaker, rotations: RotationDriver, at_once: int
    ) -> None:
        """`at_once`: how many are driven at the same moment, at most."""
        self._database = database
        self._taker = taker
        self._rotations = rotations
        self.at_once = at_once
        self._sessions = open_store()

    def drive(self, rotation_id: str, *, tell: Tell) -> list[Advanced]:
        """That one if it is due, and others that are, as many as there is room for: each that was driven."""
        if self.at_once == 1:
            alone = self._taker.take(rotation_id)
            leased = [] if alone is None else [alone]
        else:
            leased = self._taker.take_due(most=self.at_once, first=rotation_id)
        with sessions_kept(self._sessions):
            driven = self._drive_all(leased, tell)
        self._database.scrub_again()  # those side by side hold up each other's
        return driven

    def drive_all(self, *, tell: Tell, stopped: Callable[[], bool]) -> bool:
        """Whatever is due, as long as anything is: where one comes to rest, the next begins. Whether there was
        any. `tell` hears of one at a time. Once `stopped`, each ends the step that it is at. Told to stop at
        once, nobody waits for them: what has not called the outside in its step is given back.
        """
        pool = RollingPool(
            database=self._database,
            taker=self._taker,
            rotations=self._rotations,
            at_once=self.at_once,
            tell=tell,
            stopped=stopped,
        )
        try:
            return pool.drive()
        finally:
            self._database.scrub_again()

    def _drive_all(self, leased: list[Rotation], tell: Tell) -> list[Advanced]:
        if len(leased) < 2:
            return [self._drive(one, tell, None, lambda: False) for one in leased]
        shared, stopping = self._database.share_commits(), Event()
        with ThreadPoolExecutor(len(leased), thread_name_prefix="rotation") as pool:
            try:
                driven = [
                    pool.submit(copy_context().run, self._drive, one, tell, shared, stopping.is_set)
                    for one in leased
                ]
                wait(driven)
            except BaseException:  # this process is told to stop
                stopping.set()
                raise
        return _collect(leased, driven)

    def _drive(
        self, leased: Rotation, tell: Tell, shared: SharedCommits | None, stopped: Callable[[], bool]
    ) -> Advanced:
        with bound_contextvars(rotation=leased.id):
            return self._rotations.drive_leased(leased, tell=tell, stopped=stopped, shared=shared)


def _collect(leased: list[Rotation], driven: list[Future[Advanced]]) -> list[Advanced]:
    """What those came to that went well. An error is no step's: it is told, and raised where none went well."""
    errors = [one.exception() for one in driven]
    failed = [error for error in errors if error is not None]
    if len(failed) == len(driven):
        raise failed[0]
    for rotation, error in zip(leased, errors, strict=True):
        if error is not None:
            _log.error("rotation.failed", **name_for_log(rotation), error=type(error).__name__)
    return [one.result() for one in driven if one.exception() is None]
