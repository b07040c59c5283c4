"""Runs again, nodes by themselves, and requests that are answered once, on a real server."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from tests.desk import BOTH, VALUE, Desk, name_database, open_desk
from vaultcore.access import Role
from worker.rows.tables import requests, run_payloads, runs

STEPS: dict[str, Any] = {
    "nodes": [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        {"id": "first", "data": {"componentId": "data_mapper", "mapping": {"sum": "{{ webhook_payload.a }}"}}},
        {
            "id": "second",
            "data": {"componentId": "text_transform", "text": "{{ first.sum }}-{{ webhook_payload.a }}"},
        },
    ],
    "edges": [{"source": "start", "target": "first"}, {"source": "first", "target": "second"}],
}


@pytest.fixture(scope="module", params=BOTH)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("again"), name_database(request)) as opened:
        yield opened


def store(desk: Desk, name: str, **changes: Any) -> str:
    made = desk.ask(Role.ADMIN, "POST", "/workflows", {"name": name, **STEPS, **changes})
    assert made.status == 201, made
    return str(made.body["id"])


def work(desk: Desk) -> None:
    desk.services.night.inline_night.run_night(lambda _: None, wait=False)


def begin(desk: Desk, workflow: str, payload: Any) -> str:
    body = {"context": {"webhook_payload": payload}}
    begun = desk.ask(Role.OPERATOR, "POST", f"/workflows/{workflow}/execute", body)
    assert begun.status == 202, begun
    work(desk)
    return str(begun.body["id"])


def output(desk: Desk, run: str) -> Any:
    found = desk.ask(Role.VIEWER, "GET", f"/workflows/runs/{run}").body
    assert found["status"] == "completed", found
    return [log["output"] for log in found["logs"]]


def test_a_run_is_done_again_with_the_same_payload_and_behind_a_node(desk: Desk) -> None:
    workflow = store(desk, "again")
    first = begin(desk, workflow, {"a": 7})
    assert output(desk, first)[1:] == [{"sum": "7"}, {"text": "7-7"}]
    again = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{first}/rerun")
    assert (again.status, again.body["status"]) == (202, "pending"), again
    resumed = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{first}/resume-from/first")
    assert resumed.status == 202, resumed
    work(desk)
    assert output(desk, again.body["id"]) == output(desk, first)
    assert output(desk, resumed.body["id"]) == output(desk, first)
    second = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{resumed.body['id']}/rerun")
    assert second.status == 202, "what went on may be done again, too"


def test_what_a_run_goes_on_behind_is_what_that_one_gave_and_not_done_again(desk: Desk) -> None:
    """The second node fails until its workflow is mended from outside: the first one is not executed again."""
    workflow = store(
        desk,
        "failing",
        nodes=[
            STEPS["nodes"][0],
            {"id": "when", "data": {"componentId": "text_transform", "text": "{{ 'now' | date: '%H%M%S%f' }}"}},
            {"id": "end", "data": {"componentId": "terminate", "status": "completed"}},
        ],
        edges=[{"source": "start", "target": "when"}, {"source": "when", "target": "end"}],
    )
    first = begin(desk, workflow, {})
    resumed = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{first}/resume-from/when")
    again = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{first}/rerun")
    work(desk)
    assert output(desk, resumed.body["id"])[1] == output(desk, first)[1]
    assert output(desk, again.body["id"])[1] != output(desk, first)[1]
    ended = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{first}/resume-from/end")
    assert (ended.status, "nothing follows" in ended.body["message"]) == (409, True)


def test_a_run_that_cannot_be_done_again_says_why(desk: Desk) -> None:
    workflow = store(desk, "refusing")
    place = f"/workflows/{workflow}/execute"
    open_run = desk.ask(Role.OPERATOR, "POST", place, {}).body["id"]
    waiting = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{open_run}/rerun")
    assert (waiting.status, "has not ended" in waiting.body["message"]) == (409, True)
    run = begin(desk, workflow, {"a": 1})
    unknown = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{run}/resume-from/nowhere")
    assert (unknown.status, "nowhere" in unknown.body["message"]) == (404, True)
    store(desk, "refusing", nodes=[*STEPS["nodes"][:2]], edges=STEPS["edges"][:1])
    changed = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{run}/resume-from/first")
    assert (changed.status, "was changed" in changed.body["message"]) == (409, True)
    assert desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/fl_run_{'0' * 26}/rerun").status == 404
    desk.moves.sql(update(run_payloads).values(ends_at=desk.services.clock() - timedelta(seconds=1)))
    over = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{run}/rerun")
    assert (over.status, "not kept" in over.body["message"]) == (409, True)
    desk.services.night.resume_sweep.find_work()
    assert desk.moves.sql(select(run_payloads)) == []
    assert desk.ask(Role.VIEWER, "POST", f"/workflows/runs/{run}/rerun").status == 403


def sending(item: str) -> dict[str, Any]:
    """A node with a value that gets nowhere: what is kept of its run is decided all the same."""
    headers = {"Authorization": f"Bearer {{{{ vault['{item}'] }}}}"}
    return {"componentId": "webhook", "method": "GET", "url": "https://nobody.invalid/", "headers": headers}


def test_a_payload_that_holds_a_value_is_kept_nowhere(desk: Desk) -> None:
    desk.create("prod-kept-token")
    nodes = [STEPS["nodes"][0], {"id": "first", "data": sending("prod-kept-token")}]
    workflow = store(desk, "holding", nodes=nodes, edges=STEPS["edges"][:1])
    value = f"{VALUE} of prod-kept-token"
    held = begin(desk, workflow, {"a": value})
    refused = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{held}/rerun")
    assert (refused.status, "held a value" in refused.body["message"]) == (409, True)
    assert value not in str(refused.body)
    free = begin(desk, workflow, {"a": 1})
    assert desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{free}/rerun").status == 202
    behind = desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{free}/resume-from/first")
    assert (behind.status, "failed in run" in behind.body["message"]) == (409, True)


def test_what_a_node_gives_is_not_given_by_who_begins_a_run(desk: Desk) -> None:
    """Where a value is sent may hang on it."""
    workflow = store(desk, "guarded")
    refused = desk.ask(
        Role.OPERATOR, "POST", f"/workflows/{workflow}/execute", {"context": {"first": {"sum": 1}}}
    )
    assert (refused.status, "context.first" in refused.body["message"]) == (422, True)


NODE = {"id": "one", "type": "action", "data": {"componentId": "text_transform", "text": "{{ a.b }}!"}}


def test_a_node_is_tested_by_itself(desk: Desk) -> None:
    place = "/workflows/test-node"
    good = desk.ask(Role.OPERATOR, "POST", place, {"node": NODE, "context": {"a": {"b": 5}}})
    assert (good.status, good.body["status"], good.body["output"]) == (200, "success", {"text": "5!"}), good
    trigger = {"id": "t", "type": "trigger", "data": {"componentId": "manual_trigger"}}
    assert desk.ask(Role.OPERATOR, "POST", place, {"node": trigger}).body["status"] == "success"
    bad = {**NODE, "data": {"componentId": "json_parser", "text": "{{ a }}"}}
    failed = desk.ask(Role.OPERATOR, "POST", place, {"node": bad, "context": {"a": "{"}})
    assert (failed.status, failed.body["status"]) in ((200, "error"), (422, None), (409, None)), failed
    for node in ({}, {"id": "x"}, {"id": "x", "data": {"componentId": "nothing"}}, {**NODE, "id": "vault"}):
        refused = desk.ask(Role.OPERATOR, "POST", place, {"node": node})
        assert (refused.status, refused.body["code"]) == (422, "invalid"), refused
        assert "node" in refused.body["message"]
    delegated = desk.ask(Role.OPERATOR, "POST", place, {"node": NODE, "authorization_id": "auth_1"})
    assert (delegated.status, "authorization_id" in delegated.body["message"]) == (404, True)


def test_who_tests_a_node_with_a_value_may_say_where_values_are_sent(desk: Desk) -> None:
    desk.create("prod-sent-token")
    node = {"id": "send", "data": sending("prod-sent-token")}
    body = {"node": node, "context": {}}
    refused = desk.ask(Role.OPERATOR, "POST", "/workflows/test-node", body)
    assert (refused.status, "workflow.apply" in refused.body["message"]) == (403, True)
    done = desk.ask(Role.ADMIN, "POST", "/workflows/test-node", body)
    assert (done.status, done.body["status"]) == (200, "error")
    assert VALUE not in str(done.body)
    missing = {"id": "send", "data": sending("prod-no-token")}
    assert desk.ask(Role.ADMIN, "POST", "/workflows/test-node", {"node": missing}).status == 404


def test_what_begins_something_is_begun_once_for_a_key(desk: Desk) -> None:
    workflow, key = store(desk, "once"), str(uuid4())
    place, body = f"/workflows/{workflow}/execute", {"context": {"webhook_payload": {"a": 1}}}
    first = desk.ask(Role.OPERATOR, "POST", place, body, Idempotency_Key=key)
    again = desk.ask(Role.OPERATOR, "POST", place, body, Idempotency_Key=key.upper())
    assert (again.status, again.body) == (first.status, first.body)
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    (count,) = desk.moves.sql(select(runs.c.id).where(runs.c.workflow_id == workflow))
    assert count
    other = desk.ask(Role.OPERATOR, "POST", place, {"context": {}}, Idempotency_Key=key)
    assert (other.status, "Idempotency-Key" in other.body["message"]) == (422, True)
    tested = desk.ask(Role.OPERATOR, "POST", "/workflows/test-node", {"node": NODE}, Idempotency_Key=key)
    assert tested.status == 200, "at another place it is another key"
    theirs = desk.ask(Role.ADMIN, "POST", place, body, Idempotency_Key=key)
    assert theirs.body["id"] != first.body["id"]


def test_a_refusal_leaves_its_key_and_what_got_lost_is_not_begun_again(desk: Desk) -> None:
    key, body = str(uuid4()), dict[str, Any](context={})
    assert desk.ask(Role.OPERATOR, "POST", "/workflows/later/execute", body, Idempotency_Key=key).status == 404
    store(desk, "later")
    first = desk.ask(Role.OPERATOR, "POST", "/workflows/later/execute", body, Idempotency_Key=key)
    assert first.status == 202
    desk.moves.sql(update(requests).values(record=None))
    lost = desk.ask(Role.OPERATOR, "POST", "/workflows/later/execute", body, Idempotency_Key=key)
    assert (lost.status, lost.body["code"]) == (409, "conflict")
    yesterday = desk.services.clock() - timedelta(days=1, seconds=1)
    desk.moves.sql(update(requests).values(asked_at=yesterday))
    new = desk.ask(Role.OPERATOR, "POST", "/workflows/later/execute", body, Idempotency_Key=key)
    assert (new.status, new.body["id"] != first.body["id"]) == (202, True)


def test_an_answer_is_stored_sealed(desk: Desk) -> None:
    body = {"node": NODE, "context": {"a": {"b": "personal-data"}}}
    desk.ask(Role.OPERATOR, "POST", "/workflows/test-node", body, Idempotency_Key=str(uuid4()))
    rows = desk.moves.sql(select(requests))
    assert all(row.record is not None for row in rows if row.asked_at)
    assert b"personal-data" not in b"".join(row.record or b"" for row in rows)
