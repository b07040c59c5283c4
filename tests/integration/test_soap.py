"""SOAP calls to a service on this machine: what comes back, who is told what, and what is refused."""

import base64
import json
import logging
import re
import resource
import socket
import time
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from tests.integration.soap_server import USER, Reply, Seen, fault, serve_orders, wrap
from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause, ConflictError
from vaultcore.references import Use
from vaultcore.secret import Secret
from worker.outbound import HttpClient, permitted_by
from worker.outbound.soap import DOCUMENTS_MAX
from worker.outbound.soap_answers import SoapFault
from worker.workflows.masking import MASK, Masker
from worker.workflows.nodes.base import Execution
from worker.workflows.nodes.catalog import explain_missing, find_component
from worker.workflows.nodes.soap import Soap, SoapFields
from worker.workflows.remarks import Weight
from worker.workflows.run import try_component
from worker.workflows.templates import Scope
from worker.workflows.uses import FoundUse, TextTrouble, find_node_uses

VALUE = "s3cr3t & <Value>/77aa+long"
OTHER = "an-0ther-value-altogether"
PASSWORD = "{{ vault.prod-x }}"
LIMIT = 100_000
PATIENCE = 120.0
"""Seconds within which a call with a deadline of a fraction of one must have ended, on a busy machine too."""
BILLION = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)
NODE = Soap()


@pytest.fixture
def orders():
    with serve_orders(VALUE) as service:
        yield service


def execute(values=None, http=HTTP, seconds=60.0, **context):
    known = {"prod-x": Secret(VALUE)} if values is None else values
    return Execution(
        scope=Scope(context=context, values=known),
        http=http,
        network=NETWORK,
        masker=Masker(known.values()),
        seconds=seconds,
        shown=context,
    )


def call(orders, operation="Version", *, path="/open", execution=None, tests=False, **fields):
    """The outcome, once nothing in it, masked as a run masks it, holds the value."""
    made = SoapFields.model_validate({"wsdl": f"{orders.url}{path}?wsdl", "operation": operation} | fields)
    execution = execution or execute()
    outcome = try_component(NODE.test if tests else NODE.run, made, execution)
    assert (outcome.cause is None) == (outcome.failure is None)
    shown = json.dumps(execution.masker.mask(outcome.output), ensure_ascii=False)
    for text in (outcome.failure or "", shown):
        assert VALUE not in text
        assert "s3cr3t" not in text
    return outcome


def fail(orders, operation="Version", **fields):
    outcome = call(orders, operation, **fields)
    assert outcome.output is None
    assert outcome.failure.isprintable()
    return outcome.failure.replace(orders.url.partition("//")[2], "HOST"), outcome.cause


def paths(orders, method):
    return [seen.path for seen in orders.seen if seen.method == method]


# What comes back


def test_an_operation_is_called_and_its_answer_is_plain_json(orders):
    payload = {
        "number": "{{ order }}",
        "urgent": True,
        "placed": "2026-03-04T05:06:07Z",
        "due": "2026-03-05",
        "within": "P1DT2H",
        "seal": base64.b64encode(b"\0\xff").decode(),
        "line": [{"sku": "a<b", "count": "2", "price": "1.50"}, {"sku": "{{ order }}", "count": 3}],
    }
    output = call(orders, "Place", payload=payload, execution=execute(order="n & 7")).output
    assert json.loads(json.dumps(output)) == output
    assert output == {
        "number": "n & 7",
        "urgent": True,
        "placed": "2026-03-04T05:06:07+00:00",
        "due": "2026-03-05",
        "within": "P1DT2H",
        "seal": base64.b64encode(b"\0\xff").decode(),
        "line": [{"sku": "a<b", "count": 2, "price": "1.50"}, {"sku": "n & 7", "count": 3, "price": None}],
        "_value_1": None,
    }


def test_an_answer_that_holds_something_else_than_expected_judges_the_credential(orders):
    fields = WAYS["http"][1]
    good = call(orders, **fields, expect={"json": {"": "2.1"}})
    assert (good.output, good.failure) == ("2.1", None)
    other = call(orders, **fields, expect={"json": {"": "2.2"}})
    assert (other.failure, other.cause) == ('the service answered, but the body is not "2.2"', Cause.REJECTED)
    for path, cause in (("number", Cause.MISTAKE), ("line.0.count", Cause.MISTAKE)):
        found = call(orders, "Place", payload={"number": "1"}, expect={"json": {path: "nothing"}})
        assert (found.failure, found.cause) == (
            f'the service answered, but {path} in the body is not "nothing"',
            cause,
        )


