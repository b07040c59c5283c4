"""Whether a process still does its work, by what it lets be heard. Pure.

Times are seconds of a clock that nobody can set. What is judged is progress: a process may live and do nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from worker.domain.lines import Line


class PulseKind(StrEnum):
    WORKER = "worker"
    BEAT = "beat"
    SERVER = "server"
    """Answers calls and browsers. No night waits for it."""


class Sign(StrEnum):
    """One letter each, as it goes through a pipe."""

    ALIVE = "."
    """A worker looks for what there is to do, for the broker, or is at a task and moves; beat sees that
    nothing waits.
    """
    BEGAN = "("
    ENDED = ")"
    """A message was taken; its task is over."""
    RANG = "r"
    NIGHT_WAITS = "n"
    """Beat lives, and sees messages that wait in this line alone."""
    TARGETS_WAIT = "t"
    BOTH_WAIT = "w"
    AWAY = "a"
    """The broker cannot be reached. It is asked again, and nobody is late meanwhile."""


WAITING: Final[Mapping[Sign, frozenset[Line]]] = {
    Sign.ALIVE: frozenset(),
    Sign.NIGHT_WAITS: frozenset({Line.NIGHT}),
    Sign.TARGETS_WAIT: frozenset({Line.TARGETS}),
    Sign.BOTH_WAIT: frozenset(Line),
}
"""What beat says of lines in which messages wait."""


class Hang(StrEnum):
    """What is wrong with one that lives."""

    NEVER_BEGAN = "never-began"
    SILENT = "silent"
    ENDLESS = "endless"
    """It is at one task for longer than any may take."""
    RINGS_NOT = "rings-not"
    TAKES_NOTHING = "takes-nothing"
    """Messages wait, and no worker takes any."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long each thing may take, in seconds, and how often one may fail to start."""

    start: float = 120
    silence: float = 30
    task: float = 2 * 3600
    ring: float = 120
    take: float = 60
    pause_max: float = 30
    steady: float = 60
    """Who worked for so long is not counted as failing again and again."""
    starts: int = 8
    stop_idle: float = 10
    stop_busy: float = 60


@dataclass(frozen=True, kw_only=True)
class Life:
    """What is known of one process."""

    began_at: float
    ready_at: float | None = None
    heard_at: float | None = None
    busy_since: float | None = None
    rang_at: float | None = None
    waiting_since: Mapping[Line, float] = field(default_factory=dict)
    took_at: float | None = None


def hear(life: Life, signs: str, now: float) -> Life:
    """Afterwards. A letter that is no sign counts for nothing."""
    for letter in signs:
        if letter not in tuple(Sign):
            continue
        ready = now if life.ready_at is None else life.ready_at
        life = replace(life, heard_at=now, ready_at=ready)
        match Sign(letter):
            case Sign.BEGAN:
                life = replace(life, busy_since=now, took_at=now)
            case Sign.ENDED:
                life = replace(life, busy_since=None)
            case Sign.RANG:
                life = replace(life, rang_at=now)
            case Sign.AWAY:
                life = replace(life, rang_at=now, took_at=now, waiting_since={})
            case sign:
                waiting = {line: life.waiting_since.get(line, now) for line in WAITING[sign]}
                life = replace(life, waiting_since=waiting)
    return life


def postpone(life: Life, by: float) -> Life:
    """As if that time had not been: whoever listens was stopped, and the others with him."""

    def later(at: float | None) -> float | None:
        return None if at is None else at + by

    return Life(
        began_at=life.began_at + by,
        ready_at=later(life.ready_at),
        heard_at=later(life.heard_at),
        busy_since=later(life.busy_since),
        rang_at=later(life.rang_at),
        waiting_since={line: at + by for line, at in life.waiting_since.items()},
        took_at=later(life.took_at),
    )


def find_hang(kind: PulseKind, life: Life, patience: Patience, now: float) -> Hang | None:
    """Why this one should be killed and begun again; None: it works."""
    if life.heard_at is None or life.ready_at is None:
        return Hang.NEVER_BEGAN if now - life.began_at > patience.start else None
    if now - life.heard_at > patience.silence:
        return Hang.SILENT
    if life.busy_since is not None and now - life.busy_since > patience.task:
        return Hang.ENDLESS
    last_ring = life.ready_at if life.rang_at is None else life.rang_at
    if kind is PulseKind.BEAT and now - last_ring > patience.ring:
        return Hang.RINGS_NOT
    return None


def take_nothing(workers: Iterable[Life], waiting_since: float | None, patience: Patience, now: float) -> bool:
    """Whether messages of a line have waited for too long while these, who take that line, were ready and none
    took any.
    """
    ready = [life for life in workers if life.ready_at is not None]
    if waiting_since is None or not ready or any(life.busy_since is not None for life in ready):
        return False
    since = max(waiting_since, *(max(life.ready_at or 0, life.took_at or 0) for life in ready))
    return now - since > patience.take


def may_be_killed(life: Life, patience: Patience, told_at: float, now: float) -> bool:
    """One that was told to stop: what it is at is waited for, as long as it moves."""
    waited = now - told_at
    if waited > patience.stop_busy:
        return True
    silent = life.heard_at is not None and now - life.heard_at > patience.silence
    return waited > patience.stop_idle and (life.busy_since is None or silent)


def pause(failures: int, patience: Patience) -> float:
    """Before the next start, after so many that failed one after the other."""
    return float(min(2 ** min(max(failures - 1, 0), 16), patience.pause_max))
