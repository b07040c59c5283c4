"""What bad input gets over HTTP: a clear answer that names the field, nothing half done, and no value in it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.desk import BOTH, VALUE, Desk, add_rotated, name_database, open_desk
from tests.ingress import Answered, read_answer
from vaultcore.access import Role
from vaultcore.tables import audit, items
from worker.rows.tables import rotations, runs, workflows
from worker.web.api.asking import ACTION

JSON = {"Content-Type": "application/json"}
HOSTILE = [
    "<script>alert(1)</script>",
    "a\0b",
    "\u202egnp.exe",
    "x" * 10_000,
    "'; DROP TABLE items; --",
    "../../etc/passwd",
    "a\r\nSet-Cookie: x=1",
    "\ud800",
    "{{ vault['prod-crm-token'] }}",
    "%00%2e%2e",
    "",
    " ",
]
DEEP = "[" * 5000 + "]" * 5000


@pytest.fixture(scope="module", params=BOTH)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("hostile"), name_database(request)) as opened:
        add_rotated(opened, "prod-crm-token")
        for role in Role:  # the first use of a token is noted
            opened.ask(role, "GET", "/workflows")
        yield opened


def calls(desk: Desk) -> list[tuple[str, str, dict[str, Any]]]:
    paths = desk.front.ask("GET", "/openapi.json").body["paths"]
    return [
        (method.upper(), path, call)
        for path, methods in paths.items()
        for method, call in methods.items()
        if ACTION in call
    ]


def bodies(desk: Desk) -> list[tuple[str, str]]:
    """A call of a workflow has its body taken once the workflow is found, and there is none here."""
    takes = [(method, path) for method, path, call in calls(desk) if "requestBody" in call]
    return [(method, path) for method, path in takes if not path.startswith("/workflows/sync/")]


def fill(path: str, given: str = "none") -> str:
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + given + rest.partition("}")[2]
    return path


def send(desk: Desk, method: str, path: str, body: bytes, **headers: str) -> Answered:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    role = Role.OWNER if path == "/nightkey/pickups" else Role.ADMIN  # nobody collects the keys of others
    token = {"Authorization": f"Bearer {desk.tokens[role]}"}
    return desk.front.send(method, path, body, {**JSON, **token, **named})


def count(desk: Desk) -> list[int]:
    """How much there is of what a call may make."""
    return [
        desk.moves.sql(select(func.count()).select_from(table))[0][0]
        for table in (items, workflows, runs, rotations, audit)
    ]


def explain(answered: Answered) -> str:
    """What is said of it, in either form."""
    return str(answered.body.get("message") or answered.body.get("detail"))


@pytest.mark.parametrize(
    ("body", "headers", "statuses", "says"),
    [
        (b'{"a": ' + DEEP.encode() + b"}", {}, {422, 413}, "nested too deeply"),
        (b"[" + b"1," * 100_001 + b"1]", {}, {413}, "more than 100000 values"),
        (b"{", {}, {422}, "not JSON"),
        (b"\xff\xfe", {}, {422}, "not UTF-8"),
        (b'{"a": NaN}', {}, {422}, "body"),
        (b'{"a": 1e999}', {}, {422}, "body"),
        (b'{"a": ' + b"9" * 5000 + b"}", {}, {422}, "too long"),
        (b"[]", {}, {422}, "body"),
        (b'"text"', {}, {422}, "body"),
        (b"5", {}, {422}, "body"),
        (b"null", {}, {422}, "body"),
        (b"{}", {"Content_Type": "text/plain"}, {415}, "application/json"),
        (b"{}", {"Content_Encoding": "gzip"}, {415}, "Content-Encoding"),
        (b'{"no such field": 1}', {}, {422}, ""),
    ],
)
def test_a_body_that_no_call_takes_is_refused_by_each(
    desk: Desk, body: bytes, headers: dict[str, str], statuses: set[int], says: str
) -> None:
    before = count(desk)
    for method, path in bodies(desk):
        if says == "" and path in ("/workflows", "/workflows/validate"):
            continue  # a document is kept with all that it holds
        answered = send(desk, method, fill(path), body, **headers)
        assert answered.status in statuses, (method, path, answered)
        assert says in explain(answered), (method, path, answered)
    assert count(desk) == before


def test_a_body_over_1_mb_is_refused_by_each_before_it_is_sent(desk: Desk) -> None:
    before = count(desk)
    for method, path in bodies(desk):
        role = Role.OWNER if path == "/nightkey/pickups" else Role.ADMIN
        connection = desk.front.connect()
        connection.putrequest(method, fill(path))
        for name, value in {**JSON, "Authorization": f"Bearer {desk.tokens[role]}"}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", "1048577")
        connection.endheaders()
        answered = read_answer(connection.getresponse())
        connection.close()
        assert answered.status == 413, (method, path, answered)
        assert "larger than 1048576 bytes" in explain(answered)
    assert count(desk) == before


def test_a_body_is_refused_where_none_is_taken(desk: Desk) -> None:
    for method, path, call in calls(desk):
        if "requestBody" not in call:
            answered = send(desk, method, fill(path), b'{"colour": "red-as-a-value"}')
            assert (answered.status, "takes none" in explain(answered)) == (422, True), (method, path, answered)
            assert "red-as-a-value" not in str(answered.body)


def test_a_field_that_there_is_not_is_named_by_each(desk: Desk) -> None:
    for method, path in bodies(desk):
        if path in ("/workflows", "/workflows/validate"):
            continue
        answered = send(desk, method, fill(path), b'{"colour": "red-as-a-value"}')
        assert answered.status == 422, (method, path, answered)
        assert "colour" in [one["field"] for one in answered.body["errors"]], (method, path, answered)
        assert "red-as-a-value" not in str(answered.body)


@pytest.mark.parametrize(
    "method", ["PATCH", "PUT", "DELETE", "POST", "GET", "HEAD", "OPTIONS", "TRACE", "BREW"]
)
def test_another_method_is_refused_with_those_that_are_taken(desk: Desk, method: str) -> None:
    taken: dict[str, set[str]] = {}
    for known, path, _ in calls(desk):
        taken.setdefault(fill(path, "x"), set()).add(known)
    for path, methods in taken.items():
        if method in methods or (path.count("/") == 2 and "GET" in (method, *methods)):
            continue  # `GET /workflows/WORKFLOW` is a path like `/workflows/validate`
        if method == "GET" and path in ("/nightkey/runs/report", "/nightkey/rotations/preview"):
            continue  # and `GET /nightkey/runs/RUN` is one like this
        answered = send(desk, method, path, b"")
        assert answered.status == 405, (path, answered)
        assert answered.headers["allow"], path


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_or_kept_as_text(desk: Desk, name: str) -> None:
    """In each field of each body at once: never a 5xx, a value, or a line of its own in a header."""
    document = desk.front.ask("GET", "/openapi.json").body
    for method, path in bodies(desk):
        body = dict.fromkeys(fields(document, method, path), name)
        if "secret" in body:
            body["secret"] = VALUE
        answered = send(desk, method, fill(path), json.dumps(body).encode())
        assert answered.status < 500, (method, path, answered)
        assert VALUE not in str(answered.body), (method, path)
        assert "set-cookie" not in answered.headers
        assert "x" * 500 not in str(answered.body), (method, path)


def fields(document: dict[str, Any], method: str, path: str) -> list[str]:
    schema = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(schema.get("properties", ["name"]))


@pytest.mark.parametrize(
    "name", ["%3Cscript%3E", "a%00b", "%E2%80%AEx", "x" * 4000, "%FF", "..%2f..%2f", "%2e%2e"]
)
def test_a_hostile_path_or_parameter_leads_nowhere(desk: Desk, name: str) -> None:
    for method, path, call in calls(desk):
        if "{" in path and "requestBody" not in call:
            answered = send(desk, method, fill(path, name), b"")
            assert answered.status in (404, 409, 422, 405), (method, path, answered)
            assert "x" * 500 not in str(answered.body), (method, path)
        for parameter in call.get("parameters", []):
            if parameter["in"] == "query":
                answered = send(desk, method, f"{fill(path)}?{parameter['name']}={name}", b"")
                assert answered.status in (200, 404, 422), (method, path, answered)


ITEM = "/nightkey/items/prod-crm-token"
POLICY = "/nightkey/policies/prod-crm-token"


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "/workflows/vault", {"name": "prod-a-token", "secret": "\ud800-secret"}, "secret: "),
        ("PATCH", ITEM, {"name": "prod-\ud800-token"}, "name: "),
        ("POST", "/workflows/test-node", {"node": {}, "context": {"a": ["\ud800"]}}, "context: "),
        ("PATCH", ITEM, {"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at: "),
        ("PATCH", ITEM, {"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at: "),
        ("PATCH", ITEM, {"expires_at": "2027-01-01T00:00:00"}, "expires_at: "),
        ("GET", "/nightkey/nights?before=0001-01-01T00:00:00%2B14:00", None, "before: "),
        ("GET", "/nightkey/nights/9999-12-31T23:59:59-14:00", None, "slot: "),
        ("PATCH", POLICY, {"lifetime": "9" * 40}, "not a duration"),
        ("PATCH", POLICY, {"lifetime": "9" * 41}, "lifetime: "),
        ("PATCH", POLICY, {"lifetime": None}, "lifetime: "),
        ("PATCH", POLICY, {"thresholds": [10**30]}, "thresholds"),
        ("PATCH", POLICY, {"windows": ["* * * * * for 1d in Mars"]}, "Mars"),
        ("PATCH", POLICY, {"canary": "a\0b"}, "canary"),
        ("PATCH", f"{POLICY}/target", {"target": "a\0b"}, "target"),
        ("PATCH", f"{POLICY}/target", {"settings": {"a": {"b": 1}}, "rotator": "no-such"}, "no rotator"),
        ("PATCH", "/nightkey/owners/team", {"zone": "../../etc/passwd"}, "time zone"),
        ("POST", "/nightkey/workflows/none/pin", {"item": "x", "version": 2**31}, "version: "),
        ("POST", "/nightkey/audit/verify", {"anchors": ["x" * 1001]}, "anchors.0: "),
        ("POST", "/workflows/test-node", {"node": {"id": "a\0b", "type": "webhook"}}, "field id"),
    ],
)
def test_what_no_field_can_be_is_refused_with_its_name(
    desk: Desk, method: str, path: str, body: Any, says: str
) -> None:
    before = count(desk)
    answered = send(desk, method, path, b"" if body is None else json.dumps(body).encode())
    assert answered.status == 422, answered
    assert says in explain(answered), answered
    assert "secret" not in explain(answered).replace("secret: ", "")
    assert count(desk) == before


def test_half_a_character_that_a_caller_sent_is_shown_as_a_question_mark(desk: Desk) -> None:
    """The calls of workflows take it, as other engines do; what a run came to is shown all the same."""
    document = {
        "name": "halves",
        "nodes": [{"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}}],
        "edges": [],
    }
    assert desk.ask(Role.ADMIN, "POST", "/workflows", document).status == 201
    context = {"webhook_payload": {"half \ud800": "\udfff"}}
    run = desk.services.runs.runs.open_in_background("halves", context=context, actor="test")
    desk.services.night.inline_night.run_night(lambda _: None, wait=False)
    for path in (f"/workflows/runs/{run}", "/workflows/halves/logs"):
        shown = desk.ask(Role.VIEWER, "GET", path)
        assert shown.status == 200, shown
        assert "half ?" in str(shown.body)
    assert desk.ask(Role.OPERATOR, "POST", f"/workflows/runs/{run}/rerun").status == 202


def test_an_item_of_a_hostile_name_is_shown_as_text_wherever_it_is(desk: Desk) -> None:
    name = "<b>prod</b>-html-token"
    made = desk.ask(Role.ADMIN, "POST", "/workflows/vault", {"name": name, "secret": VALUE, "owners": ["team"]})
    if made.status == 422:
        assert "name" in explain(made)
        return
    for path in ("/workflows/vault", "/nightkey/policies", "/nightkey/status"):
        answered = desk.ask(Role.ADMIN, "GET", path)
        assert "json" in answered.headers["content-type"]
    assert desk.ask(Role.ADMIN, "GET", "/workflows/vault").headers["cache-control"]


def test_no_refusal_names_an_option_of_the_command_line(desk: Desk) -> None:
    item = add_rotated(desk, "prod-worded-token")
    refusals = [
        desk.ask(
            Role.ADMIN, "PATCH", f"/nightkey/policies/{item}/target", {"rotator": None, "settings": {"a": 1}}
        ),
        desk.ask(Role.ADMIN, "PATCH", f"/nightkey/policies/{item}/target", {"unset": ["nothing"]}),
        desk.ask(Role.ADMIN, "PATCH", f"/nightkey/policies/{item}/target", {"consumers": "required"}),
        desk.ask(Role.ADMIN, "POST", "/nightkey/runs/report", {"workflow": "x", "status": "completed"}),
        desk.ask(Role.ADMIN, "POST", "/workflows/nowhere/execute", {}),
    ]
    for refused in refusals:
        assert refused.status in (404, 409, 422), refused
        assert " --" not in explain(refused), refused
        assert "nightkey " not in explain(refused).replace("/nightkey ", ""), refused