@pytest.mark.parametrize("expect", [{"status": [200]}, {"text": "a"}, {"json": {"a": 1}, "text": "a"}, {}])
def test_of_an_answer_by_soap_only_what_it_holds_can_be_expected(expect):
    with pytest.raises(ValidationError):
        SoapFields.model_validate({"wsdl": "https://x/?wsdl", "operation": "Version", "expect": expect})


def test_what_a_schema_leaves_open_comes_back_as_names_and_text(orders):
    answer = '<o:Placed xmlns:o="urn:orders"><o:number>1</o:number><b><c>x</c><c>y</c><d/></b></o:Placed>'
    orders.replies["POST /open"] = wrap(answer)
    output = call(orders, "Place", payload={"number": "1"}).output
    assert output["_value_1"] == {"c": ["x", "y"], "d": None}


@pytest.mark.parametrize("port", [None, "Plain", "Twelve"])
def test_ports_are_chosen_by_name_and_speak_soap_1_1_or_1_2(orders, port):
    assert call(orders, port=port).output == "2.1"
    kind = orders.seen[-1].headers["content-type"]
    assert kind.startswith("application/soap+xml" if port == "Twelve" else "text/xml")


def test_soap_headers_that_the_wsdl_names_are_sent(orders):
    call(orders, "Place", payload={"number": "1"}, soapHeaders={"session": PASSWORD})
    assert re.search(rb":Session [^>]+>s3cr3t &amp; &lt;Value&gt;/77aa\+long</", orders.seen[-1].body)


def test_an_operation_without_an_answer_succeeds_by_an_empty_one(orders):
    for status in (200, 202, 204):
        orders.replies["POST /open"] = Reply(status=status)
        outcome = call(orders, "Tell")
        assert (outcome.output, outcome.failure) == (None, None)
        assert fail(orders) == ("the answer of HOST is not SOAP", Cause.MISTAKE)


def test_each_run_loads_the_wsdl_anew(orders):
    for _ in range(2):
        call(orders)
    assert paths(orders, "GET") == ["/open?wsdl", "/orders.xsd"] * 2


# Tests


def test_a_node_without_a_test_operation_is_not_tested(orders):
    outcome = call(orders, "Place", tests=True)
    assert outcome.skipped == (
        "its Place may have effects, and it names no testOperation: name one, or test the workflow"
    )
    assert orders.seen == []


def test_a_test_calls_the_test_operation_with_its_payload_and_nothing_else(orders):
    outcome = call(
        orders, "Place", tests=True, testOperation="Fail", testPayload={"code": "e:Client", "status": 500}
    )
    assert outcome.failure == "the service answered with a fault: Client"
    assert call(orders, "Place", tests=True, testOperation="Version").output == "2.1"
    assert [seen.headers["soapaction"] for seen in orders.seen if seen.method == "POST"] == [
        '"urn:orders#Fail"',
        '"urn:orders#Version"',
    ]


