"""What a check of a credential came to."""

from typing import Final

from worker.domain.credential_checks import CheckOutcome
from worker.domain.reasons import Code
from worker.wording.item_states import Tone
from worker.wording.parts import Given, Sentences


def _name_target(given: Given) -> str:
    return "{target}" if "target" in given else "the other side"


CREDENTIAL_CHECKS: Final[Sentences] = {
    # What a check of a credential came to
    Code.CHECK_ACCEPTED: lambda given: (
        f"{_name_target(given)} accepts version {{version}}, and refuses a made-up value"
    ),
    Code.CHECK_REFUSED: lambda given: f"{_name_target(given)} refuses version {{version}}: {{text}}",
    Code.CHECK_AWAY: lambda given: f"{_name_target(given)} could not be asked: {{text}}",
    Code.CHECK_BLIND: lambda given: (
        f"{_name_target(given)} accepts version {{version}}, but the same check takes a made-up value, too, so "
        "that it tells nothing"
    ),
    Code.CHECK_UNSHOWN: lambda given: (
        f"{_name_target(given)} accepts version {{version}}, but no made-up value could be shown to the same "
        "check, so that it tells nothing"
    ),
    Code.CHECK_FAILED: lambda given: f"{_name_target(given)} could not be asked whether it works: {{text}}",
    Code.CHECK_CUT_OFF: "it was begun {number} times, and whoever asked did not come back",
    Code.CHECK_NO_ROTATOR: "it has no rotator that could ask the other side",
    Code.ASKED_AGAIN: "it is asked of again when its value has changed, or from {at:d} on",
}

CHECK_STATES: Final = {
    CheckOutcome.ACCEPTED: (Tone.WELL, "works"),
    CheckOutcome.REFUSED: (Tone.WRONG, "refused"),
    CheckOutcome.UNREACHABLE: (Tone.WAITS, "not reached"),
    CheckOutcome.CANNOT_TELL: (Tone.REST, "cannot be told"),
}
"""How each outcome is shown: a state, and a word for it."""
