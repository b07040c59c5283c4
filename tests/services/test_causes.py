"""Why a step failed decides what follows: a rejection, an outage and a mistake are told apart at each step."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming
from tests.organisation import Organisation
from tests.services.staging import (
    REFUSED,
    TOKEN,
    ScriptedService,
    Staged,
    bearer_of,
    begin_by_hand,
    drive_on,
    get_rotation,
    reopen,
    stage,
    step_to,
    told,
    turn_to_next,
)
from tests.stepping import advance
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rotators.http import HttpRotator
from worker.rows import rotation_steps as step_rows
from worker.wording.reasons import say, say_all, say_each

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
ACTS_OUTSIDE = (
    State.PLANNED,
    State.INSTALLED,
    State.ACCEPTED,
    State.NODE_TESTED,
    State.RETIRING,
)


# Rejections


@pytest.mark.both
def test_a_new_value_that_propagates_slowly_is_polled_and_kept(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", propagation="20s")
    polled: list[float] = []
    began = clock()

    def accept_late(incoming: Incoming) -> Answer | None:
        if incoming.path != "/v1/account" or bearer_of(incoming) == old:
            return None
        polled.append((clock() - began).total_seconds())
        return REFUSED if len(polled) <= 4 else None

    service.script = accept_late
    organisation.services.night.nights.begin(began)
    drive_on(organisation, clock)
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.candidates) == (State.WATCHING, 0)
    assert service.calls("POST") == 1
    assert service.calls("DELETE") == 0
    good_in_a_row, made_up = 3, 1
    assert len(polled) == 4 + good_in_a_row + made_up
    assert 0.5 + 1 + 2 + 4 <= polled[-1] < 20


def test_a_new_value_that_is_refused_for_longer_than_it_may_propagate_is_thrown_away(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", propagation="20s")
    refused: list[tuple[str, float]] = []
    began = clock()

    def refuse_the_first(incoming: Incoming) -> Answer | None:
        value = bearer_of(incoming)
        if incoming.path != "/v1/account" or value == old or refused[:1] not in ([], [(value, 0.0)]):
            return None
        refused.append((value, (clock() - began).total_seconds()))
        return REFUSED

    service.script = refuse_the_first
    rotation_id = (organisation.services.night.nights.begin(began) or [])[0]
    step_to(organisation, clock, rotation_id, State.DISCARDING)
    polled = [second for _, second in refused]
    assert len(polled) > 4
    assert polled[-1] >= 20  # the try that found it refused when its time was over
    assert max(polled[:-1]) < 20
    service.script = lambda _: None
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.candidates, rotation.new_number) == (State.WATCHING, 1, 3)
    assert organisation.stages(TOKEN) == ["previous", "destroyed", "current"]
    assert len(service.live_tokens("ticketing")) == 2


def _reject_at_verify(organisation: Organisation, service: ScriptedService) -> None:
    policy = organisation.token_policy("ticketing")
    url = f"{service.url}/v1/invoices"
    settings = policy["settings"] | {"verify": _get(url)}
    del settings["verify_id"]  # that answer names no token
    organisation.add_token(TOKEN, "ticketing", settings=settings)
    service.default_scopes["ticketing"] = ["tickets"]


def _reject_in_nodes(organisation: Organisation, service: ScriptedService) -> None:
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/invoices")
    service.default_scopes["ticketing"] = ["tickets"]


def _reject_in_workflows(organisation: Organisation, service: ScriptedService) -> None:
    old = organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/tickets")
    seen: set[str] = set()

    def reject_the_second_call(incoming: Incoming) -> Answer | None:
        value = bearer_of(incoming)
        if incoming.path != "/v1/tickets" or value == old:
            return None
        again = value in seen
        seen.add(value)
        return REFUSED if again else None

    service.script = reject_the_second_call


@pytest.mark.parametrize(
    ("arrange", "step"),
    [
        (_reject_at_verify, "verify"),
        (_reject_in_nodes, "node test"),
        (_reject_in_workflows, "workflow test"),
    ],
)
def test_candidates_that_are_rejected_are_thrown_away_up_to_three_and_then_it_goes_back(
    staged: Staged, clock: Any, arrange: Callable[[Organisation, ScriptedService], None], step: str
) -> None:
    organisation, service = staged
    arrange(organisation, service)
    (old_id,) = service.live_tokens("ticketing")
    slot = clock()
    organisation.services.night.nights.begin(slot)
    drive_on(organisation, clock)
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.last_cause, rotation.candidates) == (State.ROLLED_BACK, "rejected", 2)
    assert service.calls("POST") == 3
    assert service.live_tokens("ticketing") == [old_id]
    assert organisation.stages(TOKEN) == ["current", *["destroyed"] * 3]
    failed = [one for one in _steps(organisation, rotation) if one[1] == "failed"]
    assert failed == [(step, "failed", "rejected")] * 3
    ((owner, body),) = told(organisation, "rotation-rolled-back")
    assert owner == "support"
    assert f"The replacement of {TOKEN} did not pass" in body
    assert organisation.services.night.nights.close(slot) == "failed"


@pytest.mark.parametrize("arrange", [_reject_at_verify, _reject_in_nodes, _reject_in_workflows])
def test_the_next_candidate_is_used_where_it_passes(
    staged: Staged, clock: Any, arrange: Callable[[Organisation, ScriptedService], None]
) -> None:
    organisation, service = staged
    arrange(organisation, service)
    rotation_id = (organisation.services.night.nights.begin(clock()) or [])[0]
    step_to(organisation, clock, rotation_id, State.DISCARDING)
    service.script = lambda _: None
    service.default_scopes.clear()
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.candidates) == (State.WATCHING, 1)
    assert organisation.stages(TOKEN) == ["previous", "destroyed", "current"]
    assert len(service.live_tokens("ticketing")) == 2
    assert told(organisation, "rotation-rolled-back") == []


def test_another_credential_that_a_workflow_test_finds_refused_costs_no_candidate(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_item("prod-crm-password", "not-what-they-take", days=300, mode="notify")
    call = {"componentId": "webhook", "method": "GET", "url": f"{service.url}/v1/account"}
    organisation.add_workflow(
        "ticket-sync",
        TOKEN,
        nodes=[
            {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
            {"id": "ours", "type": "action", "data": call | _bearer_header(TOKEN)},
            {"id": "theirs", "type": "action", "data": call | _bearer_header("prod-crm-password")},
        ],
        edges=[
            {"id": "e1", "source": "start", "target": "ours"},
            {"id": "e2", "source": "ours", "target": "theirs"},
        ],
    )
    (rotation,) = organisation.night()
    assert (rotation.state, rotation.last_cause, rotation.candidates) == (State.ROLLED_BACK, "mistake", 0)
    assert "workflow ticket-sync, node theirs" in say(rotation.last_error)
    assert service.calls("POST") == 1
    assert len(service.live_tokens("ticketing")) == 1


# Outages


@pytest.mark.parametrize("outage", ["503", "429", "no answer", "refused connection"])
def test_an_outage_is_waited_out_at_each_step_with_the_same_candidate(
    tmp_path: Path, database_url: str, clock: Any, outage: str
) -> None:
    with stage(tmp_path, database_url, clock) as (organisation, service):
        old = organisation.add_token(TOKEN, "ticketing")
        organisation.add_workflow("ticket-sync", TOKEN)
        rotation_id = (organisation.services.night.nights.begin(clock()) or [])[0]
        made: set[str] = set()
        for state in ACTS_OUTSIDE:
            if state is State.RETIRING:
                _let_retire(organisation, clock, rotation_id)
            before = step_to(organisation, clock, rotation_id, state)
            after = _fail_once(organisation, service, rotation_id, outage)
            assert (after.state, after.last_cause, after.outages) == (state, "outage", 1), state
            assert after.attempts == 1
            assert say(after.last_error)
            assert after.next_at is not None
            assert timedelta(seconds=5) <= after.next_at - clock() <= timedelta(seconds=10)
            assert after.activated_at == before.activated_at
            assert advance(organisation.services, rotation_id) is None  # not before its time
            assert service.is_live(old)
            made |= set(service.live_tokens("ticketing")[1:])
        drive_on(organisation, clock)
        rotation = get_rotation(organisation, rotation_id)
        assert (rotation.state, rotation.candidates, rotation.new_number) == (State.DONE, 0, 2)
        assert service.live_tokens("ticketing") == list(made)
        assert len(made) == 1
        assert not service.is_live(old)


@pytest.mark.parametrize("outage", ["503", "429", "no answer", "refused connection"])
def test_an_outage_is_waited_out_on_the_way_back_too(
    tmp_path: Path, database_url: str, clock: Any, outage: str
) -> None:
    settings = {"candidates": 2}
    with stage(tmp_path, database_url, clock, **settings) as (organisation, service):
        _reject_in_nodes(organisation, service)
        rotation_id = (organisation.services.night.nights.begin(clock()) or [])[0]
        for state in (State.DISCARDING, State.UNDOING):
            step_to(organisation, clock, rotation_id, state)
            after = _fail_once(organisation, service, rotation_id, outage, **settings)
            assert (after.state, after.last_cause, after.outages) == (state, "outage", 1)
            assert told(organisation, "rotation-rolled-back") == []
        drive_on(organisation, clock)
        assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
        assert len(service.live_tokens("ticketing")) == 1
        assert organisation.stages(TOKEN) == ["current", "destroyed", "destroyed"]
        assert len(told(organisation, "rotation-rolled-back")) == 1


def test_a_night_does_not_wait_for_an_outage_and_says_what_is_not_replaced_yet(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    slot = clock()
    rotation_id = (organisation.services.night.nights.begin(slot) or [])[0]
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    service.fail_next("/v1/account", times=1000)
    for tries in (1, 2, 3):
        assert organisation.services.night.nights.close(slot) is None
        advance(organisation.services, rotation_id)
        resting = get_rotation(organisation, rotation_id)
        assert (resting.outages, resting.attempts) == (tries, tries)
        turn_to_next(organisation, clock)
    assert say(resting.last_error) == "verify: the service answered 503"
    assert say_each(resting.waits_for) == [f"the other side to come back: {say(resting.last_error)}"]
    assert resting.next_at is not None
    assert organisation.services.night.nights.close(slot) == "failed"
    ((owner, body),) = told(organisation, "night-failed")
    assert owner == "operators"
    when = f"{resting.next_at:%Y-%m-%d %H:%M} UTC"
    assert (
        f"- {TOKEN} is not replaced yet, next try {when}: {say(resting.last_error)} "
        f"(nightkey rotation show {rotation_id})" in body
    )
    assert organisation.stages(TOKEN) == ["current", "pending"]

    service._failures.clear()
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    assert service.calls("POST") == 1


@pytest.mark.parametrize("state", [State.INSTALLED, State.RETIRING, State.UNDOING])
def test_an_outage_beyond_patience_is_stuck_with_both_values_kept(
    tmp_path: Path, database_url: str, clock: Any, state: State
) -> None:
    with stage(tmp_path, database_url, clock, patience_hours=6) as (organisation, service):
        old = organisation.add_token(TOKEN, "ticketing", days=10)
        organisation.add_workflow("ticket-sync", TOKEN)
        rotation_id = (organisation.services.night.nights.begin(clock()) or [])[0]
        if state is State.RETIRING:
            _let_retire(organisation, clock, rotation_id)
        if state is State.UNDOING:
            step_to(organisation, clock, rotation_id, State.NODE_TESTED)
            organisation.services.rotation.decisions.cancel(rotation_id, actor="test")
        step_to(organisation, clock, rotation_id, state)
        stages = organisation.stages(TOKEN)
        service.fail_next("/v1/", times=1000)
        began = clock()
        rotation = step_to(organisation, clock, rotation_id, State.STUCK)
        assert timedelta(hours=6) <= clock() - began <= timedelta(hours=7)
        assert (rotation.stuck_in, rotation.last_cause) == (state, "outage")
        assert service.is_live(old)
        assert len(service.live_tokens("ticketing")) == 2
        assert organisation.stages(TOKEN) == stages
        assert "destroyed" not in stages
        ((owner, body),) = told(organisation, "rotation-stuck")
        assert owner == "support"
        assert "Both values are kept." in body
        assert ("stuck", TOKEN) in organisation.findings()


def test_pauses_double_up_to_the_longest_and_differ_between_rotations(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    settings = {"retry_seconds": 8, "retry_max_seconds": 60}
    with stage(tmp_path, database_url, clock, **settings) as (organisation, service):
        paused = []
        for name in (TOKEN, "prod-billing-api-token"):
            organisation.add_token(name, "ticketing")
            rotation_id = begin_by_hand(organisation, name)
            service.fail_next("/v1/tokens", times=6)
            pauses = []
            for whole in (8, 16, 32, 60, 60, 60):
                advanced = advance(organisation.services, rotation_id)
                assert advanced is not None
                rotation = advanced.rotation
                assert rotation.next_at is not None
                pauses.append((rotation.next_at - clock()).total_seconds())
                assert whole / 2 <= pauses[-1] <= whole
                turn_to_next(organisation, clock)
            assert len(set(pauses)) == len(pauses)
            paused.append(pauses)
            drive_on(organisation, clock)
            assert get_rotation(organisation, rotation_id).state is State.WATCHING
            clock.advance(2 * DAY)
            organisation.drive()
        assert all(first != second for first, second in zip(*paused, strict=True))


# Mistakes


def _ask_wrongly(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | {"issue": settings["issue"] | {"body": {"account": "ticketing"}}}


def _name_what_is_not_there(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | {"issue": settings["issue"] | {"headers": {"Authorization": "{{ vault.no-such-item }}"}}}


def _name_a_key_of_ours(settings: dict[str, Any]) -> dict[str, Any]:
    named = {"Authorization": "{{ vault['api-key:prod-callers'] }}"}
    return settings | {"issue": settings["issue"] | {"headers": named}}


def _leave_out_the_rest(settings: dict[str, Any]) -> dict[str, Any]:
    return {"issue": settings["issue"]}


def test_a_mistake_of_ours_is_not_tried_again_and_reaches_the_owner_at_once(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    settings = _ask_wrongly(organisation.token_policy("ticketing")["settings"])
    old = organisation.add_token(TOKEN, "ticketing", settings=settings)
    (rotation,) = organisation.night()  # to its end, without the clock being turned
    assert (rotation.state, rotation.last_cause) == (State.ROLLED_BACK, "mistake")
    assert service.calls("POST") == 1
    assert service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 1
    assert [owner for owner, _ in told(organisation, "rotation-rolled-back")] == ["support"]
    assert ("rotation-failed", TOKEN) in organisation.findings()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (_name_what_is_not_there, "its settings name what has no value: no-such-item"),
        (_name_a_key_of_ours, "its settings name what has no value: api-key:prod-callers"),
        (_leave_out_the_rest, "rotator http, setting verify: it is required, and missing"),
    ],
)
def test_what_cannot_begin_is_cancelled_with_one_line_and_asks_nobody(
    staged: Staged, clock: Any, broken: Callable[[dict[str, Any]], dict[str, Any]], says: str
) -> None:
    organisation, service = staged
    organisation.add_item("api-key:prod-callers", None, days=300)
    settings = broken(organisation.token_policy("ticketing")["settings"])
    old = organisation.add_token(TOKEN, "ticketing", settings=settings)
    (rotation,) = organisation.night()
    assert (rotation.state, rotation.last_cause, say(rotation.last_error)) == (State.CANCELLED, "mistake", says)
    assert rotation.new_number is None
    assert service.calls("POST") == service.calls("GET") == 0
    assert service.is_live(old)
    assert organisation.stages(TOKEN) == ["current"]
    ((owner, told_text),) = told(organisation, "rotation-cancelled")
    assert owner == "support"
    assert says in told_text
    assert ("rotation-failed", TOKEN) in organisation.findings()
    clock.advance(timedelta(minutes=1))
    assert organisation.night() == []  # it waits, as after any failure


def test_what_is_missing_and_comes_is_used_by_the_next_rotation(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    settings = _name_what_is_not_there(organisation.token_policy("ticketing")["settings"])
    organisation.add_token(TOKEN, "ticketing", settings=settings)
    organisation.night()
    organisation.add_item("no-such-item", "Bearer the-admin-token-of-the-tests", days=300, mode="notify")
    rotation_id = begin_by_hand(organisation, TOKEN)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING


@pytest.mark.parametrize("begun", [False, True])
def test_a_missing_package_is_one_line_before_anything_was_made_and_a_stop_after_it(
    staged: Staged, clock: Any, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    if begun:
        step_to(organisation, clock, rotation_id, State.CREATED)
    monkeypatch.setattr(HttpRotator, "needs", ("nightkey_no_such_package", "http"))
    organisation.drive()
    rotation = get_rotation(organisation, rotation_id)
    says = "rotator http needs nightkey_no_such_package: pip install 'nightkey[http]'"
    assert say(rotation.last_error) == says
    assert rotation.state is (State.STUCK if begun else State.CANCELLED)
    assert service.calls("POST") == (1 if begun else 0)
    with organisation.services.database.read() as connection:
        assert organisation.services.rotation.views.find_leeway(connection, rotation).has_new is begun


def test_a_lost_answer_is_not_called_off_although_a_package_went_since(
    staged: Staged, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something may be outside: a person must know, and has no value here to accept."""
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    service.fail_next("/v1/tokens", method="POST", times=1)
    advance(organisation.services, rotation_id)
    assert get_rotation(organisation, rotation_id).issuing
    monkeypatch.setattr(HttpRotator, "needs", ("nightkey_no_such_package", "http"))
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert rotation.state is State.STUCK
    with organisation.services.database.read() as connection:
        assert not organisation.services.rotation.views.find_leeway(connection, rotation).has_new


