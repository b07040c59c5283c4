"""Whether credentials still work: which are asked of tonight, when again, and what an answer means. Pure.

Every credential that a rotator can ask about is asked of once in so many days, spread over the nights by a
stable hash of its item's id. A night asks no more than so many at one target system, one after the other, and
nothing twice. An outage leaves the rest of that target to another night. A credential that was refused is asked
again when its value has changed, when a person wants it, or after a long while: a login that fails night after
night locks an account.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vaultcore.rules import fraction_of
from worker.domain.backoff import double
from worker.domain.commands import quote_word, replace_command
from worker.domain.findings import Finding, FindingKind, find_of_item
from worker.domain.reasons import Code, Reason
from worker.domain.saga import NOT_BEGUN, WATCHED, State

_SLACK = timedelta(hours=12)
"""What is due within this is due: nights do not begin to the minute, and what was asked of a little after the
beginning of one is asked of again in the right night, not in the one after."""
_NEXT_NIGHT = timedelta(days=1)
_AWAY_MAX = timedelta(days=7)
_REFUSED_AGAIN = timedelta(days=28)
_REFUSED_ROUNDS = 4
BEGUN_MAX = 3
"""How often a check is begun whose worker does not come back, before it is left alone."""
WAITED_FOR = timedelta(hours=6)
"""How long a night waits for its checks; what nobody has done by then is left to the next one."""

UNDISTURBED = NOT_BEGUN | WATCHED | {State.RETIRING}
"""The states of a rotation in which the other side should accept the current value: nothing was made yet, or
the new one is current."""


class CheckOutcome(StrEnum):
    ACCEPTED = "accepted"
    """And a made-up value was refused by the same check."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    """The other side was away, or asked to wait: that judges nothing."""
    CANNOT_TELL = "cannot-tell"
    """The check could not be made, or takes a made-up value, too."""


class CheckStanding(StrEnum):
    """Whether an item that is due is asked of tonight."""

    ASK = "ask"
    NOT_NOW = "not-now"
    """It lapsed, has no value, is being replaced, or differs since a restore: another night."""
    NOBODY = "nobody"
    """No other side could say whether it works: it is looked at again after a whole round."""


@dataclass(frozen=True, kw_only=True)
class CheckPace:
    """`every`: how often each credential is asked of; none: never by night. `per_target`: how many of one
    target system in one night, at most.
    """

    every: timedelta
    per_target: int

    @property
    def is_on(self) -> bool:
        return self.every > timedelta(0)


@dataclass(frozen=True, kw_only=True)
class CheckCandidate:
    """An item that could be asked of tonight. `target`: the system, or the item itself where it names none."""

    item_id: str
    target: str


@dataclass(frozen=True, kw_only=True)
class CheckAnswer:
    """What a check came to. `target`: who was asked, by the name that people know it by; None: it has none."""

    outcome: CheckOutcome
    detail: Reason
    target: str | None = None


def first_at(item_id: str, *, every: timedelta, now: datetime) -> datetime:
    """When a credential is asked of first, by its own share of a round: a thousand that came in on one day do
    not come due in one night.
    """
    return now + every * fraction_of(f"check {item_id}")


def again_at(outcome: CheckOutcome, *, outages: int, every: timedelta, now: datetime) -> datetime:
    """When a night may ask again. `outages` in a row, this one included: each doubles the wait."""
    if outcome is CheckOutcome.UNREACHABLE:
        most = max(every, _AWAY_MAX)
        return now + double(outages, pause=_NEXT_NIGHT, most=most) - _SLACK
    if outcome is CheckOutcome.REFUSED:
        return now + max(_REFUSED_ROUNDS * every, _REFUSED_AGAIN) - _SLACK
    return now + max(every, _NEXT_NIGHT) - _SLACK


def stand(
    *,
    asks: bool,
    has_value: bool,
    expires_at: datetime | None,
    rotating: bool,
    differs: bool,
    now: datetime,
) -> CheckStanding:
    """`asks`: whether there is anybody to ask. `differs`: it was not compared with its target yet since a
    restore, or differs from it.
    """
    if not asks:
        return CheckStanding.NOBODY
    lapsed = expires_at is not None and expires_at <= now
    return CheckStanding.NOT_NOW if rotating or differs or lapsed or not has_value else CheckStanding.ASK


def way_back(item: str, *, can_set_anew: bool, lifetime: timedelta | None) -> str:
    """The one command that helps where the other side refuses the value: its rotator sets another by rights of
    its own; or a person gives one that works.
    """
    return f"nightkey item rotate {quote_word(item)}" if can_set_anew else replace_command(item, lifetime)


def find_refused(
    item_id: str, item: str, *, said: Reason, can_set_anew: bool, lifetime: timedelta | None, next_at: datetime
) -> Finding:
    return find_of_item(
        FindingKind.REFUSED,
        item_id,
        item,
        detail=said,
        does=Reason.of(Code.DOES_NOTHING, why=Reason.of(Code.ASKED_AGAIN, at=next_at)),
        command=way_back(item, can_set_anew=can_set_anew, lifetime=lifetime),
    )


def choose(
    candidates: Iterable[CheckCandidate], taken: Mapping[str, int], *, per_target: int
) -> tuple[list[CheckCandidate], dict[str, int]]:
    """Those that are asked of tonight, first come first, and how many each target has then. What there is no
    room for stays first in line.
    """
    chosen, counted = [], dict(taken)
    for one in candidates:
        if counted.get(one.target, 0) < per_target:
            counted[one.target] = counted.get(one.target, 0) + 1
            chosen.append(one)
    return chosen, counted
