"""A person asks for a rotation at the moment in which a worker goes on with it."""

from datetime import timedelta
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming
from tests.interleaving import act_at
from tests.services.staging import TOKEN, Staged, begin_by_hand, drive_on, get_rotation
from vaultcore.errors import ConflictError
from worker.domain.saga import State

pytestmark = pytest.mark.both

TAKES = "UPDATE rotations SET"


@pytest.fixture
def asked(staged: Staged) -> Staged:
    organisation, _ = staged
    if organisation.services.database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    organisation.add_token(TOKEN, "ticketing", days=3, overlap="1h")
    organisation.add_workflow("tickets", TOKEN)
    return staged


@pytest.mark.parametrize("emergency", [False, True])
def test_one_that_a_worker_has_just_begun_is_not_begun_again(
    asked: Staged, clock: Any, *, emergency: bool
) -> None:
    """It would issue a token for each of its tries, and take that for one of before."""
    organisation, service = asked
    organisation.services.night.nights.begin(clock())
    (rotation,) = organisation.rotations()

    def be_away(incoming: Incoming) -> Answer | None:  # so that it waits with a new token
        gone = incoming.path == "/v1/account" and service.calls("POST")
        return Answer(status=503, body={}) if gone else None

    service.script = be_away
    opening, drive = organisation.services.rotation.opening, organisation.services.rotation.rotations.drive
    ask = opening.request_emergency if emergency else opening.request
    with (
        act_at(organisation.services.database.engine, lambda: drive(rotation.id), TAKES),
        pytest.raises(ConflictError, match="has just gone on, and is installed: try again"),
    ):
        ask(TOKEN, asked_by="anna")
    assert get_rotation(organisation, rotation.id).state is State.INSTALLED
    service.script = lambda _: None
    drive_on(organisation, clock, until=lambda: organisation.rotations()[0].state is State.WATCHING)
    assert service.calls("POST") == 1


def test_one_that_has_just_got_stuck_is_no_emergency(asked: Staged, clock: Any) -> None:
    """It would be due for ever."""
    organisation, service = asked
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock, until=lambda: organisation.rotations()[0].state is State.WATCHING)
    organisation.services.runs.runs.start("tickets", actor="test")
    clock.advance(timedelta(hours=2))
    service.script = lambda one: Answer(status=403, body={}) if one.method == "DELETE" else None
    opening, drive = organisation.services.rotation.opening, organisation.services.rotation.rotations.drive
    with (
        act_at(organisation.services.database.engine, lambda: drive(rotation_id), TAKES),
        pytest.raises(ConflictError, match="has just gone on, and is stuck: try again"),
    ):
        opening.request_emergency(TOKEN, asked_by="anna")
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.emergency) == (State.STUCK, False)
    assert organisation.due() == []
