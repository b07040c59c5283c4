"""What is wrong with a night, or with how things stand: a sentence for each kind of problem."""

from typing import Final

from worker.domain.commands import quote_word
from worker.domain.problems import Problem, ProblemKind
from worker.wording.reasons import say


def describe(problem: Problem) -> str:
    """One sentence for a person: what is wrong, since or until when, and what to type."""
    sentence, command = describe_apart(problem)
    return f"{sentence} ({command})" if command else sentence


def describe_apart(problem: Problem) -> tuple[str, str | None]:
    """The same as two: what is wrong, and what to type, where the sentence does not say that itself."""
    given = {
        "subject": problem.subject,
        "quoted": quote_word(problem.subject),
        "id": problem.id,
        "error": say(problem.error) or "for an unknown reason",
        "when": "soon" if problem.at is None else f"{problem.at:%Y-%m-%d %H:%M} UTC",
        "number": f"{problem.number:,}",
        "s": "" if problem.number == 1 else "s",
    }
    several = problem.number > 1 and problem.kind in _OF_SEVERAL
    sentence, command = (
        _OF_SEVERAL[problem.kind] if several else (_SENTENCES[problem.kind], _COMMANDS.get(problem.kind))
    )
    return sentence.format(**given), command and command.format(**given)


_SENTENCES: Final = {
    ProblemKind.OLDER: "{error}",
    ProblemKind.TAMPERED: "{subject}: {error}",
    ProblemKind.DIFFERS: "{subject} differs from its target since the restore, and is neither rotated"
    " nor revoked: {error}",
    ProblemKind.NOT_COMPARED: "{number} item{s} not compared with the target since the restore, and "
    "not rotated before that",
    ProblemKind.NOBODY_WORKS: "nobody is working: the last worker was seen {when}; start `nightkey up`",
    ProblemKind.NO_WORKER: "beat rings, and no worker hears it, since {when}: start `nightkey up`",
    ProblemKind.NO_BEAT: "workers wait, and no beat rings, since {when}: start `nightkey up`",
    ProblemKind.NIGHT_LATE: "the night of {when} was not begun: start `nightkey up`, or run `nightkey night`",
    ProblemKind.NIGHT_CUT_OFF: "the night of {when} was begun and has not ended: run `nightkey night`",
    ProblemKind.NIGHT_NOT_SCANNED: "the night of {when} could not be scanned: {error}",
    ProblemKind.NIGHT_FAILED: "the night of {when} did not end well",
    ProblemKind.REFUSED: "{subject} does not work any more: {error}",
    ProblemKind.STUCK: "{subject} is stuck: {error}",
    ProblemKind.NOT_REPLACED: "{subject} was not replaced: {error}",
    ProblemKind.GOING_BACK: "{subject} takes its new value back: {error}",
    ProblemKind.NOT_BEGUN: "{subject} was not begun: {error}",
    ProblemKind.RETRYING: "{subject} is not replaced yet, next try {when}: {error}",
    ProblemKind.HELD: "{subject} is not replaced yet: a worker holds it until {when}",
    ProblemKind.UNFINISHED: "{subject} is not replaced yet: its next step was due {when}",
    ProblemKind.DUE_AGAIN: "{subject} is due and is not replaced, next try {when}: {error}",
    ProblemKind.UNREADABLE: "{subject}: {error}",
    ProblemKind.USES_EXPIRED: "{subject}: {error}",
    ProblemKind.MISSING: "{subject} does not exist: {error}",
    ProblemKind.NO_VALUE: "{subject} waits for its value, and an active workflow uses it",
    ProblemKind.LAPSED: "{subject} lapsed at {when}",
    ProblemKind.PICKUP: "the new key of {subject} waits since {when} and has arrived with nobody: its"
    " owner collects it with the token of their notice",
    ProblemKind.NOTICE_FAILED: "{subject} could not be told {error}",
    ProblemKind.NOTICE_WAITING: "{subject} is not told yet, next try {when}: {error}",
    ProblemKind.UNREACHED: "{subject} has no route, so {number} notice{s} reached nobody",
    ProblemKind.HEARTBEAT: "the heartbeat of {when} ({subject}) did not arrive: {error}",
    ProblemKind.SET_ASIDE: "{number} message{s} of somebody else at the broker, the last {when}: "
    "{error}. Nothing of it was obeyed; look who may write there, and at "
    "{subject} in the worker's data folder",
    ProblemKind.LEFT_OVER: "{number} message{s} at the broker sent more than a day ago, or by a clock that is "
    "ahead, the last found {when}. No worker took what was sent, or somebody put it there again. Nothing of "
    "it was obeyed, and what is due is found all the same; it is in {subject} in the worker's data folder",
    ProblemKind.NO_OPERATORS: "nobody has the name {subject} of the setting operators, so nobody "
    "hears of failed nights",
    ProblemKind.OPERATORS_UNREACHED: "{subject}, who hear of failed nights, have no route",
}
_COMMANDS: Final = {
    ProblemKind.TAMPERED: "nightkey audit verify --rows",
    ProblemKind.DIFFERS: "nightkey reconcile list",
    ProblemKind.NOT_COMPARED: "nightkey reconcile run",
    ProblemKind.REFUSED: "nightkey item show {quoted}",
    ProblemKind.STUCK: "nightkey rotation show {id}",
    ProblemKind.NOT_REPLACED: "nightkey rotation show {id}",
    ProblemKind.GOING_BACK: "nightkey rotation show {id}",
    ProblemKind.NOT_BEGUN: "nightkey rotation show {id}",
    ProblemKind.RETRYING: "nightkey rotation show {id}",
    ProblemKind.HELD: "nightkey rotation show {id}",
    ProblemKind.UNFINISHED: "nightkey rotation show {id}",
    ProblemKind.DUE_AGAIN: "nightkey item rotate {quoted}",
    ProblemKind.NO_VALUE: "nightkey item show {quoted}",
    ProblemKind.LAPSED: "nightkey item show {quoted}",
    ProblemKind.PICKUP: "nightkey notice list",
    ProblemKind.NOTICE_FAILED: "nightkey notice show {id}",
    ProblemKind.NOTICE_WAITING: "nightkey notice show {id}",
    ProblemKind.UNREACHED: "nightkey owner route {quoted} --route-file PATH",
    ProblemKind.NO_OPERATORS: "nightkey owner create {quoted} --route-file PATH",
    ProblemKind.OPERATORS_UNREACHED: "nightkey owner route {quoted} --route-file PATH",
}
_OF_SEVERAL: Final = {
    ProblemKind.LAPSED: (
        "{number} items have lapsed, the first of them {subject} at {when}",
        "nightkey item list --state lapsed --sort expires",
    ),
}
"""Where one problem tells of several: its sentence and command then."""
