"""The canary: unique values go through a whole night, failures included, and are hunted everywhere.

Hunted raw, in base64 at its three alignments, URL-quoted, JSON-escaped and in hex: in every file of
the data folder (database, write-ahead log, broker, logs), in all that the command printed, in what
owners received, and in the environment and command line of every process.
"""

import base64
import json
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.target_systems import TargetSystems
from tests.acceptance.conftest import Nightkey, write_token_policy, write_workflow
from tests.acceptance.running_up import ask, look_back
from tests.acceptance.test_up import wait_until


def encodings(value: str) -> set[bytes]:
    """Each form in which a value might get out."""
    raw = value.encode()
    forms = {
        raw, json.dumps(value)[1:-1].encode(), quote(value, safe="").encode(), quote_plus(value).encode(),
        raw.hex().encode(), raw.hex().upper().encode(),
    }  # fmt: skip
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * shift + raw).rstrip(b"=")
            forms.add(whole[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6])
    return forms


def hunt(canaries: dict[str, str], places: dict[str, bytes]) -> list[str]:
    """Which canary was seen where."""
    return sorted(
        f"{name} in {place}"
        for name, value in canaries.items()
        for form in encodings(value)
        for place, content in places.items()
        if form in content
    )


def make_canary() -> str:
    return f"Cäñary/{secrets.token_urlsafe(18)}+\"q'%"


def make_ascii_canary() -> str:
    return f"canary.{secrets.token_urlsafe(24)}"


def test_the_hunt_finds_every_encoding() -> None:
    value = make_canary()
    for form in encodings(value):
        assert hunt({"it": value}, {"there": b"before" + form + b"after"}) == ["it in there"]
    assert hunt({"it": value}, {"there": b"nothing of the kind"}) == []