# Credentials

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "http": ("/basic", {"auth": {"type": "http", "username": USER, "password": PASSWORD}}),
    "text": ("/token", {"auth": {"type": "usernameToken", "username": USER, "password": PASSWORD}}),
    "digest": (
        "/token",
        {"auth": {"type": "usernameToken", "username": USER, "password": PASSWORD, "digest": True}},
    ),
    "bearer": ("/bearer", {"headers": {"Authorization": "Bearer {{ vault.prod-x }}"}}),
    "pairs": ("/bearer", {"headers": [{"key": "Authorization", "value": "Bearer {{ vault.prod-x }}"}]}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("port", ["Plain", "Twelve"])
def test_a_credential_is_accepted_by_a_service_that_checks_it_and_a_wrong_one_rejected(orders, way, port):
    path, fields = WAYS[way]
    if way in ("bearer", "pairs"):
        orders.password = fields_value = "plain-Value-of-a-bearer"
    else:
        fields_value = VALUE
    right = execute({"prod-x": Secret(fields_value)})
    for _ in range(2):
        assert call(orders, path=path, execution=right, port=port, **fields).output == "2.1"
    assert right.used == {"prod-x"}
    outcome = call(orders, path=path, execution=execute({"prod-x": Secret(OTHER)}), port=port, **fields)
    assert outcome.cause is Cause.REJECTED
    assert call(orders, path=path, port=port).failure  # without any


def test_a_digest_is_another_each_time_and_never_the_password(orders):
    path, fields = WAYS["digest"]
    for _ in range(2):
        call(orders, path=path, **fields)
    first, second = [seen.body for seen in orders.seen if seen.method == "POST"]
    assert first != second
    for sent in (first, second):
        assert b"s3cr3t" not in sent


@pytest.mark.parametrize("way", ["text", "digest"])
def test_a_service_that_answers_with_the_password_that_it_was_sent_gives_nothing_away(orders, way):
    def echo(request):
        sent = re.search("<wsse:Password[^>]*>([^<]+)<", request.body.decode())[1]
        return wrap(f'<o:Placed xmlns:o="urn:orders"><o:number>{sent}</o:number><b>{sent}</b></o:Placed>')

    orders.replies["POST /token"] = echo
    path, fields = WAYS[way]
    execution = execute()
    outcome = call(orders, "Place", path=path, execution=execution, payload={"number": "1"}, **fields)
    assert len(outcome.output["number"]) > 20
    shown = execution.masker.mask(outcome.output)
    assert (shown["number"], shown["_value_1"]) == (MASK, MASK)


def test_a_fault_that_quotes_the_credential_gives_nothing_away(orders):
    orders.replies["POST /open"] = fault(
        "s3cr3t_Code", text="wrong password word-7Value-77", detail="<a><b>word-7Value-77</b></a>"
    )
    execution = execute({"prod-x": Secret("word-7Value-77"), "prod-y": Secret("s3cr3t_Code")})
    outcome = call(orders, execution=execution)
    assert outcome.failure == f"the service answered with a fault: {MASK}"
    assert execution.masker.mask(outcome.output) == {
        "fault": {"code": MASK, "message": f"wrong password {MASK}", "detail": {"a": {"b": MASK}}}
    }


def test_a_login_that_cannot_be_written_is_told_without_it(orders):
    auth = {"type": "http", "username": "a:b", "password": PASSWORD}
    assert fail(orders, auth=auth) == ("auth: a username with a colon cannot be sent by http", Cause.MISTAKE)
    path, fields = WAYS["text"]
    message, cause = fail(orders, path=path, execution=execute({"prod-x": Secret("s3cr3t\0")}), **fields)
    assert message == "operation Version: the payload cannot be written as the WSDL wants it (ValueError)"
    assert cause is Cause.MISTAKE
    assert paths(orders, "POST") == []


def test_credentials_go_to_the_wsdls_own_place_and_to_no_other(orders):
    with serve_orders(VALUE) as elsewhere:
        orders.schema = f"{elsewhere.url}/orders.xsd"
        headers = {"X-Token": PASSWORD.replace("x }}", "y }}")}
        values = {"prod-x": Secret(VALUE), "prod-y": Secret("s3cr3t-token")}
        fields = WAYS["http"][1] | {"headers": headers}
        assert call(orders, path="/basic", execution=execute(values), **fields).output == "2.1"
        assert [seen.path for seen in elsewhere.seen] == ["/orders.xsd"]
        assert not {"authorization", "x-token"} & elsewhere.seen[0].headers.keys()
        assert all(seen.headers["x-token"] == "s3cr3t-token" for seen in orders.seen)


@pytest.mark.parametrize("way", WAYS)
def test_a_service_that_the_wsdl_puts_elsewhere_gets_nothing_unless_the_node_names_it(orders, way):
    _, fields = WAYS[way]
    execution = execute({"prod-x": Secret("plain-Value-of-a-bearer")})
    with serve_orders("plain-Value-of-a-bearer") as elsewhere:
        there = f"{elsewhere.url}/{way if way == 'bearer' else 'open'}"
        orders.address = there
        message, cause = fail(orders, execution=execution, **fields)
        assert message == (
            f"the WSDL says that its service is at {elsewhere.url[7:]}, which is not its own place: "
            "if the credential may go there, name it as endpoint"
        )
        assert cause is Cause.MISTAKE
        assert elsewhere.seen == []
        before = len(orders.seen)
        assert call(orders, execution=execution, endpoint=there, **fields).output == "2.1"
        assert len(elsewhere.seen) == 1
        for seen in orders.seen[before:]:  # the WSDL's place no longer gets them
            assert "authorization" not in seen.headers


def test_a_wsdl_that_asks_for_a_login_judges_one_only_if_it_was_sent(orders):
    message = "HOST answered 401 for its WSDL"
    assert fail(orders, path="/basic") == (message, Cause.MISTAKE)
    assert fail(orders, path="/basic", **WAYS["text"][1]) == (message, Cause.MISTAKE)
    wrong = execute({"prod-x": Secret(OTHER)})
    assert fail(orders, path="/basic", execution=wrong, **WAYS["http"][1]) == (message, Cause.REJECTED)


# Faults


@pytest.mark.parametrize(
    ("port", "code", "status", "cause"),
    [
        ("Plain", "e:Client", 500, Cause.MISTAKE),
        ("Plain", "e:Client", 200, Cause.MISTAKE),
        ("Plain", "e:Server", 500, Cause.OUTAGE),
        ("Plain", "e:Server", 200, Cause.OUTAGE),
        ("Plain", "e:Server.Busy", 500, Cause.OUTAGE),
        ("Plain", "e:Client.Authentication", 500, Cause.REJECTED),
        ("Plain", "wsse:FailedAuthentication", 500, Cause.REJECTED),
        ("Plain", "wsse:FailedAuthentication", 503, Cause.REJECTED),
        ("Plain", "wsse:InvalidSecurity", 500, Cause.REJECTED),
        ("Plain", "InvalidSecurityToken", 200, Cause.REJECTED),
        ("Plain", "wsse:UnsupportedSecurityToken", 500, Cause.MISTAKE),
        ("Plain", "e:VersionMismatch", 500, Cause.MISTAKE),
        ("Plain", "e:MustUnderstand", 500, Cause.MISTAKE),
        ("Plain", "a:InternalServiceFault", 500, Cause.OUTAGE),
        ("Plain", "app:NoSuchOrder", 500, Cause.MISTAKE),
        ("Plain", "app:NoSuchOrder", 503, Cause.OUTAGE),
        ("Plain", "e:Client", 429, Cause.OUTAGE),
        ("Plain", "e:Client", 401, Cause.REJECTED),
        ("Plain", "e:Server", 403, Cause.REJECTED),
        ("Plain", "app:INVALID_LOGIN", 500, Cause.REJECTED),
        ("Twelve", "e:Sender", 400, Cause.MISTAKE),
        ("Twelve", "e:Receiver", 500, Cause.OUTAGE),
        ("Twelve", "e:Sender/wsse:FailedAuthentication", 400, Cause.REJECTED),
        ("Twelve", "e:Sender/wsse:InvalidSecurity", 500, Cause.REJECTED),
    ],
)
def test_a_fault_is_a_failure_with_a_cause(orders, port, code, status, cause):
    orders.replies["POST /open"] = fault(
        code, status, version="11" if port == "Plain" else "12", text="why", detail="<a>1</a><a>2</a>"
    )
    outcome = call(orders, port=port, rejectedCodes=["INVALID_LOGIN"])
    shown = " ".join(part.rpartition(":")[2] for part in code.split("/"))
    assert outcome.cause is cause
    assert outcome.failure == f"the service answered with a fault: {shown}"
    assert outcome.output == {"fault": {"code": shown, "message": "why", "detail": {"a": ["1", "2"]}}}


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("e:Client", 403, Cause.OUTAGE),
        ("e:Client", 401, Cause.REJECTED),
        ("wsse:FailedAuthentication", 403, Cause.REJECTED),
        ("e:Client", 400, Cause.MISTAKE),
    ],
)
def test_a_fault_of_403_that_asks_to_wait_is_an_outage(orders, code, status, cause):
    reply = fault(code, status, version="11")
    orders.replies["POST /open"] = replace(reply, headers={**reply.headers, "Retry-After": "60"})
    assert call(orders, port="Plain").cause is cause


