"""Signs of life of workers and beat: whether anybody works, and since when without a long silence. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from worker.domain.clocks import SKEW, is_ahead
from worker.domain.pulses import PulseKind

MISSED = 3
"""So many signs in a row that did not come are a silence."""


@dataclass(frozen=True, kw_only=True)
class SignOfLife:
    """One process: it was begun and last seen then, and is to be seen again within `every`."""

    id: str
    kind: PulseKind
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    every: timedelta


class Presence(StrEnum):
    NEVER = "never"
    """No worker and no beat was ever seen: nights are begun by hand, or by a timer of its owner's."""
    WORKING = "working"
    NO_WORKER = "no-worker"
    """Beat rings, and nobody hears it."""
    NO_BEAT = "no-beat"
    """Workers wait, and nobody rings: no night begins."""
    SILENT = "silent"
    """There were some, and none of them is there any more."""


def begun_at(begun: datetime, seen: datetime, now: datetime, *, age: timedelta, silence: timedelta) -> datetime:
    """When a process was begun that said so when it was last seen, and has lived for so long by a steady clock.

    A machine that slept, or a virtual one that was stopped, was silent for that time. Where more went by than a
    silence, or less than nothing, somebody set the wall clock: then the age alone is known.
    """
    return begun if timedelta(0) <= now - seen <= silence else now - age


def is_there(sign: SignOfLife, now: datetime) -> bool:
    """Whether this one still lives. One that was seen in the future is renewed soon, if it does."""
    return not is_ahead(sign.seen_at, now) and now - sign.seen_at <= MISSED * sign.every + SKEW


def find_presence(signs: Iterable[SignOfLife], now: datetime) -> Presence:
    known = tuple(signs)
    there = {sign.kind for sign in known if is_there(sign, now)}
    if not known:
        return Presence.NEVER
    if there == {PulseKind.WORKER, PulseKind.BEAT}:
        return Presence.WORKING
    if not there:
        return Presence.SILENT
    return Presence.NO_BEAT if PulseKind.WORKER in there else Presence.NO_WORKER


def last_seen(signs: Iterable[SignOfLife], now: datetime) -> datetime | None:
    """When anybody was last seen; None: never, or only by a clock that was wrong."""
    return max((sign.seen_at for sign in signs if not is_ahead(sign.seen_at, now)), default=None)


def awake_since(signs: Iterable[SignOfLife], now: datetime, *, silence: timedelta) -> datetime:
    """Since when somebody has been there without a silence that is longer than that; `now` if nobody was."""
    since = now
    trusted = (sign for sign in signs if not is_ahead(sign.seen_at, now))
    for sign in sorted(trusted, key=lambda sign: sign.seen_at, reverse=True):
        if since - sign.seen_at > silence:
            break
        since = min(since, sign.started_at)
    return since
