"""After an activation: consumers that cannot be proven, and runs that other engines report."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nightkey_demo.loopback import Answer
from tests.organisation import Organisation
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    told,
)
from vaultcore.errors import Cause, InvalidInputError, NotFoundError
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.domain.proof import Proof
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.services.runs.reports import Report, Reported
from worker.wording.reasons import say_each

pytestmark = pytest.mark.rules

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HOURLY: dict[str, Any] = {"schedule_type": "interval", "schedule_value": "1 hours"}
OFTEN: dict[str, Any] = {"schedule_type": "interval", "schedule_value": "5 minutes"}
DAILY = {"schedule_type": "interval", "schedule_value": "1 days"}


def activate(staged: Staged, clock: Any, *workflows: str, **policy: Any) -> tuple[Organisation, Rotation]:
    """An item that these workflows use, with its new value current."""
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", **({"overlap": "1d"} | policy))
    for name in workflows:
        organisation.add_workflow(name, TOKEN, **HOURLY)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    return organisation, get_rotation(organisation, rotation_id)


def run(organisation: Organisation, name: str) -> str:
    return str(organisation.services.runs.runs.start(name, actor="test").status)


def look(organisation: Organisation, rotation: Rotation) -> Rotation:
    organisation.drive()
    return get_rotation(organisation, rotation.id)


def proofs(organisation: Organisation, rotation: Rotation) -> dict[str, Proof]:
    services = organisation.services
    with services.database.read() as connection:
        consumer_proofs = services.rotation.proofs.consumer_proofs(
            connection, get_rotation(organisation, rotation.id)
        )
    return {consumer_proof.consumer.name: consumer_proof.proof for consumer_proof in consumer_proofs}


def test_a_run_that_failed_for_another_reason_judges_nothing(staged: Staged, clock: Any) -> None:
    organisation, rotation = activate(staged, clock, "a")
    _, service = staged
    service.script = lambda _: Answer(status=503, body={})
    assert run(organisation, "a") == "failed"
    service.script = lambda _: Answer(status=400, body={})
    assert run(organisation, "a") == "failed"
    service.script = lambda _: None
    clock.advance(2 * DAY)
    watching = look(organisation, rotation)
    assert (watching.state, proofs(organisation, rotation)["a"]) == (State.WATCHING, Proof.UNPROVABLE)


# When it is looked at


def _shorten(organisation: Organisation) -> None:
    change = ItemChange(policy=PolicyChange(parts={"overlap": "1h"}))
    organisation.services.items.updates.update(TOKEN, change, actor="test")


def _pin(organisation: Organisation) -> None:
    organisation.services.runs.pins.pin("a", TOKEN, 2, actor="test")


def _unpin(organisation: Organisation) -> None:
    organisation.services.runs.pins.unpin("a", TOKEN, actor="test")


CHANGES: dict[str, Callable[[Organisation], object]] = {
    "a run ends": lambda organisation: run(organisation, "a"),
    "the policy has another overlap": _shorten,
    "a workflow is changed": lambda organisation: organisation.add_workflow("a", TOKEN, is_active=False),
    "a workflow begins to use it": lambda organisation: organisation.add_workflow("b", TOKEN),
    "a workflow is pinned": _pin,
    "a workflow is unpinned": _unpin,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_waits_for_its_overlap_rests_until_that_ends_or_something_changes(
    staged: Staged, clock: Any, change: str
) -> None:
    organisation, rotation = activate(staged, clock, "a", overlap="20h")
    assert rotation.activated_at is not None
    assert rotation.next_at == rotation.activated_at + 20 * HOUR
    clock.advance(HOUR)
    CHANGES[change](organisation)
    assert get_rotation(organisation, rotation.id).next_at == clock()


def test_one_whose_overlap_is_longer_than_a_day_is_looked_at_once_a_day(staged: Staged, clock: Any) -> None:
    organisation, rotation = activate(staged, clock, overlap="3d")
    looks = 0
    while rotation.state is State.WATCHING:
        assert rotation.next_at is not None
        clock.advance(rotation.next_at - clock())
        rotation, looks = look(organisation, rotation), looks + 1
    assert looks == 3


# Those that cannot be proven


@pytest.mark.parametrize("workflow", ["a", "a check"])
def test_a_run_that_never_comes_is_a_finding_and_the_old_value_stays(
    staged: Staged, clock: Any, workflow: str
) -> None:
    """Whatever its workflow is called."""
    organisation, rotation = activate(staged, clock, workflow, overlap="2h")
    _, service = staged
    assert ("unproven", TOKEN) not in organisation.findings()
    for _ in range(20):
        clock.advance(DAY)
        organisation.drive()
    waiting = get_rotation(organisation, rotation.id)
    assert waiting.state is State.WATCHING
    assert say_each(waiting.waits_for) == [
        f"the first good production run of {workflow}, which did not come during the overlap"
    ]
    assert ("unproven", TOKEN) in organisation.findings()
    assert len(service.live_tokens("ticketing")) == 2
    run(organisation, workflow)
    assert look(organisation, rotation).state is State.DONE
    assert ("unproven", TOKEN) not in organisation.findings()


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"is_active": False}, "which is not active"),
        ({}, "which has never run"),
        ({"schedule_type": "interval", "schedule_value": "30 days"}, "is after the overlap"),
    ],
)
@pytest.mark.parametrize("choice", ["prove", "waive"])
def test_who_cannot_be_proven_in_time_is_run_or_answered_for(
    staged: Staged, clock: Any, extra: dict[str, Any], why: str, choice: str
) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    organisation.add_workflow("monthly", TOKEN, **extra)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert proofs(organisation, rotation) == {"monthly": Proof.UNPROVABLE}
    (reason,) = [reason for reason in say_each(rotation.waits_for) if "monthly" in reason]
    assert why in reason
    assert ("unproven", TOKEN) in organisation.findings()
    deciding = organisation.services.rotation.decisions
    if choice == "prove":
        assert deciding.prove(rotation_id, "monthly", actor="user:ann").status == "completed"
    else:
        deciding.waive(rotation_id, "monthly", why="it is retired", actor="user:ann")
    assert proofs(organisation, rotation) == {"monthly": Proof.PROVEN if choice == "prove" else Proof.WAIVED}
    clock.advance(2 * HOUR)
    assert look(organisation, rotation).state is State.DONE
    assert ("unproven", TOKEN) not in organisation.findings()


@pytest.mark.both
def test_a_longer_overlap_lets_a_rare_run_come_in_time(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", days=40, lead="39d", lifetime="200d", overlap="1h")
    organisation.add_workflow("monthly", TOKEN, schedule_type="interval", schedule_value="30 days")
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    organisation.services.rotation.decisions.extend(rotation_id, clock() + 31 * DAY, actor="user:ann")
    organisation.drive()
    assert proofs(organisation, rotation) == {"monthly": Proof.AWAITED}
    clock.advance(30 * DAY)
    run(organisation, "monthly")
    assert look(organisation, rotation).state is State.WATCHING
    clock.advance(2 * DAY)
    assert look(organisation, rotation).state is State.DONE


# Runs of another engine


def report(organisation: Organisation, workflow: str = "a", **given: Any) -> Reported:
    made = {"status": "completed", "started_at": None, "used": {TOKEN: 2}} | given
    return organisation.services.runs.run_reports.report(Report(workflow=workflow, **made), actor="engine")


def test_a_good_run_that_is_reported_proves_and_the_same_report_again_does_nothing(
    staged: Staged, clock: Any
) -> None:
    organisation, rotation = activate(staged, clock, "a", overlap="0s")
    assert report(organisation, external_id="4711").new
    assert not report(organisation, external_id="4711", status="failed", node="call", cause=Cause.REJECTED).new
    assert look(organisation, rotation).state is State.DONE


def test_a_rejection_that_is_reported_goes_back_and_says_which_node_and_how(staged: Staged, clock: Any) -> None:
    organisation, rotation = activate(staged, clock, "a")
    report(organisation, status="failed", node="call", cause=Cause.REJECTED, message="401 from ticketing")
    ended = look(organisation, rotation)
    assert ended.state is State.ROLLED_BACK
    ((_, body),) = told(organisation, "rotation-rolled-back")
    assert "production run of a, node call: 401 from ticketing" in body


@pytest.mark.parametrize(
    "given",
    [
        {"status": "failed", "cause": Cause.OUTAGE},
        {"status": "failed", "cause": Cause.MISTAKE},
        {"status": "failed"},
        {"status": "failed", "node": "call", "cause": Cause.REJECTED, "used": {TOKEN: 1}},
        {"used": {TOKEN: 1}},
    ],
)
def test_what_says_nothing_of_the_new_value_neither_proves_nor_rejects_it(
    staged: Staged, clock: Any, given: dict[str, Any]
) -> None:
    organisation, rotation = activate(staged, clock, "a", overlap="0s")
    report(organisation, **given)
    assert look(organisation, rotation).state is State.WATCHING
    assert proofs(organisation, rotation)["a"] is not Proof.PROVEN


def test_without_versions_its_start_says_which_it_used(staged: Staged, clock: Any) -> None:
    began = clock()
    clock.advance(HOUR)
    organisation, rotation = activate(staged, clock, "a", overlap="0s")
    assert report(organisation, used={}, started_at=began + HOUR / 2).used == {}, "there was no item yet"
    clock.advance(HOUR)
    assert report(organisation, used={}, started_at=clock() - HOUR / 2).used == {TOKEN: 2}
    assert look(organisation, rotation).state is State.DONE


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"workflow": "nobody"}, NotFoundError, "nobody"),
        ({"status": "maybe"}, InvalidInputError, "maybe"),
        ({"status": "failed", "cause": Cause.REJECTED}, InvalidInputError, "--node"),
        ({"node": "call"}, InvalidInputError, "a completed run has no failed node"),
        (
            {"status": "failed", "node": "nothing"},
            InvalidInputError,
            "has no node 'nothing': it has start, call",
        ),
        ({"used": {"prod-nothing": 1}}, InvalidInputError, "does not use prod-nothing"),
        ({"used": {TOKEN: 9}}, InvalidInputError, "9"),
        ({"used": {}}, InvalidInputError, "--started-at"),
        ({"started_at": "tomorrow"}, InvalidInputError, "future"),
    ],
)
def test_a_report_that_cannot_be_is_refused_on_one_line_and_changes_nothing(
    staged: Staged, clock: Any, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    organisation, rotation = activate(staged, clock, "a")
    if "started_at" in given:
        given = given | {"started_at": clock() + DAY}
    with pytest.raises(error, match=says) as caught:
        report(organisation, **given)
    assert "\n" not in str(caught.value)
    assert look(organisation, rotation).state is State.WATCHING
    assert proofs(organisation, rotation)["a"] is Proof.AWAITED
