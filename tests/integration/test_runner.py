"""Whole runs against a real HTTP server on this machine, and what must never come back from them."""

import base64
import gzip
import ipaddress
import json
import logging
import ssl
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from vaultcore.errors import Cause, CounterpartError
from vaultcore.secret import Secret
from worker.outbound import HttpClient
from worker.workflows.definition import load_definition
from worker.workflows.masking import MASK
from worker.workflows.nodes.catalog import COMPONENTS
from worker.workflows.runner import LOG_MAX, Runner

VALUE = "s3cr3t-Value/77aa+long"
VALUES = {"prod-x": Secret(VALUE)}
AUTH = {"Authorization": "Bearer {{ vault.prod-x }}"}
NOW = datetime(2026, 3, 4, tzinfo=UTC)


class Handler(BaseHTTPRequestHandler):
    """/status/N answers N; /echo what it was sent; the others misbehave as they are named."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        kind, _, argument = self.path[1:].partition("/")
        getattr(self, f"answer_{kind.partition('?')[0]}")(argument)

    do_POST = do_GET  # noqa: N815  # the library's names
    do_DELETE = do_GET  # noqa: N815  # the library's names

    def answer_status(self, status):
        self.send(int(status), b'{"no": "thanks"}')

    def answer_echo(self, _):
        size = int(self.headers.get("Content-Length") or 0)
        sent = {"headers": dict(self.headers), "body": self.rfile.read(size).decode(), "path": self.path}
        self.send(200, json.dumps(sent).encode())

    def answer_redirect(self, _):
        self.send(302, b"", Location="/echo")

    def answer_drip(self, _):
        """A header that never ends, a byte at a time, until the caller hangs up."""
        self.close_connection = True
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self.server.stopping.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            pass

    def answer_big(self, size):
        self.send(200, b"x" * int(size))

    def answer_bomb(self, _):
        self.send(200, gzip.compress(b"\0" * 50_000_000), **{"Content-Encoding": "gzip"})

    def answer_gzip(self, _):
        self.send(200, gzip.compress(b'{"a": 1}'), **{"Content-Encoding": "gzip"})

    def answer_garbled(self, _):
        self.send(200, b"no gzip", **{"Content-Encoding": "gzip"})

    def answer_nonsense(self, _):
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True

    def send(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the caller had enough
            self.close_connection = True

    def log_message(self, *_):
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


@contextmanager
def serve(tls=None):
    server = QuietServer(("127.0.0.1", 0), Handler)
    server.stopping = threading.Event()
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def base():
    with serve() as url:
        yield url


@pytest.fixture(scope="module")
def http():
    return HttpClient(max_bytes=100_000)


@pytest.fixture
def runner(http):
    return Runner(http)


def node(node_id, component="data_mapper", **data):
    return {"id": node_id, "type": COMPONENTS[component].kind.value, "data": {"componentId": component, **data}}


def call(base, path="/echo", node_id="fetch", **data):
    return node(node_id, "webhook", **({"method": "GET", "url": base + path, "headers": AUTH} | data))


def say(node_id, text):
    return node(node_id, mapping={"said": text})


def workflow(*nodes, edges=None):
    nodes = [node("start", "manual_trigger"), *nodes]
    edges = edges or [(a["id"], b["id"]) for a, b in pairwise(nodes)]
    made = [
        {"id": f"e{number}", "source": source, "target": target, "sourceHandle": handle[0] if handle else None}
        for number, (source, target, *handle) in enumerate(edges)
    ]
    return load_definition(json.dumps({"name": "w", "nodes": nodes, "edges": made}), source="w.json")


def clock():
    return NOW


def run(runner, definition, **context):
    result = runner.run(definition, context=context, values=VALUES, clock=clock)
    assert_nothing_leaks(result)
    return result


def assert_nothing_leaks(result):
    text = repr(result)
    raw = VALUE.encode()
    for form in (VALUE, raw.hex(), base64.b64encode(raw).decode().rstrip("="), VALUE[3:14], VALUE.upper()):
        assert form not in text


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
    ("path", "cause", "message"),
    [
        ("/status/401", Cause.REJECTED, "401"),
        ("/status/404", Cause.MISTAKE, "404"),
        ("/status/429", Cause.OUTAGE, "429"),
        ("/status/500", Cause.OUTAGE, "500"),
        ("/redirect", Cause.MISTAKE, "redirects (302)"),
        ("/big/100001", Cause.MISTAKE, "more than 100000 bytes"),
        ("/bomb", Cause.MISTAKE, "more than 100000 bytes"),
        ("/garbled", Cause.MISTAKE, "does not decompress"),
        ("/nonsense", Cause.OUTAGE, "no HTTP"),
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
    result = run(runner, workflow(call(base, "/drip", timeout=0.4)))
    assert time.monotonic() - begun < 3
    assert (result.status, result.cause) == ("failed", Cause.OUTAGE)
    assert result.error_message.endswith("did not answer in 0.4 seconds")


def test_a_long_output_is_cut_in_logs_and_result(runner, base):
    result = run(runner, workflow(call(base, "/big/99999")))
    for shown in (result.output, result.logs[-1].output):
        assert len(shown.encode()) <= LOG_MAX
        assert shown.endswith("… [cut]")


@pytest.mark.parametrize(
    ("url", "headers", "cause"),
    [
        ("ftp://127.0.0.1/x", {}, Cause.MISTAKE),
        ("http://", {}, Cause.MISTAKE),
        ("http://127.0.0.1:99999/", {}, Cause.MISTAKE),
        ("http://127.0.0.1\n/", {}, Cause.MISTAKE),
        ("http://127.0.0.1:1/s3cr3t", {}, Cause.OUTAGE),
        ("http://name.invalid/", {}, Cause.OUTAGE),
        ("BASE/echo", {"X": "é\u4e2d"}, Cause.MISTAKE),
        ("BASE/echo", {"X": "a\x7f\x00s3cr3t"}, Cause.MISTAKE),
        ("BASE/echo", {"X Y": "s3cr3t"}, Cause.MISTAKE),
    ],
)
def test_a_request_that_cannot_be_made_says_why_and_holds_nothing(http, base, url, headers, cause):
    with pytest.raises(CounterpartError) as caught:
        http.request("GET", url.replace("BASE", base), headers=headers)
    assert caught.value.cause is cause
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__context__ is None


def test_nothing_that_is_sent_is_logged(http, base, caplog):
    with caplog.at_level(logging.DEBUG):
        http.request("GET", f"{base}/echo?token=s3cr3t", headers={"Authorization": "s3cr3t"})
    assert "s3cr3t" not in caplog.text


def test_environment_proxies_are_not_used(http, base, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert http.request("GET", f"{base}/echo").status == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_a_certificate_must_verify(certificate, http):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    with serve(server) as base:
        with pytest.raises(CounterpartError, match="has a certificate that does not verify") as caught:
            http.request("GET", f"{base}/echo")
        assert caught.value.cause is Cause.MISTAKE
        trusting = HttpClient(tls=ssl.create_default_context(cafile=str(certificate)))
        assert trusting.request("GET", f"{base}/echo").status == 200


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


def test_an_error_branch_is_not_taken_without_an_error(runner, base):
    definition = workflow(call(base, onError="branch"), say("good", "x"), say("bad", "y"), edges=ERROR_BRANCH)
    result = run(runner, definition)
    assert (visited(result), result.used) == (["start", "fetch", "good"], {"prod-x"})


def test_a_run_that_terminates_behind_an_error_failed_where_the_error_was(runner, base):
    definition = workflow(
        call(base, "/status/401", onError="branch"),
        say("good", "x"),
        node("bad", "terminate", status="failed", message="no token"),
        edges=ERROR_BRANCH,
    )
    result = run(runner, definition)
    assert (result.status, result.error_node, result.cause) == ("failed", "fetch", Cause.REJECTED)
    assert result.error_message.startswith("no token (node fetch: ")
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

    monkeypatch.setattr(type(COMPONENTS["data_mapper"]), "run", fail)
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


# One node alone


def test_one_node_is_tested_alone_with_a_given_context(runner, base):
    definition = workflow(say("before", "x"), call(base, "/echo?x={{ before.said }}"))
    result = runner.test_node(definition, "fetch", context={"before": {"said": "here"}}, values=VALUES)
    assert_nothing_leaks(result)
    assert (result.status, result.output["body"]["path"]) == ("success", "/echo?x=here")


def test_one_node_that_is_refused_says_so(runner, base):
    result = runner.test_node(workflow(call(base, "/status/403")), "fetch", context={}, values=VALUES)
    assert_nothing_leaks(result)
    assert (result.status, result.cause, result.output["status_code"]) == ("error", Cause.REJECTED, 403)
