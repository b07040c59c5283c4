"""What a restored vault and a target say of one item, held against each other. Pure.

After an older copy was put back, a target may have moved on: what the vault calls current may be refused there,
and what is in use there may be unknown here. Nothing is rotated or revoked before that is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vaultcore.model import Stage
from worker.domain.reasons import Code, Reason


class Result(StrEnum):
    WAITING = "waiting"
    """Not compared yet."""
    UNREACHABLE = "unreachable"
    """The target was away: it is asked again."""
    AGREES = "agrees"
    HERE_ALONE = "here-alone"
    """The value is made and used here alone: there is nobody who could say anything else."""
    NOT_ASKED = "not-asked"
    """No rotator knows how to ask: its owner does."""
    UNLISTED = "unlisted"
    """The current value is accepted; what else of ours exists there, nobody can list: its owner looks."""
    CANNOT_ASK = "cannot-ask"
    """Its rotator could not ask: a person must mend that, or look."""
    PREVIOUS_ACCEPTED = "previous-accepted"
    PENDING_ACCEPTED = "pending-accepted"
    NONE_ACCEPTED = "none-accepted"
    MORE_OUTSIDE = "more-outside"
    """The current value is accepted, and there is something else of ours which the vault does not know."""


DIFFERS = frozenset(
    {
        Result.CANNOT_ASK,
        Result.PREVIOUS_ACCEPTED,
        Result.PENDING_ACCEPTED,
        Result.NONE_ACCEPTED,
        Result.MORE_OUTSIDE,
    }
)
"""Compared, and a person must decide before anything is rotated or revoked."""

OWNERS_LOOK = frozenset({Result.NOT_ASKED, Result.UNLISTED})
"""Nothing stands in the way of a rotation, and yet a finding: part of the question was asked of nobody."""

RESOLVED = OWNERS_LOOK | {Result.AGREES, Result.HERE_ALONE}
"""Nothing stands in the way of a rotation."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One version that is not destroyed, and whether the target accepts its value."""

    number: int
    stage: Stage
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The result, and what it means."""

    result: Result
    detail: Reason


def judge(
    asked: Sequence[Asked], unknown: Sequence[str] | None, *, overlaps: bool, rotating: bool
) -> Judgement:
    """`unknown`: what exists outside and is not known here, as people can find it there; None: nobody can list
    that. `rotating`: a rotation of the item is open. Where both values do not work side by side, such a
    rotation stands between them, and nothing else can exist.
    """
    accepted = [one for one in asked if one.accepted]
    current = [one.number for one in asked if one.stage is Stage.CURRENT]
    version = current[0] if current else None
    others = tuple(unknown) if unknown else None
    if any(one.stage is Stage.CURRENT for one in accepted):
        if unknown:
            detail = Reason.of(Code.ACCEPTED, version=version, unknown=others)
            return Judgement(result=Result.MORE_OUTSIDE, detail=detail)
        if unknown is None and overlaps:
            return Judgement(result=Result.UNLISTED, detail=Reason.of(Code.ACCEPTED_UNLISTED, version=version))
        return Judgement(result=Result.AGREES, detail=Reason.of(Code.ACCEPTED, version=version))
    if accepted and rotating and not overlaps and not unknown:
        detail = Reason.of(Code.ACCEPTED_ROTATING, version=accepted[-1].number)
        return Judgement(result=Result.AGREES, detail=detail)
    for stage, result in ((Stage.PENDING, Result.PENDING_ACCEPTED), (Stage.PREVIOUS, Result.PREVIOUS_ACCEPTED)):
        found = [one.number for one in accepted if one.stage is stage]
        if found:
            detail = Reason.of(
                Code.REFUSED_HERE, version=version, accepted=found[-1], stage=stage.value, unknown=others
            )
            return Judgement(result=result, detail=detail)
    detail = Reason.of(Code.ALL_REFUSED, version=version, unknown=others)
    return Judgement(result=Result.NONE_ACCEPTED, detail=detail)
