"""What proves that consumers moved to a new value, and what the old one is kept for until then. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from worker.domain.reasons import Code, Reason
from worker.domain.saga import State

LOOK_AGAIN = timedelta(hours=1)
LOOK_SELDOM = timedelta(days=1)
"""Where whatever matters wakes the rotation by itself: a run that ended, a key that was used, a change of the
policy, of a workflow or of a pin, a decision. So this is for what nobody thought of.
"""
CANARY_AUTO = "auto"
CALLERS = "its callers"
CHECK = "a check"


class Proof(StrEnum):
    PROVEN = "proven"
    """It had a good production run with the new value."""
    UNPROVEN = "unproven"
    """It had one, and nothing has shown that a wrong value would have failed it."""
    WAIVED = "waived"
    """Somebody answers for it."""
    AWAITED = "awaited"
    """Its first run with the new value is to come while the old one works."""
    UNPROVABLE = "unprovable"
    """It cannot be proven in time: a person must run it, give it more time, or answer for it."""
    PINNED = "pinned"
    """It stays on another version until somebody unpins it."""
    HELD = "held"
    """It stays on the old version until the one that goes first has run well."""


_MOVED = (Proof.PROVEN, Proof.UNPROVEN, Proof.WAIVED)
"""It is no reason to keep the old value. That nothing was shown is one of its own."""


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A workflow that uses the item. `pinned` is set by a person, `held` by the rotation itself; one that runs
    `elsewhere` is proven by the runs that are reported, and moves when its engine is given the new value.
    """

    id: str
    name: str
    active: bool
    critical: bool
    elsewhere: bool
    pinned: int | None
    held: bool
    proven: int | None
    last_run_at: datetime | None
    next_run_at: datetime | None
    waived: bool
    failed: str | None = None
    """How its last run with the new value failed, if it did and nothing was rejected: what a person reads."""


@dataclass(frozen=True, kw_only=True)
class Callers:
    """Who presents a key to us: they are seen when they do so, and by nothing else.

    `used_at` is when the new key was first presented, `old_used_at` when the old one last was; `overlap` is for
    how long the old one must not have been presented before it goes. `collected_at` and `collected_by`: of
    the new key, where that is known.
    """

    collected_at: datetime | None
    collected_by: str | None
    used_at: datetime | None
    old_used_at: datetime | None
    overlap: timedelta
    waived: bool

    @property
    def quiet_from(self) -> datetime | None:
        """When nobody has presented the old key for long enough, if nobody does by then."""
        return None if self.old_used_at is None else self.old_used_at + self.overlap


@dataclass(frozen=True, kw_only=True)
class ConsumerProof:
    """How a consumer stands towards the new value, and why. `consumer` None: the callers of a key."""

    consumer: Consumer | None
    proof: Proof
    why: Reason
    check: bool = False
    """It is no consumer, but the check that would have refused a value that does not work."""

    @property
    def name(self) -> str:
        if self.check:
            return CHECK
        return CALLERS if self.consumer is None else self.consumer.name


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Two versions that both work: the number of the new one, and until when the old one works at least.

    `ends` is None while a canary holds the overlap back; `opens` is when the old value may be taken away
    at the earliest, by windows and freezes, and None if they leave no such moment. `others` are reasons
    that others give: a pickup, a run. `callers`: of a key that was collected.
    """

    number: int
    ends: datetime | None
    opens: datetime | None
    canary_id: str | None
    others: tuple[Reason, ...] = ()
    callers: Callers | None = None
    pickup_ends: datetime | None = None
    """When a new key that nobody has collected by then is taken back."""
    held_until: datetime | None = None
    """From then on the old value is about to lapse: nobody may be held back on it."""
    beside: bool = True
    """The old value works beside the new one; otherwise there is only a time for first runs."""
    unread: bool = False
    """Nothing here uses the item, and something must: without a consumer there is no proof."""
    shown: bool = True
    """A check that was shown able to fail has accepted the new value."""
    waived: bool = False
    """Somebody answers for that it works, where no check can tell."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Where the rotation stands after a look: in which state, for what it waits, when it looks again."""

    state: State
    waits_for: tuple[Reason, ...]
    next_at: datetime
    widens: bool
    consumer_proofs: tuple[ConsumerProof, ...]
    why: Reason | None = None
    """For what it goes back, if it does."""


