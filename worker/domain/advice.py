"""What a person can do about a rotation, as commands. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.domain.commands import quote_word
from worker.domain.proof import ConsumerProof, Proof
from worker.domain.saga import BEFORE_ACTIVATION, NOT_BEGUN, WATCHED, State

_REPORT = "run report"
_NEVER_WHERE = {"cancel": {True}, "rollback": {True}, "retry --another": {False}}
"""Choices that make no sense where issuing the new value has ended the old one (True), or has not."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    command: str
    does: str


def advise(
    rotation_id: str,
    state: State,
    stuck_in: State | None,
    failing: bool,
    consumer_proofs: Sequence[ConsumerProof],
    *,
    item: str,
    number: int | None,
    has_new: bool = True,
    one_way: bool = False,
    beside: bool = True,
    given: int | None = None,
    old_dead: bool = False,
) -> tuple[Advice, ...]:
    """The choices that the state leaves, the safest first; none: there is nothing to decide.

    `number` is the new version of the item, and `has_new` says that there is a new value here that could be
    accepted. `one_way`: issuing the new value has ended the old one, and there is no going back to it.
    `beside`: the old value works beside the new one. `given`: what a person has given since, on which it ends.
    `old_dead`: the old value is known to be refused.
    """
    if given is not None and state is State.STUCK:
        return tuple(_end_on_given(rotation_id, stuck_in, given))
    return tuple(
        Advice(command=_write_command(rotation_id, verb, more), does=does)
        for verb, more, does in _choices(
            state, stuck_in, failing, consumer_proofs, f"{item}={number}", beside=beside, old_dead=old_dead
        )
        if (verb != "accept" or has_new)
        and one_way not in _NEVER_WHERE.get(verb + more, ())
        and (beside or verb != "extend")
    ) + (_give(item) if state is State.STUCK and one_way else ())


def _give(item: str) -> tuple[Advice]:
    command = f"nightkey item update {quote_word(item)} --value-file PATH"
    return (
        Advice(command=command, does="gives a value of your own: it is current at once, and this ends on it"),
    )


def _end_on_given(rotation_id: str, stuck_in: State | None, given: int) -> Iterator[Advice]:
    yield Advice(
        command=_write_command(rotation_id, "retry", ""),
        does=f"ends on version {given}, which was given by hand",
    )
    if stuck_in in (State.UNDOING, State.DISCARDING):
        yield Advice(
            command=_write_command(rotation_id, "rollback", ""),
            does=f"version {given} stays; revoke the new one outside yourself first: here it is dropped",
        )


def _write_command(rotation_id: str, verb: str, more: str) -> str:
    return f"nightkey {_REPORT}{more}" if verb == _REPORT else f"nightkey rotation {verb} {rotation_id}{more}"


def _choices(
    state: State,
    stuck_in: State | None,
    failing: bool,
    consumer_proofs: Sequence[ConsumerProof],
    new: str,
    *,
    beside: bool,
    old_dead: bool,
) -> Iterator[tuple[str, str, str]]:
    if state is State.REQUESTED:
        yield "approve", "", "it begins, tests first"
    if state is State.STUCK:
        yield from _stuck(stuck_in, old_dead=old_dead)
        return
    if failing:
        yield "retry", "", "tries again now, with the same value"
    if state in NOT_BEGUN:
        yield "cancel", "", "nothing changes; the night does not ask again for a while"
    elif state in BEFORE_ACTIVATION:
        yield "cancel", "", "the new value is taken back" + ("; the old one works on" if beside else "")
    for consumer_proof in consumer_proofs if state in WATCHED | {State.RETIRING} else ():
        if consumer_proof.check or state in WATCHED:
            yield from _unproven(consumer_proof, new)
    if state in WATCHED:
        yield "rollback", "", "everybody goes back to the old value, and the new one is taken away"


def _unproven(consumer_proof: ConsumerProof, new: str) -> Iterator[tuple[str, str, str]]:
    if consumer_proof.proof is not Proof.UNPROVABLE:
        return
    name = consumer_proof.name
    if consumer_proof.check:
        yield "retry", "", "looks again now, once policy or node say what a good answer holds"
        yield "waive", " --check --why TEXT", "you vouch that the new value works: no check could tell"
        return
    if consumer_proof.consumer is None:
        yield "extend", " --until TIME", "the old key works on until then"
        yield (
            "waive",
            " --callers --why TEXT",
            "you answer for its callers: the old key waits for them no longer",
        )
        return
    option = f" --workflow {quote_word(name)}"
    if consumer_proof.consumer.elsewhere:
        yield _REPORT, _write_report(name, new), f"{name} began to run well elsewhere then: that proves it"
    else:
        yield (
            "prove",
            option,
            f"a controlled run of {name} now, with its sample context: a good one proves it",
        )
    if consumer_proof.consumer.active:
        yield "extend", " --until TIME", f"the old value works on until {name} has run"
    yield "waive", f"{option} --why TEXT", f"you answer for {name}: nothing waits for it any longer"


def _write_report(name: str, new: str) -> str:
    options = f" --status completed --started-at TIME --used {quote_word(new)}"
    return f"{options} -- {quote_word(name)}" if name.startswith("-") else f" {quote_word(name)}{options}"


def _stuck(stuck_in: State | None, *, old_dead: bool) -> Iterator[tuple[str, str, str]]:
    if stuck_in is State.RETIRING and old_dead:
        yield "retry", "", "looks again for what is left outside"
        yield (
            "accept",
            "",
            "the new value stays; see first to what is left outside: the old one is dropped here",
        )
    elif stuck_in is State.RETIRING:
        yield "retry", "", "revokes the old value again"
        yield "rollback", "", "everybody goes back to the old value, and the new one is taken away"
        yield "accept", "", "the new value stays; revoke the old one outside yourself first: here it is dropped"
    elif stuck_in in (State.UNDOING, State.DISCARDING):
        yield "retry", "", "takes the new value away again"
        yield "accept", "", "the new value is the right one: it becomes current, and is watched"
        yield (
            "rollback",
            "",
            "the old value stays; revoke the new one outside yourself first: here it is dropped",
        )
    else:
        yield "retry", "", "goes on where it stopped, with the same value"
        if stuck_in is None or stuck_in in BEFORE_ACTIVATION:
            yield "retry", " --another", "throws the new value away, and makes another"
        yield "rollback", "", "the old value stays, and the new one is taken away"
        yield "accept", "", "the new value is made current as it is, and is watched"
