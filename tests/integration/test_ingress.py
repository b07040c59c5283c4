"""Calls from outside, against the real server on a real socket and a vault in its own folder."""

import gzip
import hmac
import json
import socket
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text

from tests.ingress import PATIENT, Answered, Front, define, read_answer, serve
from tests.integration import http_server
from tests.services.conftest import Moves
from tests.services.staging import ScriptedService, make_services
from vaultcore import presented_keys
from vaultcore.crypto import apikeys
from vaultcore.tables import items, references
from vaultcore.tables import versions as vault_versions
from worker.bootstrap import Services
from worker.domain.policies import build_policy
from worker.rows.tables import run_logs, run_versions, runs
from worker.signing.keys import generate, read_key
from worker.web import ingress, payload

SHOP, OTHER, CALLER = "api-key:prod-shop", "api-key:prod-other", "api-key:prod-caller"
SECRET = "the-value-of-the-secret"
SUM = {"id": "sum", "componentId": "data_mapper", "mapping": {"sum": "{{ webhook_payload.amount }}"}}
IN_THE_FOLDER = ""
"""The address of a vault's own database, which is a file."""


@dataclass
class House:
    """A vault with workflows that are called, its server, and keys in every state that a key can be in."""

    services: Services
    moves: Moves
    front: Front
    service: ScriptedService
    keys: dict[str, str]

    def runs(self) -> list[Any]:
        columns = (runs.c.id, runs.c.workflow_name, runs.c.trigger, runs.c.purpose, runs.c.status)
        return list(self.moves.sql(select(*columns).order_by(runs.c.workflow_name, runs.c.id)))

    def id_of(self, workflow: str) -> str:
        with self.services.database.read() as connection:
            return self.services.runs.definitions.get(connection, workflow).id


@pytest.fixture
def house(tmp_path: Path, clock: Any) -> Iterator[House]:
    services = make_services(tmp_path / "home", IN_THE_FOLDER, clock)
    moves = Moves(services)
    keys = {name: _create(moves, item) for name, item in (("shop", SHOP), ("other", OTHER), ("caller", CALLER))}
    keys["ordinary"] = SECRET
    moves.add("prod-crm-password", SECRET)
    keys |= _age_keys(moves, clock)
    with ScriptedService() as service:
        _define_workflows(services, service.url)
        with serve(services, PATIENT) as front:
            yield House(services, moves, front, service, keys)
    services.close()


def _create(moves: Moves, name: str, **more: Any) -> str:
    key = moves.add(name, None, **more).key
    assert key is not None
    return key.expose()


def _age_keys(moves: Moves, clock: Any) -> dict[str, str]:
    """Keys of the shop that open nothing yet, or no longer, and texts that never were a key."""
    lapsing = _create(moves, "api-key:prod-lapsed", days=1)
    clock.advance(timedelta(days=2))
    item = moves.get(SHOP)
    revoked, pending = apikeys.generate().expose(), apikeys.generate().expose()
    number = moves.stage(item.id, revoked)
    moves.activate(item.id, new=number, old=1)
    moves.reactivate(item.id, good=1, bad=number)
    moves.destroy(item.id, number)
    moves.stage(item.id, pending)
    return {
        "revoked": revoked,
        "pending": pending,
        "lapsed": lapsing,
        "unknown": apikeys.generate().expose(),
        "malformed": "wfk_and-nothing-like-it",
        "mistyped": pending[:-1] + ("0" if pending[-1] != "0" else "1"),
        "long": "wfk_" + "9" * 5000,
        "empty": "",
    }