def stand(
    consumer: Consumer, *, number: int, ends: datetime | None, now: datetime, beside: bool = True
) -> ConsumerProof:
    """How one consumer stands towards version `number`, while the old value is kept until `ends`, and works
    until then if it does so `beside` the new one.
    """
    name = consumer.name

    def found(proof: Proof, why: Reason) -> ConsumerProof:
        return ConsumerProof(consumer=consumer, proof=proof, why=why)

    if consumer.waived:
        return found(Proof.WAIVED, Reason.of(Code.ANSWERED_FOR, workflow=name))
    if consumer.pinned is not None and consumer.pinned < number:
        return found(Proof.PINNED, Reason.of(Code.PINNED, workflow=name, version=consumer.pinned))
    if consumer.proven is not None and consumer.proven >= number:
        return found(Proof.PROVEN, Reason.of(Code.RAN_WELL, workflow=name, version=consumer.proven))
    if consumer.held:
        return found(Proof.HELD, Reason.of(Code.AFTER_CANARY, workflow=name))
    why_not = _explain_unprovable(consumer, ends=ends, now=now, beside=beside)
    code = Code.FIRST_REPORT if consumer.elsewhere else Code.FIRST_RUN
    awaited = Reason.of(code, workflow=name, failed=consumer.failed, but=why_not)
    return found(Proof.AWAITED if why_not is None else Proof.UNPROVABLE, awaited)


def _explain_unprovable(
    consumer: Consumer, *, ends: datetime | None, now: datetime, beside: bool
) -> Reason | None:
    """Why no run will come in time; None: one may."""
    if not consumer.active:
        return Reason.of(Code.NOT_ACTIVE)
    if ends is not None and now >= ends:
        return Reason.of(Code.NOT_IN_TIME, beside=beside)
    if consumer.next_run_at is not None and ends is not None and consumer.next_run_at >= ends:
        return Reason.of(Code.NEXT_RUN_LATER, at=consumer.next_run_at, beside=beside)
    if consumer.next_run_at is None and consumer.last_run_at is None:
        return Reason.of(Code.NEVER_REPORTED if consumer.elsewhere else Code.NEVER_RAN)
    return None


def stand_callers(callers: Callers, *, ends: datetime | None, now: datetime) -> ConsumerProof:
    """Whether the callers of a key have moved to the new one, while the old one opens until `ends`.

    That it was collected proves nothing: the answer may have been lost. Its first use does; and who still
    presents the old one has not moved.
    """

    def found(proof: Proof, why: Reason) -> ConsumerProof:
        return ConsumerProof(consumer=None, proof=proof, why=why)

    if callers.waived:
        return found(Proof.WAIVED, Reason.of(Code.CALLERS_ANSWERED_FOR))
    if callers.used_at is None:
        late = ends is not None and now >= ends
        awaited = Reason.of(
            Code.FIRST_CALL,
            collected_at=callers.collected_at,
            by=None if callers.collected_at is None else callers.collected_by or None,
            late=late or None,
        )
        return found(Proof.UNPROVABLE if late else Proof.AWAITED, awaited)
    last, quiet_from = callers.old_used_at, callers.quiet_from
    if last is None or quiet_from is None or now >= quiet_from:
        return found(Proof.PROVEN, Reason.of(Code.CALLERS_MOVED))
    late = ends is not None and last >= ends
    still = Reason.of(Code.OLD_KEY_USED, last_at=last, late=late or None)
    return found(Proof.UNPROVABLE if late else Proof.AWAITED, still)


def stand_check(*, waived: bool) -> ConsumerProof:
    """Whether anything that can refuse a value has accepted the new one: what passes all proves nothing."""
    return ConsumerProof(
        consumer=None,
        proof=Proof.WAIVED if waived else Proof.UNPROVABLE,
        why=Reason.of(Code.CHECK_ANSWERED_FOR if waived else Code.CHECK),
        check=True,
    )


def judge(overlap: Overlap, consumers: Iterable[Consumer], *, now: datetime) -> Verdict:
    """What follows from a look at the consumers: the canary first, then all, then the old value may go.

    It waits for the overlap, for every consumer, for what others give as a reason, and for a moment in
    which changes may be made.
    """
    ordered = sorted(consumers, key=lambda consumer: consumer.name)
    consumer_proofs = tuple(
        stand(c, number=overlap.number, ends=overlap.ends, now=now, beside=overlap.beside) for c in ordered
    )
    if overlap.callers is not None:
        consumer_proofs += (stand_callers(overlap.callers, ends=overlap.ends, now=now),)
    if not overlap.shown:
        consumer_proofs = (*map(_doubt, consumer_proofs), stand_check(waived=overlap.waived))
    if any(consumer.held for consumer in ordered):
        return _judge_canary(overlap, ordered, consumer_proofs, now)
    reasons = _find_reasons(overlap, consumer_proofs, now)
    if not reasons:
        return _found(State.RETIRING, (), now, consumer_proofs)
    return _found(State.WATCHING, reasons, _next_look(overlap, now), consumer_proofs)