@pytest.mark.parametrize("codes", [(), ("",), ("Client",)])
def test_a_status_that_judges_does_so_whatever_the_fault_says(codes):
    found = SoapFault(codes=codes, message=None, detail=None, status=401)
    assert found.cause() is Cause.REJECTED
    assert replace(found, status=500).cause() is Cause.MISTAKE


@pytest.mark.parametrize(
    ("status", "body", "message", "cause"),
    [
        (401, "", "the service answered 401", Cause.REJECTED),
        (401, "<!DOCTYPE html><html><body>no</body></html>", "the service answered 401", Cause.REJECTED),
        (403, "<html>", "the service answered 403", Cause.REJECTED),
        (404, "not here", "the service answered 404", Cause.MISTAKE),
        (500, "<html><body>oops</body></html>", "the service answered 500", Cause.OUTAGE),
        (503, "<html><body><br></body></html>", "the service answered 503", Cause.OUTAGE),
        (200, "<html><body><br></body></html>", "the answer of HOST is not SOAP", Cause.MISTAKE),
        (200, "<html><body/></html>", "the answer of HOST is not SOAP", Cause.MISTAKE),
        (200, b"\xff\xfe\0", "the answer of HOST is not SOAP", Cause.MISTAKE),
    ],
)
def test_an_answer_that_is_no_soap_is_judged_by_its_status(orders, status, body, message, cause):
    orders.replies["POST /open"] = Reply(status=status, body=body)
    assert fail(orders) == (message, cause)


