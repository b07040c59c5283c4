"""What a person can do about a rotation, as commands. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from worker.domain.commands import quote_word
from worker.domain.proof import ConsumerProof, Proof
from worker.domain.saga import BEFORE_ACTIVATION, NOT_BEGUN, WATCHED, State


class Choice(StrEnum):
    """What can be decided of a rotation, or done about it."""

    APPROVE = "approve"
    CANCEL = "cancel"
    RETRY = "retry"
    ANOTHER = "retry --another"
    """The new value is thrown away first, and another is made."""
    ROLL_BACK = "rollback"
    ACCEPT = "accept"
    EXTEND = "extend"
    PROVE = "prove"
    REPORT = "run report"
    """Of an engine elsewhere."""
    WAIVE = "waive"
    """Somebody answers for a workflow."""
    WAIVE_CALLERS = "waive --callers"
    WAIVE_CHECK = "waive --check"
    GIVE = "item update"
    """The item gets a value of one's own."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`command` and what it `does`; `workflow`: by name, where it is about one."""

    command: str
    does: str
    choice: Choice
    workflow: str | None = None


_NOTHING_CHANGES = "nothing changes; the night does not ask again for a while"
_NEVER_WHERE = {Choice.CANCEL: True, Choice.ROLL_BACK: True, Choice.ANOTHER: False}
"""Choices that make no sense where issuing the new value has ended the old one (True), or has not."""


class _Line(NamedTuple):
    """`more`: what else its command takes. `workflow`: the one that it is about."""

    choice: Choice
    does: str
    more: str = ""
    workflow: str | None = None


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
        Advice(
            command=_write_command(rotation_id, one.choice, one.more),
            does=one.does,
            choice=one.choice,
            workflow=one.workflow,
        )
        for one in _choices(
            state, stuck_in, failing, consumer_proofs, f"{item}={number}", beside=beside, old_dead=old_dead
        )
        if (one.choice is not Choice.ACCEPT or has_new)
        and _NEVER_WHERE.get(one.choice) is not one_way
        and (beside or one.choice is not Choice.EXTEND)
    ) + (_give(item) if state is State.STUCK and one_way else ())


def _give(item: str) -> tuple[Advice]:
    command = f"nightkey item update {quote_word(item)} --value-file PATH"
    return (
        Advice(
            command=command,
            does="gives a value of your own: it is current at once, and this ends on it",
            choice=Choice.GIVE,
        ),
    )


def _end_on_given(rotation_id: str, stuck_in: State | None, given: int) -> Iterator[Advice]:
    yield Advice(
        command=_write_command(rotation_id, Choice.RETRY, ""),
        does=f"ends on version {given}, which was given by hand",
        choice=Choice.RETRY,
    )
    if stuck_in in (State.UNDOING, State.DISCARDING):
        yield Advice(
            command=_write_command(rotation_id, Choice.ROLL_BACK, ""),
            does=f"version {given} stays; revoke the new one outside yourself first: here it is dropped",
            choice=Choice.ROLL_BACK,
        )


def _write_command(rotation_id: str, choice: Choice, more: str) -> str:
    if choice is Choice.REPORT:
        return f"nightkey {choice.value}{more}"
    verb, _, option = choice.value.partition(" ")
    return f"nightkey rotation {verb} {rotation_id}" + (f" {option}" if option else "") + more


def _choices(
    state: State,
    stuck_in: State | None,
    failing: bool,
    consumer_proofs: Sequence[ConsumerProof],
    new: str,
    *,
    beside: bool,
    old_dead: bool,
) -> Iterator[_Line]:
    if state is State.REQUESTED:
        yield _Line(Choice.APPROVE, "it begins, tests first")
    if state is State.STUCK:
        yield from _stuck(stuck_in, old_dead=old_dead)
        return
    if failing:
        yield _Line(Choice.RETRY, "tries again now, with the same value")
    if state in NOT_BEGUN:
        yield _Line(Choice.CANCEL, _NOTHING_CHANGES)
    elif state in BEFORE_ACTIVATION:
        yield _Line(Choice.CANCEL, "the new value is taken back" + ("; the old one works on" if beside else ""))
    for consumer_proof in consumer_proofs if state in WATCHED | {State.RETIRING} else ():
        if consumer_proof.check or state in WATCHED:
            yield from _unproven(consumer_proof, new)
    if state in WATCHED:
        yield _Line(Choice.ROLL_BACK, "everybody goes back to the old value, and the new one is taken away")


