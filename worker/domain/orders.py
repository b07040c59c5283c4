"""What may be asked of the other side, by what the vault itself says of the two values. Pure.

An order outside cannot be taken back: so whatever a rotation's row says, it only takes away what is not in use
here, and only brings what is not in use here yet.
"""

from vaultcore.model import Stage
from worker.domain.saga import Step

_NEW_BEFORE: dict[Step, frozenset[Stage | None]] = {
    Step.CREATE: frozenset({None, Stage.PENDING}),
    Step.INSTALL: frozenset({Stage.PENDING}),
    Step.VERIFY: frozenset({Stage.PENDING}),
    Step.DISCARD: frozenset({None, Stage.PENDING, Stage.DESTROYED}),
}
"""The stages that the new value may be in when the step asks something of the other side."""


def explain_forbidden(
    step: Step, *, old: Stage | None, new: Stage | None, same: bool, activated: bool
) -> str | None:
    """Why the step may ask nothing of the other side; None: it may.

    `old` and `new` are the stages of a rotation's two versions, None where there is none; `same`: they are one.
    `activated`: the rotation has made its new value current.
    """
    if same:
        return "its new version is its old one"
    if step is Step.RETIRE and old is not Stage.PREVIOUS:
        return f"the version that it would revoke is {_show(old)}, and only what is previous may be revoked"
    if step is Step.UNDO and new is Stage.CURRENT and not (activated and old is Stage.PREVIOUS):
        return "the version that it would take back is current, and not by this rotation"
    allowed = _NEW_BEFORE.get(step)
    if allowed is not None and new not in allowed:
        return "it has no new version" if new is None else f"its new version is {new} already"
    return None


def _show(stage: Stage | None) -> str:
    return "not there" if stage is None else stage.value