@pytest.mark.parametrize(
    "body",
    ['<o:Other xmlns:o="urn:orders"/>', '<o:Placed xmlns:o="urn:orders"><o:more>x</o:more></o:Placed>'],
)
def test_an_answer_that_does_not_fit_the_wsdl_never_passes_for_one(orders, body):
    orders.replies["POST /open"] = wrap(body)
    message, cause = fail(orders, "Place", payload={"number": "1"})
    assert message.startswith("the answer of HOST does not fit its WSDL (")
    assert cause is Cause.MISTAKE


# Our own mistakes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"service": "Gone"}, "the WSDL has no service 'Gone': there are Nowhere, Orders"),
        ({"port": "Gone"}, "the WSDL has no port 'Gone': there are Plain, Twelve"),
        ({"operation": "Gone"}, "the WSDL has no operation 'Gone': there are Fail, Place, Tell, Version"),
        ({"service": "Nowhere"}, "the WSDL has no address for its service: name the endpoint"),
        (
            {"operation": "Place", "payload": {"number": "1", "sku": PASSWORD}},
            "operation Place: the payload does not fit: there is no sku",
        ),
        (
            {"operation": "Place", "payload": {"urgent": True}},
            "operation Place: the payload does not fit: Missing element number (Place.number)",
        ),
        (
            {"operation": "Place", "payload": {"number": PASSWORD, "line": [{"sku": "a"}]}},
            "operation Place: the payload does not fit: Missing element count (Place.line.count)",
        ),
        (
            {"operation": "Place", "payload": {"number": "1", "within": PASSWORD}},
            "operation Place: the payload cannot be written as the WSDL wants it (ISO8601Error)",
        ),
        (
            {"operation": "Place", "payload": {"number": {"a": PASSWORD}}},
            "operation Place: the payload cannot be written as the WSDL wants it (ValueError)",
        ),
        (
            {"operation": "Place", "payload": {"number": "1", "line": PASSWORD}},
            "operation Place: the payload does not fit: Missing element count (Place.line.count)",
        ),
        ({"payload": {"a": "{{ gone }}"}}, "the template cannot be rendered: gone is undefined"),
        ({"headers": {"X": "a\r\nb"}}, "a header holds a line break"),
    ],
)
def test_a_call_that_cannot_be_made_is_a_mistake_told_by_names_alone(orders, fields, message):
    operation = fields.pop("operation", "Version")
    assert fail(orders, operation, **fields) == (message, Cause.MISTAKE)
    assert paths(orders, "POST") == []


@pytest.mark.parametrize(
    ("wsdl", "message"),
    [
        ("", "the WSDL of HOST is not XML"),
        ("<html><br></html>", "the WSDL of HOST is not XML"),
        ("<html><br/></html>", "the WSDL has no service that speaks SOAP over HTTP"),
        (b"\x89PNG", "the WSDL of HOST is not XML"),
    ],
)
def test_what_is_no_wsdl_is_a_mistake(orders, wsdl, message):
    orders.replies["GET /open"] = Reply(body=wsdl)
    assert fail(orders) == (message, Cause.MISTAKE)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("o:Version", "the WSDL has no operation 'Version': there are Fail, Place, Tell"),
        ("o:Orders11", "the WSDL has no port 'Plain': there are Twelve"),
        ("o:Orders", "the WSDL of HOST cannot be read (IndexError)"),
        ("urn:orders", "the WSDL of HOST cannot be read (NamespaceError)"),
    ],
)
def test_a_wsdl_that_refers_to_what_it_does_not_hold_is_a_mistake(orders, lost, message):
    orders.replies["GET /open"] = Reply(body=orders.wsdl().replace(f'"{lost}"', '"o:Lost"'))
    assert fail(orders, port="Plain") == (message, Cause.MISTAKE)


@pytest.mark.parametrize(
    ("status", "cause"), [(404, Cause.MISTAKE), (500, Cause.OUTAGE), (503, Cause.OUTAGE), (403, Cause.MISTAKE)]
)
def test_a_wsdl_that_is_not_served_is_judged_by_its_status(orders, status, cause):
    orders.replies["GET /orders.xsd"] = Reply(status=status)
    assert fail(orders) == (f"HOST answered {status} for its WSDL", cause)


