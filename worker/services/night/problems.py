"""What is wrong: asked at the end of a night, by its heartbeat and its exit, and by `status` at any time."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from worker.config import Settings
from worker.domain.problems import Problem, ProblemKind, worst_first
from worker.domain.reasons import Code, Reason
from worker.domain.signs import Presence, find_presence, last_seen
from worker.domain.slots import latest_slot
from worker.domain.states import NightOutcome
from worker.rows import nights as night_rows
from worker.rows import problems as problem_rows
from worker.rows import signs as sign_rows
from worker.rows.nights import Night

_BEGIN_LATE = timedelta(hours=1)
"""How long after its time a night may begin."""

_TICK = timedelta(microseconds=1)
_RUN_LATE = timedelta(hours=6)
"""How long a night may take before it is taken for cut off."""

_SHOWN = timedelta(days=1)
"""For how long it is told at least that something was set aside at the broker."""


class Problems:
    """Reads in the caller's transaction, and writes nothing."""

    def __init__(self, *, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock

    def of_night(self, connection: Connection, slot: datetime) -> list[Problem]:
        """Whatever is unfinished, failed or overdue since the night before has ended, whoever began it."""
        night = night_rows.get_night(connection, slot)
        before = night_rows.last_night(connection, before=night.started_at, closed=True)
        since = night.started_at
        if before is not None and before.done_at is not None and before.done_at < since:
            since = before.done_at + _TICK
        found = problem_rows.read_problems(
            connection, since=since, now=self._clock(), waited_for=night.scanned_at or night.started_at
        )
        aside = problem_rows.read_set_aside(connection, since=since)
        found += [problem for problem in aside if problem.kind is not ProblemKind.LEFT_OVER]
        operators = problem_rows.read_operators(connection, self._settings.operators)
        found += [problem for problem in operators if problem.kind is ProblemKind.TAMPERED]
        return worst_first([*found, *_not_scanned(connection, since=night.started_at)])

    def now(self, connection: Connection) -> list[Problem]:
        """The same at this moment, since the last night began; and whether nights come as they should."""
        now = self._clock()
        last = night_rows.last_night(connection)
        since = now if last is None else last.started_at
        return worst_first(
            [
                *problem_rows.read_problems(connection, since=since, now=now),
                *problem_rows.read_set_aside(connection, since=min(since, now - _SHOWN)),
                *problem_rows.read_operators(connection, self._settings.operators),
                *self._nights(connection, last, now),
            ]
        )

    def find_absent(self, connection: Connection) -> list[Problem]:
        """Whether whoever worked here is not there any more."""
        return _absent(connection, night_rows.last_night(connection), self._clock())

    def _nights(self, connection: Connection, last: Night | None, now: datetime) -> list[Problem]:
        """A night that ended badly counts until one ends well; a run by hand is a night, too."""
        found = [] if last is None else _not_scanned(connection, since=last.started_at)
        closed = night_rows.last_night(connection, closed=True)
        if closed is not None and closed.outcome == NightOutcome.FAILED:
            found.append(Problem(kind=ProblemKind.NIGHT_FAILED, subject="", at=closed.slot))
        if last is not None and last.done_at is None and last.started_at + _RUN_LATE < now:
            found.append(Problem(kind=ProblemKind.NIGHT_CUT_OFF, subject="", at=last.slot))
        found += _absent(connection, last, now)
        late = self._find_late(connection, last, now)
        if late is not None:
            found.append(Problem(kind=ProblemKind.NIGHT_LATE, subject="", at=late))
        return found

    def _find_late(self, connection: Connection, last: Night | None, now: datetime) -> datetime | None:
        """The slot that should have begun a while ago and has not; None: nights are on time.

        Where nights are begun by hand, or by another scheduler, one between two slots is on time.
        """
        slot = latest_slot(self._settings.night_at, self._settings.zone, now - _BEGIN_LATE)
        made_at = night_rows.vault_made_at(connection)
        if made_at is not None and made_at >= slot:
            return None
        if last is None or last.started_at < self._slot_before(slot):
            return slot
        return None if last.by_hand or last.slot >= slot else slot

    def _slot_before(self, slot: datetime) -> datetime:
        return latest_slot(self._settings.night_at, self._settings.zone, slot - _TICK)


def _not_scanned(connection: Connection, *, since: datetime) -> list[Problem]:
    return [
        Problem(
            kind=ProblemKind.NIGHT_NOT_SCANNED, subject="", at=slot, error=cause or Reason.of(Code.WAS_CUT_OFF)
        )
        for slot, cause in night_rows.list_failed_sweeps(connection, night_rows.NIGHT_JOB, since=since)
    ]


_ABSENT = {
    Presence.SILENT: ProblemKind.NOBODY_WORKS,
    Presence.NO_WORKER: ProblemKind.NO_WORKER,
    Presence.NO_BEAT: ProblemKind.NO_BEAT,
}


def _absent(connection: Connection, last: Night | None, now: datetime) -> list[Problem]:
    """Whoever worked here and is not there any more; unless somebody runs the nights by hand since then."""
    signs = sign_rows.list_signs(connection)
    kind = _ABSENT.get(find_presence(signs, now))
    seen = last_seen(signs, now)
    if kind is None or (last is not None and last.by_hand and seen is not None and last.started_at > seen):
        return []
    return [Problem(kind=kind, subject="", at=seen)]
