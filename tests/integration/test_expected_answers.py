"""What a webhook takes for a good answer: in runs, in tests of workflows, and in tests of the node alone."""

import json

import pytest

from tests.integration.http_server import serve
from tests.ways_out import NETWORK
from vaultcore.errors import Cause, InvalidInputError
from vaultcore.secret import Secret
from worker.outbound import HttpClient
from worker.workflows.definition import load_definition
from worker.workflows.runner import Runner

VALUE = "s3cr3t-Value/77aa+long"
VALUES = {"prod-x": Secret(VALUE)}
AUTH = {"Authorization": "Bearer {{ vault.prod-x }}"}
RUNNER = Runner(HttpClient(NETWORK), NETWORK)
OK = {"json": {"ok": True}}


@pytest.fixture(scope="module")
def server():
    with serve() as started:
        yield started


def make(server, path, *, strict=False, **data):
    call = {"componentId": "webhook", "url": server.url + path, "headers": AUTH, **data}
    nodes = [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        {"id": "fetch", "type": "action", "data": call},
    ]
    edges = [{"id": "e1", "source": "start", "target": "fetch"}]
    text = json.dumps({"name": "w", "nodes": nodes, "edges": edges})
    return load_definition(text, source="w.json", strict=strict)


def every_way(definition):
    """What came of the node in a run, in a test of its workflow, and alone, as (status, cause, message)."""
    for is_test in (False, True):
        result = RUNNER.run(definition, context={}, values=VALUES, is_test=is_test, clock=lambda: None)
        yield result.logs[-1].status, result.cause, result.error_message
    alone = RUNNER.test_node(definition, "fetch", context={}, values=VALUES)
    if alone.status != "skipped":
        yield alone.status, alone.cause, alone.error_message


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_never_a_good_answer_by_itself(server, status, method):
    before = len(server.seen)
    said = f"answered {status}, a redirect to another place, which is not followed: use the final URL"
    for found in every_way(make(server, f"/redirect/{status}", method=method)):
        assert found == ("error", Cause.MISTAKE, f"the service {said}")
    assert {path for _, path, _ in server.seen[before:]} == {f"/redirect/{status}"}


def test_a_redirect_that_is_expected_is_a_good_answer(server):
    for found in every_way(make(server, "/redirect/303", method="POST", expect={"status": [303]})):
        assert found == ("success", None, None)


def test_a_get_is_led_on_where_it_is_looked_at_what_the_answer_holds(server):
    for found in every_way(make(server, "/redirect/302", method="GET", expect={"json": {"path": "/echo"}})):
        assert found == ("success", None, None)
    for found in every_way(make(server, "/redirect/302", method="GET", expect={"status": [200]})):
        assert found[:2] == ("error", Cause.REJECTED)


@pytest.mark.parametrize(
    ("body", "expect", "lack"),
    [
        ('{"ok": false}', OK, "ok in the body is not true"),
        ("<p>Sign in</p>", OK, "ok in the body is not true"),
        ("", OK, "ok in the body is not true"),
        ("[" * 1001 + "]" * 1001, OK, "the body cannot be read as JSON (nested too deeply)"),
        ("<p>Sign in</p>", {"textAbsent": "Sign in"}, 'the body holds "Sign in"'),
        ("<p>Sign in</p>", {"text_absent": "Sign in"}, 'the body holds "Sign in"'),
        ("", {"status": [201]}, "the status 200 is not 201"),
        ("", {"header": {"X-User": "robot"}}, 'the header X-User is not "robot"'),
    ],
)
def test_an_answer_that_holds_something_else_judges_the_credential_that_went_into_the_call(
    server, body, expect, lack
):
    for found in every_way(make(server, "/reply", method="POST", body=body, expect=expect)):
        assert found == ("error", Cause.REJECTED, f"the service answered 200, but {lack}")
    for _, cause, _ in every_way(make(server, "/reply", method="POST", body=body, headers={}, expect=expect)):
        assert cause is Cause.MISTAKE


@pytest.mark.parametrize(
    ("status", "cause"),
    [(401, Cause.REJECTED), (404, Cause.MISTAKE), (429, Cause.OUTAGE), (503, Cause.OUTAGE)],
)
def test_a_status_that_says_why_is_believed_before_the_expectation(server, status, cause):
    for found in every_way(make(server, f"/status/{status}", method="GET", expect=OK)):
        assert found == ("error", cause, f"the service answered {status}")


def test_an_answer_that_holds_what_is_expected_is_good(server):
    for found in every_way(make(server, "/reply", method="POST", body='{"ok": true}', expect=OK)):
        assert found == ("success", None, None)


@pytest.mark.parametrize(
    "expect", [{}, {"json": {"a": []}}, {"stat": 1}, {"status": [9]}, {"text": "{{ vault.prod-x }}"}, "ok"]
)
def test_an_expectation_that_cannot_be_meant_is_refused_when_it_is_written(server, expect):
    with pytest.raises(InvalidInputError, match=r"field data\.expect"):
        make(server, "/reply", method="POST", expect=expect, strict=True)


def test_an_answer_to_head_has_nothing_to_be_looked_at(server):
    with pytest.raises(InvalidInputError, match="an answer to HEAD has no body"):
        make(server, "/reply", method="GET", testMethod="HEAD", expect=OK)
