"""One night on a real database against a real token service: the same on SQLite and PostgreSQL."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from tests.organisation import Organisation, read_token
from tests.services.conftest import Moves
from tests.stepping import advance
from vaultcore.errors import RefusedError
from vaultcore.secret import Secret
from vaultcore.tables import items
from worker.bootstrap import Services
from worker.domain.findings import FindingKind
from worker.domain.saga import State
from worker.domain.work import Task, Work
from worker.rows.problems import read_undelivered
from worker.wording.problems import describe
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules

TOKEN = "prod-ticketing-api-token"
DAY = timedelta(days=1)


@pytest.mark.both
def test_a_token_is_replaced_proven_watched_and_its_predecessor_refused(
    organisation: Organisation, clock: Any
) -> None:
    service = organisation.targets.token_service
    old = organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)

    (rotation,) = organisation.night()
    assert rotation.state is State.WATCHING
    assert organisation.stages(TOKEN) == ["previous", "current"]
    assert service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 2
    assert any("overlap" in reason for reason in say_each(rotation.waits_for))

    clock.advance(timedelta(hours=25))
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert rotation.state is State.WATCHING
    missed = "the first good production run of ticket-sync, which did not come during the overlap"
    assert say_each(rotation.waits_for) == [missed]
    assert ("unproven", TOKEN) in organisation.findings()
    assert service.is_live(old)

    run = organisation.services.runs.runs.start("ticket-sync", actor="test")
    assert run.status == "completed"
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert rotation.state is State.DONE
    assert organisation.stages(TOKEN) == ["destroyed", "current"]
    assert not service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 1
    assert ("unproven", TOKEN) not in organisation.findings()
    assert organisation.services.runs.runs.start("ticket-sync", actor="test").status == "completed"
    assert organisation.services.upkeep.anchors.verify().whole


def test_a_second_scan_of_the_same_night_rotates_and_sends_nothing(
    organisation: Organisation, clock: Any
) -> None:
    service = organisation.targets.token_service
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_token("prod-billing-api-token", "billing")
    organisation.add_workflow("invoice-export", "prod-billing-api-token", path="/v1/invoices")
    organisation.add_item("prod-crm-password", "a-value-of-theirs", days=6, mode="notify")
    organisation.add_item("password", "another-value", days=400)
    service.default_scopes["billing"] = ["nothing"]
    organisation.night()
    told, rotated = len(organisation.notices()), len(organisation.rotations())
    assert (told, rotated) == (3, 2)  # the digest, the failure at once, and the operators' notice

    clock.advance(timedelta(minutes=20))
    assert organisation.night() == []
    assert len(organisation.notices()) == told
    assert len(organisation.rotations()) == rotated


def test_the_same_slot_is_done_once(organisation: Organisation, clock: Any) -> None:
    slot = clock()
    assert organisation.services.night.nights.begin(slot) == []
    assert organisation.services.night.nights.begin(slot) is None


def test_a_replacement_that_a_workflow_rejects_is_taken_back(organisation: Organisation, clock: Any) -> None:
    service = organisation.targets.token_service
    old = organisation.add_token("prod-billing-api-token", "billing")
    organisation.add_workflow("invoice-export", "prod-billing-api-token", path="/v1/invoices")
    service.default_scopes["billing"] = ["tickets"]

    (rotation,) = organisation.night()
    assert rotation.state is State.ROLLED_BACK
    assert rotation.last_cause == "rejected"
    assert "node call of workflow invoice-export" in say(rotation.last_error)
    assert rotation.candidates == 2  # thrown away before the third, which was the last
    assert organisation.stages("prod-billing-api-token") == ["current", *["destroyed"] * 3]
    assert service.is_live(old)
    assert len(service.live_tokens("billing")) == 1
    assert ("rotation-failed", "prod-billing-api-token") in organisation.findings()
    assert organisation.services.runs.runs.start("invoice-export", actor="test").status == "completed"

    del service.default_scopes["billing"]
    clock.advance(DAY)
    (again,) = organisation.night()
    assert again.state is State.WATCHING
    organisation.services.runs.runs.start("invoice-export", actor="test")
    clock.advance(2 * DAY)
    organisation.drive()
    assert organisation.rotations()[0].state is State.DONE
    assert ("rotation-failed", "prod-billing-api-token") not in organisation.findings()


def test_a_first_production_run_that_is_rejected_brings_the_old_value_back(
    organisation: Organisation,
) -> None:
    service = organisation.targets.token_service
    old = organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    organisation.night()
    new_id = next(i for i in service.live_tokens("ticketing") if i != service.live_tokens("ticketing")[0])
    _revoke_behind_our_back(organisation, new_id)

    assert organisation.services.runs.runs.start("ticket-sync", actor="test").status == "failed"
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert rotation.state is State.ROLLED_BACK
    assert "production run of ticket-sync, node call" in say(rotation.last_error)
    assert organisation.item(TOKEN).version == 1
    assert service.is_live(old)
    assert organisation.services.runs.runs.start("ticket-sync", actor="test").status == "completed"


def test_an_outage_neither_rolls_back_nor_promotes(organisation: Organisation, clock: Any) -> None:
    service = organisation.targets.token_service
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    service.fail_next("/v1/account", status=503, times=1)
    slot = clock()
    organisation.services.night.nights.begin(slot)
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.last_cause) == (State.PLANNED, "outage")
    assert organisation.services.night.nights.close(slot) is None  # it still moves

    clock.advance(timedelta(minutes=5))
    organisation.drive()
    assert organisation.rotations()[0].state is State.WATCHING
    assert organisation.services.night.nights.close(slot) == "good"
    assert len(service.live_tokens("ticketing")) == 2


def test_an_answer_that_was_lost_leaves_no_token_behind(organisation: Organisation, clock: Any) -> None:
    service = organisation.targets.token_service
    organisation.add_token(TOKEN, "ticketing")
    service.fail_next("/v1/tokens", status=502, after_effect=True, method="POST")
    organisation.services.night.nights.begin(clock())
    organisation.drive()
    clock.advance(timedelta(minutes=5))
    organisation.drive()
    clock.advance(2 * DAY)
    organisation.drive()
    assert organisation.rotations()[0].state is State.DONE
    assert len(service.live_tokens("ticketing")) == 1


@pytest.mark.both
def test_a_rotation_survives_a_restart_after_each_of_its_steps(organisation: Organisation, clock: Any) -> None:
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    settings = organisation.services.settings
    opened = organisation.services.night.nights.begin(clock()) or []
    seen = []
    for _ in range(10):
        fresh = Services(settings, clock)
        advanced = advance(fresh, opened[0])
        seen.append(advanced.rotation.state.value if advanced else "nothing due")
        fresh.close()
    assert seen == [
        "planned", "created", "installed", "accepted", "node-tested", "workflow-tested", "activated",
        "watching", "nothing due", "nothing due",
    ]  # fmt: skip


def test_a_pinned_workflow_holds_the_old_version(organisation: Organisation, clock: Any) -> None:
    services = organisation.services
    old = organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    with services.database.write() as connection:
        workflow = services.runs.definitions.get(connection, "ticket-sync")
        services.references.pin(
            connection, workflow_id=workflow.id, item_id=organisation.item(TOKEN).id, number=1
        )
    organisation.night()
    clock.advance(2 * DAY)
    services.runs.runs.start("ticket-sync", actor="test")
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert say_each(rotation.waits_for) == ["ticket-sync, which is pinned to version 1"]
    assert organisation.targets.token_service.is_live(old)
    organisation.night()
    assert ("superseded", TOKEN) in organisation.findings()


def test_an_owner_is_told_once_a_threshold_and_daily_once_it_lapsed(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=31, mode="notify")
    organisation.add_workflow("crm-contacts", "prod-crm-password")
    told = []
    for _ in range(36):
        before = len(organisation.notices())
        organisation.night()
        notices = organisation.notices()
        told.append(sorted(one.owner for one in notices[: len(notices) - before]))
        clock.advance(DAY)
    by_days_left = {31 - night: owners for night, owners in enumerate(told) if owners}
    assert list(by_days_left) == [30, 14, 7, 3, 1, 0, -1, -2, -3, -4]
    assert by_days_left[-2] == ["support"]
    assert by_days_left[-3] == by_days_left[-4] == ["operators", "support"], "nobody is support's deputy"


def test_a_night_that_was_missed_loses_no_threshold(organisation: Organisation, clock: Any) -> None:
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=31, mode="notify")
    organisation.add_workflow("crm-contacts", "prod-crm-password")
    clock.advance(26 * DAY)  # 30, 14 and 7 days were crossed while nobody looked
    organisation.night()
    assert len(organisation.notices()) == 1
    assert "lapses in 5 days" in organisation.notices()[0].body


def test_an_item_that_cannot_be_read_stops_nobody_and_the_night_is_not_good(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_token(TOKEN, "ticketing")
    broken = organisation.add_item("prod-fax-password", "a-value-of-prod-fax-password", days=3, mode="notify")
    with organisation.services.database.write() as connection:
        connection.execute(update(items).where(items.c.id == broken.id).values(policy={"mode": "?"}))
    slot = clock()
    organisation.services.night.nights.begin(slot)
    organisation.drive()
    assert organisation.services.night.nights.close(slot) == "failed"
    assert organisation.rotations()[0].state is State.WATCHING
    assert ("unreadable", "prod-fax-password") in organisation.findings()
    assert any(notice.kind == "night-failed" for notice in organisation.notices())


def test_findings_open_once_and_are_resolved_when_they_are_gone(organisation: Organisation, clock: Any) -> None:
    services = organisation.services
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=2, mode="notify")
    organisation.add_workflow("status-page", "prod-statuspage-api-token")
    services.night.nights.record()
    first = organisation.findings()
    assert {("expiring", "prod-crm-password"), ("unused", "prod-crm-password"),
            ("missing", "prod-statuspage-api-token")} <= first  # fmt: skip
    services.night.nights.record()
    assert organisation.findings() == first
    organisation.add_item("prod-statuspage-api-token", "another-value", days=200, mode="notify")
    with services.database.write() as connection:
        services.vault.update(connection, "prod-crm-password", expires_at=clock() + 200 * DAY, actor="test")
    clock.advance(timedelta(hours=1))
    services.night.nights.record()
    assert organisation.findings() == {("unused", "prod-crm-password")}


@pytest.mark.both
def test_the_dry_run_decides_as_the_night_does_and_writes_nothing(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_token(TOKEN, "ticketing", days=40)
    before = organisation.services.upkeep.anchors.verify().rows
    later = organisation.services.night.nights.preview(clock() + 30 * DAY)
    assert [(seen.name, seen.decision.action.value) for seen in later.due if seen.decision] == [
        (TOKEN, "rotate")
    ]
    assert organisation.services.night.nights.preview(clock()).due == []
    assert organisation.findings() == set()
    assert organisation.services.upkeep.anchors.verify().rows == before
    clock.advance(30 * DAY)
    assert [rotation.item for rotation in organisation.night()] == [TOKEN]


def test_a_key_of_our_callers_is_replaced_and_collected_before_the_old_one_goes(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_item(
        "api-key:partner-portal", None, days=5, mode="auto", rotator="workflow-api-key", lifetime="90d"
    )
    organisation.night()
    clock.advance(2 * DAY)
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert say_each(rotation.waits_for) == ["its owner, who has not collected the new key"]
    body = str(organisation.targets.sink.requests[0].body)
    token = read_token(body)
    key = organisation.collect(token).key.expose()
    clock.advance(30 * DAY)
    organisation.drive()
    (rotation,) = organisation.rotations()
    assert rotation.state is State.WATCHING, "that it was collected does not show that it arrived"
    assert organisation.present(key) is not None
    organisation.drive()
    assert organisation.rotations()[0].state is State.DONE
    assert organisation.stages("api-key:partner-portal") == ["destroyed", "current"]


def test_a_value_that_its_owner_replaced_goes_once_nobody_needs_it(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    service = organisation.targets.token_service
    first, second = service.issue("crm")[1], service.issue("crm", label="second")[1]
    organisation.add_item("prod-crm-api-token", first, days=200, mode="notify")
    organisation.add_workflow("crm-contacts", "prod-crm-api-token")
    with services.database.write() as connection:
        services.vault.update(connection, "prod-crm-api-token", value=Secret(second), actor="test")
    clock.advance(2 * DAY)
    organisation.night()
    assert organisation.stages("prod-crm-api-token") == ["previous", "current"]
    services.runs.runs.start("crm-contacts", actor="test")
    clock.advance(timedelta(minutes=1))
    organisation.night()
    assert organisation.stages("prod-crm-api-token") == ["destroyed", "current"]


def _revoke_behind_our_back(organisation: Organisation, token_id: str) -> None:
    service = organisation.targets.token_service
    organisation.services.ways_out.http.request(
        "DELETE", f"{service.url}/v1/tokens/{token_id}",
        headers={"Authorization": f"Bearer {service.admin_token}"},
    )  # fmt: skip


def test_a_notice_that_had_no_route_leaves_once_there_is_one(organisation: Organisation) -> None:
    services = organisation.services
    with services.database.write() as connection:
        services.owners.create(connection, "network", actor="test")
    organisation.add_item(
        "prod-fax-password", "a-value-of-prod-fax-password", days=3, owner="network", mode="notify"
    )
    organisation.night()
    (notice,) = organisation.notices()
    assert (notice.owner, notice.state) == ("network", "unrouted")
    with services.database.read() as connection:
        (problem,) = read_undelivered(connection, since=services.clock(), now=services.clock())
    assert describe(problem).startswith("network has no route, so 1 notice reached nobody")

    with services.database.write() as connection:
        owner = services.owners.get(connection, "network")
        url = Secret(f"json://{organisation.targets.sink.url[7:]}/network")
        services.owners.add_route(connection, owner, url, shown="json://sink", actor="test")
    organisation.deliver()
    assert organisation.notices()[0].state == "sent"
    assert len(organisation.targets.sink.requests) == 1


def test_a_rotation_whose_item_is_gone_is_cancelled_and_stops_nobody(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    organisation.add_item(
        "prod-erp-password",
        "a-value-of-prod-erp-password",
        days=5,
        mode="auto",
        rotator="random",
        overlap="1d",
        lifetime="90d",
    )
    organisation.night()
    with services.database.write() as connection:
        with pytest.raises(RefusedError, match="is being rotated"):
            services.rotation.opening.check_at_rest(
                connection, services.vault.get(connection, "prod-erp-password")
            )
        services.vault.delete(connection, "prod-erp-password", actor="test")
    clock.advance(2 * DAY)
    organisation.drive()
    assert organisation.rotations()[0].state is State.CANCELLED


@pytest.mark.both
def test_a_row_that_is_no_json_any_more_is_a_finding_and_hides_no_other(
    organisation: Organisation, clock: Any
) -> None:
    if not organisation.services.database.is_sqlite:
        return  # PostgreSQL keeps nothing that is not JSON
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_item("prod-fax-password", "a-value-of-prod-fax-password", days=3, mode="notify")
    Moves(organisation.services).sql("UPDATE items SET policy = '{' WHERE name = 'prod-fax-password'")
    (rotation,) = organisation.night()
    assert rotation.state is State.WATCHING
    assert ("unreadable", "prod-fax-password") in organisation.findings()


def test_a_workflow_that_runs_on_while_a_night_looks_is_not_taken_for_damaged(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, schedule_type="interval", schedule_value="1 minute")
    began = clock()
    clock.advance(timedelta(hours=1))
    assert len(organisation.services.runs.runs.open_due()) == 1
    found = organisation.services.night.nights.preview(began).findings
    assert [finding.detail for finding in found if finding.kind is FindingKind.UNREADABLE] == []


def test_the_log_has_one_line_for_each_state_with_item_rotation_and_night(organisation: Organisation) -> None:
    organisation.add_token(TOKEN, "ticketing")
    slot = organisation.services.clock()
    organisation.services.night.nights.begin(slot)
    (rotation,) = organisation.rotations()
    with capture_logs() as lines:
        organisation.services.night.dispatch.do(Work(Task.ROTATE, rotation.id))
        organisation.services.night.dispatch.do(Work(Task.ROTATE, rotation.id))  # a ring too many says nothing
    states = [line["state"] for line in lines]
    assert states[0] == "planned"
    assert "activated" in states
    assert len(states) == len(set(states))
    named = {"rotation": rotation.id, "item": TOKEN, "item_id": rotation.item_id, "night": slot.isoformat()}
    for line in lines:
        assert line["event"] == "rotation.moved"
        assert {name: line[name] for name in named} == named
