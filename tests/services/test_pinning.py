"""A workflow is pinned only to a version that it can go on using."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.organisation import Organisation
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    start_organisation,
    step_to,
)
from tests.stepping import advance
from vaultcore.errors import NotFoundError, RefusedError
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.domain.states import RunPurpose, RunTrigger
from worker.rows import runs as run_rows
from worker.services.runs.reports import Report
from worker.wording.reasons import say_each

pytestmark = pytest.mark.rules

WORKFLOW = "ticket-sync"


@pytest.fixture
def staged(services: Services) -> Iterator[Staged]:
    with start_organisation(services) as (organisation, service):
        organisation.add_token(TOKEN, "ticketing", overlap="1h")
        organisation.add_workflow(WORKFLOW, TOKEN)
        yield organisation, service


def pin(organisation: Organisation, number: int) -> None:
    organisation.services.runs.pins.pin(WORKFLOW, TOKEN, number, actor="test")


def test_a_pinned_workflow_keeps_the_old_value_until_it_is_unpinned(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    (old_id,) = service.live_tokens("ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    pin(organisation, 1)
    for _ in range(30):
        advance(organisation.services, rotation_id)
        clock.now = get_rotation(organisation, rotation_id).next_at
    assert old_id in service.live_tokens("ticketing")
    assert any(
        "pinned to version 1" in reason
        for reason in say_each(get_rotation(organisation, rotation_id).waits_for)
    )
    organisation.services.runs.pins.unpin(WORKFLOW, TOKEN, actor="test")
    organisation.services.runs.runs.start(WORKFLOW, actor="test")
    drive_on(organisation, clock, until=lambda: not service.live_tokens("ticketing")[1:])
    assert old_id not in service.live_tokens("ticketing")


def test_a_version_that_is_not_in_use_yet_is_refused(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.ACCEPTED)
    with pytest.raises(RefusedError, match=r"version 2 of .* is not in use yet"):
        pin(organisation, 2)


def test_a_version_that_is_gone_is_refused(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.runs.runs.start(WORKFLOW, actor="test")
    step_to(organisation, clock, rotation_id, State.DONE)
    with pytest.raises(RefusedError, match=r"version 1 of .* holds no value any more"):
        pin(organisation, 1)


def test_nothing_is_pinned_that_runs_elsewhere_and_a_pin_from_before_says_nothing_there(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = staged
    pin(organisation, 1)
    step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)
    organisation.add_workflow(WORKFLOW, TOKEN, runs="elsewhere")
    with pytest.raises(RefusedError, match=f"{WORKFLOW} runs elsewhere: which version its engine uses is not"):
        pin(organisation, 1)
    clock.advance(timedelta(minutes=1))
    report = Report(workflow=WORKFLOW, status="completed", started_at=clock(), used={})
    assert organisation.services.runs.run_reports.report(report, actor="engine").used == {}
    organisation.services.runs.pins.unpin(WORKFLOW, TOKEN, actor="test")


def test_what_only_mentions_an_item_is_not_pinned_to_it(staged: Staged) -> None:
    organisation, _ = staged
    organisation.add_item("prod-other-token", "the-other-value", days=300, mode="notify")
    organisation.add_workflow(WORKFLOW, TOKEN, description="once {{ vault.prod-other-token }}")
    with pytest.raises(NotFoundError, match="does not use that item: nothing to pin"):
        organisation.services.runs.pins.pin(WORKFLOW, "prod-other-token", 1, actor="test")


@pytest.mark.parametrize("stuck", [False, True])
def test_a_version_that_is_just_being_taken_away_is_refused_stuck_or_not(
    staged: Staged, clock: Any, stuck: bool
) -> None:
    organisation, service = staged
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.runs.runs.start(WORKFLOW, actor="test")
    step_to(organisation, clock, rotation_id, State.RETIRING)
    if stuck:
        service.admin_token = "another-one"
        step_to(organisation, clock, rotation_id, State.STUCK)
    with pytest.raises(RefusedError, match=r"version 1 of .* is just being taken away"):
        pin(organisation, 1)


def test_nobody_is_pinned_or_unpinned_while_a_run_of_theirs_is_under_way_in_a_rotation(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = staged
    pin(organisation, 1)
    organisation.services.runs.pins.unpin(WORKFLOW, TOKEN, actor="test")
    step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)
    services = organisation.services
    with services.database.write() as connection:
        workflow = services.runs.definitions.get(connection, WORKFLOW)
        run_rows.open_run(
            connection,
            workflow.id,
            WORKFLOW,
            purpose=RunPurpose.PRODUCTION,
            trigger=RunTrigger.SCHEDULE,
            at=clock(),
        )
    for act in (lambda: pin(organisation, 1), lambda: services.runs.pins.unpin(WORKFLOW, TOKEN, actor="test")):
        with pytest.raises(RefusedError, match="a run of ticket-sync is under way"):
            act()


@pytest.mark.both
def test_what_is_accepted_after_going_back_has_its_overlap_anew(staged: Staged, clock: Any) -> None:
    """One that moved a canary first, went back and got stuck there counts from the acceptance on."""
    organisation, service = staged
    item, workflows = "prod-billing-api-token", ("billing-sync", "billing-report")
    organisation.add_token(item, "billing", canary="auto", overlap="1h")
    for name in workflows:
        organisation.add_workflow(name, item)
    rotation_id = begin_by_hand(organisation, item)
    step_to(organisation, clock, rotation_id, State.CANARY)
    for name in workflows:
        organisation.services.runs.runs.start(name, actor="test")
    assert step_to(organisation, clock, rotation_id, State.WATCHING).widened_at is not None
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
    service.admin_token = "another-one"
    step_to(organisation, clock, rotation_id, State.STUCK)
    organisation.services.rotation.decisions.accept(rotation_id, actor="test")
    accepted = get_rotation(organisation, rotation_id)
    assert (accepted.state, accepted.widened_at, accepted.activated_at) == (State.WATCHING, None, clock())
