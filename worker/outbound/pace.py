"""How fast a place may be called: what it asked for holds for every call to it, by whomever."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Final, Protocol

HELD_MAX: Final = timedelta(hours=1)
"""All calls to a place are held back by its word for so long at most: then it is asked anew."""
_bound: ContextVar[datetime | None] = ContextVar("bound", default=None)


class Pace(Protocol):
    """What places asked for, known to all workers. A place is a host, with its port if that is written."""

    def held_until(self, place: str) -> datetime | None:
        """Before when it is not to be called; None: it has not asked for anything that still holds."""

    def hold(self, place: str, until: datetime) -> None:
        """It asks not to be called before then."""


@contextmanager
def held_at_most_until(bound: datetime | None) -> Iterator[None]:
    """Inside, no place's word is kept to after `bound`: what is called for cannot wait any longer."""
    token = _bound.set(bound)
    try:
        yield
    finally:
        _bound.reset(token)


def bound_wait(until: datetime | None, now: datetime) -> datetime | None:
    """As much of a place's word as is kept to; None: it asks for nothing, or there is no time for it."""
    bound = _bound.get()
    if until is not None and bound is not None:
        until = min(until, bound)
    return None if until is None or until <= now else until
