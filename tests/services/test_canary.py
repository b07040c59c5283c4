"""One workflow moves first: what the others use meanwhile, and what its first run decides for them."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import Organisation
from tests.services.staging import (
    TICK,
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    reject_new_value,
    step_to,
    told,
)
from worker.domain.proof import Consumer
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import consumers as consumer_rows
from worker.rows.tables import run_versions
from worker.services.runs.execution import RunOutcome
from worker.services.runs.reports import Report
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules

HOUR = timedelta(hours=1)
HOURLY, DAILY, LATER = "hourly-sync", "daily-report", "month-end"


def prepare(on_file: Staged, canary: str | None = "auto", **policy: Any) -> Staged:
    """An item that three workflows use, of which `HOURLY` runs soonest."""
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", **{"canary": canary, "overlap": "2h"} | policy)
    organisation.add_workflow(DAILY, TOKEN, schedule_type="daily", schedule_value="09:00")
    organisation.add_workflow(HOURLY, TOKEN, schedule_type="interval", schedule_value="1 hour")
    organisation.add_workflow(LATER, TOKEN, schedule_type="monthly", schedule_value="28 09:00")
    return organisation, service


def begin(organisation: Organisation, clock: Any, state: State = State.CANARY) -> Rotation:
    return step_to(organisation, clock, begin_by_hand(organisation, TOKEN), state)


def run(organisation: Organisation, workflow: str) -> RunOutcome:
    return organisation.services.runs.runs.start(workflow, actor="test")


def version_used(organisation: Organisation, outcome: RunOutcome) -> int:
    with organisation.services.database.read() as connection:
        query = select(run_versions.c.number).where(run_versions.c.run_id == outcome.run_id)
        return int(connection.execute(query).scalar_one())


def versions_in_use(organisation: Organisation) -> dict[str, int]:
    """Which version each workflow would use now, in production."""
    current = organisation.item(TOKEN).version or 0
    return {
        name: one.pinned or (1 if one.held else current) for name, one in consumers_of(organisation).items()
    }


def consumers_of(organisation: Organisation) -> dict[str, Consumer]:
    item_id = organisation.item(TOKEN).id
    with organisation.services.database.read() as connection:
        return {one.name: one for one in consumer_rows.consumers_of(connection, item_id)}


def held(organisation: Organisation) -> set[str]:
    return {name for name, one in consumers_of(organisation).items() if one.held}


def look(organisation: Organisation, rotation: Rotation) -> Rotation:
    """What becomes of it now, without the clock being turned."""
    organisation.drive()
    return get_rotation(organisation, rotation.id)


def test_one_uses_the_new_value_and_the_others_follow_after_its_first_good_run(
    staged: Staged, clock: Any
) -> None:
    organisation, service = prepare(staged)
    (old_id,) = service.live_tokens("ticketing")
    rotation = begin(organisation, clock)
    assert say_each(rotation.waits_for) == [f"the first good production run of {HOURLY}, which goes first"]
    assert held(organisation) == {DAILY, LATER}
    for name, number in ((DAILY, 1), (LATER, 1), (HOURLY, 2)):
        outcome = run(organisation, name)
        assert (outcome.status, version_used(organisation, outcome)) == ("completed", number), name
    assert [one.token_id == old_id for one in service.requests[-3:]] == [True, True, False]

    moved = look(organisation, rotation)
    assert (moved.state, moved.widened_at) == (State.WATCHING, clock())
    assert held(organisation) == set()
    for name in (DAILY, LATER):  # their runs with the old value proved nothing
        assert f"the first good production run of {name}" in str(say_each(moved.waits_for))
    for name in (DAILY, LATER):
        outcome = run(organisation, name)
        assert (outcome.status, version_used(organisation, outcome)) == ("completed", 2), name
    assert service.requests[-1].token_id != old_id
    drive_on(organisation, clock, until=lambda: not organisation.rotations()[0].next_at)
    assert get_rotation(organisation, rotation.id).state is State.DONE
    assert old_id not in service.live_tokens("ticketing")


def test_the_overlap_begins_when_the_others_follow(on_file: Staged, clock: Any) -> None:
    organisation, service = prepare(on_file)
    rotation = begin(organisation, clock)
    clock.advance(30 * HOUR)  # many overlaps long, nobody has run
    assert look(organisation, rotation).state is State.CANARY
    assert service.calls("DELETE") == 0
    run(organisation, HOURLY)
    followed = look(organisation, rotation)
    assert f"the overlap, until {clock() + 2 * HOUR:%Y-%m-%d %H:%M:%S} UTC" in say_each(followed.waits_for)
    for name in (DAILY, LATER):
        run(organisation, name)
    clock.advance(2 * HOUR - TICK)
    assert look(organisation, rotation).state is State.WATCHING
    clock.advance(TICK)
    assert look(organisation, rotation).state is State.DONE


def test_where_the_first_is_refused_it_goes_back_by_itself_and_says_which_node_and_how(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", canary="auto")
    organisation.add_workflow(DAILY, TOKEN, schedule_type="daily", schedule_value="09:00")
    organisation.add_workflow(HOURLY, TOKEN, schedule_type="interval", schedule_value="1 hour")
    (old_id,) = service.live_tokens("ticketing")
    rotation = begin(organisation, clock)
    reject_new_value(service, old)
    failed = run(organisation, HOURLY)
    assert (failed.status, failed.error_node) == ("failed", "call")
    assert run(organisation, DAILY).status == "completed"
    ended = look(organisation, rotation)
    assert (ended.state, ended.last_cause, ended.widened_at) == (State.ROLLED_BACK, "rejected", None)
    assert (
        say(ended.last_error)
        == f"production run of {HOURLY}, node call: the service answered 401 (with version 2)"
    )
    ((owner, body),) = told(organisation, "rotation-rolled-back")
    assert owner == "support"
    assert f"{HOURLY}, node call: the service answered 401" in body
    assert held(organisation) == set()
    assert versions_in_use(organisation) == {DAILY: 1, HOURLY: 1}
    assert organisation.stages(TOKEN) == ["current", "destroyed"]
    assert service.live_tokens("ticketing") == [old_id]
    for name in (HOURLY, DAILY):
        assert run(organisation, name).status == "completed"


def test_a_run_of_the_first_that_failed_for_another_reason_moves_nobody(on_file: Staged, clock: Any) -> None:
    organisation, service = prepare(on_file)
    rotation = begin(organisation, clock)
    service.fail_next("/v1/account", status=503)
    assert run(organisation, HOURLY).status == "failed"
    assert look(organisation, rotation).state is State.CANARY
    assert held(organisation) == {DAILY, LATER}
    assert run(organisation, HOURLY).status == "completed"
    assert look(organisation, rotation).state is State.WATCHING


def test_another_run_that_is_refused_with_the_old_value_judges_nothing(on_file: Staged, clock: Any) -> None:
    organisation, service = prepare(on_file)
    rotation = begin(organisation, clock)
    service.fail_next("/v1/account", status=401)
    assert run(organisation, DAILY).status == "failed"
    assert look(organisation, rotation).state is State.CANARY


@pytest.mark.parametrize(
    ("canary", "first"),
    [
        pytest.param("auto", HOURLY, id="the one that runs soonest"),
        pytest.param(LATER, LATER, id="the one that is named"),
        pytest.param("gone", HOURLY, id="a name that nobody has any more"),
        pytest.param(None, None, id="none is wanted"),
    ],
)
def test_who_goes_first(on_file: Staged, clock: Any, canary: str | None, first: str | None) -> None:
    organisation, _ = prepare(on_file, canary)
    begin(organisation, clock, State.WATCHING if first is None else State.CANARY)
    assert held(organisation) == (set() if first is None else {HOURLY, DAILY, LATER} - {first})


def test_what_is_critical_does_not_go_first_however_soon_it_runs(on_file: Staged, clock: Any) -> None:
    organisation, _ = prepare(on_file)
    for name, value in ((HOURLY, "1 hour"), ("minutely", "1 minutes")):
        organisation.add_workflow(name, TOKEN, schedule_type="interval", schedule_value=value, critical=True)
    begin(organisation, clock)
    assert held(organisation) == {HOURLY, "minutely", LATER}


def test_what_is_switched_off_or_pinned_does_not_go_first(on_file: Staged, clock: Any) -> None:
    organisation, _ = prepare(on_file)
    organisation.add_workflow(HOURLY, TOKEN, schedule_type="interval", schedule_value="1 hour", is_active=False)
    organisation.services.runs.pins.pin(DAILY, TOKEN, 1, actor="test")
    begin(organisation, clock, State.WATCHING)  # only one could move: it need not go first
    assert held(organisation) == set()


def test_a_pin_of_a_person_outlasts_the_first_run(on_file: Staged, clock: Any) -> None:
    organisation, service = prepare(on_file)
    organisation.services.runs.pins.pin(DAILY, TOKEN, 1, actor="test")
    rotation = begin(organisation, clock)
    assert held(organisation) == {LATER}
    run(organisation, HOURLY)
    assert look(organisation, rotation).state is State.WATCHING
    assert versions_in_use(organisation) == {HOURLY: 2, DAILY: 1, LATER: 2}
    run(organisation, LATER)
    clock.advance(30 * HOUR)
    kept = look(organisation, rotation)
    assert (kept.state, say_each(kept.waits_for)) == (
        State.WATCHING,
        [f"{DAILY}, which is pinned to version 1"],
    )
    assert service.calls("DELETE") == 0


@pytest.mark.both
def test_one_that_went_elsewhere_goes_first_no_longer(staged: Staged, clock: Any) -> None:
    organisation, _ = prepare(staged)
    rotation = begin(organisation, clock)
    organisation.add_workflow(HOURLY, TOKEN, runs="elsewhere")
    clock.advance(HOUR)
    assert look(organisation, rotation).state is State.WATCHING
    assert held(organisation) == set()
    assert version_used(organisation, run(organisation, DAILY)) == 2


def test_one_that_went_elsewhere_is_held_no_longer_and_its_reports_say_themselves_what_they_used(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = prepare(staged)
    begin(organisation, clock)
    assert held(organisation) == {DAILY, LATER}
    organisation.add_workflow(DAILY, TOKEN, runs="elsewhere")
    assert held(organisation) == {LATER}
    services = organisation.services
    for name in (DAILY, LATER):
        clock.advance(HOUR)
        report = Report(workflow=name, status="completed", started_at=clock(), used={})
        used = services.runs.run_reports.report(report, actor="engine").used
        assert used == ({} if name == DAILY else {TOKEN: 1}), name
    with services.database.read() as connection:
        references = services.references.of_item(connection, organisation.item(TOKEN).id)
    assert {one.consumer_name: one.pinned for one in references} == {DAILY: None, HOURLY: None, LATER: 1}


@pytest.mark.parametrize("how", ["prove", "waive"])
def test_a_first_one_that_never_runs_is_a_finding_until_somebody_decides(
    on_file: Staged, clock: Any, how: str
) -> None:
    organisation, _ = prepare(on_file)
    rotation = begin(organisation, clock)
    organisation.add_workflow(HOURLY, TOKEN, schedule_type="interval", schedule_value="1 hour", is_active=False)
    clock.advance(HOUR)
    waiting = look(organisation, rotation)
    assert waiting.state is State.CANARY
    reason = f"the first good production run of {HOURLY}, which is not active, which goes first"
    assert say_each(waiting.waits_for) == [reason]
    assert ("unproven", TOKEN) in organisation.findings()
    deciding = organisation.services.rotation.decisions
    if how == "prove":
        assert deciding.prove(rotation.id, HOURLY, actor="user:ann").status == "completed"
    else:
        deciding.waive(rotation.id, HOURLY, why="it is gone", actor="user:ann")
    assert look(organisation, rotation).state is State.WATCHING
    assert held(organisation) == set()


def test_a_run_of_the_first_that_began_with_the_old_value_proves_nothing_of_the_new(
    staged: Staged, clock: Any
) -> None:
    organisation, service = prepare(staged)
    (old_id,) = service.live_tokens("ticketing")
    ended: list[RunOutcome] = []
    gate = service.gate("/v1/account", method="GET")
    runner = threading.Thread(target=lambda: ended.append(run(organisation, HOURLY)))
    runner.start()
    assert gate.reached.wait(120)
    rotation = begin(organisation, clock)
    gate.open()
    runner.join(120)
    assert (ended[0].status, version_used(organisation, ended[0])) == ("completed", 1)
    assert service.requests[-1].token_id == old_id
    assert look(organisation, rotation).state is State.CANARY
    assert held(organisation) == {DAILY, LATER}


def test_the_old_value_stays_while_a_run_that_began_before_the_others_followed_uses_it(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = prepare(on_file)
    (old_id,) = service.live_tokens("ticketing")
    rotation = begin(organisation, clock)
    ended: list[RunOutcome] = []
    gate = service.gate("/v1/account", method="GET")
    runner = threading.Thread(target=lambda: ended.append(run(organisation, DAILY)))
    runner.start()
    assert gate.reached.wait(120)
    clock.advance(TICK)
    run(organisation, HOURLY)
    assert look(organisation, rotation).state is State.WATCHING
    for name in (DAILY, LATER):
        run(organisation, name)
    clock.advance(3 * HOUR)
    kept = look(organisation, rotation)
    assert say_each(kept.waits_for) == [f"a run of {DAILY} that began with the old value"]
    assert old_id in service.live_tokens("ticketing")
    gate.open()
    runner.join(120)
    assert (ended[0].status, version_used(organisation, ended[0])) == ("completed", 1)
    run(organisation, DAILY)
    assert look(organisation, rotation).state is State.DONE
    assert old_id not in service.live_tokens("ticketing")
