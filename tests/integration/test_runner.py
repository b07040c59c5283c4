"""Whole runs against a real HTTP server on this machine, and what must never come back from them."""

import base64
import binascii
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.integration.http_server import serve
from tests.ways_out import NETWORK
from vaultcore.errors import Cause
from vaultcore.secret import Secret
from worker.domain.states import NodeStatus
from worker.outbound import HttpClient
from worker.workflows.definition import load_definition
from worker.workflows.masking import MASK
from worker.workflows.nodes.catalog import find_component
from worker.workflows.results import NodeResult
from worker.workflows.run import LOG_MAX, MESSAGE_MAX, Run
from worker.workflows.runner import Runner

VALUE = "s3cr3t-Value/77aa+long"
VALUES = {"prod-x": Secret(VALUE)}
AUTH = {"Authorization": "Bearer {{ vault.prod-x }}"}
NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def base():
    with serve() as server:
        yield server.url


@pytest.fixture(scope="module")
def http():
    return HttpClient(NETWORK, max_bytes=100_000)


@pytest.fixture
def runner(http):
    return Runner(http, NETWORK)


def node(node_id, component="data_mapper", **data):
    kind = find_component(component).kind.value
    return {"id": node_id, "type": kind, "data": {"componentId": component, **data}}


def call(base, path="/echo", node_id="fetch", **data):
    return node(node_id, "webhook", **({"method": "GET", "url": base + path, "headers": AUTH} | data))


def say(node_id, text):
    return node(node_id, mapping={"said": text})


def workflow(*nodes, edges=None):
    nodes = (node("start", "manual_trigger"), *nodes)
    edges = edges or [(a["id"], b["id"]) for a, b in pairwise(nodes)]
    made = [
        {"id": f"e{number}", "source": source, "target": target, "sourceHandle": handle[0] if handle else None}
        for number, (source, target, *handle) in enumerate(edges)
    ]
    return load_definition(json.dumps({"name": "w", "nodes": nodes, "edges": made}), source="w.json")


def clock():
    return NOW


def test_what_is_no_run_of_a_stored_workflow_can_neither_wait_nor_start_another(runner):
    for component, data, problem in (
        ("delay", {"duration": 1}, "a delay cannot stand here: only a run of a stored workflow can wait"),
        ("iterator", {"array": [], "workflowId": "x"}, "no other workflow can be started from here"),
        ("trigger_workflow", {"workflowId": "x"}, "no other workflow can be started from here"),
    ):
        result = runner.run(workflow(node("odd", component, **data)), context={}, values={}, clock=clock)
        assert (result.status, result.error_node, result.error_message) == ("failed", "odd", problem)


def run(runner, definition, **context):
    result = runner.run(definition, context=context, values=VALUES, clock=clock)
    assert_nothing_leaks(result)
    return result


def texts_in(data: Any) -> Iterator[str]:
    """Every string and number inside a structure, keys too, however deep."""
    match data:
        case dict():
            for key, part in data.items():
                yield str(key)
                yield from texts_in(part)
        case list() | tuple() | set() | frozenset():
            for part in data:
                yield from texts_in(part)
        case None | bool():
            pass
        case _:
            yield str(data)