def test_a_service_that_is_away_is_an_outage():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{reserved.getsockname()[1]}"
        fields = SoapFields(wsdl=f"http://{host}/?wsdl", operation="x")
        outcome = try_component(NODE.run, fields, execute())
    assert (outcome.failure, outcome.cause) == (f"{host} cannot be reached, or broke off", Cause.OUTAGE)


def test_what_may_not_be_called_any_more_is_not_called(orders):
    def refuse():
        raise ConflictError("the lease is lost")

    with permitted_by(refuse), pytest.raises(ConflictError):
        call(orders)
    assert orders.seen == []


# Attacks


def make_attacks(base):
    return {
        "billion": (BILLION, "&i;"),
        "file": ('<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>', "&f;"),
        "web": (f'<!DOCTYPE x [<!ENTITY f SYSTEM "{base}/evil">]>', "&f;"),
        "dtd": (f'<!DOCTYPE x SYSTEM "{base}/evil.dtd">', ""),
        "public": (f'<!DOCTYPE x PUBLIC "-//x//y" "{base}/evil.dtd">', "&f;"),
        "parameter": (f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{base}/evil.dtd"> %p;]>', ""),
        "default": ('<!DOCTYPE x [<!ATTLIST x a CDATA "b">]>', ""),
    }


@pytest.mark.parametrize("place", ["wsdl", "schema", "answer", "fault"])
@pytest.mark.parametrize("attack", make_attacks(""))
def test_document_types_and_entities_are_refused_and_never_followed(orders, attack, place):
    head, use = make_attacks(orders.url)[attack]
    orders.replies["GET /evil"] = orders.replies["GET /evil.dtd"] = Reply(body='<!ENTITY f "evil">')
    if place == "wsdl":
        text = (
            orders.wsdl()
            .partition("?>")[2]
            .replace('<wsdl:message name="PlaceIn">', f"{use}<wsdl:message name='PlaceIn'>")
        )
        orders.replies["GET /open"] = Reply(body=head + text)
    elif place == "schema":
        orders.replies["GET /orders.xsd"] = Reply(
            body=f'{head}<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema">{use}</s:schema>'
        )
    else:
        sound = (
            fault("e:Client", 200, text=use)
            if place == "fault"
            else wrap(f'<o:VersionIs xmlns:o="urn:orders">2{use}</o:VersionIs>')
        )
        orders.replies["POST /open"] = Reply(body=head + sound.body)
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message, cause = fail(orders)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    where = "the WSDL of HOST " if place in ("wsdl", "schema") else "the answer of HOST "
    assert message.startswith(where)
    assert message.removeprefix(where) in (
        "holds a document type or entities, which are refused",
        "is not XML",
        "is not SOAP",
    )
    assert cause is Cause.MISTAKE
    assert not [path for path in paths(orders, "GET") if "evil" in path]
    assert time.monotonic() - begun < PATIENCE
    assert grown < 100_000  # kB, of what libxml2 takes too


@pytest.mark.parametrize(
    ("place", "key"), [("wsdl", "GET /open"), ("schema", "GET /orders.xsd"), ("answer", "POST /open")]
)
def test_outsized_documents_are_refused(orders, place, key):
    orders.replies[key] = Reply(body=b"<a>" + b"x" * LIMIT + b"</a>")
    message, cause = fail(orders, execution=execute(http=HttpClient(NETWORK, max_bytes=LIMIT)))
    assert (message, cause) == (f"HOST sent more than {LIMIT} bytes", Cause.MISTAKE)


def test_an_answer_nested_too_deeply_is_refused(orders):
    deep = "<a>" * 20_000 + "</a>" * 20_000
    orders.replies["POST /open"] = wrap(
        f'<o:Placed xmlns:o="urn:orders"><o:number>1</o:number>{deep}</o:Placed>'
    )
    assert fail(orders, "Place", payload={"number": "1"}) == ("the answer of HOST is not SOAP", Cause.MISTAKE)


@pytest.mark.parametrize("key", ["GET /open", "GET /orders.xsd", "POST /open"])
def test_a_service_that_drips_is_left_with_the_deadline_of_the_whole_call(orders, key):
    orders.replies[key] = Reply(body="<a>", drips=True)
    begun = time.monotonic()
    message, cause = fail(orders, timeout=1.5)
    assert 1.4 <= time.monotonic() - begun < 1.5 + PATIENCE
    assert message.startswith("HOST did not answer in ")
    assert cause is Cause.OUTAGE


def test_a_nodes_own_time_bounds_its_timeout(orders):
    orders.replies["GET /open"] = Reply(body="<a>", drips=True)
    message, _ = fail(orders, timeout=300, execution=execute(seconds=0.2))
    assert message.startswith("HOST did not answer in 0.")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_a_wsdl_along_but_no_call_and_no_credential(orders, status):
    with serve_orders(VALUE) as elsewhere:
        elsewhere.url, there = orders.url, elsewhere.url  # it serves the same WSDL
        _, fields = WAYS["http"]
        to = {"Location": f"{there}/open?wsdl"}
        orders.replies["GET /moved"] = Reply(status=status, headers=to)
        assert call(orders, path="/moved", **fields).output == "2.1"
        assert [seen.headers.get("authorization") for seen in elsewhere.seen] == [None]
        orders.replies["POST /open"] = Reply(status=status, headers=to)
        message, cause = fail(orders, **fields)
        assert message == (
            f"the service answered {status}, a redirect to another place, which is not followed: "
            "use the final URL"
        )
        assert cause is Cause.MISTAKE
        assert len(elsewhere.seen) == 1


@pytest.mark.parametrize("place", ["schema", "endpoint", "wsdl", "redirect"])
@pytest.mark.parametrize("host", ["10.20.30.40", "169.254.169.254", "[fd00::1]"])
def test_a_private_address_is_refused_wherever_it_is_named(orders, place, host):
    there = f"http://{host}/orders.xsd"
    fields = {}
    if place == "schema":
        orders.schema = there
    elif place == "redirect":
        orders.replies["GET /orders.xsd"] = Reply(status=302, headers={"Location": there})
    elif place == "endpoint":
        fields = {"endpoint": there}
    else:
        fields = {"wsdl": there}
    message, cause = fail(orders, **fields, timeout=PATIENCE)
    if place == "redirect":  # whose host's name the service made
        assert message == (
            "HOST redirects to what cannot be called or read: use the final URL, and see outbound_private and "
            "outbound_only"
        )
    else:
        assert message == (
            f"{host.strip('[]')} is no public address: if it may be called, list it in outbound_private"
        )
    assert cause is Cause.MISTAKE


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/xml,x", "file://localhost/x"]
)
def test_a_wsdl_can_name_nothing_but_the_web(orders, place):
    orders.schema = place
    message = "the WSDL, or what it imports, is not at a URL of http or https"
    assert fail(orders) == (message, Cause.MISTAKE)
    for wsdl in (place, "/etc/passwd", "etc/passwd"):
        assert fail(orders, wsdl=wsdl) == (message, Cause.MISTAKE)


