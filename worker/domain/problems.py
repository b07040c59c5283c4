"""What keeps a night from ending well, and `status` from being good: kinds. Pure.

A problem is something unfinished, failed or overdue, whoever began it and in whichever night. What waits for
its time or for a person as it should is none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from worker.domain.findings import FindingKind
from worker.domain.reasons import Code, Reason
from worker.domain.saga import State, is_moving

LATE = timedelta(minutes=15)
"""How long after its time a step may begin before nobody seems to be at it."""

RESTING_LATE = timedelta(hours=25)
"""The same for a rotation that only watches: where one night a day is all there is, it waits for that."""


class ProblemKind(StrEnum):
    """Worst first: the order in which they are told."""

    OLDER = "older"
    """The database is not the one that was here."""
    NOBODY_WORKS = "nobody-works"
    NO_WORKER = "no-worker"
    NO_BEAT = "no-beat"
    NIGHT_LATE = "night-late"
    NIGHT_CUT_OFF = "night-cut-off"
    NIGHT_NOT_SCANNED = "night-not-scanned"
    NIGHT_FAILED = "night-failed"
    TAMPERED = "tampered"
    DIFFERS = "differs"
    NOT_COMPARED = "not-compared"
    REFUSED = "refused"
    STUCK = "stuck"
    NOT_REPLACED = "not-replaced"
    GOING_BACK = "going-back"
    NOT_BEGUN = "not-begun"
    RETRYING = "retrying"
    HELD = "held"
    UNFINISHED = "unfinished"
    DUE_AGAIN = "due-again"
    UNREADABLE = "unreadable"
    USES_EXPIRED = "expired"
    MISSING = "missing"
    NO_VALUE = "no-value"
    LAPSED = "lapsed"
    """Items that nothing replaces and nobody has said that they know of: all of them as one, by the first."""
    PICKUP = "pickup"
    NOTICE_FAILED = "notice-failed"
    NOTICE_WAITING = "notice-waiting"
    UNREACHED = "unreached"
    HEARTBEAT = "heartbeat"
    SET_ASIDE = "set-aside"
    """At the broker lay what is no message of ours."""
    LEFT_OVER = "left-over"
    """At the broker lay messages of ours that nobody had taken in time. No night fails by it."""
    NO_OPERATORS = "no-operators"
    OPERATORS_UNREACHED = "operators-unreached"


_ORDER = {kind: position for position, kind in enumerate(ProblemKind)}

_OF_THE_WHOLE = frozenset(
    {
        ProblemKind.OLDER,
        ProblemKind.NOBODY_WORKS,
        ProblemKind.NO_WORKER,
        ProblemKind.NO_BEAT,
        ProblemKind.NIGHT_LATE,
        ProblemKind.NIGHT_CUT_OFF,
        ProblemKind.NIGHT_NOT_SCANNED,
        ProblemKind.NIGHT_FAILED,
    }
)


_OF_AN_OWNER = frozenset({ProblemKind.NOTICE_FAILED, ProblemKind.NOTICE_WAITING, ProblemKind.UNREACHED})


def is_of_an_owner(kind: str) -> bool:
    """Whether its subject is an owner, who did not hear of something."""
    return kind in _OF_AN_OWNER


def is_of_the_whole(kind: str) -> bool:
    """Whether it is about no item or owner, so that whoever sees nights may see it."""
    return kind in _OF_THE_WHOLE


FAILING_FINDINGS = {
    FindingKind.TAMPERED: ProblemKind.TAMPERED,
    FindingKind.UNREADABLE: ProblemKind.UNREADABLE,
    FindingKind.REFUSED: ProblemKind.REFUSED,
    FindingKind.USES_EXPIRED: ProblemKind.USES_EXPIRED,
    FindingKind.MISSING: ProblemKind.MISSING,
    FindingKind.NO_VALUE: ProblemKind.NO_VALUE,
}
"""Findings that are no advice: an item was passed over, or an active workflow fails at its next run."""


NO_NEWS = frozenset(
    {ProblemKind.USES_EXPIRED, ProblemKind.MISSING, ProblemKind.NO_VALUE, ProblemKind.UNREACHED}
)
"""What operators are not told of as such: of the first three owners hear in digests, which go on to them in
time; the last means that nothing reaches the operators either."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`subject` is a name: of an item, an owner, a workflow, a night. `id` is the row's, `error` why,
    `at` when it goes on, was due, or was last seen; `number`: how many there are of it.
    """

    kind: ProblemKind
    subject: str
    id: str | None = None
    error: Reason | None = None
    at: datetime | None = None
    number: int = 1


def judge_rotation(  # what a row holds
    state: State,
    *,
    waits_for: Sequence[Reason],
    failed: bool,
    failing: bool,
    error: Reason | None,
    next_at: datetime | None,
    lease_until: datetime | None,
    now: datetime,
    at_end: bool,
) -> ProblemKind | None:
    """What is wrong with a rotation, if anything. `failed`: its last try had a cause; `failing`: its
    step is tried again, since the other side is away or asked to wait.

    `at_end`: nobody waits for it any longer, so that one which still moves is unfinished. Otherwise only one
    whose step should long have begun is.
    """
    if state in _ENDS:
        return _ENDS[state]
    if state is State.CANCELLED:
        return ProblemKind.NOT_BEGUN if failed or (error is not None and error.code in _STOPPED) else None
    if state is State.DONE:
        return None
    if failing:
        return ProblemKind.RETRYING
    held = lease_until is not None
    if at_end and is_moving(state, waits_for):
        return ProblemKind.HELD if held else ProblemKind.UNFINISHED
    if held and lease_until is not None and lease_until > now:
        return None
    patience = LATE if is_moving(state, waits_for) else RESTING_LATE
    late = next_at is not None and next_at + patience < now
    return ProblemKind.UNFINISHED if late else None


_STOPPED = frozenset({Code.NIGHT_STOPPED, Code.NOBODY_APPROVED})
"""It should have begun, and somebody or something kept it from that."""
_ENDS = {
    State.STUCK: ProblemKind.STUCK,
    State.ROLLED_BACK: ProblemKind.NOT_REPLACED,
    State.UNDOING: ProblemKind.GOING_BACK,
}


def worst_first(problems: Iterable[Problem]) -> list[Problem]:
    """By kind, then by name; one that is there twice is told once."""
    return sorted(dict.fromkeys(problems), key=lambda one: (_ORDER[one.kind], one.subject, one.id or ""))
