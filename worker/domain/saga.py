"""A rotation as a table: which step comes next, and what follows from how it ended. Pure.

planned → created → installed → node-tested → workflow-tested → activated → watching → done;
from any failure on the way: undoing → rolled-back; and stuck where undoing or retiring fails.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vaultcore.errors import Cause
from vaultcore.model import Consumer, Reference


class State(StrEnum):
    PLANNED = "planned"
    CREATED = "created"
    INSTALLED = "installed"
    NODE_TESTED = "node-tested"
    WORKFLOW_TESTED = "workflow-tested"
    ACTIVATED = "activated"
    WATCHING = "watching"
    UNDOING = "undoing"
    DONE = "done"
    ROLLED_BACK = "rolled-back"
    STUCK = "stuck"
    CANCELLED = "cancelled"


class Step(StrEnum):
    CREATE = "create"
    INSTALL = "install"
    TEST_NODES = "node test"
    TEST_WORKFLOWS = "workflow test"
    ACTIVATE = "activate"
    WATCH = "watch"
    RETIRE = "retire"
    UNDO = "undo"


FINISHED = frozenset({State.DONE, State.ROLLED_BACK, State.CANCELLED})
"""The item is free for its next rotation. A stuck one is not finished: a person decides."""

MOVING = frozenset(set(State) - FINISHED - {State.WATCHING, State.STUCK})
"""A night is not over while one of its rotations is moving."""

_NEXT: dict[State, Step] = {
    State.PLANNED: Step.CREATE,
    State.CREATED: Step.INSTALL,
    State.INSTALLED: Step.TEST_NODES,
    State.NODE_TESTED: Step.TEST_WORKFLOWS,
    State.WORKFLOW_TESTED: Step.ACTIVATE,
    State.ACTIVATED: Step.WATCH,
    State.WATCHING: Step.WATCH,
    State.UNDOING: Step.UNDO,
}

_REACHED: dict[Step, State] = {
    Step.CREATE: State.CREATED,
    Step.INSTALL: State.INSTALLED,
    Step.TEST_NODES: State.NODE_TESTED,
    Step.TEST_WORKFLOWS: State.WORKFLOW_TESTED,
    Step.ACTIVATE: State.ACTIVATED,
    Step.WATCH: State.WATCHING,
    Step.RETIRE: State.DONE,
    Step.UNDO: State.ROLLED_BACK,
}

_CANNOT_GO_BACK = frozenset({Step.RETIRE, Step.UNDO})


@dataclass(frozen=True, kw_only=True)
class Failure:
    cause: Cause
    message: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How often a step is tried when the other side is away, and the first pause between tries."""

    attempts: int
    pause: timedelta


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Where the rotation stands now, how often its next step was tried, and when that is due."""

    state: State
    attempts: int
    next_at: datetime | None


def next_step(state: State) -> Step | None:
    """None: the rotation is at its end, or a person must decide."""
    return _NEXT.get(state)


def after_success(step: Step, now: datetime) -> Transition:
    state = _REACHED[step]
    return Transition(state=state, attempts=0, next_at=None if state in FINISHED else now)


def after_waiting(now: datetime, until: datetime) -> Transition:
    """Watching goes on: nothing is due before `until`."""
    return Transition(state=State.WATCHING, attempts=0, next_at=max(now, until))


def after_failure(
    step: Step, state: State, failure: Failure, *, attempts: int, limits: Limits, now: datetime
) -> Transition:
    """An outage is waited out, a bounded number of times; all else goes back, or gets stuck.

    `attempts` counts the tries of this step, this one included.
    """
    if failure.cause is Cause.OUTAGE and attempts < limits.attempts:
        pause = limits.pause * 2 ** (attempts - 1)
        return Transition(state=state, attempts=attempts, next_at=now + pause)
    if step in _CANNOT_GO_BACK:
        return Transition(state=State.STUCK, attempts=attempts, next_at=None)
    return Transition(state=State.UNDOING, attempts=0, next_at=now)


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One reason why the old value is not taken away yet. `until` is known for the overlap alone."""

    reason: str
    until: datetime | None = None
    unproven: str | None = None


def retirement_waits(
    *,
    references: Iterable[Reference],
    new_number: int,
    activated_at: datetime,
    overlap: timedelta,
    unclaimed: bool,
    now: datetime,
) -> tuple[Wait, ...]:
    """What the retirement of the old version waits for; nothing: it may go.

    The overlap, a claim that was not made, pins to another version, and the first good production
    run of every active workflow on the new version.
    """
    waits = []
    end = activated_at + overlap
    if now < end:
        waits.append(Wait(reason=f"the overlap, until {end:%Y-%m-%d %H:%M:%S} UTC", until=end))
    if unclaimed:
        waits.append(Wait(reason="its owner, who has not collected the new key"))
    workflows: dict[str, bool] = {}
    for reference in references:
        if reference.consumer is not Consumer.WORKFLOW:
            continue
        if reference.pinned not in (None, new_number):
            waits.append(
                Wait(reason=f"{reference.consumer_name}, which is pinned to version {reference.pinned}")
            )
        elif reference.active:
            proven = reference.proven_version == new_number
            workflows[reference.consumer_name] = workflows.get(reference.consumer_name, False) or proven
    waits += [
        Wait(reason=f"the first good production run of {name}", unproven=name)
        for name, proven in sorted(workflows.items())
        if not proven
    ]
    return tuple(waits)
