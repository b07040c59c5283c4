"""Workflows that start workflows: one that goes on at once, and one that runs another for each item."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nightkey_demo.http_sink import HttpSink
from tests.chains import apply, begin, chain, each, post, say, wait
from tests.services.conftest import Moves
from vaultcore.errors import Cause
from vaultcore.tables import references
from worker.bootstrap import Services
from worker.rows.tables import run_logs, run_states, run_versions, runs
from worker.services.runs.execution import RunOutcome
from worker.services.runs.subworkflows import CHAIN_MAX, LEVELS_MAX

pytestmark = pytest.mark.rules


ITEM, VALUE = "prod-orders-token", "the-First/Value+of 23"
AUTH = {"Authorization": "Bearer {{ vault.prod-orders-token }}"}
WORKFLOW, SUBFLOW = "workflow_trigger", "subflow_trigger"


def start(services: Services, name: str = "first", payload: Any = None) -> RunOutcome:
    return services.runs.runs.start(name, payload=payload, actor="test")


def test(services: Services, name: str = "first", **overrides: int) -> RunOutcome:
    with services.database.read() as connection:
        workflow = services.runs.definitions.get(connection, name)
    return services.runs.workflow_tests.test_workflow(workflow, overrides=overrides, actor="test")


test.__test__ = False  # type: ignore[attr-defined]  # it is a move


def assert_hidden_in_every_run(services: Services) -> None:
    for one in all_runs(services):
        shown = str(logs(services, one.id))
        assert "masked" in shown
        for part in (VALUE, "the-First", "Value+of"):
            assert part not in shown, one.workflow_name


def all_runs(services: Services) -> list[Any]:
    return list(Moves(services).sql(select(runs).order_by(runs.c.created_at, runs.c.id)))


def logs(services: Services, run_id: str) -> dict[str, Any]:
    rows = Moves(services).sql(select(run_logs).where(run_logs.c.run_id == run_id).order_by(run_logs.c.id))
    return {row.node_id: row.output for row in rows}


def drain(services: Services) -> list[RunOutcome]:
    """All that other runs have begun, until none is left."""
    done: list[RunOutcome] = []
    while due := services.runs.runs.due_runs():
        outcomes = [services.runs.runs.execute(run_id, actor="test") for run_id in due]
        done += [one for one in outcomes if one is not None]
    return done


# trigger_workflow


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"is_active": False}, "workflow second is not active: set is_active and apply it"),
        (
            {"trigger": "manual_trigger"},
            "workflow second begins with manual_trigger, and would have to begin with workflow_trigger",
        ),
    ],
)
def test_a_workflow_that_was_changed_before_a_run_of_it_began_does_not_begin(
    services: Services, sink: HttpSink, change: dict[str, Any], problem: str
) -> None:
    made = {"trigger": WORKFLOW}
    apply(services, chain("second", post(sink.url), **made), chain("first", begin("second")))
    (begun,) = start(services).begun
    apply(services, chain("second", post(sink.url), **made | change))
    assert drain(services) == []
    (row,) = [one for one in all_runs(services) if one.id == begun]
    assert (row.status, row.error_cause) == ("failed", "mistake")
    assert row.error_message == f"it was changed before this run began: {problem}"
    assert sink.requests == []


@pytest.mark.both
def test_a_workflow_that_was_made_inactive_before_its_time_was_served_does_not_begin(
    services: Services, clock: Any, sink: HttpSink
) -> None:
    every = {"schedule_type": "interval", "schedule_value": "5 minutes"}
    apply(services, chain("timed", post(sink.url), **every))
    clock.advance(timedelta(minutes=5))
    (run_id,) = services.runs.runs.open_due()
    apply(services, chain("timed", post(sink.url), **every, is_active=False))
    assert services.runs.runs.execute(run_id, actor="test") is None
    (row,) = all_runs(services)
    assert (row.status, row.error_message) == (
        "failed",
        "workflow timed was made inactive before this run began",
    )
    assert sink.requests == []


def test_another_workflow_is_started_and_this_one_goes_on_at_once(services: Services, sink: HttpSink) -> None:
    apply(
        services,
        chain("second", post(sink.url, body={"got": "{{ webhook_payload.order }}"}), trigger=WORKFLOW),
        chain("first", begin("second", {"order": "{{ webhook_payload.id }}", "n": 1}),
              say(run="{{ begin.run_id }}")),
    )  # fmt: skip
    outcome = start(services, payload={"id": "A-1"})
    (run_id,) = outcome.begun
    assert (outcome.status, outcome.output) == ("completed", {"run": run_id})
    assert logs(services, outcome.run_id)["begin"] == {"run_id": run_id, "workflow": "second"}
    first, second = all_runs(services)
    assert (second.id, second.status, second.parent_id, second.depth) == (run_id, "pending", first.id, 1)
    assert (second.purpose, second.trigger, second.workflow_name) == ("production", "workflow", "second")
    assert sink.requests == []

    (ended,) = drain(services)
    assert (ended.run_id, ended.status) == (run_id, "completed")
    assert logs(services, run_id)["start"] == {"order": "A-1", "n": 1}
    assert [one.body for one in sink.requests] == [{"got": "A-1"}]
    assert Moves(services).sql(select(run_states)) == []


def test_a_night_by_hand_runs_what_runs_have_begun(here: Services) -> None:
    apply(here, chain("third", trigger=WORKFLOW), chain("second", begin("third"), trigger=WORKFLOW),
          chain("first", begin("second")))  # fmt: skip
    start(here)
    here.night.resume_sweep.carry_on()
    assert [one.status for one in all_runs(here)] == ["completed"] * 3


def test_what_it_gives_is_sealed_and_hidden_by_the_other_one(
    here: Services, tmp_path: Path, sink: HttpSink
) -> None:
    Moves(here).add(ITEM, VALUE)
    apply(
        here,
        chain("second", say(all="{{ webhook_payload.token }}"), trigger=WORKFLOW),
        chain("first", post(sink.url, "fetch", headers=AUTH),
              begin("second", {"token": "{{ fetch.body.token }}"})),
    )  # fmt: skip
    sink.answer(200, body={"token": VALUE})
    outcome = start(here)
    stored = b"".join(file.read_bytes() for file in (tmp_path / "home").glob("nightkey.db*"))
    assert VALUE.encode() not in stored
    drain(here)
    shown = logs(here, outcome.begun[0])
    assert shown["start"] == {"token": "[masked]"}
    assert shown["say"] == {"all": "[masked]"}


def test_in_a_test_nothing_is_started_and_its_output_says_so(here: Services) -> None:
    apply(here, chain("second", trigger=WORKFLOW), chain("first", begin("second")))
    outcome = test(here)
    assert (outcome.status, outcome.output) == (
        "completed",
        {"run_id": None, "workflow": "second", "skipped": "a test starts no other run"},
    )
    with here.database.read() as connection:
        workflow = here.runs.definitions.get(connection, "first")
    node = here.runs.workflow_tests.test_node(workflow, "begin", overrides={}, actor="test")
    assert (node.status, node.error_message) == ("skipped", "it starts another workflow, which a test does not")
    assert [one.workflow_name for one in all_runs(here)] == ["first"]


@pytest.mark.parametrize("tests", [False, True])
@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (None, "no workflow 'second'"),
        (chain("second", trigger=WORKFLOW, is_active=False), "workflow second is not active"),
        (chain("second"), "workflow second begins with manual_trigger, and would have to begin with workflow_"),
        (
            chain("second", trigger=SUBFLOW),
            "begins with subflow_trigger, and would have to begin with workflow_",
        ),
    ],
)
def test_one_that_cannot_be_started_is_a_plain_failure(
    here: Services, other: tuple[str, str] | None, problem: str, tests: bool
) -> None:
    apply(here, *([] if other is None else [other]), chain("first", begin("second")))
    outcome = test(here) if tests else start(here)
    assert (outcome.status, outcome.error_node, outcome.cause) == ("failed", "begin", Cause.MISTAKE)
    assert problem in (outcome.error_message or "")
    assert len(all_runs(here)) == 1


def test_workflows_that_start_each_other_for_ever_are_a_circle(here: Services) -> None:
    apply(here, chain("one", begin("other"), trigger=WORKFLOW), chain("other", begin("one"), trigger=WORKFLOW))
    start(here, "one")
    last = drain(here)[-1]
    assert (last.status, last.error_node) == ("failed", "begin")
    assert (last.error_message or "").startswith("20 runs have begun each other, which is taken for a circle")
    assert [one.depth for one in all_runs(here)] == list(range(CHAIN_MAX))


def test_a_worker_whose_clock_is_a_little_behind_begins_it_all_the_same(here: Services, clock: Any) -> None:
    apply(here, chain("second", trigger=WORKFLOW), chain("first", begin("second", {"a": 1})))
    (run_id,) = start(here).begun
    clock.advance(timedelta(seconds=-10))
    ended = here.runs.runs.execute(run_id, actor="test")
    assert ended is not None
    assert (ended.status, ended.output) == ("completed", {"a": 1})


# iterator


def test_another_workflow_is_run_for_each_item_in_order(services: Services, sink: HttpSink) -> None:
    apply(
        services,
        chain(
            "second",
            post(
                sink.url, body={"item": "{{ webhook_payload.item.name }}", "at": "{{ webhook_payload.index }}"}
            ),
            say(name="{{ webhook_payload.item.name | upcase }}"),
            trigger=SUBFLOW,
        ),
        chain("first", each("{{ webhook_payload.items }}", "second"), say(last="{{ each[1].name }}")),
    )
    outcome = start(services, payload={"items": [{"name": "book"}, {"name": "pen"}]})
    assert (outcome.status, outcome.output) == ("completed", {"last": "PEN"})
    assert logs(services, outcome.run_id)["each"] == [{"name": "BOOK"}, {"name": "PEN"}]
    assert [one.body for one in sink.requests] == [{"item": "book", "at": "0"}, {"item": "pen", "at": "1"}]
    first, *others = all_runs(services)
    assert [(one.parent_id, one.depth, one.purpose, one.trigger, one.status) for one in others] == [
        (first.id, 1, "production", "subflow", "completed")
    ] * 2
    assert logs(services, others[1].id)["start"] == {"item": {"name": "pen"}, "index": 1}


@pytest.mark.parametrize(
    ("array", "items"),
    [
        ("{{ webhook_payload.list }}", [1, "b"]),
        ("{{webhook_payload.list}}", [1, "b"]),
        ("{{- webhook_payload['list'] -}}", [1, "b"]),
        ("{{ webhook_payload.list | json }}", [1, "b"]),
        ("{{ webhook_payload.text }}", [{"a": 1}]),
        ('[{"n": {{ webhook_payload.n }}}]', [{"n": 7}]),
        (["plain", 3, {"deep": ["{{ webhook_payload.n }}"]}], ["plain", 3, {"deep": ["7"]}]),
        ([], []),
    ],
)  # fmt: skip
def test_what_is_an_array(here: Services, array: Any, items: list[Any]) -> None:
    apply(here, chain("second", trigger=SUBFLOW), chain("first", each(array, "second")))
    outcome = start(here, payload={"list": [1, "b"], "text": '[{"a": 1}]', "n": 7})
    assert outcome.status == "completed", outcome.error_message
    assert [one["item"] for one in outcome.output] == items


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        ("{{ webhook_payload.n }}", "array: it comes to no JSON array"),
        ("{{ webhook_payload }}", "array: it comes to no JSON array"),
        ("plainly no array", "array: it comes to no JSON array"),
        ("[1, 2", "array: it comes to no JSON array"),
        ("{{ webhook_payload.gone }}", "webhook_payload.gone is undefined"),
        ([0] * 1001, "array: it has 1,001 items, and an iterator takes 1,000 at most"),
    ],
)
def test_what_is_none(here: Services, array: Any, problem: str) -> None:
    apply(here, chain("second", trigger=SUBFLOW), chain("first", each(array, "second")))
    outcome = start(here, payload={"n": 7})
    assert (outcome.status, outcome.error_node, outcome.cause) == ("failed", "each", Cause.MISTAKE)
    assert problem in (outcome.error_message or "")
    assert len(all_runs(here)) == 1


@pytest.mark.long
def test_a_thousand_items_are_run(here: Services) -> None:
    apply(here, chain("second", say(n="{{ webhook_payload.item }}"), trigger=SUBFLOW),
          chain("first", each("{{ webhook_payload.all }}", "second"), say(n="{{ each.last.n }}")))  # fmt: skip
    outcome = start(here, payload={"all": list(range(1000))})
    assert (outcome.status, outcome.output) == ("completed", {"n": "999"})
    assert len(all_runs(here)) == 1001


def test_the_first_that_fails_fails_the_node(here: Services, sink: HttpSink) -> None:
    apply(
        here,
        chain("second", post(sink.url, body={"n": "{{ webhook_payload.item }}"}), trigger=SUBFLOW),
        chain("first", each([5, 6, 7], "second"), say(a="never")),
    )
    sink.answer(200)
    sink.answer(503)
    outcome = start(here)
    assert (outcome.status, outcome.error_node, outcome.cause) == ("failed", "each", Cause.OUTAGE)
    assert outcome.error_message == "item 1: workflow second, node post: the service answered 503"
    assert [one.status for one in all_runs(here)] == ["failed", "completed", "failed"]
    assert len(sink.requests) == 2


def nest(services: Services, levels: int) -> None:
    """`first` runs a workflow that runs one that runs one …"""
    names = ["first", *(f"level-{number}" for number in range(1, levels + 1))]
    files = [
        chain(name, each([1], following), trigger="manual_trigger" if name == "first" else SUBFLOW)
        for name, following in pairwise(names)
    ]
    apply(services, chain(names[-1], say(a="the deepest"), trigger=SUBFLOW), *files)


def test_iterators_run_each_other_five_levels_deep(here: Services) -> None:
    nest(here, LEVELS_MAX)
    outcome = start(here)
    assert (outcome.status, outcome.output) == ("completed", [[[[[{"a": "the deepest"}]]]]])


def test_a_sixth_level_is_a_plain_failure(here: Services) -> None:
    nest(here, LEVELS_MAX + 1)
    outcome = start(here)
    assert (outcome.status, outcome.error_node, outcome.cause) == ("failed", "each", Cause.MISTAKE)
    assert (outcome.error_message or "").endswith("iterators run each other 5 levels deep at most")


def test_a_delay_in_what_an_iterator_runs_is_a_plain_failure_and_skipped_in_a_test(here: Services) -> None:
    apply(here, chain("second", wait(5), trigger=SUBFLOW), chain("first", each([1], "second")))
    outcome = start(here)
    assert (outcome.status, outcome.cause) == ("failed", Cause.MISTAKE)
    assert outcome.error_message == (
        "item 0: workflow second, node wait: a delay cannot stand in a workflow that an iterator runs"
    )
    assert Moves(here).sql(select(run_states)) == []
    tested = test(here)
    assert (tested.status, tested.output) == ("completed", [{"skipped_seconds": 300}])


def test_a_run_that_an_iterator_runs_proves_its_own_workflow(services: Services, sink: HttpSink) -> None:
    item = Moves(services).add(ITEM, VALUE).item
    apply(services, chain("second", post(sink.url, headers=AUTH), trigger=SUBFLOW),
          chain("first", each([1], "second")))  # fmt: skip
    start(services)
    proven = Moves(services).sql(select(references.c.consumer_name, references.c.proven_version))
    assert [tuple(row) for row in proven] == [("second", 1)]
    (used,) = Moves(services).sql(select(run_versions.c.item_id, run_versions.c.number, run_versions.c.run_id))
    assert (used.item_id, used.number) == (item.id, 1)
    assert used.run_id == all_runs(services)[1].id


def test_in_a_test_each_is_a_test_with_the_same_candidate(here: Services, sink: HttpSink) -> None:
    moves = Moves(here)
    item = moves.add(ITEM, VALUE).item
    number = moves.stage(item.id, "the-candidate")
    apply(
        here,
        chain("second", post(sink.url, headers=AUTH), trigger=SUBFLOW),
        chain("first", each([1], "second")),
    )
    outcome = test(here, "first", **{item.id: number})
    assert outcome.status == "completed"
    assert [one.headers["authorization"] for one in sink.requests] == ["Bearer the-candidate"]
    assert [one.purpose for one in all_runs(here)] == ["test", "test"]
    assert moves.sql(select(references.c.proven_version)) == [(None,)]
    with here.database.read() as connection:
        workflow = here.runs.definitions.get(connection, "first")
    node = here.runs.workflow_tests.test_node(workflow, "each", overrides={}, actor="test")
    assert (node.status, node.error_message) == (
        "skipped",
        "it runs another workflow, which is tested by itself",
    )


def test_a_controlled_run_controls_each(here: Services, sink: HttpSink) -> None:
    item = Moves(here).add(ITEM, VALUE).item
    apply(
        here,
        chain("second", post(sink.url, headers=AUTH), trigger=SUBFLOW),
        chain("first", each([1], "second")),
    )
    with here.database.read() as connection:
        workflow = here.runs.definitions.get(connection, "first")
    here.runs.workflow_tests.run_controlled(workflow, overrides={item.id: 1}, rotation_id="rot_x", actor="test")
    assert [(one.purpose, one.rotation_id) for one in all_runs(here)] == [("controlled", "rot_x")] * 2
    assert Moves(here).sql(select(references.c.proven_version)) == [(1,)]


def test_values_of_the_other_are_hidden_here_and_usable_by_what_follows(here: Services, sink: HttpSink) -> None:
    Moves(here).add(ITEM, VALUE)
    apply(
        here,
        chain(
            "second",
            post(sink.url, "fetch", headers=AUTH),
            {"id": "cut", "componentId": "text_transform", "operation": "split", "separator": "/",
             "text": "{{ fetch.body.token }}"},
            say(all="{{ fetch.body.token }}", part="{{ cut.text[0] }}"),
            trigger=SUBFLOW,
        ),
        chain(
            "first",
            each([1], "second"),
            post(sink.url, body={"all": "{{ each[0].all }}", "part": "{{ each[0].part }}"}),
            say(part="{{ each[0].part }}"),
            {"id": "stop", "componentId": "terminate", "status": "failed", "message": "{{ each[0].all }} is"},
        ),
    )  # fmt: skip
    sink.answer(200, body={"token": VALUE})
    outcome = start(here)
    assert sink.requests[1].body == {"all": VALUE, "part": "the-First"}
    assert outcome.error_message == "[masked]"
    assert_hidden_in_every_run(here)


def test_values_of_this_one_are_hidden_by_the_other(here: Services, sink: HttpSink) -> None:
    Moves(here).add(ITEM, VALUE)
    apply(
        here,
        chain(
            "second",
            {"id": "cut", "componentId": "text_transform", "operation": "split", "separator": "/",
             "text": "{{ webhook_payload.item }}"},
            trigger=SUBFLOW,
        ),
        chain(
            "first",
            post(sink.url, "fetch", headers=AUTH),
            {"id": "cut", "componentId": "text_transform", "operation": "split", "separator": "/",
             "text": "{{ fetch.body.token }}"},
            each("{{ cut.text }}", "second"),
            each(["{{ fetch.body.token }}"], "second", "again"),
        ),
    )  # fmt: skip
    sink.answer(200, body={"token": VALUE})
    outcome = start(here)
    assert outcome.status == "completed", outcome.error_message
    assert len(all_runs(here)) == 4
    assert_hidden_in_every_run(here)


def test_what_an_iterators_runs_begin_is_begun_once_each(here: Services, clock: Any) -> None:
    apply(
        here,
        chain("third", trigger=WORKFLOW),
        chain("second", begin("third", "{{ webhook_payload.index }}"), trigger=SUBFLOW),
        chain("first", each([1, 2], "second"), wait(5), say(a="b")),
    )
    outcome = start(here)
    assert (outcome.status, len(outcome.begun)) == ("running", 2)
    assert [one.run_id for one in drain(here)] == list(outcome.begun)
    clock.advance(timedelta(minutes=5))
    (ended,) = drain(here)
    assert (ended.run_id, ended.status, ended.begun) == (outcome.run_id, "completed", ())
