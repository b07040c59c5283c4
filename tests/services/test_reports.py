"""Runs that another engine has run: which value they judge, and what they are not believed of."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import Organisation
from tests.services.staging import (
    TICK,
    TOKEN,
    Staged,
    begin_by_hand,
    get_rotation,
    step_to,
    told,
)
from vaultcore.errors import Cause, InvalidInputError, NightkeyError, RefusedError
from vaultcore.tables import audit
from worker.domain.proof import Proof
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.tables import runs
from worker.services.runs.reports import Report, Reported

pytestmark = pytest.mark.rules


DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WORKFLOW, OTHER = "ticket-sync", "ticket-report"
REFUSED: dict[str, Any] = {"status": "failed", "node": "call", "cause": Cause.REJECTED, "message": "401 there"}


def watch(on_file: Staged, clock: Any, *others: str, **policy: Any) -> Rotation:
    """The rotation of an item that `WORKFLOW` (and others) use, activated an hour ago."""
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", **{"overlap": "1d"} | policy)
    for name in (WORKFLOW, *others):
        organisation.add_workflow(name, TOKEN)
    state = State.CANARY if "canary" in policy else State.WATCHING
    clock.advance(HOUR)  # the first value was in use for that long
    step_to(organisation, clock, rotation_id := begin_by_hand(organisation, TOKEN), state)
    clock.advance(HOUR)
    return get_rotation(organisation, rotation_id)


def report(organisation: Organisation, **given: Any) -> Reported:
    """A good run of `WORKFLOW` that has just begun, but for what is given."""
    usual: dict[str, Any] = {
        "workflow": WORKFLOW,
        "status": "completed",
        "started_at": organisation.services.clock(),
    }
    return organisation.services.runs.run_reports.report(
        Report(**usual | {"used": {}} | given), actor="user:ann"
    )


def look(organisation: Organisation, rotation: Rotation) -> Rotation:
    """What becomes of it now, without the clock being turned."""
    organisation.drive()
    return get_rotation(organisation, rotation.id)


def stands(organisation: Organisation, rotation: Rotation, workflow: str = WORKFLOW) -> Proof:
    with organisation.services.database.read() as connection:
        found = organisation.services.rotation.proofs.consumer_proofs(
            connection, get_rotation(organisation, rotation.id)
        )
    return next(one.proof for one in found if one.consumer.name == workflow)


def reports_kept(organisation: Organisation) -> list[tuple[str, str, str | None]]:
    with organisation.services.database.read() as connection:
        query = select(runs.c.workflow_name, runs.c.status, runs.c.external_id).where(
            runs.c.trigger == "report"
        )
        return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(runs.c.id))]


def test_a_refusal_judges_what_its_node_used_and_nothing_else(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock)
    report(organisation, **REFUSED | {"node": "start"})
    assert look(organisation, rotation).state is State.WATCHING
    assert stands(organisation, rotation) is Proof.AWAITED
    report(organisation, **REFUSED)
    assert look(organisation, rotation).state is State.ROLLED_BACK


def test_a_report_without_versions_is_refused_with_the_whole_command(staged: Staged) -> None:
    organisation, _ = staged
    with pytest.raises(InvalidInputError) as caught:
        report(organisation, workflow="month end", started_at=None)
    assert str(caught.value).endswith(": nightkey run report 'month end' --status completed --started-at TIME")


# Which version it used

USED_THE_OLD: dict[str, Callable[[Rotation], dict[str, Any]]] = {
    "it began before": lambda rotation: {"started_at": (rotation.activated_at or rotation.created_at) - TICK},
    "it is said so": lambda _: {"started_at": None, "used": {TOKEN: 1}},
    "what is said counts more than when it began": lambda _: {"used": {TOKEN: 1}},
}


@pytest.mark.parametrize("how", USED_THE_OLD)
@pytest.mark.parametrize("ended", [{}, REFUSED])
def test_a_run_that_used_the_old_version_says_nothing_of_the_new(
    on_file: Staged, clock: Any, how: str, ended: dict[str, Any]
) -> None:
    organisation, service = on_file
    rotation = watch(on_file, clock)
    reported = report(organisation, **ended | USED_THE_OLD[how](rotation))
    assert reported.used == {TOKEN: 1}
    clock.advance(2 * DAY)
    assert look(organisation, rotation).state is State.WATCHING
    assert stands(organisation, rotation) is Proof.UNPROVABLE
    assert service.calls("DELETE") == 0


@pytest.mark.parametrize("how", [{}, {"started_at": None, "used": {TOKEN: 2}}])
def test_a_run_that_began_with_the_activation_used_the_new_version(
    on_file: Staged, clock: Any, how: dict[str, Any]
) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock)
    assert report(organisation, **{"started_at": rotation.activated_at} | how).used == {TOKEN: 2}
    assert stands(organisation, rotation) is Proof.PROVEN


def test_a_pinned_workflow_used_what_it_is_pinned_to(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock)
    organisation.services.runs.pins.pin(WORKFLOW, TOKEN, 1, actor="test")
    assert report(organisation).used == {TOKEN: 1}
    assert stands(organisation, rotation) is Proof.PINNED


def test_what_was_held_behind_another_used_the_old_version_also_when_that_is_told_later(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = staged
    rotation = watch(staged, clock, OTHER, canary=OTHER)
    held_at = clock()
    assert report(organisation, started_at=held_at).used == {TOKEN: 1}
    clock.advance(HOUR)
    assert report(organisation, workflow=OTHER).used == {TOKEN: 2}
    assert look(organisation, rotation).state is State.WATCHING  # the other went first, all follow now
    assert report(organisation, started_at=held_at, **REFUSED).used == {TOKEN: 1}
    assert report(organisation, started_at=held_at).used == {TOKEN: 1}
    assert report(organisation, workflow=OTHER, started_at=held_at).used == {TOKEN: 2}
    assert look(organisation, rotation).state is State.WATCHING
    assert stands(organisation, rotation) is not Proof.PROVEN
    assert report(organisation).used == {TOKEN: 2}
    assert stands(organisation, rotation) is Proof.PROVEN


def test_a_version_that_was_never_in_use_was_used_by_nobody(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow(WORKFLOW, TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.ACCEPTED)
    with pytest.raises(InvalidInputError, match=f"version 2 of {TOKEN} was never in use"):
        report(organisation, used={TOKEN: 2})
    with pytest.raises(InvalidInputError, match=f"version 3 of {TOKEN} was never in use: it had 1"):
        report(organisation, used={TOKEN: 3})
    rotation = step_to(organisation, clock, rotation_id, State.WATCHING)
    assert stands(organisation, rotation) is Proof.UNPROVABLE
    assert reports_kept(organisation) == []


# What is told twice


def test_a_run_is_believed_once_however_often_and_however_differently_it_is_told(
    on_file: Staged, clock: Any
) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock)
    assert report(organisation, external_id="run-17").new
    for told_again in ({}, {"started_at": None, "used": {TOKEN: 2}}, {"started_at": clock() - DAY}, REFUSED):
        assert not report(organisation, **{"external_id": "run-17"} | told_again).new
    assert reports_kept(organisation) == [(WORKFLOW, "completed", "run-17")]
    assert look(organisation, rotation).state is State.WATCHING
    assert stands(organisation, rotation) is Proof.PROVEN


@pytest.mark.parametrize("how", [{}, {"started_at": None, "used": {TOKEN: 2}}])
def test_a_run_without_an_id_that_is_told_twice_changes_nothing_more(
    on_file: Staged, clock: Any, how: dict[str, Any]
) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock)
    for _ in range(2):
        assert report(organisation, **how).used == {TOKEN: 2}
    assert stands(organisation, rotation) is Proof.PROVEN
    report(organisation, **how | REFUSED)
    assert look(organisation, rotation).state is State.ROLLED_BACK
    report(organisation, **how | REFUSED)  # of a version that is gone
    organisation.drive()
    assert len(told(organisation, "rotation-rolled-back")) == 1


def test_an_id_of_a_run_of_another_workflow_is_refused_and_not_taken_for_told(
    on_file: Staged, clock: Any
) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock, OTHER)
    report(organisation, external_id="17")
    with pytest.raises(RefusedError, match=f"run '17' was reported before, as one of {WORKFLOW}"):
        report(organisation, workflow=OTHER, external_id="17", **REFUSED)
    report(organisation, workflow=OTHER, external_id="18", **REFUSED)
    assert look(organisation, rotation).state is State.ROLLED_BACK


@pytest.mark.both
def test_of_two_who_tell_of_one_run_at_once_one_is_heard(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    rotation = watch(staged, clock)
    ready = Barrier(2)

    def tell(_: int) -> bool:
        ready.wait(120)
        return report(organisation, external_id="run-17").new

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(tell, range(2))) == [False, True]
    assert len(reports_kept(organisation)) == 1
    assert stands(organisation, rotation) is Proof.PROVEN


# What is not believed


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"external_id": ""}, "--id is 1 to 200 printable characters"),
        ({"external_id": "x" * 201}, "--id is 1 to 200 printable characters"),
        ({"status": "failed", "message": "two\nlines"}, "--message is 1 to 2000 printable characters"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_kept(
    on_file: Staged, clock: Any, given: dict[str, Any], says: str
) -> None:
    organisation, _ = on_file
    rotation = watch(on_file, clock)
    with pytest.raises(NightkeyError) as caught:
        report(organisation, **given)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert reports_kept(organisation) == []
    assert stands(organisation, rotation) is Proof.UNPROVABLE


def test_each_report_stands_in_the_record_with_who_told_it(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    watch(on_file, clock)
    report(organisation, external_id="run-17")
    report(organisation, external_id="run-17")
    with organisation.services.database.read() as connection:
        query = select(audit.c.actor, audit.c.details).where(audit.c.action == "run.report")
        ((actor, details),) = connection.execute(query).all()
    assert (actor, details["status"]) == ("user:ann", "completed")
