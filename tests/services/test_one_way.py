"""A service that ends the old value when it issues the new one: from then on there is only the way forward."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from nightkey_demo.faces import Face
from nightkey_demo.loopback import Answer, Incoming
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    end_the_old,
    get_rotation,
    rotate,
    start_organisation,
    step_to,
    told,
)
from vaultcore.errors import RefusedError
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.rows.rotation_steps import steps_of
from worker.wording.reasons import say_all, say_each

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
SHORT = ["0 2 * * * for 1h in UTC"]


@pytest.fixture
def staged(services: Services) -> Iterator[Staged]:
    with start_organisation(services) as made:
        end_the_old(made[1])
        yield made


@pytest.mark.both
def test_its_owners_hear_at_once_and_it_goes_on_to_its_end(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation = rotate(staged, clock)
    assert (rotation.state, rotation.one_way) == (State.WATCHING, True)
    ((owner, body),) = told(organisation, "one-way")
    assert owner == "support"
    assert "ticket-sync fails until the new value is in use" in body
    with organisation.services.database.read() as connection:
        said = " ".join(say_all(row.said) for row in steps_of(connection, rotation.id))
        item = organisation.services.vault.get(connection, TOKEN)
        leeway = organisation.services.rotation.views.find_leeway(connection, rotation)
    assert "version 2 is current; version 1 stopped working when that was issued" in said
    assert organisation.services.items.views.view(item.id).overlap == (
        "the old value stops working when a new one is issued, as was seen the last time"
    )
    assert say_each(rotation.waits_for)[0].startswith("the time for first runs, until ")
    assert (leeway.beside, leeway.given) == (False, None)
    with pytest.raises(RefusedError, match="more time helps nobody"):
        organisation.services.rotation.decisions.extend(rotation.id, clock() + 3 * DAY, actor="test")
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    clock.advance(2 * DAY)
    drive_on(organisation, clock)
    assert organisation.rotations()[0].state is State.DONE
    assert len(service.live_tokens("ticketing")) == 1


def test_nobody_is_held_back_on_a_value_that_is_dead_and_no_window_is_waited_for(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", canary="auto", windows=SHORT)
    organisation.add_workflow("ticket-sync", TOKEN, is_active=True)
    organisation.add_workflow("ticket-report", TOKEN, is_active=True)
    organisation.services.night.nights.begin(clock())
    (rotation,) = organisation.rotations()
    step_to(organisation, clock, rotation.id, State.WORKFLOW_TESTED)
    clock.advance(timedelta(hours=3))
    drive_on(organisation, clock)
    rotation = organisation.rotations()[0]
    assert (rotation.state, rotation.canary_id) == (State.WATCHING, None)


def test_a_refused_candidate_is_followed_by_no_other_before_a_person_says_so(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("invoice-export", TOKEN, path="/v1/invoices")
    service.default_scopes["ticketing"] = ["tickets"]
    rotation = rotate(staged, clock)
    assert (rotation.state, rotation.stuck_in) == (State.STUCK, State.ACCEPTED)
    assert service.calls("POST") == 1
    assert service.calls("DELETE") == 0
    assert len(told(organisation, "rotation-stuck")) == 1

    deciding = organisation.services.rotation.decisions
    del service.default_scopes["ticketing"]
    deciding.retry(rotation.id, another=True, actor="test")
    drive_on(organisation, clock)
    again = organisation.rotations()[0]
    assert (again.state, again.candidates) == (State.WATCHING, 1)
    assert service.calls("POST") == 2
    assert len(told(organisation, "one-way")) == 1
    with pytest.raises(RefusedError, match="has no rejected value that another could follow"):
        deciding.retry(rotation.id, another=True, actor="test")


def test_a_policy_may_say_that_another_candidate_is_made(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", renew=True)
    organisation.add_workflow("invoice-export", TOKEN, path="/v1/invoices")
    service.default_scopes["ticketing"] = ["tickets"]
    rotation = rotate(staged, clock)
    assert (rotation.state, rotation.candidates) == (State.STUCK, 2)
    assert service.calls("POST") == 3


def test_who_goes_back_all_the_same_does_not_lose_the_only_value_that_works(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    rotation = rotate(staged, clock)
    with pytest.raises(RefusedError, match="has no way back"):
        organisation.services.rotation.decisions.roll_back(rotation.id, actor="test")
    assert len(service.live_tokens("ticketing")) == 1


@pytest.mark.parametrize("state", [State.CREATED, State.INSTALLED])
def test_who_goes_back_before_that_was_seen_does_not_lose_it_either(
    staged: Staged, clock: Any, state: State
) -> None:
    """Also where one alone works at a time, as the policy says."""
    organisation, service = staged
    settings = organisation.token_policy("ticketing")["settings"] | {"overlaps": False}
    organisation.add_token(TOKEN, "ticketing", settings=settings)
    rotation = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), state)
    organisation.services.rotation.decisions.roll_back(rotation.id, actor="test")
    drive_on(organisation, clock)
    assert organisation.rotations()[0].state is State.STUCK
    assert len(service.live_tokens("ticketing")) == 1


def test_an_old_value_that_was_dead_before_is_nothing_that_the_issue_ended(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    service.end_all("ticketing")
    rotation = rotate(staged, clock)
    assert (rotation.one_way, rotation.old_dead) == (False, True)
    assert told(organisation, "one-way") == []


def test_an_old_value_that_had_lapsed_before_is_nothing_to_tell_of(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=1)
    clock.advance(2 * DAY)
    service.end_all("ticketing")
    rotation = rotate(staged, clock)
    assert (rotation.one_way, rotation.old_dead) == (False, True)
    assert told(organisation, "one-way") == []


def test_an_answer_that_is_lost_has_ended_the_old_value_all_the_same(staged: Staged, clock: Any) -> None:
    """Whatever fails then leads to a person and not back, and the person's retry on to a new value."""
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    service.fail_next("/v1/tokens", status=503, after_effect=True, method="POST")
    rotation_id = begin_by_hand(organisation, TOKEN)
    organisation.services.rotation.rotations.drive(rotation_id)
    service.faces = frozenset({Face.ENDED})
    stuck = step_to(organisation, clock, rotation_id, State.STUCK)
    assert (stuck.stuck_in, stuck.one_way, stuck.old_dead) == (State.CREATED, True, False)
    assert len(told(organisation, "one-way")) == 1
    service.faces = frozenset()
    organisation.services.rotation.decisions.retry(rotation_id, another=True, actor="test")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    assert len(service.live_tokens("ticketing")) == 1
    assert len(told(organisation, "one-way")) == 1


