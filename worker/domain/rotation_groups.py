"""Rotations as people look for them: a few groups, and each state is in one. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from worker.domain.saga import State


class RotationGroup(StrEnum):
    NEEDS_SOMEBODY = "needs-somebody"
    """Nothing goes on without a person."""
    MOVING = "moving"
    WAITING = "waiting"
    """For its time, or for the first runs with the new value."""
    REPLACED = "replaced"
    NOT_REPLACED = "not-replaced"
    CANCELLED = "cancelled"


STATES_OF: Final[Mapping[RotationGroup, frozenset[State]]] = {
    RotationGroup.NEEDS_SOMEBODY: frozenset({State.REQUESTED, State.STUCK}),
    RotationGroup.MOVING: frozenset(
        {
            State.QUEUED,
            State.PLANNED,
            State.CREATED,
            State.INSTALLED,
            State.ACCEPTED,
            State.NODE_TESTED,
            State.WORKFLOW_TESTED,
            State.ACTIVATED,
            State.RETIRING,
            State.DISCARDING,
            State.UNDOING,
        }
    ),
    RotationGroup.WAITING: frozenset({State.SCHEDULED, State.CANARY, State.WATCHING}),
    RotationGroup.REPLACED: frozenset({State.DONE}),
    RotationGroup.NOT_REPLACED: frozenset({State.ROLLED_BACK}),
    RotationGroup.CANCELLED: frozenset({State.CANCELLED}),
}


def group_of(state: State) -> RotationGroup:
    return next(group for group, states in STATES_OF.items() if state in states)