def _define_workflows(services: Services, url: str) -> None:
    echo = {
        "id": "fetch",
        "componentId": "webhook",
        "method": "GET",
        "url": f"{url}/v1/account",
        "headers": {"Authorization": "Bearer {{ vault.prod-crm-password }}"},
    }
    fail = {
        "id": "stop",
        "componentId": "terminate",
        "status": "failed",
        "message": "no {{ webhook_payload.who }}",
    }
    services.runs.documents.apply(
        [
            define("orders", "api_trigger", SHOP, SUM),
            define("orders / of today", "api_trigger", SHOP, SUM),
            define("asleep", "api_trigger", SHOP, SUM, is_active=False),
            define("echo", "api_trigger", SHOP),
            define("account", "api_trigger", SHOP, echo),
            define("fails", "api_trigger", SHOP, fail),
            define("hook-one", "webhook_trigger", SHOP, SUM),
            define("hook-two", "webhook_trigger", SHOP, fail),
            define("hook-asleep", "webhook_trigger", SHOP, SUM, is_active=False),
            define("hook-other", "webhook_trigger", OTHER, SUM),
            define("of-a-caller", "api_trigger", CALLER, SUM),
            define("by-hand", "manual_trigger", None, SUM),
            define("keyless", "api_trigger", None, SUM),
            define("hook-keyless", "webhook_trigger", None, SUM),
            define("by-workflow", "workflow_trigger", None, SUM),
            define("as-part", "subflow_trigger", None, SUM),
        ],
        actor="test",
    )


# The API trigger


@pytest.mark.parametrize("shown", ["Authorization: Bearer {}", "authorization: bearer  {} ", "X-API-Key: {}"])
def test_a_call_with_the_key_runs_the_workflow_and_is_answered_with_its_last_output(house, shown):
    name, _, value = shown.format(house.keys["shop"]).partition(": ")
    for named in ("orders", house.id_of("orders"), "orders%20%2F%20of%20today"):
        answered = house.front.call(f"/workflows/sync/{named}", {"amount": 120}, headers={name: value})
        assert (answered.status, answered.body) == (200, {"sum": "120"})
        assert answered.headers["x-run-id"] in [row.id for row in house.runs()]
    assert {row[2:] for row in house.runs()} == {("api", "production", "completed")}


def test_a_trigger_in_another_writing_is_found(house):
    name, text = define("escaped", "api_trigger", SHOP, SUM)
    house.services.runs.documents.apply(
        [(name, text.replace("api_trigger", "api\\u005ftrigger"))], actor="test"
    )
    assert house.front.call("/workflows/sync/escaped", {"amount": 7}, key=house.keys["shop"]).body == {
        "sum": "7"
    }


def test_a_run_notes_which_version_its_caller_used(house):
    item = house.moves.get(SHOP)
    newer = apikeys.generate().expose()
    with house.services.database.write() as connection:
        house.services.versions.destroy(connection, item.id, 3, actor="test", reason="a test")
    number = house.moves.stage(item.id, newer)
    house.moves.activate(item.id, new=number, old=1)
    for key, used in ((house.keys["shop"], 1), (newer, number), (house.keys["shop"], 1)):
        run_id = house.front.call("/workflows/sync/echo", key=key).headers["x-run-id"]
        noted = house.moves.sql(select(run_versions).where(run_versions.c.run_id == run_id))
        assert [(row.item_id, row.number) for row in noted] == [(item.id, used)]
        (proven,) = house.moves.sql(
            select(references.c.proven_version).where(references.c.consumer_name == "echo")
        )
        assert proven == (used,)


@pytest.mark.parametrize(
    "sent", [None, "text", {"a": [1, None, {"b": "h\u00e9\ud83d"}]}, 0, False, "x" * (payload.BODY_MAX - 2)]
)
def test_what_is_sent_is_the_payload(house, sent):
    answered = house.front.call("/workflows/sync/echo", sent, key=house.keys["shop"])
    assert answered.status == 200
    if isinstance(sent, str) and len(sent) > 1000:
        assert answered.body.startswith('"xxx')
        assert answered.body.endswith("[cut]")
    else:
        assert answered.body == sent


