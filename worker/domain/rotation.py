"""A rotation as it stands, and what a transition, a failure or a decision makes of it. Pure.

`worker.domain.saga` says where it goes; here is all that changes with it. A service leases the row, acts, and
writes what is returned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from vaultcore.errors import Cause
from worker.domain.reasons import Code, Reason
from worker.domain.saga import FINISHED, PROPAGATING, Failure, Progress, State, Step, Transition


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One saga for one item, as it is stored."""

    id: str
    item_id: str
    item: str
    rotator: str
    target: str | None = None
    state: State
    stuck_in: State | None = None
    reason: Reason
    asked_by: str
    approved_by: str | None = None
    request_digest: str | None = None
    emergency: bool = False
    gated: bool = False
    night: datetime | None = None
    told_night: datetime | None = None
    old_number: int
    new_number: int | None = None
    candidates: int = 0
    issuing: bool = False
    late_until: datetime | None = None
    shown_by: str | None = None
    one_way: bool = False
    old_dead: bool = False
    attempts: int = 0
    outages: int = 0
    failing_since: datetime | None = None
    polls: int = 0
    propagating_since: datetime | None = None
    last_cause: Cause | None = None
    last_error: Reason | None = None
    waits_for: list[Reason] = field(default_factory=list)
    next_at: datetime | None
    lease_until: datetime | None = None
    touched_at: datetime | None = None
    fence: int = 0
    leases_lost: int = 0
    created_at: datetime
    activated_at: datetime | None = None
    canary_id: str | None = None
    widened_at: datetime | None = None
    overlap_until: datetime | None = None
    finished_at: datetime | None = None

    def change(self, **changes: Any) -> "Rotation":  # noqa: ANN401  # fields
        """As `dataclasses.replace`, which asks for each of its many fields: one that moves is changed often."""
        known = vars(self)
        unknown = changes.keys() - known.keys()
        if unknown:
            raise TypeError(f"a rotation has no {', '.join(sorted(unknown))}")
        changed = object.__new__(type(self))
        vars(changed).update(known, **changes)
        return changed

    @property
    def by_owner(self) -> bool:
        """The owner has replaced the value: what is left is to take the one from before away."""
        return self.reason.code is Code.BY_OWNER

    @property
    def is_old_dead(self) -> bool:
        """The old value does not work: since another was issued, or since before that."""
        return self.one_way or self.old_dead

    @property
    def may_take_effect(self) -> bool:
        """A value was asked for, and no answer came; or one came, and an earlier try may still take effect."""
        return self.issuing or self.late_until is not None

    @property
    def cut_off(self) -> int:
        """Of one that is leased: how often its present step began before, and did not end."""
        return self.attempts - self.outages - self.polls - 1

    def is_overtaken(self, version: int | None) -> bool:
        """Whether a person has given another value since: `version` of the item is current."""
        return version not in (None, self.old_number, self.new_number)

    @property
    def progress(self) -> Progress:
        """How far its present step is."""
        return Progress(
            rotation_id=self.id,
            outages=self.outages,
            failing_since=self.failing_since,
            polls=self.polls,
            propagating_since=self.propagating_since,
            candidates=self.candidates,
            by_owner=self.by_owner,
            one_way=self.one_way,
        )


STEADY_CUT_OFFS: Final = 1
"""How often its present step was cut off at most, of one that is driven beside others."""

_NO_TRIES: Final[Mapping[str, Any]] = {
    "attempts": 0,
    "outages": 0,
    "failing_since": None,
    "polls": 0,
    "propagating_since": None,
}
"""What was tried in a step no longer counts in the one that follows."""
_PAUSE = timedelta(minutes=1)
"""How long a step waits at least that has led to no other state."""


def apply(
    rotation: Rotation,
    to: Transition,
    *,
    now: datetime,
    **changes: Any,  # noqa: ANN401  # fields
) -> Rotation:
    """The rotation after a try of its step led there. `changes` are what the try brought besides.

    A step that led to no other state is due in a minute at the earliest: who did the same again at once would
    never end.
    """
    fresh: dict[str, Any] = {}
    if not (to.retries or to.polls):
        propagating = {"propagating_since": rotation.propagating_since} if to.state in PROPAGATING else {}
        fresh = {**_NO_TRIES, **propagating}
    over = to.state in FINISHED
    next_at = to.next_at
    if to.state is rotation.state and next_at is not None and next_at <= now:
        next_at = now + _PAUSE
    ended = {"finished_at": now, "waits_for": []} if over else {"waits_for": list(to.waits_for)}
    return rotation.change(**{**fresh, **changes, **ended, "state": to.state, "next_at": next_at})


def count_success(rotation: Rotation, step: Step, *, now: datetime) -> dict[str, Any]:
    """What a step changes besides that has done its work. What went wrong before is no longer said; but of one
    that ends on the old value, it is why.
    """
    if step is Step.DISCARD:
        return {"candidates": rotation.candidates + 1, "shown_by": None}
    if step is Step.UNDO:
        return {}
    activated: dict[str, Any] = {"activated_at": now} if step is Step.ACTIVATE else {}
    return {"last_cause": None, "last_error": None, **activated}


def count_failure(rotation: Rotation, failure: Failure, to: Transition, *, now: datetime) -> dict[str, Any]:
    """What a try that failed changes besides: its tries, since when, and where it stopped."""
    changes: dict[str, Any] = {"last_cause": failure.cause, "last_error": failure.why}
    if to.retries:
        since = rotation.failing_since or now
        changes |= {"outages": rotation.outages + 1, "failing_since": since, "propagating_since": None}
    if to.held:
        changes |= {"outages": rotation.outages, "attempts": rotation.attempts - 1}
    if to.polls:
        changes |= {"polls": rotation.polls + 1, "propagating_since": rotation.propagating_since or now}
    if to.state is State.STUCK:
        changes["stuck_in"] = rotation.state
    return changes


def decide(rotation: Rotation, **changes: Any) -> Rotation:  # noqa: ANN401  # fields
    """The rotation after a person decided: what was tried and waited for before it no longer counts."""
    return rotation.change(**{**_NO_TRIES, "waits_for": [], "stuck_in": None, **changes})
