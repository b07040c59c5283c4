"""Rotations that are due at the same time, taken together and driven side by side by threads of one worker.

Each goes its own way, under its own lease. What they write is committed together, and their calls go out
together: see `vaultcore.shared_commits`. One that fails, or waits, holds up no other: where it comes to rest,
the next one begins that is due. Those of one target share the logins that stay open there, and so do those that
come right after them.

The thread that a signal comes to drives none of them: what it raises, wherever that is, may neither keep a turn
from the others nor forget to wake them. Once told to stop, each ends the step that it is at.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class DrivenTogether:
    """`advanced`: each that was driven, in the order in which they came to rest. `may_be_more`: its worker may
    have left others that are due.
    """

    advanced: list[Advanced]
    may_be_more: bool


_Outcome = tuple[Rotation, Advanced | BaseException]


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
        self._begins_no_more = Event()

    def begin_no_more(self) -> None:
        """Where its process is told to end: those that are driven go on, and no other begins."""
        self._begins_no_more.set()

    def drive(self, rotation_id: str, *, tell: Tell) -> DrivenTogether:
        """That one if it is due, and others that are, as many at a time as there is room for."""
        share = _Share(self._taker, self._clock, self._begins_no_more)
        leased, outcomes = share.take(self.at_once, first=rotation_id), list[_Outcome]()
        with sessions_kept(self._sessions):
            while leased:
                outcomes += self._drive_some(leased, tell, share)
                leased = share.take_more(self.at_once) if len(leased) == 1 else []  # others took all
        self._database.scrub_again()  # those side by side hold up each other's
        return DrivenTogether(advanced=_collect(outcomes), may_be_more=share.may_be_more)

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

    def _drive_some(self, leased: list[Rotation], tell: Tell, share: "_Share") -> list[_Outcome]:
        if len(leased) > 1:
            return self._drive_together(leased, tell, share)
        alone = leased[0]  # it needs no thread of its own
        try:
            return [(alone, self._drive(alone, tell, None, lambda: False))]
        except Exception as error:  # noqa: BLE001  # raised, or told, with what came of the others
            share.end()
            return [(alone, error)]

    def _drive_together(self, leased: list[Rotation], tell: Tell, share: "_Share") -> list[_Outcome]:
        shared, stopping = self._database.share_commits(), Event()
        running: dict[Future[Advanced], Rotation] = {}
        outcomes: list[_Outcome] = []
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="rotation") as pool:
            try:
                while leased or running:
                    for one in leased:
                        drive = partial(self._drive, one, tell, shared, stopping.is_set)
                        running[pool.submit(copy_context().run, drive)] = one
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        error = done.exception()
                        outcomes.append((running.pop(done), done.result() if error is None else error))
                        if error is not None:
                            share.end()
                    leased = share.take_more(self.at_once - len(running))
            except BaseException:  # this process is told to stop
                stopping.set()
                raise
        return outcomes

    def _drive(
        self, leased: Rotation, tell: Tell, shared: SharedCommits | None, stopped: Callable[[], bool]
    ) -> Advanced:
        with bound_contextvars(rotation=leased.id):
            return self._rotations.drive_leased(leased, tell=tell, stopped=stopped, shared=shared)


class _Share:
    """What a worker takes for one message. It is over when its time is, when one comes that it had already, as
    what cannot go on keeps no worker busy, where anything fails that is no step's, and when the process is told
    to end.
    """

    def __init__(self, taker: RotationTaker, clock: Callable[[], datetime], told_to_end: Event) -> None:
        self._taker = taker
        self._clock = clock
        self._told_to_end = told_to_end
        self._until = clock() + _SHARE
        self._taken: set[str] = set()
        self._is_over = False
        self.may_be_more = False
        """It was over before nothing else was due."""

    def end(self) -> None:
        self._is_over = self.may_be_more = True

    def take(self, most: int, *, first: str | None = None) -> list[Rotation]:
        if self._clock() >= self._until or self._told_to_end.is_set():
            self.end()
        if self._is_over:
            return []
        leased = self._taker.take_due(most=most, first=first)
        ids = {one.id for one in leased}
        if not ids.isdisjoint(self._taken):
            self.end()
        self._taken |= ids
        return leased

    def take_more(self, most: int) -> list[Rotation]:
        """As `take`; where that fails, what those come to that were taken before follows all the same."""
        try:
            return self.take(most)
        except Exception as error:  # noqa: BLE001  # whoever is called for next has it raised
            _log.warning("rotations.not-taken", error=type(error).__name__)
            self.end()
            return []


def _collect(outcomes: list[_Outcome]) -> list[Advanced]:
    """What those came to that went well. An error is no step's: it is told, and raised where none went well."""
    failed = [(rotation, came) for rotation, came in outcomes if isinstance(came, BaseException)]
    if failed and len(failed) == len(outcomes):
        raise failed[0][1]
    for rotation, error in failed:
        _log.error("rotation.failed", **name_for_log(rotation), error=type(error).__name__)
    return [came for _, came in outcomes if isinstance(came, Advanced)]
