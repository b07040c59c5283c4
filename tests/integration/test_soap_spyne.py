"""SOAP calls to a service that is made with spyne: its WSDL, its faults and its reading of a UsernameToken."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause
from vaultcore.secret import Secret
from worker.workflows.definition import load_definition
from worker.workflows.runner import Runner

pytestmark = pytest.mark.skipif(find_spec("spyne") is None, reason="spyne is not installed")

VALUE = "s3cr3t & <Value>/77aa+long"
ITEM = "{{ vault.prod-x }}"


@pytest.fixture(scope="module")
def url():
    script = Path(__file__).with_name("spyne_service.py")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script), VALUE],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


def soap(url, operation, *, digest=False, **fields):
    auth = {"type": "usernameToken", "username": "robot", "password": ITEM, "digest": digest}
    data = {"componentId": "soap", "wsdl": f"{url}?wsdl", "operation": operation, "auth": auth}
    return {"id": "call", "type": "action", "data": data | fields}


def workflow(*nodes):
    nodes = ({"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}}, *nodes)
    edges = [{"id": f"e{n}", "source": a["id"], "target": b["id"]} for n, (a, b) in enumerate(pairwise(nodes))]
    return load_definition(json.dumps({"name": "w", "nodes": nodes, "edges": edges}), source="w.json")


def try_node(definition, value=VALUE, **context):
    return Runner(HTTP, NETWORK).test_node(
        definition, "call", context=context, values={"prod-x": Secret(value)}
    )


def run(definition, value=VALUE, **context):
    return Runner(HTTP, NETWORK).run(
        definition, context=context, values={"prod-x": Secret(value)}, clock=lambda: datetime.now(UTC)
    )


@pytest.mark.parametrize("digest", [False, True])
def test_a_token_that_spyne_reads_is_accepted_and_a_wrong_one_rejected(url, digest):
    payload = {"sku": "{{ sku }} & <b>", "count": 2, "since": "2026-01-02T00:00:00Z"}
    definition = workflow(soap(url, "find_lines", digest=digest, payload=payload))
    result = run(definition, sku="a")
    assert (result.error_message, result.used) == (None, {"prod-x"})
    assert result.output == [
        {"sku": "a & <b> 2026 0", "price": "1.50"},
        {"sku": "a & <b> 2026 1", "price": "1.50"},
    ]
    result = run(definition, "another", sku="a")
    assert (result.cause, result.error_message) == (
        Cause.REJECTED,
        "the service answered with a fault: FailedAuthentication",
    )
    assert result.output["fault"]["message"] == "the password is wrong"


def test_the_named_operation_is_the_test(url):
    definition = workflow(soap(url, "crash", testOperation="version"))
    assert (try_node(definition).status, try_node(definition).output) == ("success", "2.1")
    refused = try_node(definition, "another")
    assert (refused.status, refused.cause) == ("error", Cause.REJECTED)
    assert try_node(workflow(soap(url, "crash"))).status == "skipped"


def test_a_service_that_crashes_is_an_outage_and_a_payload_that_it_refuses_our_mistake(url):
    result = run(workflow(soap(url, "crash")))
    assert (result.cause, result.error_message) == (
        Cause.OUTAGE,
        "the service answered with a fault: Server",
    )
    payload = {"sku": "a", "count": "many", "since": "2026-01-02T00:00:00Z"}
    result = run(workflow(soap(url, "find_lines", payload=payload)))
    assert result.cause is Cause.MISTAKE
