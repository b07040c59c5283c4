"""Rotations that are due at the same time, taken together and driven side by side by threads of one worker.

Each goes its own way, under its own lease. What they write is committed together, and their calls go out
together: see `vaultcore.shared_commits`. One that fails, or waits, holds up no other: where it comes to rest,
the next one begins that is due. Those of one target share the logins that stay open there, and so do those that
come right after them.

The thread that a signal comes to drives none of them: what it raises, wherever that is, may neither keep a turn
from the others nor forget to wake them. Once told to stop, each ends the step that it is at.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial
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
_SHARE = timedelta(seconds=5)
"""After how long a worker begins with no more of them, so that other messages have their turn."""


class SideBySide:
    def __init__(
        self,
        *,
        database: Database,
        taker: RotationTaker,
        rotations: RotationDriver,
        at_once: int,
        clock: Callable[[], datetime],
    ) -> None:
        """`at_once`: how many are driven at the same moment, at most."""
        self._database = database
        self._taker = taker
        self._rotations = rotations
        self.at_once = at_once
        self._clock = clock
        self._sessions = open_store()

    def drive(self, rotation_id: str, *, tell: Tell) -> list[Advanced]:
        """That one if it is due, and others that are, as many at a time as there is room for: each that was
        driven.
        """
        share = _Share(self._taker, self._clock)
        leased, driven = share.take(self.at_once, first=rotation_id), list[Advanced]()
        with sessions_kept(self._sessions):
            while leased:
                if len(leased) == 1:  # it needs no thread of its own
                    driven.append(self._drive(leased[0], tell, None, lambda: False))
                else:
                    driven += self._drive_together(leased, tell, share)
                leased = share.take(self.at_once)
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

    def _drive_together(self, leased: list[Rotation], tell: Tell, share: "_Share") -> list[Advanced]:
        shared, stopping = self._database.share_commits(), Event()
        running: dict[Future[Advanced], Rotation] = {}
        over: dict[Future[Advanced], Rotation] = {}
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="rotation") as pool:
            try:
                while leased or running:
                    for one in leased:
                        drive = partial(self._drive, one, tell, shared, stopping.is_set)
                        running[pool.submit(copy_context().run, drive)] = one
                    ended = wait(running, return_when=FIRST_COMPLETED).done
                    over |= {done: running.pop(done) for done in ended}
                    if any(done.exception() is not None for done in ended):
                        share.is_over = True
                    leased = share.take(self.at_once - len(running))
            except BaseException:  # this process is told to stop
                stopping.set()
                raise
        return _collect(over)

    def _drive(
        self, leased: Rotation, tell: Tell, shared: SharedCommits | None, stopped: Callable[[], bool]
    ) -> Advanced:
        with bound_contextvars(rotation=leased.id):
            return self._rotations.drive_leased(leased, tell=tell, stopped=stopped, shared=shared)


class _Share:
    """What a worker takes for one message. It is over when its time is, and when one comes that it had already:
    what cannot go on keeps no worker busy.
    """

    def __init__(self, taker: RotationTaker, clock: Callable[[], datetime]) -> None:
        self._taker = taker
        self._clock = clock
        self._until = clock() + _SHARE
        self._taken: set[str] = set()
        self.is_over = False

    def take(self, most: int, *, first: str | None = None) -> list[Rotation]:
        if self.is_over or self._clock() >= self._until:
            return []
        leased = self._taker.take_due(most=most, first=first)
        ids = {one.id for one in leased}
        self.is_over = not ids.isdisjoint(self._taken)
        self._taken |= ids
        return leased


def _collect(driven: Mapping[Future[Advanced], Rotation]) -> list[Advanced]:
    """What those came to that went well. An error is no step's: it is told, and raised where none went well."""
    failed = {done: error for done in driven if (error := done.exception()) is not None}
    if failed and len(failed) == len(driven):
        raise next(iter(failed.values()))
    for done, error in failed.items():
        _log.error("rotation.failed", **name_for_log(driven[done]), error=type(error).__name__)
    return [done.result() for done in driven if done not in failed]
