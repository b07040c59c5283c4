"""How much harm one night may do: caps, the first of each target, and a breaker. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from worker.domain.backoff import double
from worker.domain.reasons import Code, Reason
from worker.domain.saga import State

NIGHT = timedelta(days=1)
"""From one to the next."""
SUCCEEDED = frozenset({State.CANARY, State.WATCHING, State.RETIRING, State.DONE})
FAILED = frozenset({State.UNDOING, State.ROLLED_BACK, State.STUCK})
IN_THE_WAY = frozenset(State) - SUCCEEDED - FAILED - {State.CANCELLED, State.REQUESTED, State.SCHEDULED}
"""Whoever is at its target system after it waits for one of these, until one there has succeeded."""


@dataclass(frozen=True, kw_only=True)
class Caps:
    """At most so many rotations a night, and so many of one target."""

    night: int
    target: int


@dataclass(frozen=True, kw_only=True)
class CapsLeft:
    """What is left of a night's caps, taken one by one in the order of expiry."""

    caps: Caps
    taken: int = 0
    by_target: Mapping[str, int] = field(default_factory=dict)

    def find_full(self, target: str | None) -> Reason | None:
        """Why there is no room for another one; None: there is."""
        if self.taken >= self.caps.night:
            return Reason.of(Code.NIGHT_FULL, number=self.caps.night)
        if target is not None and self.by_target.get(target, 0) >= self.caps.target:
            return Reason.of(Code.TARGET_FULL, number=self.caps.target, target=target)
        return None

    def left(self) -> int:
        """How many more have room whatever their target is."""
        fullest = max(self.by_target.values(), default=0)
        return min(self.caps.night - self.taken, self.caps.target - fullest)

    def take(self, target: str | None, number: int = 1) -> "CapsLeft":
        by_target = dict(self.by_target)
        if target is not None:
            by_target[target] = by_target.get(target, 0) + number
        return replace(self, taken=self.taken + number, by_target=by_target)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A due item that could be rotated tonight. `urgent`: it is, whether there is room or not."""

    item_id: str
    expires_at: datetime
    target: str | None
    urgent: bool


def share_out(contenders: Iterable[Contender], caps_left: CapsLeft) -> tuple[frozenset[str], CapsLeft]:
    """Whose turn it is tonight, the first to expire first, and what is left of the caps then."""
    chosen = set()
    for contender in sorted(contenders, key=lambda one: (one.expires_at, one.item_id)):
        if contender.urgent or caps_left.find_full(contender.target) is None:
            chosen.add(contender.item_id)
            caps_left = caps_left.take(contender.target)
    return frozenset(chosen), caps_left


def cannot_wait(expires_at: datetime, overlap: timedelta, now: datetime) -> bool:
    """Whether an item that is left for another night would lapse, or overlap too shortly."""
    return expires_at - overlap - NIGHT <= now


def when_to_begin(
    *,
    opens: datetime | None,
    expires_at: datetime | None,
    overlap: timedelta,
    expiry_first: bool,
    now: datetime,
) -> datetime | None:
    """When a change may be made: at `opens`, the next moment that windows and freezes allow (None: none).

    Where the value would lapse, or its overlap be cut short, before that moment, expiry comes first and
    the moment is now; unless the policy says otherwise. None: never.
    """
    if opens is not None and opens <= now:
        return now
    if expiry_first and expires_at is not None and (opens is None or opens > expires_at - overlap):
        return max(now, expires_at - overlap - NIGHT)
    return opens


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """Stops a night when at least `failures` rotations have failed, and these are at least `share` (0 to 1)
    of those that came to an end.
    """

    failures: int
    share: float

    def is_open(self, *, failed: int, succeeded: Callable[[], int]) -> bool:
        """How many of the night's rotations came to what. Those that succeeded are many, and are counted only
        where enough have failed.
        """
        return failed >= self.failures and failed >= self.share * (failed + succeeded())


class Turn(StrEnum):
    GO = "go"
    QUEUE = "queue"
    """Its turn comes in this night."""
    REST = "rest"
    """Its turn comes when the one before it goes on, and the night does not wait for that."""
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """`why`: what it waits for, or why it does not begin; None: it begins."""

    turn: Turn
    why: Reason | None = None


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Another rotation of the same night. `moving` is false for one that waits for something outside."""

    item: str
    moving: bool


def admit(*, stopped: bool, first: Neighbour | None) -> Admitted:
    """Whether a queued rotation may begin.

    `stopped`: the night's breaker is open. `first`: of those of the night that have the same target and were
    opened before this one, the first that stands in one of the states `IN_THE_WAY`; None where there is none,
    or one of the others has succeeded. So the first of a target must succeed before the others start; where it
    fails, the next is the first.
    """
    if stopped:
        return Admitted(turn=Turn.STOP, why=Reason.of(Code.NIGHT_STOPPED))
    if first is None:
        return Admitted(turn=Turn.GO)
    turn = Turn.QUEUE if first.moving else Turn.REST
    return Admitted(turn=turn, why=Reason.of(Code.FIRST_AT_TARGET, item=first.item))


def frees_others(before: State, after: State) -> bool:
    """Whether those that wait behind a rotation at its target look again when it goes from one to the other: it
    has succeeded, failed, or does not come.
    """
    ends = next((one for one in (SUCCEEDED, FAILED, {State.CANCELLED}) if after in one), None)
    return ends is not None and before not in ends


def hold_after_decision(pause: timedelta, *, expires_at: datetime | None, now: datetime) -> datetime:
    """When the night asks again of an item whose rotation a person ended with the old value in place: after
    `pause`, or half of what is left.
    """
    return now + _at_most_half(pause, expires_at=expires_at, now=now)


def hold_until(failures: int, *, base: timedelta, expires_at: datetime | None, now: datetime) -> datetime:
    """When an item whose rotation failed so many times in a row is tried again.

    `base` the first time, doubled each time up to a week, and never more than half of what is left.
    """
    pause = double(failures, pause=base, most=max(base, timedelta(days=7)))
    return now + _at_most_half(pause, expires_at=expires_at, now=now)


def _at_most_half(pause: timedelta, *, expires_at: datetime | None, now: datetime) -> timedelta:
    """Of what is left; the whole pause where nothing is."""
    if expires_at is None or expires_at <= now:
        return pause
    return min(pause, (expires_at - now) / 2)
