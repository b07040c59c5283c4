"""What proves the consumers of a new value, and what waits for those that no run proves in time."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import Organisation
from tests.services.staging import (
    TICK,
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    get_rotation,
    reject_new_value,
    step_to,
    told,
)
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.tables import audit
from worker.domain.proof import Proof
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import consumers as consumer_rows
from worker.rows import findings as finding_rows
from worker.services.runs.execution import RunOutcome
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
OTHER = "prod-crm-password"
HOURLY: dict[str, Any] = {"schedule_type": "interval", "schedule_value": "1 hour"}
HARD_TO_PROVE: dict[str, tuple[dict[str, Any], str]] = {
    "switched-off": ({"is_active": False}, "which is not active"),
    "by-hand": ({}, "which has never run"),
    "month-end": (
        {"schedule_type": "monthly", "schedule_value": "28 09:00"},
        "whose next run (2026-03-28 09:00 UTC) is after the overlap",
    ),
}
"""Workflows that no run proves in time: how they are defined, and why."""
Decide = Callable[[Organisation, Rotation, str], object]


def watch(on_file: Staged, clock: Any, **workflows: dict[str, Any]) -> Rotation:
    """The rotation of an item with an overlap of a day that these use, just activated."""
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=80, overlap="1d")
    for name, extra in workflows.items():
        organisation.add_workflow(name.replace("_", "-"), TOKEN, **extra)
    return step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)


def look(organisation: Organisation, rotation: Rotation) -> Rotation:
    """What becomes of it now, without the clock being turned."""
    organisation.drive()
    return get_rotation(organisation, rotation.id)


def stands(organisation: Organisation, rotation: Rotation) -> dict[str, Proof]:
    with organisation.services.database.read() as connection:
        found = organisation.services.rotation.proofs.consumer_proofs(
            connection, get_rotation(organisation, rotation.id)
        )
    return {one.consumer.name: one.proof for one in found}


def unproven(organisation: Organisation) -> dict[str, str]:
    """The findings of that kind: workflow and what they say."""
    with organisation.services.database.read() as connection:
        rows = finding_rows.list_open(connection)
    return {str(row.workflow): say(row.detail) for row in rows if row.kind == "unproven"}


def run(organisation: Organisation, workflow: str) -> RunOutcome:
    return organisation.services.runs.runs.start(workflow, actor="test")


def run_due(organisation: Organisation) -> list[str]:
    """What the schedule begins now."""
    running = organisation.services.runs.runs
    outcomes = [running.execute(run_id, actor="schedule") for run_id in running.open_due()]
    return [one.workflow for one in outcomes if one is not None and one.status == "completed"]


# Who cannot be proven


@pytest.mark.parametrize("name", HARD_TO_PROVE)
def test_who_cannot_be_proven_is_named_and_waited_for_however_long(
    on_file: Staged, clock: Any, name: str
) -> None:
    organisation, service = on_file
    extra, why = HARD_TO_PROVE[name]
    rotation = watch(on_file, clock, **{name: extra})
    reason = f"the first good production run of {name}, {why}"
    assert stands(organisation, rotation) == {name: Proof.UNPROVABLE}
    assert reason in say_each(rotation.waits_for)
    assert unproven(organisation) == {name: reason}
    clock.advance(20 * DAY)
    kept = look(organisation, rotation)
    assert kept.state is State.WATCHING
    (after_overlap,) = say_each(kept.waits_for)
    assert after_overlap.startswith(f"the first good production run of {name}")
    assert service.calls("DELETE") == 0
    assert organisation.stages(TOKEN) == ["previous", "current"]


def test_the_owner_hears_of_who_could_not_be_proven_once(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    watch(on_file, clock, month_end=HARD_TO_PROVE["month-end"][0])
    organisation.night()
    clock.advance(DAY)
    organisation.night()
    digests = [body for owner, body in told(organisation, "digest") if owner == "support"]
    assert ["month-end" in body for body in digests].count(True) == 1


def prove(organisation: Organisation, rotation: Rotation, name: str) -> None:
    outcome = organisation.services.rotation.decisions.prove(rotation.id, name, actor="user:ann")
    assert outcome.status == "completed"


def waive(organisation: Organisation, rotation: Rotation, name: str) -> None:
    organisation.services.rotation.decisions.waive(rotation.id, name, why="it goes next week", actor="user:ann")


def test_more_time_is_given_only_where_the_old_value_has_it(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock, month_end=HARD_TO_PROVE["month-end"][0])
    extend = organisation.services.rotation.decisions.extend
    with pytest.raises(RefusedError, match="lapses at 2026-05-20 02:00 UTC: it cannot work on for longer"):
        extend(rotation.id, clock() + 80 * DAY + TICK, actor="user:ann")
    with pytest.raises(InvalidInputError, match="must lie in the future"):
        extend(rotation.id, clock(), actor="user:ann")
    assert get_rotation(organisation, rotation.id).overlap_until is None
    extend(rotation.id, clock() + 80 * DAY, actor="user:ann")
    assert get_rotation(organisation, rotation.id).overlap_until == clock() + 80 * DAY


def test_a_time_before_the_end_of_the_overlap_does_not_shorten_it(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock, by_hand={})
    run(organisation, "by-hand")
    organisation.services.rotation.decisions.extend(rotation.id, clock() + HOUR, actor="user:ann")
    clock.advance(DAY - TICK)
    assert look(organisation, rotation).state is State.WATCHING


def test_a_controlled_run_that_the_new_value_fails_brings_the_old_one_back(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    rotation = watch(on_file, clock, switched_off={"is_active": False})
    service.fail_next("/v1/account", status=401)
    assert (
        organisation.services.rotation.decisions.prove(rotation.id, "switched-off", actor="a").status
        == "failed"
    )
    ended = look(organisation, rotation)
    assert (ended.state, ended.last_cause) == (State.ROLLED_BACK, "rejected")
    assert unproven(organisation) == {}


def test_a_controlled_run_that_fails_for_another_reason_proves_nothing(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    rotation = watch(on_file, clock, switched_off={"is_active": False})
    service.fail_next("/v1/account", status=503)
    assert (
        organisation.services.rotation.decisions.prove(rotation.id, "switched-off", actor="a").status
        == "failed"
    )
    assert look(organisation, rotation).state is State.WATCHING
    assert stands(organisation, rotation) == {"switched-off": Proof.UNPROVABLE}
    assert "switched-off" in unproven(organisation)


@pytest.mark.parametrize("why", ["", "  ", "two\nlines", "x" * 501])
def test_who_answers_for_a_consumer_says_why(on_file: Staged, clock: Any, why: str) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock, by_hand={})
    with pytest.raises(InvalidInputError, match="--why is a reason for the record: 1 to 500 printable"):
        organisation.services.rotation.decisions.waive(rotation.id, "by-hand", why=why, actor="user:ann")
    assert stands(organisation, rotation) == {"by-hand": Proof.UNPROVABLE}


def test_who_is_no_consumer_is_not_decided_of_and_the_consumers_are_named(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock, by_hand={}, month_end=HARD_TO_PROVE["month-end"][0])
    for decide in (waive, prove):
        with pytest.raises(NotFoundError, match="not used by 'nobody': it is used by by-hand, month-end"):
            decide(organisation, rotation, "nobody")


def test_each_decision_stands_in_the_record_with_who_and_why(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock, by_hand={}, switched_off={"is_active": False})
    waive(organisation, rotation, "by-hand")
    prove(organisation, rotation, "switched-off")
    organisation.services.rotation.decisions.extend(rotation.id, clock() + 3 * DAY, actor="user:bob")
    with organisation.services.database.read() as connection:
        by_subject = connection.execute(
            select(audit.c.action, audit.c.actor, audit.c.details).where(audit.c.subject == rotation.id)
        )
        said = {row.action: (row.actor, row.details) for row in by_subject}
        opened = connection.execute(
            select(audit.c.actor).where(audit.c.action == "version.reveal", audit.c.actor == "user:ann")
        ).all()
        (waiver,) = consumer_rows.waivers_of(connection, rotation.id)
        workflow = organisation.services.runs.definitions.get(connection, "by-hand")
    assert said["rotation.waive"][0] == "user:ann"
    assert (
        said["rotation.waive"][1] | {"why": "it goes next week", "workflow": workflow.id}
        == (said["rotation.waive"][1])
    )
    assert said["rotation.extend"][0] == "user:bob"
    assert len(opened) == 1  # by the controlled run, for whom ran it
    assert (waiver.by, waiver.why, waiver.at) == ("user:ann", "it goes next week", clock())


def test_what_was_decided_of_one_rotation_holds_for_no_other(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock, by_hand={})
    waive(organisation, rotation, "by-hand")
    clock.advance(DAY)
    assert look(organisation, rotation).state is State.DONE
    again = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)
    assert stands(organisation, again) == {"by-hand": Proof.UNPROVABLE}


# Pins


def test_who_is_pinned_to_the_old_value_is_waited_for_and_one_on_the_new_must_run(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    rotation = watch(on_file, clock, by_hand={}, hourly=HOURLY)
    organisation.services.runs.pins.pin("by-hand", TOKEN, 1, actor="test")
    organisation.services.runs.pins.pin("hourly", TOKEN, 2, actor="test")
    assert stands(organisation, rotation) == {"by-hand": Proof.PINNED, "hourly": Proof.AWAITED}
    run(organisation, "by-hand")
    run(organisation, "hourly")
    clock.advance(DAY)
    kept = look(organisation, rotation)
    assert say_each(kept.waits_for) == ["by-hand, which is pinned to version 1"]
    assert stands(organisation, rotation)["hourly"] is Proof.PROVEN
    assert service.calls("DELETE") == 0
    organisation.services.runs.pins.pin("by-hand", TOKEN, 2, actor="test")
    run(organisation, "by-hand")
    assert look(organisation, rotation).state is State.DONE


# Runs that fail


def test_a_production_run_that_the_new_value_fails_goes_back_at_once_and_says_which_node_and_how(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", overlap="1d")
    for name in ("proven", "scheduled"):
        organisation.add_workflow(name, TOKEN, **HOURLY)
    (old_id,) = service.live_tokens("ticketing")
    rotation = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)
    assert run(organisation, "proven").status == "completed"
    reject_new_value(service, old)
    clock.advance(HOUR)
    running = organisation.services.runs.runs
    outcomes = [running.execute(run_id, actor="schedule") for run_id in running.open_due()]
    first = next(one for one in outcomes if one is not None)
    resolved = organisation.services.night.inline_night.recheck(first.used, lambda _: None)
    assert [one.state for one in resolved] == [State.ROLLED_BACK]  # nothing waited, not even for its next look
    ended = get_rotation(organisation, rotation.id)
    assert ended.last_cause == "rejected"
    assert (
        say(ended.last_error)
        == f"production run of {first.workflow}, node call: the service answered 401 (with version 2)"
    )
    ((owner, body),) = told(organisation, "rotation-rolled-back")
    assert owner == "support"
    assert f"{first.workflow}, node call: the service answered 401" in body
    assert organisation.stages(TOKEN) == ["current", "destroyed"]
    assert service.live_tokens("ticketing") == [old_id]
    assert run(organisation, "proven").status == "completed"


def refuse_the_other_credential(organisation: Organisation, service: ScriptedService) -> None:
    organisation.add_item(OTHER, "not-what-they-take", days=300, mode="notify")
    nodes = [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        *(
            {
                "id": node,
                "type": "action",
                "data": {
                    "componentId": "webhook",
                    "method": "GET",
                    "url": f"{service.url}/v1/account",
                    "headers": {"Authorization": f"Bearer {{{{ vault.{item} }}}}"},
                },
            }
            for node, item in (("ours", TOKEN), ("theirs", OTHER))
        ),
    ]
    edges = [
        {"id": "e1", "source": "start", "target": "ours"},
        {"id": "e2", "source": "ours", "target": "theirs"},
    ]
    organisation.add_workflow("by-hand", TOKEN, nodes=nodes, edges=edges)


def refuse_the_old_value(organisation: Organisation, service: ScriptedService) -> None:
    organisation.services.runs.pins.pin("by-hand", TOKEN, 1, actor="test")
    service.fail_next("/v1/account", status=401)


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(refuse_the_other_credential, id="another credential"),
        pytest.param(refuse_the_old_value, id="the old value"),
    ],
)
def test_a_production_run_that_fails_for_another_reason_neither_proves_nor_condemns(
    on_file: Staged, clock: Any, fail: Callable[[Organisation, ScriptedService], None]
) -> None:
    organisation, service = on_file
    rotation = watch(on_file, clock, by_hand={})
    fail(organisation, service)
    assert run(organisation, "by-hand").status == "failed"
    for _ in range(2):
        assert look(organisation, rotation).state is State.WATCHING
        assert stands(organisation, rotation)["by-hand"] is not Proof.PROVEN
        clock.advance(2 * DAY)
    assert service.calls("DELETE") == 0
    assert told(organisation, "rotation-rolled-back") == []


def test_a_test_that_is_refused_judges_no_value_that_is_in_use(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    rotation = watch(on_file, clock, by_hand={})
    with organisation.services.database.read() as connection:
        workflow = organisation.services.runs.definitions.get(connection, "by-hand")
    service.fail_next("/v1/account", status=401)
    tested = organisation.services.runs.workflow_tests.test_workflow(workflow, overrides={}, actor="user:ann")
    assert tested.status == "failed"
    assert look(organisation, rotation).state is State.WATCHING
    organisation.services.runs.workflow_tests.test_workflow(workflow, overrides={}, actor="user:ann")
    assert stands(organisation, rotation) == {"by-hand": Proof.UNPROVABLE}, "a good test proves no more"