def test_values_are_masked_in_what_is_answered_and_the_callers_own_key_in_what_is_kept(house):
    key = house.keys["shop"]
    with http_server.serve() as mirror:
        headers = {"X-Secret": "{{ vault.prod-crm-password }}"}
        node = {"id": "look", "componentId": "webhook", "method": "GET", "url": f"{mirror.url}/echo"}
        shown = define("mirror", "api_trigger", SHOP, {**node, "headers": headers})
        house.services.runs.documents.apply([shown], actor="test")
        answered = house.front.call("/workflows/sync/mirror", key=key)
    assert answered.status == 200
    assert answered.body["body"]["headers"]["X-Secret"] == "[masked]"
    assert house.front.call("/workflows/sync/echo", {"key": key, "n": 1}, key=key).body["n"] == 1
    kept = repr(house.moves.sql(select(run_logs))) + repr(house.moves.sql(select(runs)))
    assert key not in kept
    assert SECRET not in kept + repr(answered)
    assert key not in repr(house.moves.log())


def test_the_callers_own_key_in_all_the_keys_of_what_is_sent_holds_nobody_up(house):
    key = house.keys["shop"]
    sent = {key.swapcase() + str(number): number for number in range(3000)}
    answered = house.front.call("/workflows/sync/echo", sent, key=key)  # half a minute at most
    assert answered.status == 200
    assert key.swapcase() not in repr(house.moves.sql(select(run_logs)))


@pytest.mark.parametrize("trigger", ["api_trigger", "webhook_trigger"])
def test_a_call_whose_run_comes_to_a_delay_is_answered_that_it_is_running(house, clock, trigger):
    delay = {"id": "wait", "componentId": "delay", "duration": 5, "unit": "minutes"}
    house.services.runs.documents.apply([define("waits", trigger, OTHER, delay, SUM)], actor="test")
    path = "/workflows/sync/waits" if trigger == "api_trigger" else "/workflows/webhooks"
    answered = house.front.call(path, {"amount": 120}, key=house.keys["other"])
    (row,) = (one for one in house.runs() if one.workflow_name == "waits")
    described = {"id": row.id, "workflow": "waits", "status": "running"}
    assert answered.status == 202
    if trigger == "api_trigger":
        assert answered.body == described
        assert answered.headers["x-run-id"] == row.id
    else:
        assert described in answered.body["runs"]
    clock.advance(timedelta(minutes=5))
    ended = house.services.runs.runs.execute(row.id, actor="test")
    assert (ended.status, ended.output) == ("completed", {"sum": "120"})


def test_a_workflow_that_fails_is_told_with_its_node_and_its_run(house):
    answered = house.front.call("/workflows/sync/fails", {"who": "Ada"}, key=house.keys["shop"])
    assert (answered.status, answered.body) == (
        502,
        {
            "type": "workflow_error",
            "code": "workflow_failed",
            "message": "workflow fails, node stop: no Ada",
            "doc_url": "/docs/errors#workflow_failed",
        },
    )
    assert [(row.id, row.status) for row in house.runs()] == [(answered.headers["x-run-id"], "failed")]


# Webhooks


@pytest.mark.parametrize("by", ["address", "header"])
def test_a_webhook_runs_every_active_workflow_that_its_key_opens(house, by):
    path = f"/workflows/webhooks/{house.keys['shop']}" if by == "address" else "/workflows/webhooks"
    headers = {} if by == "address" else {"X-API-Key": house.keys["shop"]}
    answered = house.front.call(path, {"amount": 5, "who": "Bob"}, headers=headers)
    assert answered.status == 202
    rows = house.runs()
    assert [(row.workflow_name, row.trigger, row.status) for row in rows] == [
        ("hook-one", "webhook", "completed"),
        ("hook-two", "webhook", "failed"),
    ]
    assert answered.body == {
        "runs": [{"id": row.id, "workflow": row.workflow_name, "status": row.status} for row in rows]
    }


# Who is refused


