"""How a rotation stands, as a person says it. Pure."""

from typing import Final

from worker.domain.rotation import Rotation
from worker.domain.saga import State

_STATES: Final = {
    State.REQUESTED: "waits for an approval",
    State.SCHEDULED: "begins when changes may be made",
    State.QUEUED: "waits for its turn in this night",
    State.PLANNED: "a new value is made",
    State.CREATED: "the new value is installed",
    State.INSTALLED: "the new value is verified",
    State.ACCEPTED: "each node that uses it is tested",
    State.NODE_TESTED: "each workflow that uses it is tested",
    State.WORKFLOW_TESTED: "the new value is made current",
    State.ACTIVATED: "new value current",
    State.CANARY: "new value current for one workflow first",
    State.WATCHING: "new value current, watched",
    State.RETIRING: "the old value is taken away",
    State.DISCARDING: "the new value was rejected, and is taken away",
    State.UNDOING: "goes back to the old value",
    State.DONE: "replaced",
    State.ROLLED_BACK: "not replaced: the old value is in use",
    State.STUCK: "stuck: a person decides",
    State.CANCELLED: "cancelled before it began",
}


def say_state(rotation: Rotation) -> str:
    """In a few words, without what it waits for."""
    if rotation.by_owner and rotation.state is State.DONE:
        return "the value from before is gone"
    if rotation.state is State.CANCELLED and rotation.new_number is not None:
        return "cancelled"
    if rotation.failing_since is not None:
        return f"{_STATES[rotation.state]}: tried again, since the last try failed"
    return _STATES[rotation.state]
