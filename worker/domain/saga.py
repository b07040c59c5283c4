"""A rotation as a table: which step comes next, and what follows from how it ended. Pure.

requested | scheduled | queued → planned → created → installed → accepted → node-tested →
workflow-tested → activated → (canary →) watching → retiring → done.
A rejection before activation: discarding → planned, with another candidate, a bounded number of times.
From any other failure: undoing → rolled-back; and stuck where nothing can be done without a person.
An outage is waited out in the same state: it judges nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vaultcore.errors import Cause
from worker.domain.backoff import backoff
from worker.domain.reasons import Code, Reason


class State(StrEnum):
    REQUESTED = "requested"
    """Waits for a person's approval."""
    SCHEDULED = "scheduled"
    """Its window opens later."""
    QUEUED = "queued"
    """Waits for its turn in this night."""
    PLANNED = "planned"
    CREATED = "created"
    INSTALLED = "installed"
    ACCEPTED = "accepted"
    NODE_TESTED = "node-tested"
    WORKFLOW_TESTED = "workflow-tested"
    ACTIVATED = "activated"
    CANARY = "canary"
    """One workflow uses the new value, the others wait for its first good run."""
    WATCHING = "watching"
    RETIRING = "retiring"
    DISCARDING = "discarding"
    """This candidate was rejected: it is taken away, and another is made."""
    UNDOING = "undoing"
    DONE = "done"
    ROLLED_BACK = "rolled-back"
    STUCK = "stuck"
    CANCELLED = "cancelled"


class Step(StrEnum):
    EXPIRE = "expire"
    ADMIT = "admit"
    CREATE = "create"
    INSTALL = "install"
    VERIFY = "verify"
    TEST_NODES = "node test"
    TEST_WORKFLOWS = "workflow test"
    ACTIVATE = "activate"
    WATCH = "watch"
    RETIRE = "retire"
    DISCARD = "discard"
    UNDO = "undo"


FINISHED = frozenset({State.DONE, State.ROLLED_BACK, State.CANCELLED})
"""The item is free for its next rotation. A stuck one is not finished: a person decides."""

NOT_BEGUN = frozenset({State.REQUESTED, State.SCHEDULED, State.QUEUED})
"""Nothing was made yet, here or outside."""

TOLD = frozenset({State.CANARY, State.WATCHING, State.RETIRING, State.DONE, State.ROLLED_BACK, State.STUCK})
"""It has come to something that its owner hears of in a digest."""

WATCHED = frozenset({State.ACTIVATED, State.CANARY, State.WATCHING})
"""The new value is current, the old one works on."""

BEFORE_ACTIVATION = frozenset(
    {
        State.PLANNED,
        State.CREATED,
        State.INSTALLED,
        State.ACCEPTED,
        State.NODE_TESTED,
        State.WORKFLOW_TESTED,
    }
)

AT_REST = FINISHED | {State.REQUESTED, State.SCHEDULED, State.CANARY, State.WATCHING, State.STUCK}
"""It waits for its time, for consumers or for a person."""

REPLACED = frozenset({State.ACTIVATED, State.CANARY, State.WATCHING, State.RETIRING, State.DONE})
"""The new value is current."""

ON_THE_WAY = REPLACED | BEFORE_ACTIVATION | {State.REQUESTED, State.SCHEDULED, State.QUEUED, State.DISCARDING}
"""It may still come to its good end by itself, or has: what is going back, stuck or cancelled will not."""

_NEXT: dict[State, Step] = {
    State.REQUESTED: Step.EXPIRE,
    State.SCHEDULED: Step.ADMIT,
    State.QUEUED: Step.ADMIT,
    State.PLANNED: Step.CREATE,
    State.CREATED: Step.INSTALL,
    State.INSTALLED: Step.VERIFY,
    State.ACCEPTED: Step.TEST_NODES,
    State.NODE_TESTED: Step.TEST_WORKFLOWS,
    State.WORKFLOW_TESTED: Step.ACTIVATE,
    State.ACTIVATED: Step.WATCH,
    State.CANARY: Step.WATCH,
    State.WATCHING: Step.WATCH,
    State.RETIRING: Step.RETIRE,
    State.DISCARDING: Step.DISCARD,
    State.UNDOING: Step.UNDO,
}

