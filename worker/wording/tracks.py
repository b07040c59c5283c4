"""A rotation's stops in words: what a drawing of them shows, for who does not see it. Pure."""

from collections.abc import Sequence
from typing import Final

from worker.domain.rotation import Rotation
from worker.domain.saga import Step
from worker.domain.tracks import Dot, Stop

_NAMES: Final = {Step.ADMIT: "begin"}
_AT: Final = {
    Dot.NOW: "{step} is under way",
    Dot.WAITS: "{step} waits",
    Dot.FAILED: "{step} failed",
    Dot.STOPPED: "it was ended before {step}",
}


def name_step(step: Step) -> str:
    return _NAMES.get(step, step.value)


def say_track(stops: Sequence[Stop]) -> str:
    """`4 of 9 steps done, workflow test failed`."""
    over = [one for one in stops if one.mark in (Dot.DONE, Dot.PASSED_OVER)]
    done = sum(one.mark is Dot.DONE for one in over)
    passed = len(over) - done
    at = [_AT[one.mark].format(step=name_step(one.step)) for one in stops if one.mark in _AT]
    skipped = [f"{passed} not needed"] if passed else []
    return ", ".join([f"{done} of {len(stops)} steps done", *skipped, *at])


def name_rotation(rotation: Rotation) -> str:
    """As a drawing of it is called."""
    return f"Steps of the rotation of {rotation.item}"
