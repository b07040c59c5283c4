"""How an item stands, in a word or two, and how much that asks for. Pure."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from worker.domain.item_states import ItemState


class Tone(StrEnum):
    """What a state says to whoever looks: each has a shape and a colour of its own."""

    WELL = "well"
    WAITS = "waits"
    WRONG = "wrong"
    REST = "rest"


WORDS: Final[Mapping[ItemState, tuple[Tone, str]]] = {
    ItemState.LAPSED: (Tone.WRONG, "lapsed"),
    ItemState.FAILING: (Tone.WRONG, "not replaced"),
    ItemState.NO_VALUE: (Tone.WAITS, "waits for its value"),
    ItemState.NEEDS_SOMEBODY: (Tone.WAITS, "waits for a person"),
    ItemState.ON_HOLD: (Tone.WAITS, "on hold after a failure"),
    ItemState.DUE: (Tone.REST, "due"),
    ItemState.ROTATING: (Tone.REST, "being replaced"),
    ItemState.NEVER_EXPIRES: (Tone.REST, "never lapses"),
    ItemState.WELL: (Tone.WELL, "well"),
}
"""The worst first."""


def word_state(states: Collection[ItemState]) -> tuple[Tone, str]:
    """The worst of them; that it never lapses is no worse than that it is well."""
    told = set(states) - ({ItemState.NEVER_EXPIRES} if ItemState.WELL in states else set())
    return next((word for state, word in WORDS.items() if state in told), WORDS[ItemState.WELL])
