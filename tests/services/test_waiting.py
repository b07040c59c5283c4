"""Runs that come to a delay: they wait without a worker, and go on with what they had."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from nightkey_demo.http_sink import HttpSink
from tests.chains import apply, begin, chain, post, say, wait
from tests.services.conftest import Moves, race
from tests.services.staging import (
    TOKEN,
    begin_by_hand,
    drive_on,
    get_rotation,
    make_services,
    stage,
    step_to,
)
from vaultcore.errors import Cause, InvalidInputError
from worker.bootstrap import Services
from worker.domain.findings import FindingKind
from worker.domain.saga import State
from worker.installation import make_restores
from worker.rows.tables import run_logs, run_states, run_versions, runs, workflows
from worker.services.runs.execution import RunOutcome
from worker.services.runs.inbound import Entrance
from worker.services.runs.suspended_runs import SuspendedRuns
from worker.wording.reasons import say_each
from worker.workflows.nodes import catalog

pytestmark = pytest.mark.rules


ITEM, VALUE = "prod-orders-token", "the-First/Value+of 23"
MINUTES = timedelta(minutes=1)
AUTH = {"Authorization": "Bearer {{ vault.prod-orders-token }}"}


def start(services: Services, name: str = "sync", payload: Any = None) -> RunOutcome:
    return services.runs.runs.start(name, payload=payload, actor="test")


def go_on(services: Services) -> list[RunOutcome | None]:
    return [services.runs.runs.execute(run_id, actor="test") for run_id in services.runs.runs.due_runs()]


def one_run(services: Services, run_id: str) -> Any:
    return Moves(services).sql(select(runs).where(runs.c.id == run_id))[0]


def logs(services: Services, run_id: str) -> dict[str, Any]:
    rows = Moves(services).sql(select(run_logs).where(run_logs.c.run_id == run_id).order_by(run_logs.c.id))
    return {row.node_id: row.output for row in rows}


def kept(services: Services) -> list[Any]:
    return list(Moves(services).sql(select(run_states)))


def test_a_run_waits_without_a_worker_and_goes_on_when_its_time_has_come(
    services: Services, clock: Any, sink: HttpSink
) -> None:
    began_at = clock()
    apply(
        services,
        chain(
            "sync",
            post(sink.url + "/before", "first"),
            wait(5),
            post(sink.url + "/after", "then", body={"order": "{{ webhook_payload.order }}"}),
        ),
    )
    outcome = start(services, payload={"order": "A-1"})
    assert (outcome.status, outcome.resume_at) == ("running", clock() + 5 * MINUTES)
    assert [one.path for one in sink.requests] == ["/before"]
    assert one_run(services, outcome.run_id).status == "running"

    clock.advance(5 * MINUTES - timedelta(seconds=1))
    assert services.runs.runs.due_runs() == []
    assert services.runs.runs.execute(outcome.run_id, actor="test") is None, "a bell that rings early"
    clock.advance(timedelta(seconds=1))
    (ended,) = go_on(services)
    assert ended is not None
    assert (ended.status, ended.run_id) == ("completed", outcome.run_id)
    assert [(one.path, one.body) for one in sink.requests[1:]] == [("/after", {"order": "A-1"})]
    assert list(logs(services, outcome.run_id)) == ["start", "first", "wait", "then"]
    assert logs(services, outcome.run_id)["wait"] == {"waited_seconds": 300}
    row = one_run(services, outcome.run_id)
    assert (row.status, row.started_at, row.completed_at) == ("completed", began_at, clock())
    assert kept(services) == []
    assert services.runs.runs.due_runs() == []


@pytest.mark.both
def test_two_workers_never_go_on_with_the_same_run(services: Services, clock: Any, sink: HttpSink) -> None:
    apply(services, chain("sync", wait(5), post(sink.url)))
    run_id = start(services).run_id
    clock.advance(5 * MINUTES)
    outcomes = race(6, lambda _: services.runs.runs.execute(run_id, actor="test"))
    assert [one.status for one in outcomes if isinstance(one, RunOutcome)] == ["completed"]
    assert [one for one in outcomes if not isinstance(one, RunOutcome)] == [None] * 5
    assert len(sink.requests) == 1


@pytest.mark.both
def test_it_goes_on_with_the_versions_that_it_began_with(
    services: Services, clock: Any, sink: HttpSink
) -> None:
    moves = Moves(services)
    item = moves.add(ITEM, VALUE).item
    apply(services, chain("sync", post(sink.url, "first", headers=AUTH), wait(), post(sink.url, headers=AUTH)))
    run_id = start(services).run_id
    moves.update(ITEM, value="the-second-value")
    clock.advance(5 * MINUTES)
    go_on(services)
    assert [one.headers["authorization"] for one in sink.requests] == [f"Bearer {VALUE}"] * 2
    (used,) = moves.sql(select(run_versions).where(run_versions.c.run_id == run_id))
    assert (used.item_id, used.number) == (item.id, 1)
    reveals = [row.details["version"] for row in moves.log() if row.action == "version.reveal"]
    assert reveals == [1, 1], "each audited"


def test_what_was_known_to_be_secret_is_hidden_after_it_too(here: Services, clock: Any, sink: HttpSink) -> None:
    moves = Moves(here)
    moves.add(ITEM, VALUE)
    quoted = {"X-Other": "{{ vault.prod-orders-token | downcase }}"}
    apply(
        here,
        chain(
            "sync",
            post(sink.url, "fetch", headers=AUTH | quoted),
            {"id": "cut", "componentId": "text_transform", "operation": "split", "separator": "/",
             "text": "{{ fetch.body.token }}"},
            wait(),
            say(all="{{ fetch.body.token }}", lower="{{ fetch.body.other }}", part="{{ cut.text[0] }}"),
            post(sink.url, body={"token": "{{ fetch.body.token }}", "part": "{{ cut.text[0] }}"}),
        ),
    )  # fmt: skip
    sink.answer(200, body={"token": VALUE, "other": VALUE.lower()})
    run_id = start(here).run_id
    clock.advance(5 * MINUTES)
    go_on(here)
    assert sink.requests[1].body == {"token": VALUE, "part": "the-First"}, "usable inside the run"
    found = str(logs(here, run_id))
    assert "masked" in found
    for part in (VALUE, VALUE.lower(), "the-First", "Value+of"):
        assert part not in found


def test_nothing_that_it_keeps_stands_in_clear(here: Services, tmp_path: Path, sink: HttpSink) -> None:
    Moves(here).add(ITEM, VALUE)
    apply(here, chain("sync", post(sink.url, "fetch", headers=AUTH), wait(), say(a="b")))
    sink.answer(200, body={"token": VALUE, "note": "a-word-of-the-other-side"})
    start(here, payload={"word": "a-word-of-the-caller"})
    assert len(kept(here)) == 1
    stored = b"".join(file.read_bytes() for file in (tmp_path / "home").glob("nightkey.db*"))
    for text in (VALUE, "a-word-of-the-other-side", "a-word-of-the-caller"):
        assert text.encode() not in stored


def test_its_time_is_skipped_in_a_test_and_in_a_controlled_run(here: Services, sink: HttpSink) -> None:
    apply(here, chain("sync", wait(15), post(sink.url)))
    with here.database.read() as connection:
        workflow = here.runs.definitions.get(connection, "sync")
    tested = here.runs.workflow_tests.test_workflow(workflow, overrides={}, actor="test")
    controlled = here.runs.workflow_tests.run_controlled(
        workflow, overrides={}, rotation_id="rot_x", actor="test"
    )
    for outcome in (tested, controlled):
        assert outcome.status == "completed"
        assert logs(here, outcome.run_id)["wait"] == {"skipped_seconds": 900}
    node = here.runs.workflow_tests.test_node(workflow, "wait", overrides={}, actor="test")
    assert (node.status, node.output) == ("success", {"skipped_seconds": 900})
    assert kept(here) == []


def test_a_delay_that_would_end_after_the_hour_fails_at_once(here: Services, clock: Any) -> None:
    apply(here, chain("sync", *(wait(15, node_id=f"wait{number}") for number in range(4)), say(a="b")))
    run_id = start(here).run_id
    for _ in range(2):
        clock.advance(15 * MINUTES)
        (waiting,) = go_on(here)
        assert waiting is not None
        assert (waiting.run_id, waiting.status) == (run_id, "running")
    clock.advance(15 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.error_node, ended.cause) == ("failed", "wait3", Cause.MISTAKE)
    assert ended.error_message == "a delay of 900 seconds would end after the hour that a run may take"
    assert kept(here) == []


def test_its_hour_goes_on_while_it_waits(here: Services, clock: Any, sink: HttpSink) -> None:
    apply(here, chain("sync", wait(15), post(sink.url)))
    start(here)
    clock.advance(60 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.error_node, ended.cause) == ("failed", "post", Cause.OUTAGE)
    assert ended.error_message == "the run took longer than an hour"
    assert sink.requests == []


def test_one_that_nobody_went_on_with_is_ended(services: Services, clock: Any) -> None:
    apply(services, chain("sync", wait(15), say(a="b")))
    run_id = start(services).run_id
    clock.advance(66 * MINUTES)
    services.night.resume_sweep.find_work()
    row = one_run(services, run_id)
    assert (row.status, row.error_cause) == ("failed", "outage")
    assert row.error_message == "it waited, and nobody went on with it within the hour that a run may take"
    assert kept(services) == []


def test_a_worker_that_died_after_it_took_the_run_leaves_it_to_be_ended_as_lost(
    services: Services, clock: Any
) -> None:
    apply(services, chain("sync", wait(15), say(a="b")))
    run_id = start(services).run_id
    clock.advance(15 * MINUTES)
    with services.database.write() as connection:
        suspended = SuspendedRuns(deployment_id=services.deployment_id, keyring=services.keyring)
        assert suspended.take(connection, run_id, due_by=clock()) is not None
    assert go_on(services) == []
    clock.advance(51 * MINUTES)
    services.night.resume_sweep.find_work()
    row = one_run(services, run_id)
    assert (row.status, row.error_message) == ("failed", "the worker that ran it was lost")


def test_a_value_that_was_taken_away_in_an_emergency_meanwhile_ends_it(
    here: Services, clock: Any, sink: HttpSink
) -> None:
    moves = Moves(here)
    item = moves.add(ITEM, VALUE).item
    apply(here, chain("sync", post(sink.url, "first", headers=AUTH), wait(5), post(sink.url, headers=AUTH)))
    start(here)
    moves.update(ITEM, value="the-second-value")
    moves.destroy(item.id, 1)
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.cause, ended.used) == ("failed", Cause.MISTAKE, (item.id,))
    assert ended.error_message == f"version 1 of {ITEM} holds no value: it was destroyed"
    assert len(sink.requests) == 1


def test_a_value_that_lapsed_meanwhile_ends_it_with_what_it_had_done(
    services: Services, clock: Any, sink: HttpSink
) -> None:
    Moves(services).add(ITEM, VALUE, days=10 / 1440)
    apply(
        services, chain("sync", post(sink.url, "first", headers=AUTH), wait(15), post(sink.url, headers=AUTH))
    )
    run_id = start(services).run_id
    clock.advance(15 * MINUTES)
    (ended,) = go_on(services)
    assert ended is not None
    assert (ended.status, ended.cause) == ("failed", Cause.MISTAKE)
    assert "prod-orders-token lapsed at" in (ended.error_message or "")
    assert list(logs(services, run_id)) == ["start", "first", "wait"]
    assert len(sink.requests) == 1


def test_a_workflow_that_runs_in_another_way_now_is_not_gone_on_with(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    start(here)
    apply(here, chain("sync", wait(5), say(a="c")))
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.cause) == ("failed", Cause.MISTAKE)
    assert ended.error_message == "the workflow was changed while this run waited: run it again"


def test_a_workflow_that_is_only_drawn_in_another_way_is(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    start(here)
    apply(here, chain("sync", wait(5), say(a="b"), description="now it has one", sample_context={"a": 1}))
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.output) == ("completed", {"a": "b"})


def test_a_workflow_that_was_made_inactive_meanwhile_ends_what_it_had_begun(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    start(here)
    apply(here, chain("sync", wait(5), say(a="b"), is_active=False))
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.output) == ("completed", {"a": "b"})


def test_a_trigger_that_was_changed_meanwhile_ends_it(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    start(here)
    apply(here, chain("sync", wait(5), say(a="b"), trigger="workflow_trigger"))
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert ended.error_message == "the workflow was changed while this run waited: run it again"


def test_a_component_that_was_uninstalled_meanwhile_ends_it_with_what_it_had_done(
    here: Services, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    run_id = start(here).run_id
    uninstall(monkeypatch, "data_mapper")
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.cause) == ("failed", Cause.MISTAKE)
    assert ended.error_message == "node say: component data_mapper is not installed"
    assert list(logs(here, run_id)) == ["start", "wait"]
    assert one_run(here, run_id).status == "failed"


def test_a_component_that_is_not_there_ends_a_run_at_its_node(
    here: Services, sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(here, chain("sync", post(sink.url, "first"), say(a="b")))
    uninstall(monkeypatch, "data_mapper")
    outcome = start(here)
    assert (outcome.status, outcome.error_node, outcome.cause) == ("failed", "say", Cause.MISTAKE)
    assert outcome.error_message == "component data_mapper is not installed", "told behind its node's name"
    assert (one_run(here, outcome.run_id).status, len(sink.requests)) == ("failed", 1)


def test_fields_that_are_taken_no_longer_end_a_run_at_their_node(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    waiting = start(here).run_id
    was, no_longer = '"duration": 5', '"duration": true'
    with here.database.write() as connection:
        (document,) = connection.execute(select(workflows.c.document)).scalars()
        connection.execute(update(workflows).values(document=document.replace(was, no_longer)))
    outcome = start(here)
    assert (outcome.status, outcome.error_node, outcome.cause) == ("failed", "wait", Cause.MISTAKE)
    problem = "its fields cannot be read any more: nightkey workflow lint says what is wrong with them"
    assert outcome.error_message == problem
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.run_id, ended.status, ended.error_message) == (waiting, "failed", problem)


def uninstall(monkeypatch: pytest.MonkeyPatch, component: str) -> None:
    left = {name: entry for name, entry in catalog._found().items() if name != component}
    monkeypatch.setattr(catalog, "_found", lambda: left)


@pytest.mark.parametrize("value", ["payload", "hook", "webhook_payload", "wait"])
def test_a_value_that_is_in_a_name_of_ours_breaks_no_run(
    here: Services, clock: Any, sink: HttpSink, value: str
) -> None:
    Moves(here).add(ITEM, value)
    order = say(order="{{ webhook_payload.order }}")
    apply(here, chain("sync", wait(5), order, post(sink.url, headers=AUTH)))
    run_id = start(here, payload={"order": f"A-1 {value}"}).run_id
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert ended.status == "completed"
    assert sink.requests[0].headers["authorization"] == f"Bearer {value}"
    assert value not in str(logs(here, run_id)["say"])


def test_what_is_taken_to_be_gone_on_with_shows_nothing_that_is_kept(here: Services, clock: Any) -> None:
    apply(here, chain("second", trigger="workflow_trigger"), chain("first", begin("second", {"word": VALUE})),
          chain("sync", wait(5)))  # fmt: skip
    run_ids = [start(here, payload={"word": VALUE}).run_id, *start(here, "first").begun]
    clock.advance(5 * MINUTES)
    for run_id in run_ids:
        with here.database.write() as connection:
            taken = here.runs.runs._take(connection, run_id, "test")
        assert run_id in repr(taken)
        assert VALUE not in repr(taken)


@pytest.mark.parametrize("what", ["of another run", "flipped", "gone"])
def test_what_is_kept_opens_for_its_own_run_alone(services: Services, clock: Any, what: str) -> None:
    moves = Moves(services)
    apply(services, chain("sync", wait(5), say(a="b")))
    mine, other = start(services).run_id, start(services).run_id
    rows = {row.run_id: row for row in kept(services)}
    if what == "gone":
        moves.sql(delete(run_states).where(run_states.c.run_id == mine))
    else:
        own = rows[mine].record
        record = rows[other].record if what == "of another run" else own[:-1] + bytes([own[-1] ^ 1])
        moves.sql(update(run_states).where(run_states.c.run_id == mine).values(record=record))
    clock.advance(5 * MINUTES)
    outcomes = {run_id: services.runs.runs.execute(run_id, actor="test") for run_id in (mine, other)}
    assert outcomes[mine] is None
    assert outcomes[other] is not None
    assert outcomes[other].status == "completed"
    assert kept(services) == []
    if what != "gone":  # else it is ended as lost
        row = one_run(services, mine)
        assert row.status == "failed"
        assert row.error_message.startswith(f"what run {mine} has kept: a stored record does not open")


def test_more_than_can_be_kept_fails_at_once(here: Services) -> None:
    apply(here, chain("sync", wait(5)))
    outcome = start(here, payload={"word": "x" * 17_000_000})
    assert (outcome.status, outcome.cause) == ("failed", Cause.MISTAKE)
    assert (outcome.error_message or "").startswith("the run cannot wait: it would have to keep 34,000,")
    assert kept(here) == []


def test_a_night_by_hand_goes_on_with_what_is_due(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    run_id = start(here).run_id
    here.night.resume_sweep.carry_on()
    assert one_run(here, run_id).status == "running"
    clock.advance(5 * MINUTES)
    here.night.resume_sweep.carry_on()
    assert one_run(here, run_id).status == "completed"


def test_a_run_of_which_a_row_is_damaged_is_a_finding_and_nobodys(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")), chain("other", trigger="workflow_trigger"),
          chain("first", begin("other")))  # fmt: skip
    waiting, (begun,) = start(here), start(here, "first").begun
    Moves(here).sql("UPDATE runs SET depth = 'garbage'")
    Moves(here).sql("UPDATE run_states SET key_id = ''")
    clock.advance(5 * MINUTES)
    here.night.resume_sweep.carry_on()
    assert [one_run(here, run_id).status for run_id in (waiting.run_id, begun)] == ["running", "pending"]
    found = [one for one in here.night.nights.preview(clock()).findings if one.kind is FindingKind.UNREADABLE]
    assert {one.workflow for one in found} == {"sync", "other"}


def test_after_the_clock_was_set_back_it_waits_as_long_as_it_would_have(here: Services, clock: Any) -> None:
    apply(here, chain("sync", wait(5), say(a="b")))
    run_id = start(here).run_id
    clock.advance(timedelta(days=-800))
    here.upkeep.clock_repair.mend()
    assert here.runs.runs.due_runs() == []
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.run_id, ended.status) == (run_id, "completed")


@pytest.mark.parametrize("how", ["adopted", "restored"])
def test_a_vault_that_was_put_back_goes_on_with_none(tmp_path: Path, clock: Any, how: str) -> None:
    """Each may have gone on before: in the time that the backup does not know."""
    first = make_services(tmp_path / "home", "", clock)
    apply(first, chain("sync", wait(5), say(a="b")))
    run_id = start(first).run_id
    settings, file = first.settings, tmp_path / "vault.backup"
    first.upkeep.backups.back_up(file, replace=False, actor="test")
    first.close()
    if how == "adopted":
        make_restores(settings, clock).adopt(actor="test")
    else:
        make_restores(settings, clock).restore(file, replace=True, actor="test")
    again = Services(settings, clock)
    clock.advance(5 * MINUTES)
    assert again.runs.runs.due_runs() == []
    row = one_run(again, run_id)
    assert (row.status, row.error_cause) == ("failed", "outage")
    assert row.error_message.startswith("it waited when the vault was put back")
    assert kept(again) == []
    again.close()


def test_a_run_that_waits_holds_back_the_retirement_of_the_old_value(tmp_path: Path, clock: Any) -> None:
    with stage(tmp_path / "home", "", clock) as (organisation, service):
        services = organisation.services
        organisation.add_token(TOKEN, "ticketing", overlap="1s")
        url = organisation.targets.token_service.url
        auth = {"Authorization": f"Bearer {{{{ vault.{TOKEN} }}}}"}
        call = {"componentId": "webhook", "method": "GET", "url": f"{url}/v1/account", "headers": auth}
        apply(services, chain("sync", {"id": "one", **call}, wait(15), {"id": "two", **call}))
        waiting = start(services)
        rotation = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)
        clock.advance(timedelta(seconds=5))
        second = start(services)
        organisation.drive()
        assert "a run of sync that began with the old value" in say_each(
            get_rotation(organisation, rotation.id).waits_for
        )
        assert organisation.stages(TOKEN) == ["previous", "current"]
        clock.advance(15 * MINUTES)
        ended = {one.run_id: one for one in go_on(services) if one is not None}
        assert {run_id: one.status for run_id, one in ended.items()} == {
            waiting.run_id: "completed",
            second.run_id: "completed",
        }, "the old value works until the last of its runs has ended"
        drive_on(organisation, clock, until=lambda: not organisation.rotations()[0].next_at)
        assert get_rotation(organisation, rotation.id).state is State.DONE
        assert organisation.stages(TOKEN) == ["destroyed", "current"]
        assert service.calls("DELETE") == 1


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"duration": 16, "unit": "minutes"}, "15 minutes at most"),
        ({"duration": 901, "unit": "seconds"}, "15 minutes at most"),
        ({"duration": 1, "unit": "hours"}, "15 minutes at most"),
        ({"duration": 10**40, "unit": "days"}, "15 minutes at most"),
        ({"duration": 1.5, "unit": "minutes"}, "duration"),
        ({"duration": -1, "unit": "minutes"}, "duration"),
        ({"unit": "minutes"}, "duration"),
        ({"duration": True, "unit": "minutes"}, "duration: a number is neither true nor false"),
    ],
)
def test_what_is_no_delay_is_refused_by_its_field(here: Services, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=f"node wait, field data.*{problem}"):
        apply(here, chain("sync", {"id": "wait", "componentId": "delay", **fields}))


def test_a_delay_of_nothing_waits_for_nothing(here: Services) -> None:
    apply(here, chain("sync", wait(0)))
    outcome = start(here)
    assert (outcome.status, outcome.output) == ("completed", {"waited_seconds": 0})


def test_a_key_that_its_caller_sent_along_is_hidden_after_the_delay_too(here: Services, clock: Any) -> None:
    key = Moves(here).add("api-key:shop", None).key
    assert key is not None
    sent = say(sent="{{ webhook_payload.key }}")
    apply(here, chain("sync", wait(5), sent, trigger="api_trigger", key="api-key:shop"))
    (called,) = here.runs.inbound_calls.find(key, Entrance.API)
    outcome = here.runs.inbound_calls.run(called, payload={"key": key.expose()}, key=key)
    assert outcome.status == "running"
    clock.advance(5 * MINUTES)
    (ended,) = go_on(here)
    assert ended is not None
    assert (ended.status, ended.output) == ("completed", {"sent": "[masked]"})
    (used,) = Moves(here).sql(select(run_versions).where(run_versions.c.run_id == outcome.run_id))
    assert used.number == 1, "the key that began it counts as used"