def _judge_canary(
    overlap: Overlap, consumers: Sequence[Consumer], consumer_proofs: tuple[ConsumerProof, ...], now: datetime
) -> Verdict:
    """While the others are held: whether the one that goes first has shown enough for them to follow."""
    canary = next((c for c in consumers if c.id == overlap.canary_id), None)
    lapses_soon = overlap.held_until is not None and overlap.held_until <= now
    if canary is None or canary.elsewhere or lapses_soon:  # elsewhere nobody goes first
        return _found(State.WATCHING, (), now, consumer_proofs, widens=True)
    first = stand(canary, number=overlap.number, ends=overlap.ends, now=now, beside=overlap.beside)
    if first.proof in (Proof.PROVEN, Proof.WAIVED):
        return _found(State.WATCHING, (), now, consumer_proofs, widens=True)
    reason = Reason.of(Code.GOES_FIRST, why=first.why)
    looks = _first_to_come(now, canary.next_run_at, overlap.held_until, now + LOOK_SELDOM)
    return _found(State.CANARY, (reason,), looks, consumer_proofs)


def _find_reasons(
    overlap: Overlap, consumer_proofs: tuple[ConsumerProof, ...], now: datetime
) -> tuple[Reason, ...]:
    """Why the old value has to stay; none: it may go now."""
    reasons: list[Reason] = []
    if overlap.ends is not None and now < overlap.ends:
        reasons.append(Reason.of(Code.OVERLAP, until=overlap.ends, beside=overlap.beside))
    if overlap.unread:
        reasons.append(Reason.of(Code.READER))
    reasons += overlap.others
    reasons += [s.why for s in consumer_proofs if s.proof not in _MOVED]
    if not reasons and (overlap.opens is None or now < overlap.opens):
        reasons.append(Reason.of(Code.MOMENT, at=overlap.opens))
    return tuple(reasons)


def _doubt(consumer_proof: ConsumerProof) -> ConsumerProof:
    """A good run says little where no check can tell: it has moved, and is waited for no longer."""
    if consumer_proof.proof is not Proof.PROVEN or consumer_proof.consumer is None:
        return consumer_proof
    why = Reason.of(Code.RAN_WITH_ANY, why=consumer_proof.why)
    return replace(consumer_proof, proof=Proof.UNPROVEN, why=why)


def find_unshown(overlap: Overlap) -> ConsumerProof | None:
    """The check that is missed, where nothing has shown the new value to work and nobody answers for it."""
    return None if overlap.shown or overlap.waived else stand_check(waived=False)


def choose_canary(consumers: Sequence[Consumer], wanted: str | None, *, number: int) -> Consumer | None:
    """The workflow that moves first; None: all move at once.

    The one that the policy names, or the one that runs soonest and is not critical. Where less than two
    could move, none goes first.
    """
    here = [c for c in consumers if not c.elsewhere]  # the others move when their engine does
    movable = [c for c in here if c.active and (c.pinned is None or c.pinned >= number)]
    if wanted is None or len(movable) < 2:
        return None
    named = next((c for c in movable if c.name == wanted), None)
    if named is not None:
        return named
    never = max((c.next_run_at for c in movable if c.next_run_at is not None), default=None)
    return min(
        movable,
        key=lambda c: (c.critical, c.next_run_at is None, c.next_run_at or never or 0, c.name),
    )


def _found(
    state: State,
    waits_for: tuple[Reason, ...],
    next_at: datetime,
    consumer_proofs: tuple[ConsumerProof, ...],
    *,
    widens: bool = False,
) -> Verdict:
    return Verdict(
        state=state, waits_for=waits_for, next_at=next_at, widens=widens, consumer_proofs=consumer_proofs
    )


def _next_look(overlap: Overlap, now: datetime) -> datetime:
    """When the overlap ends, and whatever else is known of; for a day after that more often, since others may
    do what nobody here is told of.
    """
    is_late = overlap.ends is not None and overlap.ends <= now < overlap.ends + LOOK_SELDOM
    quiet = None if overlap.callers is None else overlap.callers.quiet_from
    again = now + (LOOK_AGAIN if is_late else LOOK_SELDOM)
    return _first_to_come(now, overlap.ends, overlap.opens, quiet, overlap.pickup_ends, again)


def _first_to_come(now: datetime, *times: datetime | None) -> datetime:
    return min(time for time in times if time is not None and time > now)