KEYS = ("empty", "malformed", "mistyped", "long", "ordinary", "unknown", "revoked", "pending", "lapsed")
"""Keys that open nothing. All take the same steps."""
NOT_CALLED = ("by-hand", "keyless", "hook-keyless", "by-workflow", "as-part")
"""Workflows whose trigger names no key: they can be started here, and nobody can call them."""
API_DOORS = (
    "/workflows/sync/orders",
    "/workflows/sync/asleep",
    "/workflows/sync/nobody",
    "/workflows/sync/",
    "/workflows/sync/hook-one",
)
WEBHOOK_DOORS = ("/workflows/webhooks", "/workflows/webhooks/")
DOORS = (*API_DOORS, *WEBHOOK_DOORS)
ELSEWHERE = (
    *(("/workflows/sync/" + name, "other") for name in ("orders", "asleep", "nobody", "hook-one", "")),
    *(("/workflows/sync/" + name, "shop") for name in ("asleep", "nobody", "hook-one", "hook-other", "")),
    ("/workflows/webhooks", "caller"),
)
"""Good keys, at doors that they do not open. They take these steps, too, and are not noted as used."""


def refusal(answered: Answered) -> tuple[int, Any, list[tuple[str, str]]]:
    shown = [(name, value) for name, value in sorted(answered.headers.items()) if name != "date"]
    return answered.status, answered.body, shown


def test_every_refusal_is_the_same_answer(house):
    nobody = house.front.call("/workflows/sync/orders")
    assert nobody.status == 401
    assert nobody.body["type"] == "authentication_error"
    assert nobody.headers["www-authenticate"] == "Bearer"
    refused = [house.front.call(door, key=house.keys[name]) for door in DOORS for name in KEYS]
    refused += [house.front.call(f"/workflows/webhooks/{house.keys[name]}") for name in KEYS if name != "empty"]
    refused += [  # good keys, for what they do not open
        house.front.call(f"/workflows/sync/{name}", key=house.keys["shop"])
        for name in ("asleep", "nobody", "hook-one", "hook-other", *NOT_CALLED, "")
    ]
    refused += [house.front.call(f"/workflows/sync/{name}") for name in NOT_CALLED]
    refused += [
        house.front.call("/workflows/sync/orders", key=house.keys["other"]),
        house.front.call("/workflows/sync/orders", headers={"Authorization": f"Basic {house.keys['shop']}"}),
        house.front.call(f"/workflows/sync/orders?key={house.keys['shop']}"),
        house.front.call(f"/workflows/webhooks/{house.keys['shop']}x"),
        house.front.send("POST", "/workflows/sync/orders", b"no JSON", {"Content-Type": "text/plain"}),
    ]
    refused += [
        house.front.call(f"/workflows/sync/{house.id_of(name)}", key=house.keys["shop"]) for name in NOT_CALLED
    ]
    assert [one for one in refused if refusal(one) != refusal(nobody)] == []
    assert house.runs() == []


def test_a_key_that_a_trigger_only_mentions_opens_nothing(house):
    """What a trigger names beside its `apiKey` is a reference, too, and no permission."""
    with house.services.database.write() as connection:
        named = select(references).where(references.c.consumer_name == "orders")
        (row,) = [one for one in connection.execute(named).mappings() if one.node_id == "start"]
        for name in ("keyless", "hook-keyless"):
            mention = {**row, "consumer_id": house.id_of(name), "consumer_name": name, "mentioned": True}
            connection.execute(insert(references).values(mention))
    nobody = house.front.call("/workflows/sync/orders")
    assert refusal(house.front.call("/workflows/sync/keyless", key=house.keys["shop"])) == refusal(nobody)
    answered = house.front.call("/workflows/webhooks", {"amount": 5, "who": "Bob"}, key=house.keys["shop"])
    assert [run["workflow"] for run in answered.body["runs"]] == ["hook-one", "hook-two"]