def readings_of(text: str) -> Iterator[str]:
    """The text and whatever a reader could decode from it: URL, JSON, hex, and base64 from any character on."""
    yield text
    yield unquote_plus(text)
    yield text.replace("\\/", "/")
    for word in re.findall(r"[0-9a-fA-F]{8,}", text):
        yield bytes.fromhex(word[: len(word) // 2 * 2]).decode("latin-1")
    for word in re.findall(r"[A-Za-z0-9+/_-]{8,}", text):
        for start in range(4):
            usable = word[start:][: (len(word) - start) // 4 * 4].translate(str.maketrans("-_", "+/"))
            yield binascii.a2b_base64(usable).decode("latin-1")


def assert_nothing_leaks(result):
    """No part of 10 characters of the value is anywhere in the result, in any case, plain or encoded."""
    parts = [VALUE[start : start + 10].lower() for start in range(len(VALUE) - 9)]
    for text in texts_in(asdict(result)):
        for reading in readings_of(text):
            assert not [part for part in parts if part in reading.lower()], text


def test_the_search_for_leaks_finds_what_it_is_to_find():
    raw = VALUE.encode()
    for shown in (
        {"a": [VALUE]},
        {VALUE: 1},
        VALUE.upper(),
        f"x{base64.b64encode(b'user:' + raw + b'!').decode()}",
        base64.urlsafe_b64encode(b"?" + raw).decode(),
        raw.hex(),
        VALUE[3:14],
    ):
        assert_finds(shown)


def assert_finds(shown):
    leaking = NodeResult(status=NodeStatus.SUCCESS, output=shown, error_message=None, cause=None)
    with pytest.raises(AssertionError):
        assert_nothing_leaks(leaking)


def visited(result):
    return [log.node_id for log in result.logs]


# Calls


def test_an_echoed_credential_is_masked_everywhere(runner, base):
    result = run(runner, workflow(call(base, "/echo?token={{ vault.prod-x | url_encode }}")))
    assert (result.status, result.error_message, result.used) == ("completed", None, {"prod-x"})
    assert result.output["status_code"] == 200
    assert result.output["body"]["headers"]["Authorization"] == MASK
    assert result.logs[-1].output == result.output
    assert [(log.node_id, log.component_id, log.status, log.created_at) for log in result.logs] == [
        ("start", "manual_trigger", "success", NOW),
        ("fetch", "webhook", "success", NOW),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{{ vault.prod-x | upcase }}",
        "Basic {{ 'user:' | append: vault.prod-x | base64_encode }}",
    ],
)
def test_what_filters_made_of_a_value_is_masked_when_it_is_echoed(runner, base, text):
    result = run(runner, workflow(call(base, headers={"X-Made": text}, method="POST", body={"made": text})))
    assert result.output["body"]["headers"]["X-Made"] == MASK


@pytest.mark.parametrize(
    "after",
    [
        say("after", "{{ fetch.body.headers.Authorization | slice: 7, 12 }}"),
        say("after", "{% assign whole = fetch.body %}{{ whole.headers.Authorization | split: '-' | last }}"),
        node("after", "text_transform", operation="split", separator="-", text="{{ fetch.body | json }}"),
        node("after", "terminate", message="{{ fetch.body.headers.Authorization | slice: 10, 12 }}"),
    ],
    ids=["slice", "assign", "split", "terminate"],
)
def test_parts_that_later_nodes_cut_from_an_echoed_value_are_masked(runner, base, after):
    result = run(runner, workflow(call(base), after))
    assert result.status == "completed"
    assert MASK in repr(result.output)
    assert "Value" not in repr(result)


def test_what_a_node_gave_is_masked_within_its_time(runner):
    definition = workflow(say("told", "{{ x }}"))
    begun = Run.begin(definition, runner._set(VALUES, {}), {"x": "unrelated"})
    assert begun.execute("start", seconds=600).shown == {"x": "unrelated"}
    late = begun.execute("start", seconds=1e-9)
    assert (late.outcome.output["x"], late.shown[MASK]) == ("unrelated", MASK)


def test_later_nodes_read_what_is_not_masked(runner, base):
    result = run(
        runner,
        workflow(
            call(base),
            call(base, node_id="again", headers={"X-Again": "{{ fetch.body.headers.Authorization }}"}),
            node(
                "check",
                "status_condition",
                value="{{ again.body.headers.X-Again }}",
                expected=f"Bearer {VALUE}",
            ),
        ),
    )
    assert result.output == {"result": True}


def test_other_output_of_a_call_that_echoes_is_left_readable(runner, base):
    result = run(runner, workflow(call(base), say("after", "{{ fetch.status_code }}")))
    assert result.output == {"said": "200"}


@pytest.mark.parametrize(("method", "received"), [("POST", '{"a": "1"}'), ("GET", ""), ("DELETE", "")])
def test_a_body_is_sent_but_not_with_get_or_delete(runner, base, method, received):
    result = run(runner, workflow(call(base, method=method, body={"a": "{{ x }}"}, headers={})), x=1)
    assert result.output["body"]["body"] == received


@pytest.mark.parametrize(
    ("body", "headers", "received", "content_type"),
    [
        ({"a": "{{ x }}"}, None, '{"a": "1"}', "application/json"),
        ([{"a": "{{ x }}"}], [], '[{"a": "1"}]', "application/json"),
        ({}, {"content-type": "application/vnd.api+json"}, "{}", "application/vnd.api+json"),
        ('{"run_id": "{{ start.x }}",\n "n": {{ x }} }', {}, '{"run_id": "1",\n "n": 1 }', "application/json"),
        (" [{{ x }}]\n", {}, " [1]\n", "application/json"),
        ('{"a": 1}', [{"key": "Content-Type", "value": "text/plain"}], '{"a": 1}', "text/plain"),
        ('{"a": 1}', {"CONTENT-TYPE": "text/plain"}, '{"a": 1}', "text/plain"),
        ('{"a": NaN}', {}, '{"a": NaN}', None),
        ('{"a": {{ x }}', {}, '{"a": 1', None),
        ("[" * 5000, {}, "[" * 5000, None),
        ("a={{ x }}&b=2", {}, "a=1&b=2", None),
        ("{{ x }}", {}, "1", None),
        ('"text"', {}, '"text"', None),
        ("", {}, "", None),
        (None, None, "", None),
    ],
)
def test_a_body_is_sent_as_it_is_written_and_told_as_json_where_it_is(
    runner, base, body, headers, received, content_type
):
    result = run(runner, workflow(call(base, method="post", body=body, headers=headers)), x=1)
    sent = {name.lower(): text for name, text in result.output["body"]["headers"].items()}
    assert (result.output["body"]["body"], sent.get("content-type")) == (received, content_type)


def test_a_list_of_pairs_is_sent_with_a_name_that_comes_twice(runner, base):
    pairs = [
        {"key": "X-Tag", "value": "{{ x }}"},
        {"name": "X-Tag", "value": 2},
        {"key": "X-Dry", "value": True},
        {"key": "Authorization", "value": AUTH["Authorization"]},
    ]
    result = run(runner, workflow(call(base, "/headers", headers=pairs)), x=1)
    assert [pair for pair in result.output["body"] if pair[0] in ("X-Tag", "X-Dry", "Authorization")] == [
        ["X-Tag", "1"],
        ["X-Tag", "2"],
        ["X-Dry", "true"],
        ["Authorization", MASK],
    ]
    assert result.used == {"prod-x"}


@pytest.mark.parametrize(
    ("path", "cause", "message"),
    [
        ("/status/401", Cause.REJECTED, "401"),
        ("/status/404", Cause.MISTAKE, "404"),
        ("/status/429", Cause.OUTAGE, "429"),
        ("/status/500", Cause.OUTAGE, "500"),
        ("/big/100001", Cause.MISTAKE, "more than 100000 bytes"),
        ("/bomb", Cause.MISTAKE, "more than 100000 bytes"),
        ("/encoding/gzip", Cause.MISTAKE, "does not decompress"),
        ("/nonsense", Cause.OUTAGE, "did not speak HTTP"),
    ],
)
def test_a_call_that_fails_stops_the_run_with_its_cause(runner, base, path, cause, message):
    result = run(runner, workflow(call(base, path), say("after", "x")))
    assert (result.status, result.error_node, result.cause) == ("failed", "fetch", cause)
    assert message in result.error_message
    assert (visited(result), result.logs[-1].status) == (["start", "fetch"], "error")
    assert result.used == {"prod-x"}


@pytest.mark.parametrize("path", ["/gzip", "/big/100000"])
def test_compressed_and_large_bodies_within_the_limit_are_read(runner, base, path):
    assert run(runner, workflow(call(base, path))).status == "completed"


def test_the_deadline_is_for_the_whole_call_however_the_other_side_drips(runner, base):
    begun = time.monotonic()
    result = run(runner, workflow(call(base, "/drip/head", timeout=0.2)))
    assert time.monotonic() - begun < 120  # it drips for ever
    assert (result.status, result.cause) == ("failed", Cause.OUTAGE)
    assert result.error_message.endswith("did not answer in 0.2 seconds")


def test_a_long_output_is_cut_in_logs_and_result(runner, base):
    result = run(runner, workflow(call(base, "/big/99999")))
    for shown in (result.output, result.logs[-1].output):
        assert len(shown.encode()) <= LOG_MAX
        assert shown.endswith("… [cut]")


@pytest.mark.parametrize(
    "text",
    [
        "{{ vault.prod-x }}",
        "{{ vault.prod-x | json }}",
        "{{ vault.prod-x | url_encode }}",
        "{{ vault.prod-x | escape | downcase }}",
        "{{ 'a' | append: vault.prod-x | base64_encode }}",
        "{{ 'ab' | append: vault.prod-x | append: 'c' | base64_url_safe_encode }}",
        "{{ vault.prod-x | base64_encode | base64_encode | base64_encode }}",
        "{% capture v %}{{ vault.prod-x | upcase }}{% endcapture %}{{ v | base64_encode }}",
    ],
)
@pytest.mark.parametrize("place", ["url", "header", "text", "json"])
def test_whatever_a_template_may_make_of_a_value_never_comes_back(runner, base, text, place):
    ways: dict[str, dict[str, Any]] = {
        "url": {"url": f"{base}/echo?a={text}"},
        "header": {"headers": {"X-Made": text}},
        "text": {"method": "POST", "body": f"a={text}"},
        "json": {"method": "POST", "body": {"a": [text]}},
    }
    made = {"headers": {}} | ways[place]
    result = run(runner, workflow(call(base, **made), say("after", "{{ fetch.body | json | base64_encode }}")))
    assert (result.status, result.output) == ("completed", {"said": MASK})


def test_credentials_in_a_url_are_masked_when_they_are_echoed(runner, base):
    url = base.replace("//", "//user:{{ vault.prod-x | url_encode }}@") + "/echo"
    result = run(runner, workflow(call(base, url=url, headers={})))
    assert result.output["body"]["headers"]["Authorization"] == f"Basic {MASK}"


@pytest.mark.parametrize("name", ["content-type", "CONTENT-TYPE", "Content-Type"])
def test_a_content_type_of_ones_own_is_the_only_one(runner, base, name):
    sent = call(base, method="POST", body={"a": 1}, headers={name: "application/vnd.x+json"})
    headers = run(runner, workflow(sent)).output["body"]["headers"]
    assert [value for key, value in headers.items() if key.lower() == "content-type"] == [
        "application/vnd.x+json"
    ]


@pytest.mark.parametrize("depth", [90, 110, 500, 900])
def test_an_answer_nested_however_deeply_is_an_output_that_can_be_stored(runner, base, depth):
    result = run(runner, workflow(call(base, f"/nested/{depth}"), say("after", "{{ fetch.status_code }}")))
    assert (result.status, result.output) == ("completed", {"said": "200"})
    stored = json.dumps(result.logs[1].output)
    assert isinstance(result.logs[1].output["body"], str) == (depth > 90)
    assert len(stored) < 10_000


def test_numbers_that_json_cannot_hold_leave_a_run_as_text(runner, base):
    fetch = call(base, "/reply", method="POST", body='{"a": NaN, "b": -1e999, "c": 1.5}')
    result = run(runner, workflow(fetch))
    assert result.output["body"] == '{"a": NaN, "b": -1e999, "c": 1.5}'
    json.dumps(result.output, allow_nan=False)


def test_an_error_is_one_printable_line_whatever_the_other_side_sent(runner, base):
    fetch = call(base, "/reply", method="POST", body='{"a": "one\\n\\u0000two"}')
    end = node("end", "terminate", status="failed", message="{{ fetch.body.a }}" * 300)
    result = run(runner, workflow(fetch, end))
    assert result.status == "failed"
    assert result.error_message.isprintable()
    assert result.error_message.startswith("one  twoone  two")
    assert len(result.error_message) == MESSAGE_MAX
    alone = runner.test_node(workflow(fetch, end), "end", context={"fetch": {"body": {"a": "\x00"}}}, values={})
    assert alone.error_message == " " * 300


def test_a_value_that_an_error_would_spell_without_its_line_breaks_is_masked(runner):
    end = node("end", "terminate", status="failed", message="{{ x }}")
    values = {"prod-x": Secret("pass phrase")}
    result = runner.run(workflow(end), context={"x": "my pass\nphrase"}, values=values, clock=clock)
    assert "pass phrase" not in result.error_message


# Order and branches


@pytest.mark.parametrize(("value", "taken"), [("yes", "then"), ("no", "else")])
def test_a_condition_leads_to_one_branch(runner, value, taken):
    definition = workflow(
        node("ask", "boolean_condition", value="{{ x }}"),
        say("then", "a"),
        say("else", "b"),
        edges=[("start", "ask"), ("ask", "then", "true"), ("ask", "else", "false")],
    )
    assert visited(run(runner, definition, x=value)) == ["start", "ask", taken]


def test_a_node_waits_for_all_that_lead_to_it_and_runs_once(runner):
    definition = workflow(
        say("a", "1"),
        say("b", "{{ a.said }}2"),
        say("last", "{{ b.said }}3"),
        edges=[("start", "a"), ("a", "last"), ("a", "b"), ("b", "last")],
    )
    result = run(runner, definition)
    assert (visited(result), result.output) == (["start", "a", "b", "last"], {"said": "123"})


ERROR_BRANCH = [("start", "fetch"), ("fetch", "good"), ("fetch", "bad", "error")]


def test_an_error_branch_goes_on_and_the_failed_node_proves_nothing(runner, base):
    definition = workflow(
        call(base, "/status/401", onError="branch"),
        say("good", "x"),
        say("bad", "{{ fetch.status_code }}"),
        edges=ERROR_BRANCH,
    )
    result = run(runner, definition)
    assert (result.status, result.output, visited(result)) == (
        "completed",
        {"said": "401"},
        ["start", "fetch", "bad"],
    )
    assert result.logs[1].status == "warning"
    assert result.used == frozenset()


GOING_ON = [{"onError": "branch"}, {"continue_on_error": True}, {"continueOnError": True}]


@pytest.mark.parametrize("going_on", GOING_ON)
@pytest.mark.parametrize("handle", [None, "output", ""])
def test_each_way_of_saying_so_goes_on_by_the_error_branch_and_by_any_other_edge_without_one(
    runner, base, going_on, handle
):
    for path, taken in (("/status/503", "bad"), ("/echo", "good")):
        definition = workflow(
            call(base, path, **going_on),
            say("good", "x"),
            say("bad", "y"),
            edges=[("start", "fetch", handle), ("fetch", "good", handle), ("fetch", "bad", "error")],
        )
        assert definition.remarks == ()
        result = run(runner, definition)
        assert (result.status, visited(result)) == ("completed", ["start", "fetch", taken])


def test_a_failure_that_no_edge_takes_ends_the_run(runner, base):
    definition = workflow(call(base, "/status/503", continue_on_error=True), say("good", "x"))
    result = run(runner, definition)
    assert (result.status, result.error_node, visited(result)) == ("failed", "fetch", ["start", "fetch"])


def test_an_error_branch_is_not_taken_without_an_error(runner, base):
    definition = workflow(call(base, onError="branch"), say("good", "x"), say("bad", "y"), edges=ERROR_BRANCH)
    result = run(runner, definition)
    assert (visited(result), result.used) == (["start", "fetch", "good"], {"prod-x"})


@pytest.mark.parametrize(("message", "added"), [("no token", ": no token"), ("", "")])
def test_a_run_that_terminates_behind_an_error_failed_where_the_error_was(runner, base, message, added):
    definition = workflow(
        call(base, "/status/401", onError="branch"),
        say("good", "x"),
        node("bad", "terminate", status="failed", message=message),
        edges=ERROR_BRANCH,
    )
    result = run(runner, definition)
    assert (result.status, result.error_node, result.cause) == ("failed", "fetch", Cause.REJECTED)
    said = f"the service answered 401; node bad then ended the run as failed{added}"
    assert result.error_message == said, "told behind the name of the node where the error was"
    assert result.used == {"prod-x"}


@pytest.mark.parametrize(("status", "message"), [("completed", None), ("failed", "enough of 1")])
def test_terminate_ends_the_run_there(runner, status, message):
    definition = workflow(
        node("end", "terminate", status=status, message="enough of {{ x }}"), say("after", "x")
    )
    result = run(runner, definition, x=1)
    assert (result.status, result.error_message, visited(result)) == (status, message, ["start", "end"])


def test_only_nodes_that_ran_count_as_having_used_an_item(runner, base):
    definition = workflow(
        node("ask", "boolean_condition", value="no"),
        call(base),
        edges=[("start", "ask"), ("ask", "fetch", "true")],
    )
    assert run(runner, definition).used == frozenset()


def test_a_template_that_fails_is_a_mistake_and_sends_nothing(runner, base):
    result = run(runner, workflow(call(base, headers={**AUTH, "X": "{{ gone.away }}"})))
    assert (result.status, result.cause) == ("failed", Cause.MISTAKE)
    assert result.error_message == "the template cannot be rendered: gone.away is undefined"


def test_what_was_not_foreseen_is_told_by_its_type_alone(runner, monkeypatch):
    def fail(*_):
        raise RuntimeError(VALUE)

    monkeypatch.setattr(type(find_component("data_mapper")), "run", fail)
    result = run(runner, workflow(say("a", "x")))
    assert (result.status, result.cause, result.error_message) == (
        "failed",
        Cause.MISTAKE,
        "unexpected RuntimeError",
    )


def test_a_run_ends_with_its_time(runner, monkeypatch):
    monkeypatch.setattr("worker.workflows.runner.RUN_SECONDS", 0.0)
    result = run(runner, workflow(say("a", "x")))
    assert (result.status, result.cause) == ("failed", Cause.OUTAGE)
    assert result.error_message == "the run took longer than an hour"


@pytest.mark.parametrize("text", ["{{ webhook_payload }}", "{{ webhook_payload.order }}"])
def test_a_payload_that_was_not_given_is_told_with_what_gives_it(runner, text):
    definition = workflow(say("a", text))
    result = run(runner, definition)
    assert result.error_message == (
        f"the template cannot be rendered: {text[3:-3]} is undefined: this run was given none "
        "(workflow run --payload FILE gives one, and sample_context a test)"
    )
    given = run(runner, workflow(say("a", "{{ webhook_payload.order }}")), webhook_payload={})
    assert given.error_message == "the template cannot be rendered: webhook_payload.order is undefined"


# One node alone


def test_a_call_that_has_effects_is_not_tried_and_says_what_can_be_done(runner, base):
    result = runner.test_node(workflow(call(base, method="POST")), "fetch", context={}, values=VALUES)
    assert (result.status, result.cause) == ("skipped", None)
    assert result.error_message == (
        "its POST has effects, and it names no testMethod: name one, or test the workflow"
    )


def test_one_node_is_tested_alone_with_a_given_context(runner, base):
    definition = workflow(say("before", "x"), call(base, "/echo?x={{ before.said }}"))
    result = runner.test_node(definition, "fetch", context={"before": {"said": "here"}}, values=VALUES)
    assert_nothing_leaks(result)
    assert (result.status, result.output["body"]["path"]) == ("success", "/echo?x=here")


def test_one_node_that_is_refused_says_so(runner, base):
    result = runner.test_node(workflow(call(base, "/status/403")), "fetch", context={}, values=VALUES)
    assert_nothing_leaks(result)
    assert (result.status, result.cause, result.output["status_code"]) == ("error", Cause.REJECTED, 403)
