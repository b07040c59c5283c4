"""A rotation that is stuck: what is said of its values, and what is advised, are as they are."""

from typing import Any

import pytest

from nightkey_demo.faces import Face
from nightkey_demo.loopback import Answer, Incoming
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    lose_the_first_answer,
    step_to,
    told,
)
from tests.stepping import advance
from vaultcore.errors import RefusedError
from worker.domain.saga import State
from worker.rotators import catalog
from worker.rows import digests as digest_rows
from worker.wording.reasons import say

pytestmark = pytest.mark.rules


def test_where_nothing_was_issued_nobody_is_told_of_a_new_value(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    listed = {"tokens": [{"id": "tok_of_another"}]}

    def script(incoming: Incoming) -> Answer | None:
        if incoming.path != "/v1/tokens":
            return None
        return Answer(status=503, body={}) if incoming.method == "POST" else Answer(status=200, body=listed)

    service.script = script
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock)
    assert organisation.rotations()[0].state is State.STUCK
    ((_, body),) = told(organisation, "rotation-stuck")
    assert "The value from before is kept; there is no new one here." in body
    organisation.night()
    services = organisation.services
    with services.database.read() as connection:
        owner = services.owners.get(connection, "support")
        night = organisation.rotations()[0].told_night
        assert night is not None
        lines = digest_rows.find_rotated(connection, [owner.id], night=night, operators="")[owner.id]
    assert [(one.item, one.state, one.made) for one in lines] == [(TOKEN, State.STUCK, False)]


@pytest.mark.both
def test_who_is_stuck_after_the_old_value_was_revoked_is_not_led_back_to_it(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", overlap="0s")
    organisation.add_workflow("ticket-sync", TOKEN)
    service.has_twins = True
    lose_the_first_answer(service)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    service.script = lambda asked: (
        Answer(status=200, body={"tokens": []}) if (asked.method, asked.path) == ("GET", "/v1/tokens") else None
    )
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    stuck = step_to(organisation, clock, rotation_id, State.STUCK)
    assert (stuck.stuck_in, stuck.old_dead, service.is_live(old)) == (State.RETIRING, True, False)
    with pytest.raises(RefusedError, match="has no way back, since the old value is refused"):
        organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
    organisation.services.rotation.decisions.accept(rotation_id, actor="test")
    assert get_rotation(organisation, rotation_id).state is State.DONE


def test_while_the_old_value_works_there_is_a_way_back_to_it(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", overlap="0s")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    service.script = lambda asked: Answer(status=400, body={}) if asked.method == "DELETE" else None
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    stuck = step_to(organisation, clock, rotation_id, State.STUCK)
    assert (stuck.stuck_in, stuck.old_dead, service.is_live(old)) == (State.RETIRING, False, True)
    service.script = lambda _: None
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK


def test_a_yes_that_everybody_gets_does_not_lead_back_to_a_value_that_is_revoked(
    staged: Staged, clock: Any
) -> None:
    """The answer to the revocation is lost; then the service answers 200 to whoever asks, for a while."""
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", overlap="0s")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    service.fail_next("/v1/tokens/", status=503, after_effect=True, method="DELETE")
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    step_to(organisation, clock, rotation_id, State.RETIRING)
    advance(organisation.services, rotation_id)
    assert (get_rotation(organisation, rotation_id).state, service.is_live(old)) == (State.RETIRING, False)
    service.faces = frozenset({Face.SAYS_NO_WITH_200})
    assert step_to(organisation, clock, rotation_id, State.STUCK).stuck_in is State.RETIRING
    assert len(service.live_tokens("ticketing")) == 1
    service.faces = frozenset()
    organisation.services.rotation.decisions.retry(rotation_id, actor="test")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert len(service.live_tokens("ticketing")) == 1


@pytest.mark.both
def test_one_whose_rotator_is_gone_before_its_activation_does_not_hang(
    staged: Staged, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade took its package away while it waited for its window: somebody is told."""
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WORKFLOW_TESTED)
    left = {name: entry for name, entry in catalog._found().items() if name != "http"}
    monkeypatch.setattr(catalog, "_found", lambda: left)
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert rotation.state is State.STUCK
    assert rotation.last_error is not None
    assert "rotator 'http'" in say(rotation.last_error)
    assert told(organisation, "rotation-stuck")
