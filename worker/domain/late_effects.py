"""What was asked of the other side and given up: until when it may take effect there all the same."""

from datetime import datetime, timedelta

from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation

LATE = timedelta(minutes=10)
"""How long after it was given up a request may still take effect at the other side."""


def wait_late(until: datetime) -> tuple[Reason, ...]:
    """For what is waited until then."""
    return (Reason.of(Code.LATE_EFFECT, until=until),)


def late_after_answer(rotation: Rotation, now: datetime) -> datetime | None:
    """`late_until` once the present request is answered: an earlier try's may still be under way."""
    return now + LATE if rotation.issuing else rotation.late_until


def late_until(rotation: Rotation, now: datetime) -> datetime | None:
    """When a request that was given up can no longer take effect; None: none can."""
    if rotation.issuing and rotation.late_until is None:
        return now + LATE
    return rotation.late_until if rotation.late_until is not None and rotation.late_until > now else None
