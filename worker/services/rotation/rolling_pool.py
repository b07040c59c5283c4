"""Threads of one command that drive whatever is due: where a rotation comes to rest, the next one begins. So a
slow target keeps nobody waiting but those of its own.

The thread that a signal comes to takes rotations and drives none. Told to stop at once, it waits for no call
that is under way: the threads end with the process, and whoever goes on finds what such a call came to.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event, Lock, Thread

from structlog.contextvars import bound_contextvars

from vaultcore.database import Database
from vaultcore.shared_commits import SharedCommits
from worker.domain.rotation import STEADY_CUT_OFFS, Rotation
from worker.log import get_logger
from worker.outbound import sessions_kept
from worker.services.rotation.advance import RotationDriver, Tell, name_for_log
from worker.services.rotation.drive import Drive
from worker.services.rotation.rotation_taker import RotationTaker

_log = get_logger(__name__)
_POLL_SECONDS = 0.2
"""How often it is asked what is due by now, while there is room for more."""


@dataclass(frozen=True, kw_only=True)
class _Driven:
    leased: Rotation
    drive: Drive


class RollingPool:
    """Of one call of `drive`."""

    def __init__(
        self,
        *,
        database: Database,
        taker: RotationTaker,
        rotations: RotationDriver,
        at_once: int,
        tell: Tell,
        stopped: Callable[[], bool],
    ) -> None:
        self._taker = taker
        self._rotations = rotations
        self._at_once = at_once
        self._tell = tell
        self._stopped = stopped
        self._shared = database.share_commits()
        self._ending = Event()
        self._telling = Lock()
        self._running: dict[Future[None], _Driven] = {}
        self._was_filled = False
        """There was as much due as there was room for, so that there may be more."""

    def drive(self) -> bool:
        """Until nothing is due and all have come to rest. Whether there was anything. The first error of one
        ends it, once the others have ended their steps.
        """
        was_any = False
        try:
            with sessions_kept():
                while True:
                    taken = [] if self._is_ending() else self._take()
                    was_any = was_any or bool(taken)
                    for one in taken:
                        self._begin(one, alone=len(taken) == 1 and not self._running)
                    if not self._running:
                        return was_any
                    self._wait_for_one()
        except Exception:
            self._ending.set()
            self._wait_for_all()
            raise
        except BaseException:  # this process is told to stop at once
            self._ending.set()
            self._abandon()
            raise

    def _is_ending(self) -> bool:
        return self._ending.is_set() or self._stopped()

    def _take(self) -> list[Rotation]:
        """What is due, as much as there is room for. What was cut off twice has its turn when nothing else is
        driven, and alone: it may be what ends its process.
        """
        room = self._room()
        if not room or not (self._was_filled or self._taker.find_due(most=1)):
            return []
        taken = self._taker.take_due(most=room, first=None)
        self._was_filled = len(taken) == room
        if not (taken or self._running):
            for rotation_id in self._taker.find_due():
                taken = self._taker.take_due(most=1, first=rotation_id)
                if taken:
                    break
        return taken

    def _room(self) -> int:
        if any(one.leased.cut_off > STEADY_CUT_OFFS for one in self._running.values()):
            return 0
        return self._at_once - len(self._running)

    def _begin(self, leased: Rotation, *, alone: bool) -> None:
        driven, done = _Driven(leased=leased, drive=self._rotations.make_drive(leased)), Future[None]()
        context, shared = copy_context(), None if alone else self._shared

        def run() -> None:
            try:
                context.run(self._drive, driven, shared)
            except BaseException as error:  # noqa: BLE001  # raised again by who waits
                done.set_exception(error)
            else:
                done.set_result(None)

        self._running[done] = driven
        try:
            Thread(target=run, name=f"rotation_{leased.id}", daemon=True).start()
        except RuntimeError as error:  # this machine has no room for one more
            self._taker.release(leased)
            done.set_exception(error)

    def _drive(self, driven: _Driven, shared: SharedCommits | None) -> None:
        with bound_contextvars(rotation=driven.leased.id):
            self._rotations.drive_leased(
                driven.leased,
                tell=self._tell_in_turn,
                stopped=self._is_ending,
                shared=shared,
                drive=driven.drive,
            )

    def _tell_in_turn(self, rotation: Rotation) -> None:
        with self._telling:
            self._tell(rotation)

    def _wait_for_one(self) -> None:
        """Or, where there is room for more, until it is time to look for more."""
        looks_again = self._room() > 0 and not self._is_ending()
        timeout = _POLL_SECONDS if looks_again else None
        for done in wait(self._running, timeout, return_when=FIRST_COMPLETED).done:
            del self._running[done]
            done.result()

    def _wait_for_all(self) -> None:
        """Of one that failed already: an error of another is told, and raised by nobody."""
        for done, driven in self._running.items():
            error = done.exception()
            if error is not None:
                _log.error("rotation.failed", **name_for_log(driven.leased), error=type(error).__name__)

    def _abandon(self) -> None:
        for done, driven in self._running.items():
            if not done.done() and driven.drive.abandon():
                self._taker.release(driven.leased)