def test_a_rotation_that_is_taken_back_before_anything_was_made_needs_no_package(
    staged: Staged, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    monkeypatch.setattr(HttpRotator, "needs", ("nightkey_no_such_package", "http"))
    organisation.services.rotation.decisions.cancel(rotation_id, actor="user:ann")
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK


def test_what_lets_us_in_being_refused_at_the_issue_leads_back_and_needs_nobody(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing")
    service.admin_token = "another-one"
    (rotation,) = organisation.night()
    assert (rotation.state, rotation.last_cause) == (State.ROLLED_BACK, "rejected")
    assert say(rotation.last_error) == "issue: the service answered 401"
    assert service.calls("POST") == 1
    assert service.is_live(old)
    assert organisation.stages(TOKEN) == ["current", "destroyed"]
    assert [owner for owner, _ in told(organisation, "rotation-rolled-back")] == ["support"]


def test_what_lets_us_in_being_refused_at_the_revocation_is_a_mistake_and_stuck(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing")
    organisation.night()
    (rotation,) = organisation.rotations()
    _let_retire(organisation, clock, rotation.id)
    service.admin_token = "another-one"
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.stuck_in, rotation.last_cause) == (
        State.STUCK,
        State.RETIRING,
        "mistake",
    )
    assert service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 2
    assert organisation.stages(TOKEN) == ["previous", "current"]
    assert [owner for owner, _ in told(organisation, "rotation-stuck")] == ["support"]


def test_a_new_value_that_is_refused_just_before_the_old_one_goes_leads_back_to_the_old(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing")
    organisation.night()
    (rotation,) = organisation.rotations()
    (_, new_id) = service.live_tokens("ticketing")
    service._revoke(new_id)
    clock.advance(2 * DAY)
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.last_cause) == (State.ROLLED_BACK, "rejected")
    assert service.is_live(old)
    assert organisation.item(TOKEN).version == 1
    assert organisation.stages(TOKEN) == ["current", "destroyed"]
    assert len(told(organisation, "rotation-rolled-back")) == 1


def test_where_neither_value_is_accepted_any_more_nothing_is_revoked(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.night()
    service.fail_next("/v1/account", status=401, times=1000)
    clock.advance(2 * DAY)
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.stuck_in) == (State.STUCK, State.RETIRING)
    assert "neither version 2 nor version 1 is accepted now" in say(rotation.last_error)
    assert service.calls("DELETE") == 0
    assert len(service.live_tokens("ticketing")) == 2
    assert organisation.stages(TOKEN) == ["previous", "current"]


def _let_retire(organisation: Organisation, clock: Any, rotation_id: str) -> None:
    """What the overlap waits for comes: the time, and a good production run."""
    step_to(organisation, clock, rotation_id, State.WATCHING)
    clock.advance(2 * DAY)
    with organisation.services.database.read() as connection:
        if organisation.services.runs.definitions.is_known(connection, "ticket-sync"):
            organisation.services.runs.runs.start("ticket-sync", actor="test")
    step_to(organisation, clock, rotation_id, State.RETIRING)


def _fail_once(
    organisation: Organisation,
    service: ScriptedService,
    rotation_id: str,
    outage: str,
    **settings: Any,
) -> Rotation:
    """One try of the step that is due, during an outage that is over after it. `settings` are the vault's."""
    if outage.isdecimal():
        service.fail_next("/v1/", status=int(outage))
        advance(organisation.services, rotation_id)
    elif outage == "no answer":
        service.hang_next("/v1/", 5)  # longer than the client waits, and what is left of it costs little
        service.fail_next("/v1/")
        with reopen(organisation, http_timeout_seconds=0.3, **settings) as impatient:
            advance(impatient, rotation_id)
    else:
        service.stop()
        advance(organisation.services, rotation_id)
        service.start()
    return get_rotation(organisation, rotation_id)


def _steps(organisation: Organisation, rotation: Rotation) -> list[tuple[str, str, str | None]]:
    with organisation.services.database.read() as connection:
        return [(row.step, row.result, row.cause) for row in step_rows.steps_of(connection, rotation.id)]


def _get(url: str) -> dict[str, Any]:
    return {"method": "GET", "url": url, "headers": {"Authorization": "Bearer {{ rotation.value }}"}}


def _bearer_header(name: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {{{{ vault.{name} }}}}"}}


@pytest.mark.both
def test_what_a_rotator_complains_of_shows_no_value_that_its_settings_name(staged: Staged, clock: Any) -> None:
    """A host that is made of an item's value cannot be resolved: the error would name it."""
    organisation, _ = staged
    organisation.add_item("prod-tenant-name", "acme-tenant-4711", days=300, mode="notify")
    policy = organisation.token_policy("ticketing")
    policy["settings"]["issue"]["url"] = "https://{{ vault.prod-tenant-name }}.invalid/tokens"
    organisation.add_token(TOKEN, "ticketing", **policy)
    rotation_id = begin_by_hand(organisation, TOKEN)
    advance(organisation.services, rotation_id)
    rotation = get_rotation(organisation, rotation_id)
    assert rotation.last_error is not None
    assert "cannot be resolved" in say(rotation.last_error)
    with organisation.services.database.read() as connection:
        said = [say_all(step.said) for step in step_rows.steps_of(connection, rotation_id)]
    told_of = [one.body or "" for one in organisation.notices()]
    assert "acme" not in " ".join([say(rotation.last_error), *said, *told_of]).lower()


def test_who_could_not_even_be_asked_has_made_nothing_and_is_waited_for(staged: Staged, clock: Any) -> None:
    """Without `find`, what a lost answer made could not be found again: but here nothing was sent."""
    organisation, service = staged
    policy = organisation.token_policy("ticketing")
    del policy["settings"]["find"], policy["settings"]["find_ids"]
    organisation.add_token(TOKEN, "ticketing", **policy)
    rotation_id = begin_by_hand(organisation, TOKEN)
    service.stop()
    for tries in (1, 2, 3):
        advance(organisation.services, rotation_id)
        waiting = get_rotation(organisation, rotation_id)
        assert (waiting.state, waiting.outages, waiting.issuing) == (State.PLANNED, tries, False)
        turn_to_next(organisation, clock)
    service.start()
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state in (State.WATCHING, State.DONE)