def _unproven(consumer_proof: ConsumerProof, new: str) -> Iterator[_Line]:
    if consumer_proof.proof is not Proof.UNPROVABLE:
        return
    name = consumer_proof.name
    if consumer_proof.check:
        yield _Line(Choice.RETRY, "looks again now, once policy or node say what a good answer holds")
        yield _Line(
            Choice.WAIVE_CHECK, "you vouch that the new value works: no check could tell", " --why TEXT"
        )
        return
    if consumer_proof.consumer is None:
        yield _Line(Choice.EXTEND, "the old key works on until then", " --until TIME")
        yield _Line(
            Choice.WAIVE_CALLERS,
            "you answer for its callers: the old key waits for them no longer",
            " --why TEXT",
        )
        return
    option = f" --workflow {quote_word(name)}"
    if consumer_proof.consumer.elsewhere:
        yield _Line(
            Choice.REPORT,
            f"{name} began to run well elsewhere then: that proves it",
            _write_report(name, new),
            name,
        )
    else:
        yield _Line(
            Choice.PROVE,
            f"a controlled run of {name} now, with its sample context: a good one proves it",
            option,
            name,
        )
    if consumer_proof.consumer.active:
        yield _Line(Choice.EXTEND, f"the old value works on until {name} has run", " --until TIME", name)
    yield _Line(
        Choice.WAIVE, f"you answer for {name}: nothing waits for it any longer", f"{option} --why TEXT", name
    )


def _write_report(name: str, new: str) -> str:
    options = f" --status completed --started-at TIME --used {quote_word(new)}"
    return f"{options} -- {quote_word(name)}" if name.startswith("-") else f" {quote_word(name)}{options}"


def _stuck(stuck_in: State | None, *, old_dead: bool) -> Iterator[_Line]:
    if stuck_in in NOT_BEGUN:
        yield _Line(Choice.RETRY, "looks again now whether it may begin")
        yield _Line(Choice.CANCEL, _NOTHING_CHANGES)
    elif stuck_in is State.RETIRING and old_dead:
        yield _Line(Choice.RETRY, "looks again for what is left outside")
        yield _Line(
            Choice.ACCEPT, "the new value stays; see first to what is left outside: the old one is dropped here"
        )
    elif stuck_in is State.RETIRING:
        yield _Line(Choice.RETRY, "revokes the old value again")
        yield _Line(Choice.ROLL_BACK, "everybody goes back to the old value, and the new one is taken away")
        yield _Line(
            Choice.ACCEPT, "the new value stays; revoke the old one outside yourself first: here it is dropped"
        )
    elif stuck_in in (State.UNDOING, State.DISCARDING):
        yield _Line(Choice.RETRY, "takes the new value away again")
        yield _Line(Choice.ACCEPT, "the new value is the right one: it becomes current, and is watched")
        yield _Line(
            Choice.ROLL_BACK,
            "the old value stays; revoke the new one outside yourself first: here it is dropped",
        )
    else:
        yield _Line(Choice.RETRY, "goes on where it stopped, with the same value")
        if stuck_in is None or stuck_in in BEFORE_ACTIVATION:
            yield _Line(Choice.ANOTHER, "throws the new value away, and makes another")
        yield _Line(Choice.ROLL_BACK, "the old value stays, and the new one is taken away")
        yield _Line(Choice.ACCEPT, "the new value is made current as it is, and is watched")