def test_every_key_that_opens_nothing_takes_the_same_steps(house, monkeypatch):
    """Constant time by construction: one digest, one lookup and one whole comparison, for each of them."""
    steps: list[tuple[Any, ...]] = []

    def compare_digest(one: bytes, other: bytes) -> bool:
        steps.append(("compare", len(one), len(other)))
        return hmac.compare_digest(one, other)

    def digest(key: Any, pepper: bytes) -> bytes:
        made = real_digest(key, pepper)
        steps.append(("digest", len(made)))
        return made

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        steps.append(("sql", statement))

    real_digest = apikeys.digest
    monkeypatch.setattr(presented_keys, "hmac", SimpleNamespace(compare_digest=compare_digest))
    monkeypatch.setattr(apikeys, "digest", digest)
    engine = house.services.database.engine
    event.listen(engine, "before_cursor_execute", note)
    traces = {}
    for door, name in [*product(DOORS, KEYS), *ELSEWHERE]:
        steps.clear()
        assert house.front.call(door, key=house.keys[name]).status == 401
        traces[door, name] = tuple(steps)
    steps.clear()
    assert house.front.call("/workflows/sync/echo", key=house.keys["shop"]).status == 200
    event.remove(engine, "before_cursor_execute", note)

    for doors in (API_DOORS, WEBHOOK_DOORS):
        (only,) = {trace for (door, _), trace in traces.items() if door in doors}
        kinds = [step[0] for step in only if step != ("sql", "BEGIN")]
        once = ["digest", "sql", "compare", "sql"]
        assert kinds == (once * 2 if doors is API_DOORS else once), "once as a caller's, once as a principal's"
        assert ("compare", 32, 32) in only
        if doors is API_DOORS:
            as_callers = only[: len(only) // 2]
            assert tuple(steps[: len(as_callers)]) == as_callers, "a key that opens begins as they do"
            assert len(steps) > len(as_callers)
    by_key = select(vault_versions.c.used_at).join(items).where(items.c.name == CALLER)
    assert house.moves.sql(by_key) == [(None,)], "a key is not in use by what it does not open"


# What is sent wrongly


def test_a_body_that_would_unpack_to_much_is_never_unpacked(house):
    bomb = gzip.compress(bytes(200_000_000))
    sent = {"Content-Type": "application/json", "X-API-Key": house.keys["shop"], "Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        answered = house.front.send("POST", "/workflows/sync/echo", bomb, sent)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (answered.status, answered.body["code"]) == (415, "unsupported_encoding")
    assert peak < 20_000_000


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"{", {}, 422, "line 1: not JSON: Expecting property name"),
        (b'{"a": 1,\n "b": }', {}, 422, "line 2: not JSON: Expecting value"),
        (b'{"a": NaN}', {}, 422, "NaN is a number that JSON cannot hold"),
        (b'{"a": 1e999}', {}, 422, "1e999 is a number that JSON cannot hold"),
        (b"[" * 200 + b"]" * 200, {}, 422, "nested too deeply"),
        (b"[" * 90_000, {}, 422, "nested too deeply"),
        (b"[" + b"[]," * 100_000 + b"1]", {}, 413, "more than 100000 values and fields"),
        (b"{" + b'"":1,' * 50_000 + b'"":1}', {}, 413, "more than 100000 values and fields"),
        (b'["' + b'\\\\","' * 150_000 + b'"]', {}, 413, "more than 100000 values and fields"),
        (b'"' + b'\\"' * 500_000, {}, 422, "not JSON"),
        (b'["' + b"[]{},:" * 100_000 + b'"]', {}, 200, ""),
        (b'"\xff"', {}, 422, "it is not UTF-8"),
        (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "send JSON"),
        (b"{}", {"Content-Type": ""}, 415, "send JSON"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "without Content-Encoding"),
        (b"{}", {"Content-Type": "application/cloudevents+json; charset=utf-8"}, 200, ""),
        (b"", {"Content-Type": "text/plain"}, 200, ""),
    ],
)
def test_what_is_no_json_is_refused_with_what_is_wrong(house, body, headers, status, says):
    sent = {"Content-Type": "application/json", "X-API-Key": house.keys["shop"], **headers}
    answered = house.front.send("POST", "/workflows/sync/echo", body, sent)
    assert answered.status == status
    if says:
        assert says in answered.body["message"]
        assert answered.body["type"] == "invalid_request_error"
        assert house.runs() == []


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(house):
    connection = house.front.connect()
    connection.putrequest("POST", "/workflows/sync/echo")
    connection.putheader("X-API-Key", house.keys["shop"])
    connection.putheader("Content-Length", str(payload.BODY_MAX + 1))
    connection.endheaders()
    answered = read_answer(connection.getresponse())
    connection.close()
    assert (answered.status, answered.body["code"]) == (413, "too_large")
    assert answered.headers["connection"] == "close"