def write_bomb(kind, doublings):
    """A schema in which each group holds the next one twice."""

    def write(number, inside):
        inside = inside if kind == "attributeGroup" else f"<xsd:sequence>{inside}</xsd:sequence>"
        return f'<xsd:{kind} name="g{number}">{inside}</xsd:{kind}>'

    leaf = '<xsd:attribute name="z" type="xsd:int"/>' if kind == "attributeGroup" else '<xsd:element name="z"/>'
    chain = [write(number, f'<xsd:{kind} ref="o:g{number + 1}"/>' * 2) for number in range(doublings)]
    return "".join([*chain, write(doublings, leaf)])


@pytest.mark.parametrize("kind", ["group", "attributeGroup"])
@pytest.mark.parametrize("doublings", [20, 60, 1000])
def test_a_schema_that_would_grow_without_measure_is_refused_before_it_does(orders, kind, doublings):
    text = orders.answer(Seen(method="GET", path="/orders.xsd", headers={}, body=b"")).body.decode()
    text = text.replace(
        '<xsd:element name="Version"><xsd:complexType/>',
        f'<xsd:element name="Version"><xsd:complexType><xsd:{kind} ref="o:g0"/></xsd:complexType>',
    )
    for bomb, message in (
        (
            write_bomb(kind, doublings),
            "the schemas of the WSDL hold more than 200000 parts once they are written out",
        ),
        (write_bomb(kind, doublings).replace(f"g{doublings}", "g0"), "the schemas of the WSDL hold more"),
    ):
        orders.replies["GET /orders.xsd"] = Reply(body=text.replace("</xsd:schema>", f"{bomb}</xsd:schema>"))
        begun = time.monotonic()
        found, cause = fail(orders)
        assert found.startswith(message)
        assert cause is Cause.MISTAKE
        assert time.monotonic() - begun < PATIENCE
    small = write_bomb(kind, 5).replace('<xsd:element name="z"/>', '<xsd:element name="z" minOccurs="0"/>')
    orders.replies["GET /orders.xsd"] = Reply(body=text.replace("</xsd:schema>", f"{small}</xsd:schema>"))
    assert call(orders).output == "2.1"


