"""Runs, edited or forged behind the vault's back: they prove and condemn nothing, and are not begun."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.organisation import Organisation
from tests.services.spoiling import find, forge, spoil, spoiled, write, wrong
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    get_rotation,
    stage,
    step_to,
    told,
)
from tests.services.test_tampered import behind, read, tampered
from vaultcore.errors import TamperedError
from vaultcore.row_macs import MAC
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.domain.states import RunPurpose, RunTrigger
from worker.rows import consumers as consumer_rows
from worker.rows import runs as run_rows
from worker.rows.tables import run_versions, runs, workflows
from worker.services.runs.reports import Report
from worker.wording.reasons import say

pytestmark = pytest.mark.rules


FIRST, SECOND = "ticket-sync", "second"


@pytest.fixture
def staged(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Staged]:
    """Two workflows with a token."""
    with stage(tmp_path / "home", database_url, clock) as made:
        organisation, _ = made
        organisation.add_token(TOKEN, "support")
        organisation.add_workflow(FIRST, TOKEN)
        organisation.add_workflow(SECOND, TOKEN)
        yield made


def watch(organisation: Organisation, clock: Any) -> tuple[str, str]:
    """A rotation that one of the two workflows has proven, and that run: the other is still to run."""
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    return rotation_id, organisation.services.runs.runs.start(FIRST, actor="test").run_id


def look_again(organisation: Organisation) -> None:
    with organisation.services.database.write() as connection:
        connection.execute(text("UPDATE rotations SET next_at = created_at"))
    organisation.drive()


def assert_stopped(organisation: Organisation, service: ScriptedService, rotation_id: str, table: str) -> None:
    found = get_rotation(organisation, rotation_id)
    assert found.state is State.STUCK
    assert f"accept-row {table} " in say(found.last_error)
    assert service.calls("DELETE") == 0
    assert organisation.stages(TOKEN) == ["previous", "current"]
    assert [one.split(" ")[0] for one in tampered(organisation.services)] == [table]
    ((owner, said),) = told(organisation, "rotation-stuck")
    assert (owner, "changed behind the vault's back" in said) == ("support", True)


def open_run(services: Services, workflow: str, trigger: RunTrigger) -> str:
    workflow_id = read(services, workflows.c.id, where=workflows.c.name == workflow).id
    with services.database.write() as connection:
        return run_rows.open_run(
            connection,
            workflow_id,
            workflow,
            purpose=RunPurpose.PRODUCTION,
            trigger=trigger,
            at=services.clock(),
        ).id


def test_whatever_was_edited_of_a_run_it_judges_no_value(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    services = organisation.services
    rotation_id, run_id = watch(organisation, clock)
    item_id = organisation.item(TOKEN).id

    def look() -> None:
        with services.database.read() as connection:
            services.rotation.proofs.look(connection, get_rotation(organisation, rotation_id), shown=True)

    edits = [(runs, run_id, name) for name in runs.info["decides"]] + [
        (run_versions, f"{run_id} {item_id}", MAC)
    ]
    for table, key, name in edits:
        row = find(services, table, key)
        if name == MAC:
            write(services, table, row, mac=None)
        else:
            spoil(services, table, key, name)
        with pytest.raises(TamperedError, match=f"accept-row {table.name} "):
            look()
        assert wrong(services) == [table.name], name
        write(services, table, row, **row)
        look()
    assert wrong(services) == []
    spoil(services, runs, run_id, "completed_at")
    services.runs.runs.start(SECOND, actor="test")
    clock.advance(timedelta(days=2))
    organisation.drive()
    assert_stopped(organisation, service, rotation_id, "runs")


@pytest.mark.parametrize("in_both", [True, False])
def test_by_a_forged_rejection_the_value_in_use_is_not_revoked(
    staged: Staged, clock: Any, *, in_both: bool
) -> None:
    organisation, service = staged
    services = organisation.services
    rotation_id, run_id = watch(organisation, clock)
    item_id = organisation.item(TOKEN).id
    rejected = {"status": "failed", "error_cause": "rejected", "error_node": "call", "completed_at": clock()}
    if in_both:
        forge(services, runs, run_id, id="fl_run_forged", **rejected)
        forge(services, run_versions, f"{run_id} {item_id}", run_id="fl_run_forged")
    else:  # a genuine test, called a run
        tested = read(
            services, runs.c.id, where=(runs.c.purpose == "test") & (runs.c.workflow_name == FIRST)
        ).id
        write(services, runs, find(services, runs, tested), purpose="production", **rejected)
    look_again(organisation)
    assert_stopped(organisation, service, rotation_id, "runs")


def test_that_a_run_used_a_version_is_nobodys_word_but_ours(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    services = organisation.services
    rotation_id, _ = watch(organisation, clock)
    other = open_run(services, SECOND, RunTrigger.MANUAL)
    with behind(services) as connection:
        used = {"run_id": other, "item_id": organisation.item(TOKEN).id, "number": 2}
        connection.execute(run_versions.insert().values(used))
    look_again(organisation)
    assert_stopped(organisation, service, rotation_id, "run_versions")


@pytest.mark.parametrize("name", ["completed_at", "started_at", "purpose", "status"])
def test_nothing_is_taken_away_under_a_run_whose_row_was_edited(staged: Staged, clock: Any, name: str) -> None:
    organisation, service = staged
    services = organisation.services
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WORKFLOW_TESTED)
    under_way = open_run(services, SECOND, RunTrigger.MANUAL)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    for workflow in (FIRST, SECOND):
        services.runs.runs.start(workflow, actor="test")
    spoil(services, runs, under_way, name)
    with pytest.raises(TamperedError), services.database.read() as connection:
        consumer_rows.running_since(connection, organisation.item(TOKEN).id, None, clock())
    look_again(organisation)
    assert_stopped(organisation, service, rotation_id, "runs")


def test_an_edited_run_is_not_begun_and_holds_up_no_other(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    services = organisation.services
    for name in ("workflow_id", "purpose", "trigger", "rotation_id", "depth", "parent_id", MAC):
        edited, other = (
            open_run(services, FIRST, RunTrigger.SCHEDULE),
            open_run(services, SECOND, RunTrigger.SCHEDULE),
        )
        if name == MAC:
            write(services, runs, find(services, runs, edited), mac=None)
        else:
            spoil(services, runs, edited, name)
        clock.advance(timedelta(minutes=10))
        assert set(services.runs.runs.find_waiting(opened_before=clock())) == {edited, other}
        before = len(service.requests)
        assert services.runs.runs.execute(edited, actor="test") is None
        assert len(service.requests) == before
        ran = services.runs.runs.execute(other, actor="test")
        assert ran is not None
        assert ran.status == "completed"
        assert services.runs.runs.find_waiting(opened_before=clock()) == []
        row = find(services, runs, edited)
        assert (row["status"], row["completed_at"] is None) == ("failed", False), name
        assert "accept-row runs" in row["error_message"]
        assert wrong(services) == ["runs"], "to end it makes it nobody's"
        with behind(services) as connection:
            connection.execute(runs.delete().where(runs.c.id == edited))


@pytest.mark.both
def test_a_lost_run_ends_though_another_was_edited(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    services = organisation.services
    lost, edited = open_run(services, FIRST, RunTrigger.MANUAL), open_run(services, SECOND, RunTrigger.MANUAL)
    spoil(services, runs, edited, "depth")
    clock.advance(timedelta(hours=2))
    services.runs.runs.end_lost()
    assert services.runs.runs.find_waiting(opened_before=clock()) == []
    assert [find(services, runs, one)["status"] for one in (lost, edited)] == ["failed", "failed"]
    assert wrong(services) == ["runs"]


def test_a_run_whose_row_was_edited_while_it_ran_proves_nothing(staged: Staged) -> None:
    organisation, service = staged
    services = organisation.services
    edited: list[str] = []

    def script(_: Any) -> None:
        if not edited:
            with behind(services) as connection:
                edited.append("once")
                connection.execute(text("UPDATE runs SET purpose = 'controlled' WHERE completed_at IS NULL"))

    service.script = script
    ran = services.runs.runs.start(FIRST, actor="test")
    assert (ran.status, ran.used) == ("failed", ())
    assert "changed behind the vault's back" in (ran.error_message or "")
    assert services.runs.runs.start(SECOND, actor="test").status == "completed"
    assert wrong(services) == ["runs"]


@pytest.mark.both
def test_a_report_is_not_taken_for_one_that_was_forged(staged: Staged) -> None:
    organisation, _ = staged
    services = organisation.services

    def report(external_id: str) -> bool:
        given = Report(
            workflow=FIRST,
            status="completed",
            started_at=services.clock(),
            used={TOKEN: 1},
            external_id=external_id,
        )
        return services.runs.run_reports.report(given, actor="test").new

    assert report("run-1")
    assert not report("run-1"), "once"
    run_id = read(services, runs.c.id, where=runs.c.external_id == "run-1").id
    forge(services, runs, run_id, id="fl_run_forged", external_id="run-2")
    with pytest.raises(TamperedError, match="accept-row runs fl_run_forged"):
        report("run-2")
    assert report("run-3")
    with spoiled(services, runs, run_id, "external_id"):
        assert wrong(services) == ["runs"] * 2
