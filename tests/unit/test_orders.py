"""What may be asked of the other side, whatever a rotation's row says."""

import pytest

from vaultcore.model import Stage
from worker.domain.orders import explain_forbidden
from worker.domain.saga import Step

PENDING, CURRENT, PREVIOUS, DESTROYED = Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS, Stage.DESTROYED


@pytest.mark.parametrize(
    ("step", "old", "new", "activated"),
    [
        (Step.CREATE, CURRENT, None, False),
        (Step.CREATE, CURRENT, PENDING, False),
        (Step.INSTALL, CURRENT, PENDING, False),
        (Step.VERIFY, CURRENT, PENDING, False),
        (Step.DISCARD, CURRENT, PENDING, False),
        (Step.RETIRE, PREVIOUS, CURRENT, True),
        (Step.RETIRE, PREVIOUS, PREVIOUS, True),  # its owner has given another one since
        (Step.UNDO, CURRENT, PENDING, False),
        (Step.UNDO, PREVIOUS, CURRENT, True),
        (Step.UNDO, CURRENT, PREVIOUS, True),
        (Step.UNDO, CURRENT, DESTROYED, False),
    ],
)
def test_a_rotation_as_it_goes_may(step: Step, old: Stage, new: Stage | None, activated: bool) -> None:
    assert explain_forbidden(step, old=old, new=new, same=False, activated=activated) is None


@pytest.mark.parametrize(
    ("step", "old", "new", "activated", "says"),
    [
        (Step.RETIRE, CURRENT, PREVIOUS, True, "is current, and only what is previous"),
        (Step.RETIRE, PENDING, CURRENT, True, "is pending, and only"),
        (Step.RETIRE, DESTROYED, CURRENT, True, "is destroyed, and only"),
        (Step.RETIRE, None, CURRENT, True, "is not there, and only"),
        (Step.UNDO, CURRENT, CURRENT, True, "is current, and not by this rotation"),
        (Step.UNDO, PREVIOUS, CURRENT, False, "is current, and not by this rotation"),
        (Step.UNDO, DESTROYED, CURRENT, True, "is current, and not by this rotation"),
        (Step.DISCARD, PREVIOUS, CURRENT, False, "its new version is current already"),
        (Step.DISCARD, CURRENT, PREVIOUS, False, "its new version is previous already"),
        (Step.CREATE, PREVIOUS, CURRENT, False, "its new version is current already"),
        (Step.INSTALL, CURRENT, None, False, "it has no new version"),
    ],
)
def test_what_is_in_use_is_not_taken_away(
    step: Step, old: Stage | None, new: Stage | None, activated: bool, says: str
) -> None:
    why = explain_forbidden(step, old=old, new=new, same=False, activated=activated)
    assert why is not None
    assert says in why


@pytest.mark.parametrize("step", list(Step))
def test_a_rotation_of_one_version_with_itself_asks_for_nothing(step: Step) -> None:
    assert explain_forbidden(step, old=CURRENT, new=CURRENT, same=True, activated=True) is not None