def test_groups_that_come_back_within_a_type_are_no_bomb(orders):
    text = orders.answer(Seen(method="GET", path="/orders.xsd", headers={}, body=b"")).body.decode()
    tree = (
        '<xsd:group name="tree"><xsd:sequence><xsd:element name="leaf" minOccurs="0"><xsd:complexType>'
        '<xsd:group ref="o:tree"/></xsd:complexType></xsd:element></xsd:sequence></xsd:group>'
        '<xsd:complexType name="Tree"><xsd:group ref="o:tree"/></xsd:complexType>'
    )
    orders.replies["GET /orders.xsd"] = Reply(body=text.replace("</xsd:schema>", f"{tree}</xsd:schema>"))
    assert call(orders).output == "2.1"


def test_imports_without_an_end_come_to_one(orders):
    imports = '<wsdl:import namespace="urn:other" location="open"/><wsdl:types>'
    text = orders.wsdl().replace("<wsdl:types>", imports).replace('targetNamespace="urn:orders"', "")
    orders.replies["GET /open"] = Reply(body=text)
    assert fail(orders) == (f"the WSDL imports more than {DOCUMENTS_MAX} documents", Cause.MISTAKE)
    assert len(orders.seen) == DOCUMENTS_MAX


# What is never told


def test_nothing_that_is_sent_or_answered_is_logged_or_printed(orders, caplog, capfd):
    orders.replies["POST /quote"] = wrap(
        '<o:Placed xmlns:o="urn:orders"><o:number>s3cr3t</o:number><o:due>s3cr3t</o:due>'
        "<o:line><o:sku>s3cr3t</o:sku><o:count>s3cr3t</o:count></o:line></o:Placed>"
    )
    values = {"prod-x": Secret(VALUE), "prod-y": Secret("s3cr3t")}
    with caplog.at_level(logging.DEBUG):
        for path, fields in WAYS.values():
            call(orders, path=path, **fields)
        outcome = call(orders, "Place", path="/quote", execution=execute(values), payload={"number": PASSWORD})
    assert outcome.output["line"][0]["count"] is None
    told = capfd.readouterr()
    for text in (caplog.text, told.out, told.err):
        assert "s3cr3t" not in text
        assert base64.b64encode(f"{USER}:{VALUE}".encode()).decode() not in text
    assert [record for record in caplog.records if record.name.startswith("zeep")] == []


def test_an_error_carries_nothing_behind_its_message(orders):
    orders.replies["POST /open"] = Reply(body=f"<a>{VALUE}")
    fields = SoapFields(wsdl=f"{orders.url}/open?wsdl", operation="Version")
    with pytest.raises(Exception, match="is not SOAP") as caught:
        NODE.run(fields, execute())
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


# Fields


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"auth": {"type": "http", "username": "a"}}, "username and password"),
        ({"auth": {"password": "a"}}, "type"),
        ({"auth": {"type": "http", "username": "a", "password": "b", "digest": True}}, "digest"),
        ({"auth": {"type": "kerberos"}}, "auth.type"),
        (
            {"auth": WAYS["http"][1]["auth"], "headers": {"AUTHORIZATION": "x"}},
            "headers",
        ),
        ({"headers": {"X": "1", "x": "2"}}, "headers: a SOAP call takes each name once"),
        ({"timeout": 301}, "timeout"),
        ({"wsdl": ""}, "wsdl"),
        ({"oepration": "x"}, "oepration"),
    ],
)
def test_fields_that_cannot_be_meant_are_refused_by_name(fields, where):
    with pytest.raises(ValidationError) as caught:
        SoapFields.model_validate({"wsdl": "http://x", "operation": "y"} | fields)
    (problem,) = caught.value.errors()
    assert where in f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def test_the_component_is_found_and_its_example_stands():
    component = find_component("soap")
    assert isinstance(component, Soap)
    assert explain_missing(component) is None
    SoapFields.model_validate(component.example)
    (found,) = find_node_uses(component.example, component)
    assert found == FoundUse(use=Use(name="prod-erp-soap-password"), mentioned=False)


@pytest.mark.parametrize("field", ["wsdl", "endpoint", "operation"])
def test_a_value_has_no_place_in_a_url_or_a_name(field):
    found = list(find_node_uses({"wsdl": "http://x", "operation": "y", field: PASSWORD}, Soap()))
    (trouble,) = [one for one in found if isinstance(one, TextTrouble)]
    assert (trouble.weight, trouble.path) == (Weight.ELSEWHERE, field)
    assert trouble.what.startswith("a vault item may not be used here")