_REACHED: dict[Step, State] = {
    Step.EXPIRE: State.CANCELLED,
    Step.ADMIT: State.PLANNED,
    Step.CREATE: State.CREATED,
    Step.INSTALL: State.INSTALLED,
    Step.VERIFY: State.ACCEPTED,
    Step.TEST_NODES: State.NODE_TESTED,
    Step.TEST_WORKFLOWS: State.WORKFLOW_TESTED,
    Step.ACTIVATE: State.ACTIVATED,
    Step.RETIRE: State.DONE,
    Step.DISCARD: State.PLANNED,
    Step.UNDO: State.ROLLED_BACK,
}

_BEGINNINGS = frozenset({Step.EXPIRE, Step.ADMIT})
_CANNOT_GO_BACK = frozenset({Step.RETIRE, Step.DISCARD, Step.UNDO})
PROPAGATING = frozenset({State.INSTALLED, State.ACCEPTED, State.NODE_TESTED})
"""The value is fresh: who refuses it may not have heard of it yet. The time for that counts over all."""

_MAY_PROPAGATE = frozenset({Step.VERIFY, Step.TEST_NODES, Step.TEST_WORKFLOWS})
_JUDGES_THE_CANDIDATE = frozenset({Step.INSTALL, Step.VERIFY, Step.TEST_NODES, Step.TEST_WORKFLOWS})
_POLL = timedelta(seconds=1)
_POLL_MAX = timedelta(seconds=10)
_NO_MOMENT_LOOK = timedelta(days=1)
"""When is asked again whether a change may be made that no window or freeze leaves a moment for."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """`why` is told; `retry_at` is when trying again can help at the earliest, where that is known."""

    cause: Cause
    why: Reason
    retry_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long is waited and how often is tried.

    `pause` is that before the first try after an outage; it doubles up to `pause_max`. After `attempts`
    tries the night no longer waits for the rotation; after `patience` a person is asked. `candidates`:
    how many replacements one rotation makes at most. `propagation`: how long the other side may take to
    accept a new value. `renew`: a candidate that was refused may be followed by another though the old value
    is dead.
    """

    attempts: int
    pause: timedelta
    pause_max: timedelta
    patience: timedelta
    candidates: int
    propagation: timedelta
    renew: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the present step is. All numbers leave this try out: `outages` since `failing_since`, and
    `polls` of a value that is not accepted yet since `propagating_since`; `candidates` are those that were
    thrown away. `by_owner`: the new value is one that its owner gave, and nobody's to take back. `one_way`: the
    old value stopped working when the new one was issued, so that there is nothing to go back to.
    """

    rotation_id: str
    outages: int = 0
    failing_since: datetime | None = None
    polls: int = 0
    propagating_since: datetime | None = None
    candidates: int = 0
    by_owner: bool = False
    one_way: bool = False


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Where the rotation stands now, when its next step is due, and what it waits for until then."""

    state: State
    next_at: datetime | None
    waits_for: tuple[Reason, ...] = ()
    retries: bool = False
    """The same step again, after an outage: its tries go on being counted."""
    held: bool = False
    """It keeps to the other side's word on when to come back: that try does not count."""
    polls: bool = False
    """The same step again, until the other side accepts the value."""


def next_step(state: State, *, emergency: bool = False) -> Step | None:
    """None: the rotation is at its end, or a person must decide. In an emergency no consumer is tested."""
    if emergency and state in (State.ACCEPTED, State.NODE_TESTED):
        return Step.ACTIVATE
    return _NEXT.get(state)


