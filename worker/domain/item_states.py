"""How an item stands, as a person sees it: one definition, by which lists filter too. Pure.

An item may stand in several ways at once: it is lapsed, its rotation fails, and somebody is needed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from vaultcore.model import LabelMatch, Mode
from worker.domain.saga import State


class ItemState(StrEnum):
    WELL = "well"
    """Nothing is wrong with it, and nobody is needed."""
    DUE = "due"
    """It lapses before long: the time in which it is replaced has come."""
    LAPSED = "lapsed"
    NEVER_EXPIRES = "never-expires"
    ON_HOLD = "on-hold"
    """Its last rotation failed, and the next one waits."""
    NO_VALUE = "no-value"
    """It came in as metadata alone, and waits for its value."""
    ROTATING = "rotating"
    """A rotation of it is open."""
    FAILING = "failing"
    """Its rotation is stuck, on its way back, or cannot do its next step."""
    NEEDS_SOMEBODY = "needs-somebody"
    """Nothing goes on without a person: an approval, a decision, a value."""


WAITS_FOR_A_PERSON: Final = frozenset({State.REQUESTED, State.STUCK})
GOES_BACK: Final = frozenset({State.STUCK, State.UNDOING})


@dataclass(frozen=True, kw_only=True)
class OpenRotation:
    """Of an item. `failing`: its step was tried, and not done yet."""

    state: State
    failing: bool


def states_of(
    *,
    mode: Mode,
    has_value: bool,
    expires_at: datetime | None,
    due_at: datetime | None,
    hold_until: datetime | None,
    rotation: OpenRotation | None,
    now: datetime,
) -> tuple[ItemState, ...]:
    """In the order in which they are listed above."""
    lapsed = expires_at is not None and expires_at <= now
    due = not lapsed and due_at is not None and due_at <= now
    held = hold_until is not None and hold_until > now
    failing = rotation is not None and (rotation.failing or rotation.state in GOES_BACK)
    owners_turn = rotation is None and (lapsed or (due and mode is Mode.NOTIFY))
    waits = rotation is not None and rotation.state in WAITS_FOR_A_PERSON
    needed = not has_value or owners_turn or waits
    stands = {
        ItemState.WELL: not (lapsed or due or held or failing or needed),
        ItemState.DUE: due,
        ItemState.LAPSED: lapsed,
        ItemState.NEVER_EXPIRES: expires_at is None,
        ItemState.ON_HOLD: held,
        ItemState.NO_VALUE: not has_value,
        ItemState.ROTATING: rotation is not None,
        ItemState.FAILING: failing,
        ItemState.NEEDS_SOMEBODY: needed,
    }
    return tuple(state for state in ItemState if stands[state])


@dataclass(frozen=True, kw_only=True)
class ItemFilter:
    """Which items a list has: those that are all of this; of several owners or states, one is enough.

    `owners`: names. `labels`: it has each of them. `rotator`: its name, or empty for those that have none.
    `days_left`: at least and at most so many whole days until it lapses. `used_by`: a workflow, by name or id.
    `search`: a part of its name, and `begins` its beginning, in any case.
    """

    owners: Collection[str] = frozenset()
    labels: Collection[LabelMatch] = frozenset()
    states: Collection[ItemState] = frozenset()
    modes: Collection[Mode] = frozenset()
    rotator: str | None = None
    days_left: tuple[int | None, int | None] = (None, None)
    expires_after: datetime | None = None
    expires_before: datetime | None = None
    used_by: str | None = None
    search: str | None = None
    begins: str | None = None
