"""What a step of a rotation came to, as the step tells it to whoever commits it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from worker.domain.reasons import Code, Reason


def _record_nothing(_: Connection) -> None:
    """For steps whose only trace is the rotation's state."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step succeeded: what its record says of it, and what to write with the rotation's new state.

    `scrub`: what was deleted must not stay readable in the database's free pages. `again_at`: the step is
    to be done once more then, for what it waits for.
    """

    said: tuple[Reason, ...]
    record: Callable[[Connection], None] = _record_nothing
    scrub: bool = False
    again_at: datetime | None = None
    waits_for: tuple[Reason, ...] = ()


def wait_for(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """What the record of a step says that waits for these; nothing where it waits for nothing."""
    return (Reason.of(Code.WAITS_FOR, why=reasons[0]), *reasons[1:]) if reasons else ()


def say_so(text: str) -> Reason:
    """What a rotator said of what it did."""
    return Reason.of(Code.SAID, text=text)
