"""Which messages there are: each has a template of its name, and leads to a page. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from worker.domain.saga import State


class NoticeKind(StrEnum):
    """What a notice tells of, as rows have it; a template of an organisation's is called the same."""

    DIGEST = "digest"
    """What a night leaves to be known: put together when it leaves."""
    NIGHT_FAILED = "night-failed"
    NIGHT_STOPPED = "night-stopped"
    ROTATION_REQUESTED = "rotation-requested"
    ROTATION_EXPIRED = "rotation-expired"
    """Nobody approved it in time."""
    ROTATION_DONE = "rotation-done"
    ROTATION_CANCELLED = "rotation-cancelled"
    ROTATION_ROLLED_BACK = "rotation-rolled-back"
    ROTATION_STUCK = "rotation-stuck"
    ROTATION_OVERTAKEN = "rotation-overtaken"
    """A person has given another value since."""
    ONE_WAY = "one-way"
    """The old value stopped working when the new one was issued."""
    RUN_FAILED = "run-failed"
    PICKUP = "pickup"
    PICKUP_REMINDER = "pickup-reminder"
    DEPARTURE = "departure"
    DRIFTED = "drifted"
    """Of one item, to its owners, after a restore; `RESTORED` to the operators, of all."""
    RESTORED = "restored"
    MESSAGES_SET_ASIDE = "messages-set-aside"
    STAND_IN = "stand-in"
    """What is written above a notice that reaches somebody in its owner's place."""
    TEST = "test"
    """Of a route, when a person asks for it."""


OF_FAILED: Final[Mapping[State, NoticeKind]] = {
    State.CANCELLED: NoticeKind.ROTATION_CANCELLED,
    State.ROLLED_BACK: NoticeKind.ROTATION_ROLLED_BACK,
    State.STUCK: NoticeKind.ROTATION_STUCK,
}
"""What is told of a rotation that has failed, by where it came to."""
