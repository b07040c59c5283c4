"""A person gives another value while a rotation is open, in each of its states: it ends on that, plainly."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from nightkey_demo.loopback import Answer
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    bearer_of,
    begin_by_hand,
    drive_on,
    end_the_old,
    get_rotation,
    lose_the_first_answer,
    rotate,
    step_to,
    told,
    what_is_wrong,
)
from vaultcore.errors import RefusedError
from vaultcore.secret import Secret
from vaultcore.tables import versions
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.wording.reasons import say

DAY = timedelta(days=1)


def give(on_file: Staged) -> str:
    """The owner makes a token of their own, and gives it; its value."""
    organisation, service = on_file
    value = service.issue("ticketing", label=f"by hand {len(organisation.stages(TOKEN))}")[1]
    change = ItemChange(expires_at=organisation.services.clock() + 90 * DAY)
    organisation.services.items.updates.update(TOKEN, change, value=Secret(value), actor="test")
    return value


def pass_a_night(on_file: Staged, clock: Any, *, after: timedelta = 8 * DAY) -> None:
    organisation, _ = on_file
    clock.advance(after)
    organisation.night()
    drive_on(organisation, clock)


def test_a_repair_after_a_dead_replacement_ends_the_rotation_and_the_night_is_good(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    first = organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    end_the_old(service)
    rotation = rotate(on_file, clock)
    assert (rotation.state, rotation.one_way) == (State.WATCHING, True)
    service.end_all("ticketing")  # the new one, too
    service.script = lambda _: None
    theirs = give(on_file)
    organisation.services.rotation.decisions.waive(
        rotation.id, None, check=True, why="it is mine", actor="test"
    )
    organisation.drive()
    ended = get_rotation(organisation, rotation.id)
    assert (ended.state, ended.last_cause) == (State.CANCELLED, None)
    assert say(ended.last_error) == "version 3 was given by hand since, and is in use"
    ((_, body),) = told(organisation, "rotation-overtaken")
    assert "is now version 3, which was given by hand while its rotation was at version 2" in body
    assert organisation.services.runs.runs.start("ticket-sync", actor="test").status == "completed"

    for _ in range(2):  # what is from before goes one after the other
        pass_a_night(on_file, clock)
    assert organisation.stages(TOKEN) == ["destroyed", "destroyed", "current"]
    assert {one.state for one in organisation.rotations()} == {State.CANCELLED, State.DONE}
    assert [service.is_live(one) for one in (first, theirs)] == [False, True]
    assert told(organisation, "rotation-stuck") == told(organisation, "rotation-rolled-back") == []
    assert not any(TOKEN in problem for problem in what_is_wrong(organisation.services))


@pytest.mark.parametrize("state", [State.ACTIVATED, State.WATCHING, State.RETIRING])
def test_after_the_activation_both_values_from_before_are_retired_in_their_turn(
    on_file: Staged, clock: Any, state: State
) -> None:
    organisation, service = on_file
    first = organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    if state is State.RETIRING:
        step_to(organisation, clock, rotation_id, State.WATCHING)
        organisation.services.runs.runs.start("ticket-sync", actor="test")
    step_to(organisation, clock, rotation_id, state)
    theirs = give(on_file)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.CANCELLED
    assert service.is_live(first), "the workflow has not moved yet"
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    for _ in range(2):
        pass_a_night(on_file, clock)
    assert organisation.stages(TOKEN) == ["destroyed", "destroyed", "current"]
    assert len(service.live_tokens("ticketing")) == 1
    assert service.is_live(theirs)


def test_before_anything_was_made_it_is_no_failure(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    give(on_file)
    organisation.drive()
    ended = get_rotation(organisation, rotation_id)
    assert (ended.state, ended.last_cause, ended.new_number) == (State.CANCELLED, None, None)
    assert told(organisation, "rotation-rolled-back") == told(organisation, "rotation-cancelled") == []
    assert service.calls("POST") == 0


def test_while_a_candidate_is_tested_it_is_refused_with_the_way_out(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    with pytest.raises(RefusedError, match=f"nightkey rotation cancel {rotation_id}"):
        give(on_file)


def get_stuck(on_file: Staged, clock: Any) -> Rotation:
    """One whose candidate opens too little, and whose old value is gone."""
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("invoice-export", TOKEN, path="/v1/invoices")
    service.default_scopes["ticketing"] = ["tickets"]
    end_the_old(service)
    return rotate(on_file, clock)


def test_where_a_candidate_is_stuck_with_no_way_back_it_is_taken_away_and_the_given_one_stays(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    rotation = get_stuck(on_file, clock)
    assert (rotation.state, rotation.stuck_in, rotation.one_way) == (State.STUCK, State.ACCEPTED, True)
    del service.default_scopes["ticketing"]
    theirs = give(on_file)
    assert get_rotation(organisation, rotation.id).state is not State.STUCK
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation.id)
    assert (ended.state, ended.last_cause) == (State.CANCELLED, None)
    assert organisation.stages(TOKEN) == ["previous", "destroyed", "current"]
    assert service.is_live(theirs)
    assert len(service.live_tokens("ticketing")) == 1
    assert told(organisation, "rotation-rolled-back") == []
    assert ("stuck", TOKEN) not in organisation.findings()


def test_what_cannot_be_taken_away_stays_said_until_a_person_has_seen_to_it(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    rotation = get_stuck(on_file, clock)
    service.script = lambda asked: Answer(status=409, body={}) if asked.method == "DELETE" else None
    theirs = give(on_file)
    drive_on(organisation, clock)
    stuck = get_rotation(organisation, rotation.id)
    assert (stuck.state, stuck.stuck_in) == (State.STUCK, State.UNDOING)
    assert "version 3, which was given by hand, is in use" in " ".join(
        body for _, body in told(organisation, "rotation-stuck")
    )
    with pytest.raises(RefusedError, match="ends on version 3"):
        organisation.services.rotation.decisions.accept(rotation.id, actor="test")
    organisation.services.rotation.decisions.roll_back(rotation.id, actor="test")
    assert organisation.stages(TOKEN) == ["previous", "destroyed", "current"]
    assert service.is_live(theirs)


def test_while_it_goes_back_the_given_value_is_nobodys_to_take_back(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
    theirs = give(on_file)
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    assert (ended.state, ended.last_cause) == (State.CANCELLED, None)
    assert organisation.stages(TOKEN)[2] == "current"
    assert service.is_live(theirs)
    assert told(organisation, "rotation-rolled-back") == []


def test_one_answer_for_the_given_value_counts_for_each_that_is_taken_away_for_it(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    settings = organisation.token_policy("ticketing")["settings"]
    settings = {key: value for key, value in settings.items() if key not in ("verify_id", "find")}
    organisation.add_token(TOKEN, "ticketing", settings=settings)
    (token_id,) = service.live_tokens("ticketing")
    with organisation.services.database.write() as connection:
        connection.execute(update(versions).where(versions.c.number == 1).values(external={"id": token_id}))
    admin = (service.admin_token, "")
    service.script = lambda asked: (
        Answer(status=200, body={}) if asked.path == "/v1/account" and bearer_of(asked) not in admin else None
    )
    rotation = rotate(on_file, clock)
    give(on_file)
    organisation.services.rotation.decisions.waive(
        rotation.id, None, check=True, why="it is mine", actor="test"
    )
    organisation.drive()
    for _ in range(2):
        pass_a_night(on_file, clock)
    assert organisation.stages(TOKEN) == ["destroyed", "destroyed", "current"]


def watch_after_a_lost_answer(on_file: Staged, clock: Any) -> Rotation:
    """Version 2 is in use, version 1 works on, and what took effect late may still come."""
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", overlap="7d")
    organisation.add_workflow("ticket-sync", TOKEN)
    service.has_twins = True
    lose_the_first_answer(service)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.new_number, rotation.late_until is not None) == (2, True)
    return rotation


def live_by_label(service: ScriptedService, label: str) -> list[str]:
    with service._lock:
        return [one.id for one in service._by_digest.values() if one.label == label and not one.revoked]


def test_a_version_in_use_is_retired_in_its_turn_though_an_answer_was_lost_before_it(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    rotation = watch_after_a_lost_answer(on_file, clock)
    label = f"nightkey-{rotation.id}"
    (second,) = live_by_label(service, label)
    service.issue("ticketing", label=label)  # what was given up takes effect now
    theirs = give(on_file)
    organisation.drive()
    assert live_by_label(service, label) == [second], "the late one is gone, and not the one in use"
    waiting = get_rotation(organisation, rotation.id)
    assert say(waiting.last_error) == "version 3 was given by hand since, and what is not in use is taken away"
    step_to(organisation, clock, rotation.id, State.CANCELLED)
    assert organisation.stages(TOKEN) == ["previous", "previous", "current"]
    assert live_by_label(service, label) == [second]
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    for _ in range(2):
        pass_a_night(on_file, clock)
    assert organisation.stages(TOKEN) == ["destroyed", "destroyed", "current"]
    assert len(service.live_tokens("ticketing")) == 1
    assert service.is_live(theirs)


def test_where_the_version_in_use_cannot_be_told_from_what_came_late_nothing_is_revoked(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    rotation = watch_after_a_lost_answer(on_file, clock)
    named_otherwise = PolicyChange(assigned={"find_ids": "tokens.*.label"})
    organisation.services.items.updates.update(TOKEN, ItemChange(policy=named_otherwise), actor="test")
    label = f"nightkey-{rotation.id}"
    live = live_by_label(service, label)
    give(on_file)
    drive_on(organisation, clock)
    stuck = get_rotation(organisation, rotation.id)
    assert (stuck.state, stuck.stuck_in) == (State.STUCK, State.UNDOING)
    assert live_by_label(service, label) == live
    assert f"look there for {label}, and revoke what is not version 2" in str(say(stuck.last_error))
    organisation.services.rotation.decisions.roll_back(rotation.id, actor="test")
    assert organisation.stages(TOKEN) == ["previous", "previous", "current"]
