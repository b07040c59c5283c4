"""What happens between two steps of a rotation: answers of no use, and people who act meanwhile."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.organisation import Organisation
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    step_to,
    told,
)
from tests.stepping import advance
from vaultcore.secret import Secret
from vaultcore.tables import items
from worker.domain.saga import State
from worker.domain.states import RunPurpose, RunStatus, RunTrigger
from worker.rows import runs as run_rows
from worker.wording.reasons import say, say_each
from worker.workflows.results import RunResult

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
OFTEN: dict[str, Any] = {"schedule_type": "interval", "schedule_value": "1 hours"}


def run(organisation: Organisation, name: str) -> str:
    return str(organisation.services.runs.runs.start(name, actor="test").status)


def test_a_token_that_was_issued_in_an_answer_that_cannot_be_used_is_taken_away(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    settings = organisation.token_policy("ticketing")["settings"] | {"value": "nothing.there"}
    organisation.add_token(TOKEN, "ticketing", settings=settings)
    (old_id,) = service.live_tokens("ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.ROLLED_BACK)
    assert service.calls("POST") == 1
    assert service.live_tokens("ticketing") == [old_id]


@pytest.mark.parametrize("begun", [False, True])
def test_a_value_that_the_owner_gives_before_anything_was_made_wins(
    staged: Staged, clock: Any, begun: bool
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    services = organisation.services
    rotation_id = (
        begin_by_hand(organisation, TOKEN) if begun else (services.night.nights.begin(clock()) or [])[0]
    )
    _, theirs = service.issue("ticketing", label="by hand")
    with services.database.write() as connection:
        item = services.vault.get(connection, TOKEN)
        services.vault.update(connection, item.id, value=Secret(theirs), actor="test")
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    given = "version 2 was given by hand since, and is in use"
    assert (ended.state, ended.last_cause) == (State.CANCELLED, None)
    assert say(ended.last_error) == (given if begun else "its owner gave it another value meanwhile")
    assert service.is_live(theirs)
    assert service.calls("POST") == 0
    assert run(organisation, "ticket-sync") == "completed"


def test_an_emergency_lets_go_of_those_who_were_held_back(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", canary="auto")
    for name in ("a", "b"):
        organisation.add_workflow(name, TOKEN, **OFTEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.CANARY)
    organisation.services.rotation.opening.request_emergency(TOKEN, asked_by="test")
    step_to(organisation, clock, rotation_id, State.RETIRING)
    service.fail_next("/v1/tokens", times=3)  # it takes a while
    advance(organisation.services, rotation_id)
    assert {run(organisation, name) for name in ("a", "b")} == {"completed"}
    service._failures.clear()
    drive_on(organisation, clock)
    assert {run(organisation, name) for name in ("a", "b")} == {"completed"}


@pytest.mark.parametrize("days", [0.5, 3])
def test_nobody_is_held_back_on_a_value_that_lapses(staged: Staged, clock: Any, days: float) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", days=days, canary="auto", overlap="1h", lead="14d")
    for name in ("a", "b"):
        organisation.add_workflow(name, TOKEN, **OFTEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    first = get_rotation(organisation, rotation_id)
    assert first.state is (State.WATCHING if days < 1 else State.CANARY)
    for _ in range(10):
        clock.advance(DAY / 2)
        organisation.drive()
    assert {run(organisation, name) for name in ("a", "b")} == {"completed"}


@pytest.mark.both
def test_who_was_pinned_to_a_value_that_is_taken_back_follows_again(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.runs.pins.pin("ticket-sync", TOKEN, 2, actor="test")
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert run(organisation, "ticket-sync") == "completed"


def test_the_pause_after_a_failure_goes_by_the_value_that_is_in_use(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=4)
    organisation.add_workflow("ticket-sync", TOKEN)
    for _ in range(4):
        rotation_id = begin_by_hand(organisation, TOKEN)
        step_to(organisation, clock, rotation_id, State.WATCHING)
        organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
        drive_on(organisation, clock)
    hold_until = organisation.item(TOKEN).hold_until
    expires_at = organisation.item(TOKEN).expires_at
    assert hold_until is not None
    assert expires_at is not None
    assert hold_until <= clock() + (expires_at - clock()) / 2
    assert service.calls("POST") == 4


@pytest.mark.parametrize("state", [State.QUEUED, State.PLANNED, State.WATCHING])
def test_an_item_whose_row_cannot_be_read_holds_up_no_night(staged: Staged, clock: Any, state: State) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    services = organisation.services
    (rotation_id,) = services.night.nights.begin(clock()) or []
    if state is not State.QUEUED:
        step_to(organisation, clock, rotation_id, state)
    with services.database.write() as connection:
        connection.execute(update(items).where(items.c.name == TOKEN).values(policy={"mode": "nonsense"}))
    if state is State.WATCHING:
        clock.advance(timedelta(days=1))
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    assert ended.state is (State.CANCELLED if state is State.QUEUED else State.STUCK)
    assert "prod-ticketing-api-token cannot be read" in say(ended.last_error)
    for slot in services.night.nights.open_nights():
        assert services.night.nights.close(slot) == "failed"
    assert {"night-failed", f"rotation-{ended.state}"} <= {one.kind for one in organisation.notices()}


def test_a_run_that_began_with_the_new_value_ends_before_that_is_taken_away(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    services = organisation.services
    with services.database.write() as connection:
        workflow = services.runs.definitions.get(connection, "ticket-sync")
        run_id = run_rows.open_run(
            connection,
            workflow.id,
            workflow.name,
            purpose=RunPurpose.PRODUCTION,
            trigger=RunTrigger.MANUAL,
            at=clock(),
        ).id
    services.rotation.decisions.roll_back(rotation_id, actor="test")
    organisation.drive()
    waiting = get_rotation(organisation, rotation_id)
    assert waiting.state is State.UNDOING
    assert "a run of ticket-sync that began with the new value" in say_each(waiting.waits_for)[0]
    assert organisation.stages(TOKEN) == ["current", "previous"]
    assert len(service.live_tokens("ticketing")) == 2
    result = RunResult(
        status=RunStatus.COMPLETED,
        output=None,
        error_message=None,
        error_node=None,
        cause=None,
        logs=(),
        used=frozenset(),
    )
    with services.database.write() as connection:
        run_rows.end_run(connection, run_id, result, {organisation.item(TOKEN).id: 2}, at=clock())
    drive_on(organisation, clock, until=lambda: get_rotation(organisation, rotation_id).finished_at is not None)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert len(service.live_tokens("ticketing")) == 1
    assert run(organisation, "ticket-sync") == "completed"


def test_a_long_run_with_the_old_value_takes_no_proof_away(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    assert run(organisation, "ticket-sync") == "completed"
    item = organisation.item(TOKEN)
    services = organisation.services
    with services.database.write() as connection:
        workflow = services.runs.definitions.get(connection, "ticket-sync")
        services.references.note_run(
            connection,
            workflow_id=workflow.id,
            used={item.id: 1},
            good=True,
            began_at=clock() - timedelta(hours=1),
            at=clock(),
        )
    clock.advance(2 * timedelta(hours=1))
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE


def test_a_run_that_fails_with_the_new_value_for_another_reason_is_told_at_once_and_once(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow(
        "ticket-sync",
        TOKEN,
        path="/v1/{{ webhook_payload.path }}",
        sample_context={"webhook_payload": {"path": "account"}},
    )
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    for _ in range(2):
        services = organisation.services
        services.runs.runs.start("ticket-sync", payload={"path": "nothing-there"}, actor="test")
        drive_on(organisation, clock)
    ((owner, body),) = told(organisation, "run-failed")
    assert owner == "support"
    assert "node call" in body
    assert f"nightkey rotation rollback {rotation_id}" in body
    waiting = get_rotation(organisation, rotation_id)
    assert waiting.state is State.WATCHING
    assert any("its last one failed: node call" in reason for reason in say_each(waiting.waits_for))


def test_settings_that_lead_somewhere_else_by_now_get_nothing_revoked_there(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    services = organisation.services
    first = organisation.item(TOKEN).policy
    elsewhere = dict(first.settings)
    elsewhere["issue"] = elsewhere["issue"] | {"url": "https://elsewhere.example.org/v1/tokens"}
    _set_settings(organisation, elsewhere)
    clock.advance(timedelta(hours=2))
    drive_on(organisation, clock)
    stuck = get_rotation(organisation, rotation_id)
    assert stuck.state is State.STUCK
    assert "its policy leads to elsewhere.example.org by now" in say(stuck.last_error)
    assert len(service.live_tokens("ticketing")) == 2
    _set_settings(organisation, dict(first.settings))
    services.rotation.decisions.retry(rotation_id, actor="test")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert len(service.live_tokens("ticketing")) == 1


def _set_settings(organisation: Organisation, settings: dict[str, Any]) -> None:
    with organisation.services.database.write() as connection:
        item = organisation.services.vault.get(connection, TOKEN)
        row = connection.execute(select(items.c.policy).where(items.c.id == item.id)).scalar_one()
        stored = {**row, "settings": settings}
        connection.execute(update(items).where(items.c.id == item.id).values(policy=stored))


def test_a_freeze_without_an_end_keeps_the_old_value(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=5, overlap="1h")
    (rotation_id,) = organisation.services.night.nights.begin(clock()) or []
    step_to(organisation, clock, rotation_id, State.WATCHING)
    with organisation.services.database.write() as connection:
        row = connection.execute(select(items.c.policy).where(items.c.name == TOKEN)).scalar_one()
        stored = {**row, "freezes": ["* * * * * for 24h"]}
        connection.execute(update(items).where(items.c.name == TOKEN).values(policy=stored))
    clock.advance(timedelta(days=2))
    drive_on(organisation, clock)
    waiting = get_rotation(organisation, rotation_id)
    assert (waiting.state, say_each(waiting.waits_for)) == (
        State.WATCHING,
        ["a moment in which changes may be made"],
    )
    assert len(service.live_tokens("ticketing")) == 2


@pytest.mark.both
def test_a_request_may_become_an_emergency_by_who_finds_the_value_compromised(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", mode="approve")
    organisation.night()
    (requested,) = organisation.rotations()
    assert requested.state is State.REQUESTED
    emergency = organisation.services.rotation.opening.request_emergency(TOKEN, asked_by="user:ann")
    assert (emergency.id, emergency.state, emergency.emergency) == (requested.id, State.PLANNED, True)
    drive_on(organisation, clock)
    assert get_rotation(organisation, requested.id).state is State.DONE
    assert len(service.live_tokens("ticketing")) == 1
