"""Where a person's decision leads a rotation; None: it does not fit how the rotation stands. Pure.

Which of them are worth it is `worker.domain.advice`; what else must hold, `worker.services.rotation.decisions`.
"""

from worker.domain.rotation import Rotation
from worker.domain.saga import BEFORE_ACTIVATION, FINISHED, NOT_BEGUN, WATCHED, State

_GOING_BACK = frozenset({State.UNDOING, State.DISCARDING})


def after_approval(rotation: Rotation) -> State | None:
    """Of one that waits for it. A no is as much an answer: whatever may be approved may be rejected."""
    if rotation.state is not State.REQUESTED:
        return None
    return State.SCHEDULED if rotation.gated else State.PLANNED


def after_cancel(rotation: Rotation) -> State | None:
    """What has not begun ends at once; what was not activated is taken back."""
    if (rotation.stuck_in or rotation.state) in NOT_BEGUN:
        return State.CANCELLED
    return State.UNDOING if rotation.state in BEFORE_ACTIVATION else None


def after_retry(rotation: Rotation, *, another: bool = False) -> State | None:
    """The step that is stuck, or that waits for its next try. `another`: the new value is thrown away first."""
    stuck_in = rotation.stuck_in if rotation.state is State.STUCK else None
    if another:
        return State.DISCARDING if stuck_in in BEFORE_ACTIVATION else None
    if stuck_in is None:
        return rotation.state if rotation.failing_since is not None else None
    return stuck_in


def after_roll_back(rotation: Rotation, *, differs: bool = False) -> State | None:
    """Where the way back is what got stuck, it ends here; so does one that is stuck where the item `differs`
    from its target since a restore.
    """
    at = rotation.stuck_in or rotation.state
    if at in NOT_BEGUN | FINISHED:
        return None
    if rotation.state is State.STUCK and (differs or at in _GOING_BACK):
        return State.ROLLED_BACK
    return None if at in _GOING_BACK else State.UNDOING


def after_accept(rotation: Rotation) -> State | None:
    """Where taking the old value away got stuck, it ends here."""
    if rotation.state is not State.STUCK or rotation.stuck_in in NOT_BEGUN:
        return None
    return State.DONE if rotation.stuck_in is State.RETIRING else State.WATCHING


def after_waiver(rotation: Rotation, *, check: bool = False) -> State | None:
    """Somebody answers for a consumer; or, with `check`, for that the new value works."""
    if not check:
        return rotation.state if has_consumers_to_wait_for(rotation) else None
    at = rotation.stuck_in or rotation.state
    return at if at in WATCHED | {State.RETIRING} else None


def has_consumers_to_wait_for(rotation: Rotation) -> bool:
    """Its new value is current: it may wait longer, for one consumer less, or be proven by a run now."""
    return rotation.state in WATCHED
