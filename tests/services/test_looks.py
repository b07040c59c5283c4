"""What others do while a worker looks at the consumers of a rotation: it is seen, or it waits for that look."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from tests.forking import PATIENCE
from tests.interleaving import act_at
from tests.organisation import Organisation
from tests.services.staging import TOKEN, Staged, get_rotation
from tests.services.test_watching import activate, run
from tests.stepping import advance
from vaultcore.errors import RefusedError
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.domain.rotation import Rotation
from worker.domain.saga import State

pytestmark = pytest.mark.both

WORKFLOW = "tickets"


@pytest.fixture
def watched(staged: Staged, clock: Any) -> tuple[Organisation, Rotation]:
    if staged[0].services.database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    return activate(staged, clock, WORKFLOW)


@pytest.fixture
def proven(watched: tuple[Organisation, Rotation], clock: Any) -> tuple[Organisation, Rotation]:
    """Its old version may go by now."""
    assert run(watched[0], WORKFLOW) == "completed"
    clock.advance(timedelta(days=1))
    return watched


def _act_at_its_end(
    organisation: Organisation, rotation: Rotation, act: Callable[[], object]
) -> Future[object]:
    """Before the step that is due stores when the next one is."""
    with act_at(organisation.services.database.engine, act, "UPDATE rotations SET", "new_next_at") as begun:
        advance(organisation.services, rotation.id)
    return begun[0]


def _pin_to_old(organisation: Organisation) -> None:
    organisation.services.runs.pins.pin(WORKFLOW, TOKEN, 1, actor="test")


def test_a_run_that_ends_meanwhile_wakes_it(watched: tuple[Organisation, Rotation], clock: Any) -> None:
    organisation, rotation = watched
    clock.advance(timedelta(hours=1))
    change = ItemChange(policy=PolicyChange(parts={"overlap": "20h"}))  # whereupon it looks again
    organisation.services.items.updates.update(TOKEN, change, actor="test")
    ended = _act_at_its_end(organisation, rotation, lambda: run(organisation, WORKFLOW))
    assert ended.result(PATIENCE) == "completed"
    assert get_rotation(organisation, rotation.id).next_at == clock()


def test_who_pins_to_the_old_version_meanwhile_is_refused(proven: tuple[Organisation, Rotation]) -> None:
    organisation, rotation = proven
    pinned = _act_at_its_end(organisation, rotation, lambda: _pin_to_old(organisation))
    assert get_rotation(organisation, rotation.id).state is State.RETIRING
    with pytest.raises(RefusedError, match=r"version 1 of .* is just being taken away"):
        pinned.result(PATIENCE)


def test_who_pins_to_the_old_version_while_it_ends_is_refused(proven: tuple[Organisation, Rotation]) -> None:
    organisation, rotation = proven
    advance(organisation.services, rotation.id)
    assert get_rotation(organisation, rotation.id).state is State.RETIRING
    pinned = _act_at_its_end(organisation, rotation, lambda: _pin_to_old(organisation))
    assert get_rotation(organisation, rotation.id).state is State.DONE
    with pytest.raises(RefusedError, match=r"version 1 of .* holds no value any more"):
        pinned.result(PATIENCE)
