"""A rotation as a line of stops: which of its steps are done, at which it is, which are to come. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from worker.domain.reasons import Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import AT_REST, NOT_BEGUN, State, Step, next_step
from worker.domain.states import StepResult

STOPS: Final = (
    Step.ADMIT,
    Step.CREATE,
    Step.INSTALL,
    Step.VERIFY,
    Step.TEST_NODES,
    Step.TEST_WORKFLOWS,
    Step.ACTIVATE,
    Step.WATCH,
    Step.RETIRE,
)
"""The way from its beginning to its good end."""
_PLACES: Final[Mapping[str, int]] = {step.value: place for place, step in enumerate(STOPS)}
_TESTS: Final = frozenset({Step.TEST_NODES, Step.TEST_WORKFLOWS})
_BROKEN_OFF: Final = frozenset({State.UNDOING, State.DISCARDING, State.ROLLED_BACK, State.CANCELLED})
_APPROVE: Final = "approve"


class Dot(StrEnum):
    """How a stop stands."""

    DONE = "done"
    PASSED_OVER = "passed over"
    """This rotation needs no such step."""
    NOW = "under way"
    WAITS = "waits"
    """It is there, and waits: for its time, for a person, for the other side."""
    FAILED = "failed"
    STOPPED = "stopped"
    """Somebody, or the night, has ended it there: nothing had failed."""
    TO_COME = "to come"


_ENDED: Final = frozenset({Dot.DONE, Dot.FAILED, Dot.STOPPED})


@dataclass(frozen=True, kw_only=True)
class TriedStep:
    """One line of a rotation's record: the step or decision, and how it ended (`StepResult`)."""

    step: str
    result: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class NewStep(TriedStep):
    """A line that has no number yet. `cause`: why it failed, by word; None: it did not, or nobody can say."""

    cause: str | None = None
    said: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True)
class StepRecord(NewStep):
    """The whole line."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Stop:
    """`at`: when the step was last done, or failed; None: not yet, or nobody noted it."""

    step: Step
    mark: Dot
    at: datetime | None = None


def trace(rotation: Rotation, tried: Iterable[TriedStep]) -> tuple[Stop, ...]:
    """The rotation's stops, in order. `tried`: its record, in the order in which it was written."""
    ends, failed = _read_record(tried)
    ends.setdefault(0, rotation.created_at)
    here = _find_place(rotation, ends, failed)
    marks = [_mark(rotation, place, here, failed) for place in range(len(STOPS))]
    return tuple(
        Stop(step=step, mark=mark, at=ends.get(place) if mark in _ENDED else None)
        for place, (step, mark) in enumerate(zip(STOPS, marks, strict=True))
    )


def _read_record(tried: Iterable[TriedStep]) -> tuple[dict[int, datetime], int | None]:
    """When each stop was last done or failed, by its place, and the place at which it failed, if it did so
    since then. A value that was thrown away takes its steps with it.
    """
    ends: dict[int, datetime] = {}
    failed: int | None = None
    for one in tried:
        if one.step == _APPROVE:
            ends[0] = one.at
        if one.step == Step.DISCARD and one.result == StepResult.DONE:
            ends, failed = {place: at for place, at in ends.items() if place == 0}, None
        place = _PLACES.get(one.step)
        if place is None or one.result not in (StepResult.DONE, StepResult.FAILED):
            continue
        ends[place] = one.at
        if one.result == StepResult.FAILED:
            failed = place
        elif failed is not None and failed <= place:
            failed = None
    return ends, failed


def _find_place(rotation: Rotation, ends: Mapping[int, datetime], failed: int | None) -> int:
    """At which stop it is, or was when it broke off; behind the last one: at none."""
    state = rotation.stuck_in if rotation.state is State.STUCK else rotation.state
    if state is State.DONE:
        return len(STOPS)
    if state in NOT_BEGUN:
        return 0
    if state is None or state in _BROKEN_OFF:
        if failed is not None:
            return failed
        reached = max(ends)
        if state is State.CANCELLED and reached == 0:
            return 0
        return min(reached + 1, len(STOPS) - 1)
    step = next_step(state, emergency=rotation.emergency)
    return 0 if step is None else _PLACES[step.value]


def _mark(rotation: Rotation, place: int, here: int, failed: int | None) -> Dot:
    if place > here:
        return Dot.TO_COME
    if place < here:
        return Dot.PASSED_OVER if _is_passed_over(rotation, STOPS[place]) else Dot.DONE
    if rotation.state is State.STUCK:
        return Dot.FAILED
    if rotation.state in _BROKEN_OFF:
        fails = failed is not None or rotation.state is State.DISCARDING or rotation.last_cause is not None
        return Dot.FAILED if fails else Dot.STOPPED
    waits = rotation.state in AT_REST or rotation.waits_for or rotation.failing_since is not None
    return Dot.WAITS if waits else Dot.NOW


def _is_passed_over(rotation: Rotation, step: Step) -> bool:
    if rotation.by_owner:
        return step not in (Step.ADMIT, Step.RETIRE)
    return rotation.emergency and step in _TESTS
