"""Work is done here, whoever called for it: each task is one call of a service, and says what follows."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from structlog.contextvars import bound_contextvars

from worker.domain.rotation import Rotation
from worker.domain.work import (
    Task,
    Work,
    after_check,
    after_drive,
    after_night,
    after_run,
    after_schedule,
    after_step,
)
from worker.log import get_logger
from worker.services.night.night_schedule import NightSchedule
from worker.services.night.nights import Nights
from worker.services.night.resume_sweep import FindRoom, ResumeSweep
from worker.services.notices.delivery import Delivery
from worker.services.notices.heartbeat import Heartbeat
from worker.services.rotation.advance import Advanced, name_for_log
from worker.services.rotation.credential_checks import CredentialChecks
from worker.services.rotation.side_by_side import SideBySide
from worker.services.rotation.target_capacity import TargetCapacity
from worker.services.runs.runs import Runs

_log = get_logger(__name__)
ACTOR = "schedule"


class Dispatch:
    def __init__(
        self,
        *,
        night_schedule: NightSchedule,
        nights: Nights,
        resume_sweep: ResumeSweep,
        side_by_side: SideBySide,
        target_capacity: TargetCapacity,
        credential_checks: CredentialChecks,
        runs: Runs,
        delivery: Delivery,
        heartbeat: Heartbeat,
        clock: Callable[[], datetime],
    ) -> None:
        self._night_schedule = night_schedule
        self._nights = nights
        self._resume_sweep = resume_sweep
        self._side_by_side = side_by_side
        self._target_capacity = target_capacity
        self._credential_checks = credential_checks
        self._runs = runs
        self._delivery = delivery
        self._heartbeat = heartbeat
        self._clock = clock

    @property
    def _at_once(self) -> int:
        """How many rotations a worker drives together."""
        return self._side_by_side.at_once

    def do(self, work: Work, find_room: FindRoom = lambda: None) -> list[Work]:
        """Does the piece of work, if it is due and nobody else is at it. What to call for next. A sweep asks
        `find_room`.
        """
        match work.task:
            case Task.NIGHT:
                slot = self._night_schedule.due_night()
                return [] if slot is None else self.begin_night(slot)
            case Task.RESUME:
                return self._resume_sweep.find_work(find_room)
            case Task.SCHEDULE:
                return after_schedule((*self._runs.open_due(), *self._runs.due_runs()))
            case Task.ROTATE:
                return self._advance(work.about)
            case Task.CHECK:
                following = self._credential_checks.run(work.about)
                return [] if following is None else after_check(following, at_once=self._at_once)
            case Task.RUN:
                return self._run(work.about)
            case Task.DELIVER:
                self._delivery.deliver()
            case Task.BEAT:
                self._heartbeat.send(work.about)
        return []

    def begin_night(self, slot: datetime) -> list[Work]:
        """The night of that slot, unless somebody has begun it. What to call for next."""
        opened = self._nights.begin(slot)
        if opened is None:
            return []
        _log.info("night.begun", night=slot.isoformat(), rotations=len(opened))
        checks = self._credential_checks.find_ready()
        return after_night(opened, checks, at_once=self._at_once)

    def _advance(self, rotation_id: str) -> list[Work]:
        driven = self._side_by_side.drive(rotation_id, tell=_tell_moved)
        ended = Counter(one.rotation.target for one in driven.advanced if one.rotation.target is not None)
        found = [self._target_capacity.find_next(target, ended=number) for target, number in ended.items()]
        now = self._clock()
        steps = [work for one in driven.advanced for work in follow(one, now)]
        following = after_drive(found, at_once=self._at_once, may_be_more=driven.may_be_more)
        return list(dict.fromkeys([*steps, *following]))

    def _run(self, run_id: str) -> list[Work]:
        with bound_contextvars(run=run_id):
            outcome = self._runs.execute(run_id, actor=ACTOR)
        if outcome is None:
            return []
        _log.info("run.moved", run=run_id, workflow=outcome.workflow, status=outcome.status.value)
        return after_run(outcome.begun)


def _tell_moved(rotation: Rotation) -> None:
    _log.info(
        "rotation.moved",
        **name_for_log(rotation),
        state=rotation.state.value,
        cause=rotation.last_cause and str(rotation.last_cause) if rotation.failing_since is not None else None,
    )


def follow(advanced: Advanced, now: datetime) -> list[Work]:
    """What follows from a step of a rotation."""
    rotation = advanced.rotation
    return after_step(
        rotation.id,
        state=rotation.state,
        waits_for=rotation.waits_for,
        emergency=rotation.emergency,
        next_at=rotation.next_at,
        moved=advanced.moved,
        now=now,
    )