def is_moving(state: State, waits_for: Sequence[Reason], *, emergency: bool = False) -> bool:
    """Whether a night is not over before this rotation is: it is at work, or waits for its turn in it.

    In an emergency nothing is watched, but what nothing has shown to work waits all the same.
    """
    if state is State.QUEUED or (emergency and state in WATCHED and not waits_for):
        return True
    return state not in AT_REST and not waits_for


def wait_for_moment(state: State, begins_at: datetime | None, *, now: datetime) -> Transition | None:
    """Where a rotation waits until a change may be made: at `begins_at`, where that is known. None: now."""
    if begins_at is not None and begins_at <= now:
        return None
    return Transition(
        state=state if state is State.WORKFLOW_TESTED else State.SCHEDULED,
        next_at=begins_at or now + _NO_MOMENT_LOOK,
        waits_for=(Reason.of(Code.MOMENT, at=begins_at),),
    )


def after_success(step: Step, now: datetime) -> Transition:
    state = _REACHED[step]
    return Transition(state=state, next_at=None if state in FINISHED else now)


def after_failure(
    step: Step, state: State, failure: Failure, *, progress: Progress, limits: Limits, now: datetime
) -> Transition:
    """What follows from a cause.

    An outage is waited out with the same candidate, for as long as patience lasts. A rejection takes
    the candidate away, and makes another while there may be one more. A mistake goes back, or to a
    person where there is no way back or nothing speaks against the new value. Who refuses a fresh value is
    asked again for as long as the other side may take to spread it.
    """
    if failure.cause is Cause.OUTAGE:
        return _wait_out(state, failure, progress=progress, limits=limits, now=now)
    if step in _BEGINNINGS:
        return Transition(state=State.CANCELLED, next_at=None)
    if failure.cause is Cause.REJECTED:
        since = progress.propagating_since or now
        if step in _MAY_PROPAGATE and now - since < limits.propagation:
            pause = backoff(progress.polls + 1, pause=_POLL, most=_POLL_MAX, key=progress.rotation_id)
            return Transition(state=state, next_at=now + pause, polls=True)
        if step is Step.RETIRE and not (
            progress.by_owner or progress.one_way
        ):  # the new value, while the old one works
            return Transition(state=State.UNDOING, next_at=now)
        another = not progress.one_way or limits.renew
        if step in _JUDGES_THE_CANDIDATE and another and progress.candidates + 1 < limits.candidates:
            return Transition(state=State.DISCARDING, next_at=now)
    if step in _CANNOT_GO_BACK or progress.one_way or (step is Step.WATCH and failure.cause is Cause.MISTAKE):
        return Transition(state=State.STUCK, next_at=None)
    return Transition(state=State.UNDOING, next_at=now)


def _wait_out(
    state: State, failure: Failure, *, progress: Progress, limits: Limits, now: datetime
) -> Transition:
    if now - (progress.failing_since or now) >= limits.patience:
        return Transition(state=State.STUCK, next_at=None)
    tries = progress.outages + 1
    pause = backoff(tries, pause=limits.pause, most=limits.pause_max, key=progress.rotation_id)
    waits = Reason.of(Code.OTHER_SIDE, why=failure.why) if tries >= limits.attempts else None
    held = failure.retry_at is not None and failure.retry_at > now + pause
    if failure.retry_at is not None and held:
        pause, waits = failure.retry_at - now, failure.why
    reasons = () if waits is None else (waits,)
    return Transition(state=state, next_at=now + pause, waits_for=reasons, retries=True, held=held)


def slack_ends(since: datetime, lapses_at: datetime | None, patience: timedelta) -> datetime:
    """How long the other side's word is kept to, of one that asks to wait since then: for as long as patience
    lasts, and for half of what was left to the item, so that there is time for another try.
    """
    left = patience if lapses_at is None else min(patience, (lapses_at - since) / 2)
    return since + left