def test_a_body_that_becomes_too_large_is_refused_while_it_streams(house):
    connection = house.front.connect()
    connection.putrequest("POST", "/workflows/sync/echo")
    connection.putheader("X-API-Key", house.keys["shop"])
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"%x\r\n" % (payload.BODY_MAX + 1) + b"1" * (payload.BODY_MAX + 1))  # and no end
    answered = read_answer(connection.getresponse())
    connection.close()
    assert (answered.status, answered.body["code"]) == (413, "too_large")
    assert house.runs() == []


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/workflows/sync/orders", 405, "POST"),
        ("PUT", "/workflows/webhooks/wfk_x", 405, "POST"),
        ("POST", "/health/", 404, None),
        ("POST", "/", 404, None),
        ("PATCH", "/workflows/webhooks", 405, "POST"),
        ("PATCH", "/workflows", 405, "GET"),
    ],
)
def test_other_methods_and_paths_are_refused_in_the_same_shape(house, method, path, status, allow):
    answered = house.front.send(method, path)
    assert (answered.status, answered.headers.get("allow")) == (status, allow)
    assert set(answered.body) == {"type", "code", "message", "doc_url"}
    assert answered.body["type"] == "invalid_request_error"
    assert "wfk_" not in repr(answered)


# The server itself


def test_health_says_whether_the_database_answers(house, capfd):
    assert house.front.send("GET", "/health").body == {"status": "ok"}
    file = house.services.settings.home / "nightkey.db"
    house.services.database.dispose()
    for left in (file, *file.parent.glob("nightkey.db-*")):
        left.unlink(missing_ok=True)
    file.mkdir()
    answered = house.front.send("GET", "/health")
    assert (answered.status, answered.body["code"]) == (503, "unavailable")
    assert str(file) not in "".join(capfd.readouterr())


def test_what_fails_unforeseen_is_told_and_logged_without_its_text(house, capfd):
    with house.services.database.engine.connect() as connection:
        connection.execute(text("ALTER TABLE run_logs RENAME TO gone"))
        connection.commit()
    secret = "what-nobody-should-read"
    for path in ("/workflows/sync/echo", "/workflows/webhooks"):
        answered = house.front.call(path, {"amount": secret, "who": secret}, key=house.keys["shop"])
        assert (answered.status, answered.body["code"]) == (500, "internal_error")
        assert secret not in repr(answered)
    printed = "".join(capfd.readouterr())
    assert printed.count("lacks a table or column of this release") == 2
    assert "Traceback" not in printed
    for value in (secret, house.keys["shop"], "/workflows"):
        assert value not in printed