@pytest.mark.long
def test_no_value_is_found_anywhere_after_a_whole_night(
    tmp_path: Path, nightkey: Nightkey, targets: TargetSystems
) -> None:
    service = targets.token_service
    nightkey.settings |= {"NIGHTKEY_RING_SECONDS": "1", "NIGHTKEY_LOG_LEVEL": "DEBUG"}
    route_token = make_ascii_canary()
    mail = f"mailto://nightkey:{targets.mail_password}@127.0.0.1:{targets.mail.port}"
    tickets, bills = service.issue("ticketing")[1], service.issue("billing")[1]
    canaries = {
        "the admin token": service.admin_token,
        "the ticketing token": tickets,
        "the billing token": bills,
        "a password": make_canary(),
        "a password sent as Basic": make_ascii_canary(),
        "a lapsed password": make_canary(),
        "a value replaced by hand": make_ascii_canary(),
        "its replacement": make_ascii_canary(),
        "a token in a route": route_token,
        "the mail password in a route": targets.mail_password,
    }
    with HttpSink() as inbox:
        place = inbox.url.removeprefix("http://")
        route = tmp_path / "route"
        route.write_text(f"json://{place}/{route_token}")
        nightkey("owner", "create", "support", "--route-file", str(route))
        route.write_text(f"{mail}/?from=a@example.org&to=b@example.org&mode=insecure")
        nightkey("owner", "create", "billing", "--route-file", str(route))
        route.write_text(f"json://127.0.0.1:9/{route_token}")  # nobody listens there: the route fails
        nightkey("owner", "create", "network", "--route-file", str(route))
        route.unlink()

        def add(name: str, which: str, *options: str, owner: str = "support") -> None:
            nightkey("item", "create", name, "--owner", owner, "--value-file", "-", *options,
                     value=canaries[which])  # fmt: skip

        add("prod-tokenhub-admin-token", "the admin token", "--mode", "notify", "--expires-at", "300d")
        for account, which in (("ticketing", "the ticketing token"), ("billing", "the billing token")):
            policy = write_token_policy(tmp_path, service.url, account)
            add(f"prod-{account}-api-token", which, "--policy", str(policy), "--expires-at", "5d",
                owner="support" if account == "ticketing" else "billing")  # fmt: skip
        add("prod-crm-password", "a password", "--mode", "notify", "--expires-at", "5d")
        add("prod-erp-password", "a password sent as Basic", "--mode", "auto", "--rotator", "random",
            "--lifetime", "30d", "--expires-at", "5d", "--overlap", "0s", "--consumers", "none")  # fmt: skip
        add("prod-fax-password", "a lapsed password", "--mode", "notify", "--expires-at", "1s",
            owner="network")  # fmt: skip
        add("prod-alert-token", "a value replaced by hand", "--mode", "notify", "--expires-at", "90d")
        nightkey("item", "update", "prod-alert-token", "--value-file", "-", "--expires-at", "90d",
                 value=canaries["its replacement"])  # fmt: skip
        key = nightkey.json("item", "create", "api-key:partner-portal", "--owner", "support", "--mode",
                            "auto", "--lifetime", "90d", "--expires-at", "5d")["key"]  # fmt: skip
        shown_once = nightkey.printed.pop(-2)
        assert key in shown_once
        canaries["a key shown once"] = key

        bearer = {"Authorization": "Bearer {{ vault.%s }}"}

        def echo(name: str, item: str, header: str, **extra: object) -> None:
            """A workflow whose service sends back all that it was sent, value included."""
            file = write_workflow(
                tmp_path, name,
                [
                    {"id": "start", "componentId": "schedule_trigger"},
                    {"id": "call", "componentId": "webhook", "url": f"{service.url}/v1/echo",
                     "headers": {"Authorization": f"Bearer {{{{ vault.{item} }}}}", "X-Other": header},
                     "body": {"again": f"{{{{ vault.{item} }}}}"}},
                    {"id": "keep", "componentId": "data_mapper",
                     "mapping": {"all": "{{ call.body | json }}", "one": "{{ call.body.headers['x-other'] }}"}},
                ],
                schedule_type="interval", schedule_value="2 seconds", **extra,
            )  # fmt: skip
            nightkey("workflow", "apply", str(file))

        echo("ticket-sync", "prod-ticketing-api-token", "{{ vault.prod-crm-password | url_encode }}")
        echo("erp-export", "prod-ticketing-api-token",
             "Basic {{ 'nightkey:' | append: vault.prod-erp-password | base64_encode }}")  # fmt: skip
        file = write_workflow(
            tmp_path, "invoice-export",
            [
                {"id": "start", "componentId": "schedule_trigger"},
                {"id": "call", "componentId": "webhook", "method": "GET", "url": f"{service.url}/v1/invoices",
                 "headers": {k: v % "prod-billing-api-token" for k, v in bearer.items()}},
            ],
            schedule_type="interval", schedule_value="2 seconds",
        )  # fmt: skip
        nightkey("workflow", "apply", str(file))
        file = write_workflow(
            tmp_path, "wait-for-it",
            [
                {"id": "start", "componentId": "manual_trigger"},
                {"id": "call", "componentId": "webhook", "url": f"{targets.sink.url}/crm",
                 "headers": {"X-Other": "{{ vault.prod-crm-password | url_encode }}"},
                 "body": {"again": "{{ vault.prod-crm-password }}"}},
                {"id": "wait", "componentId": "delay", "duration": 15, "unit": "minutes"},
            ],
        )  # fmt: skip
        nightkey("workflow", "apply", str(file))
        targets.sink.answer(200, body={"again": canaries["a password"]})
        assert nightkey.json("workflow", "run", "wait-for-it")["status"] == "running"  # and is until the end

        service.default_scopes["billing"] = ["nothing"]
        nightkey("workflow", "test", "ticket-sync")
        nightkey("workflow", "run", "erp-export")

        look_back(nightkey)
        places: dict[str, bytes] = {}
        log = tmp_path / "home" / "up.log"
        with log.open("wb") as output, subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "up"], env=nightkey.environment,
            stdout=output, stderr=output,
        ) as process:  # fmt: skip
            try:
                wait_until(lambda: _is_over(nightkey), process=process)
                for folder in Path("/proc").glob("[0-9]*"):
                    for file_name in ("environ", "cmdline"):
                        try:
                            places[f"{folder}/{file_name}"] = (folder / file_name).read_bytes()
                        except OSError:  # gone, or another user's
                            continue
                for file in (tmp_path / "home").rglob("*"):
                    if file.is_file():
                        places[f"while running: {file.name}"] = file.read_bytes()
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(240)
        nightkey("night", status=1)  # the operators have no route: it says so
        received = b"".join(str((post.headers, post.body)).encode() for post in inbox.requests)

    for words in (["item", "list"], ["rotation", "list"], ["notice", "list"], ["workflow", "list"],
                  ["owner", "list"], ["owner", "show", "support"], ["item", "show", "prod-erp-password"],
                  ["finding", "list"], ["notice", "preview", "support"],
                  ["workflow", "show", "erp-export"]):  # fmt: skip
        nightkey(*words)
        nightkey(*words, "--json")
    nightkey("status", status=1)  # a route is dead: it says so
    nightkey("audit", "verify")
    states = {row["item"]: row["state"] for row in nightkey.json("rotation", "list")}
    assert states["prod-ticketing-api-token"] == "done"
    assert states["prod-billing-api-token"] == "rolled-back"
    places |= {
        "what was printed": "".join(nightkey.printed).encode(),
        "what owners received": received,
        "what owners were mailed": "".join(str(m.message) for m in targets.mail.messages).encode(),
    }
    for file in (tmp_path / "home").rglob("*"):
        if file.is_file():
            places[f"afterwards: {file.relative_to(tmp_path)}"] = file.read_bytes()
    assert ask(nightkey, "SELECT count(*) FROM run_states WHERE length(record) > 500") == [(1,)]
    assert len(places) > 20
    assert b"[masked]" in b"".join(places.values())
    assert hunt(canaries, places) == []


def _is_over(nightkey: Nightkey) -> bool:
    states = dict(ask(nightkey, "SELECT name, state FROM rotations JOIN items ON items.id = item_id"))
    return (
        states.get("prod-ticketing-api-token") == "done"
        and states.get("prod-billing-api-token") == "rolled-back"
        and states.get("prod-erp-password") == "done"
        and {"sent", "failed"} <= {notice["state"] for notice in nightkey.json("notice", "list")}
    )
