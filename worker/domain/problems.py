"""What keeps a night from ending well, and `status` from being good: kinds, and a sentence for each. Pure.

A problem is something unfinished, failed or overdue, whoever began it and in whichever night. What waits for
its time or for a person as it should is none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from worker.domain.approvals import NOBODY_APPROVED
from worker.domain.commands import quote_word
from worker.domain.findings import FindingKind
from worker.domain.limits import STOPPED
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
    PICKUP = "pickup"
    NOTICE_FAILED = "notice-failed"
    NOTICE_WAITING = "notice-waiting"
    UNREACHED = "unreached"
    HEARTBEAT = "heartbeat"
    SET_ASIDE = "set-aside"
    """At the broker lay what is no message of ours."""
    NO_OPERATORS = "no-operators"
    OPERATORS_UNREACHED = "operators-unreached"


_ORDER = {kind: position for position, kind in enumerate(ProblemKind)}

FAILING_FINDINGS = {
    FindingKind.TAMPERED: ProblemKind.TAMPERED,
    FindingKind.UNREADABLE: ProblemKind.UNREADABLE,
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
    """`subject` is a name: of an item, an owner, a workflow, a night. `id` is the row's, `error` what was said,
    `at` when it goes on, was due, or was last seen; `number`: how many there are of it.
    """

    kind: ProblemKind
    subject: str
    id: str | None = None
    error: str | None = None
    at: datetime | None = None
    number: int = 1


def judge_rotation(  # what a row holds
    state: State,
    *,
    waits_for: tuple[str, ...],
    failed: bool,
    failing: bool,
    error: str | None,
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
        return ProblemKind.NOT_BEGUN if failed or error in (STOPPED, NOBODY_APPROVED) else None
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


_ENDS = {
    State.STUCK: ProblemKind.STUCK,
    State.ROLLED_BACK: ProblemKind.NOT_REPLACED,
    State.UNDOING: ProblemKind.GOING_BACK,
}


def worst_first(problems: Iterable[Problem]) -> list[Problem]:
    """By kind, then by name; one that is there twice is told once."""
    return sorted(dict.fromkeys(problems), key=lambda one: (_ORDER[one.kind], one.subject, one.id or ""))


def describe(problem: Problem) -> str:
    """One sentence for a person: what is wrong, since or until when, and what to type."""
    return _SENTENCES[problem.kind].format(
        subject=problem.subject,
        quoted=quote_word(problem.subject),
        id=problem.id,
        error=problem.error or "for a reason unknown",
        when="soon" if problem.at is None else f"{problem.at:%Y-%m-%d %H:%M} UTC",
        number=problem.number,
        s="" if problem.number == 1 else "s",
    )


_SENTENCES = {
    ProblemKind.OLDER: "{error}",
    ProblemKind.TAMPERED: "{subject}: {error} (nightkey audit verify --rows)",
    ProblemKind.DIFFERS: "{subject} differs from its target since the restore, and is neither rotated nor "
    "revoked: {error} (nightkey reconcile list)",
    ProblemKind.NOT_COMPARED: "{number} item{s} not compared with the target since the restore, and "
    "not rotated before that (nightkey reconcile run)",
    ProblemKind.NOBODY_WORKS: "nobody is working: the last worker was seen {when}; start `nightkey up`",
    ProblemKind.NO_WORKER: "beat rings, and no worker hears it, since {when}: start `nightkey up`",
    ProblemKind.NO_BEAT: "workers wait, and no beat rings, since {when}: start `nightkey up`",
    ProblemKind.NIGHT_LATE: "the night of {when} was not begun: start `nightkey up`, or run `nightkey night`",
    ProblemKind.NIGHT_CUT_OFF: "the night of {when} was begun and has not ended: run `nightkey night`",
    ProblemKind.NIGHT_NOT_SCANNED: "the night of {when} could not be scanned: {error}",
    ProblemKind.NIGHT_FAILED: "the night of {when} did not end well",
    ProblemKind.STUCK: "{subject} is stuck: {error} (nightkey rotation show {id})",
    ProblemKind.NOT_REPLACED: "{subject} was not replaced: {error} (nightkey rotation show {id})",
    ProblemKind.GOING_BACK: "{subject} takes its new value back: {error} (nightkey rotation show {id})",
    ProblemKind.NOT_BEGUN: "{subject} was not begun: {error} (nightkey rotation show {id})",
    ProblemKind.RETRYING: "{subject} is not replaced yet, next try {when}: {error} "
    "(nightkey rotation show {id})",
    ProblemKind.HELD: "{subject} is not replaced yet: a worker holds it until {when} "
    "(nightkey rotation show {id})",
    ProblemKind.UNFINISHED: "{subject} is not replaced yet: its next step was due {when} "
    "(nightkey rotation show {id})",
    ProblemKind.DUE_AGAIN: "{subject} is due and is not replaced, next try {when}: {error} "
    "(nightkey item rotate {quoted})",
    ProblemKind.UNREADABLE: "{subject}: {error}",
    ProblemKind.USES_EXPIRED: "{subject}: {error}",
    ProblemKind.MISSING: "{subject} does not exist: {error}",
    ProblemKind.NO_VALUE: "{subject} waits for its value, and an active workflow uses it "
    "(nightkey item show {quoted})",
    ProblemKind.PICKUP: "the new key of {subject} waits since {when} and has arrived with nobody: "
    "its owner collects it with the token of their notice (nightkey notice list)",
    ProblemKind.NOTICE_FAILED: "{subject} could not be told {error} (nightkey notice show {id})",
    ProblemKind.NOTICE_WAITING: "{subject} is not told yet, next try {when}: {error} "
    "(nightkey notice show {id})",
    ProblemKind.UNREACHED: "{subject} has no route, so {number} notice{s} reached nobody: "
    "nightkey owner route {quoted} --route-file PATH",
    ProblemKind.HEARTBEAT: "the heartbeat of {when} ({subject}) did not arrive: {error}",
    ProblemKind.SET_ASIDE: "{number} message{s} of somebody else at the broker, the last {when}: {error}. "
    "Nothing of it was obeyed; look who may write there, and at {subject} in the worker's data folder",
    ProblemKind.NO_OPERATORS: "nobody has the name {subject} of the setting operators, so nobody hears of "
    "failed nights: nightkey owner create {quoted} --route-file PATH",
    ProblemKind.OPERATORS_UNREACHED: "{subject}, who hear of failed nights, have no route: "
    "nightkey owner route {quoted} --route-file PATH",
}