def test_a_date_alone_ends_no_value_that_the_other_side_still_takes(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=1)
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/tickets")
    organisation.add_workflow("invoice-export", TOKEN, path="/v1/invoices")
    clock.advance(2 * DAY)
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    service.default_scopes["ticketing"] = ["tickets"]
    rotation = rotate(staged, clock)
    assert (rotation.state, rotation.stuck_in, rotation.one_way) == (State.STUCK, State.ACCEPTED, True)
    assert len(service.live_tokens("ticketing")) == 1
    assert len(told(organisation, "one-way")) == 1


@pytest.mark.both
def test_consumers_with_a_dead_value_are_not_kept_waiting_by_the_look_that_sees_it(staged: Staged) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    organisation.drive()  # at one moment: nothing turns the clock
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.one_way) == (State.WATCHING, True)


def test_a_new_value_that_is_refused_when_the_old_one_is_seen_dead_is_kept_for_a_person(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", propagation="0s")
    end_the_old(service)
    ends = service.script
    issued: list[bool] = []

    def script(incoming: Incoming) -> Answer | None:
        if incoming.method == "POST":
            issued.append(True)
        refuses = bool(issued) and incoming.path == "/v1/account"
        return Answer(status=401, body={"error": "unknown token"}) if refuses else ends(incoming)

    service.script = script
    rotation = rotate(staged, clock)
    assert (rotation.state, rotation.stuck_in, rotation.one_way) == (State.STUCK, State.INSTALLED, True)
    assert service.calls("DELETE") == 0
    assert service.calls("POST") == 1