def test_a_call_leaves_its_run_and_its_workflow_in_the_log_and_nothing_else(house, capfd):
    answered = house.front.call(f"/workflows/webhooks/{house.keys['shop']}", {"amount": "private-payload"})
    house.front.call("/workflows/sync/orders?quiet=1", {"amount": "private-payload"}, key=house.keys["shop"])
    house.front.call("/workflows/sync/orders", key=house.keys["unknown"])
    with socket.create_connection(house.front.url.removeprefix("http://").split(":")) as raw:
        raw.sendall(b"no HTTP at all " + house.keys["shop"].encode() + b"\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    printed = "".join(capfd.readouterr())
    assert printed.count("workflow.called") == 3
    assert all(run["id"] in printed for run in answered.body["runs"])
    for value in (*(key for key in house.keys.values() if key), "private-payload", "/workflows", "quiet"):
        assert value not in printed


@dataclass
class Busy:
    """A house where a first call, with this payload, is held at the service that its workflow asks."""

    services: Services
    front: Front
    key: str
    token: str
    gate: Any
    first: Future[Answered]
    pool: ThreadPoolExecutor

    def call(self, payload: Any) -> Future[Answered]:
        return self.pool.submit(self.front.call, "/workflows/sync/echo", payload, key=self.key)


@contextmanager
def keep_busy(folder: Path, clock: Any, sent: Any = None) -> Iterator[Busy]:
    services = make_services(folder / "home", IN_THE_FOLDER, clock)
    key = _create(Moves(services), SHOP)
    with ScriptedService() as service, ThreadPoolExecutor(2) as pool:
        _, token = service.issue("ticketing")
        Moves(services).add("prod-crm-password", token)
        _define_workflows(services, service.url)
        gate = service.gate("/v1/account", method="GET")
        with serve(services) as front:
            first = pool.submit(front.call, "/workflows/sync/account", sent, key=key)
            assert gate.reached.wait(120)
            yield Busy(services, front, key, token, gate, first, pool)
    services.close()


def test_keys_are_checked_while_every_run_waits(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(ingress, "RUNS_MAX", 1)
    with keep_busy(tmp_path, clock) as busy:
        second = busy.call({"n": 2})
        assert busy.front.call("/workflows/sync/echo", key="wfk_x").status == 401
        assert busy.front.send("GET", "/health").status == 200
        assert not second.done()
        busy.gate.open()
        assert (busy.first.result(120).status, second.result(120).body) == (200, {"n": 2})


def test_large_bodies_wait_unread_while_small_ones_pass(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(ingress, "LARGE_MAX", 1)
    large = [0] * payload.LARGE
    with keep_busy(tmp_path, clock, large) as busy:
        second = busy.call(large)
        assert busy.front.call("/workflows/sync/echo", large[1:-1], key=busy.key).status == 200
        assert not second.done()
        busy.gate.open()
        assert (busy.first.result(120).status, second.result(120).body) == (200, large)


def test_what_is_running_is_answered_before_the_server_ends(tmp_path, clock):
    with keep_busy(tmp_path, clock) as busy:
        busy.front.server.should_exit = True
        _wait_until_closed(busy.front)
        busy.gate.open()
        answered = busy.first.result(120)
        assert (answered.status, busy.token in json.dumps(answered.body)) == (200, False)
        assert [row.status for row in Moves(busy.services).sql(select(runs.c.status))] == ["completed"]


def _wait_until_closed(front: Front) -> None:
    """Until nobody is let in any more."""
    with suppress(OSError):
        while True:
            front.send("GET", "/health")


def test_the_key_set_of_an_item_that_signs_is_everybodys_and_of_no_other_there_is_one(house):
    key = generate("ES256")
    policy = build_policy(None, {"mode": "auto", "rotator": "signing-key", "settings": {"algorithm": "ES256"}})
    house.moves.add("prod-orders-signing-key", key.expose(), policy=policy)
    house.moves.add("prod-other-signing-key", generate("ES256").expose())
    shown = house.front.send("GET", "/workflows/vault/prod-orders-signing-key/jwks.json", None, {})
    assert (shown.status, [one["kid"] for one in shown.body["keys"]]) == (200, [read_key(key).kid])
    assert "d" not in shown.body["keys"][0]
    assert shown.headers["cache-control"] == "public, max-age=60"
    shared = build_policy(None, {"mode": "auto", "rotator": "signing-key", "settings": {"algorithm": "HS256"}})
    house.moves.add("prod-shared-signing-key", generate("HS256").expose(), policy=shared)
    for name in (
        "prod-other-signing-key",
        "prod-shared-signing-key",
        "prod-crm-password",
        SHOP,
        "prod-nothing",
        "%00",
        "x" * 300,
    ):
        refused = house.front.send("GET", f"/workflows/vault/{name}/jwks.json", None, {})
        assert (refused.status, refused.body["code"]) == (404, "not_found"), name
