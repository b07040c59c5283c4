"""`nightkey serve` as a process: it answers on loopback, keeps quiet about keys, and ends as it is told."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.acceptance.conftest import Nightkey, write_workflow
from tests.forking import Forked

SHOP = "api-key:prod-shop"


@contextmanager
def serving(nightkey: Nightkey, log: Path, listen: str = "127.0.0.1:0") -> Iterator[tuple[Forked, str]]:
    """The process and where it listens; what it prints is in `log` when it has ended."""
    with Forked(["serve", "--listen", listen], environment=nightkey.environment) as process:
        lines: list[str] = []
        while not (lines and lines[-1].startswith("nightkey serves ")):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        try:
            yield process, lines[-1].split()[2].rstrip(":").removeprefix("http://")
        finally:
            process.kill()
            log.write_text("".join(lines) + process.stderr.read())


def call(address: str, path: str, payload: object, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address, timeout=120)
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
    connection.request("POST", path, json.dumps(payload), sent)
    response = connection.getresponse()
    answered = response.status, json.loads(response.read())
    connection.close()
    return answered


def make_key(nightkey: Nightkey) -> str:
    nightkey("owner", "create", "support", "--route", "json://127.0.0.1:9/support")
    key: str = nightkey.json("item", "create", SHOP, "--owner", "support", "--expires-at", "300d")["key"]
    nightkey.printed.pop(-2)
    return key


def add_workflow(nightkey: Nightkey, folder: Path, name: str, trigger: str, node: dict[str, Any]) -> None:
    begins = {"id": "start", "componentId": trigger, "apiKey": f"{{{{ vault['{SHOP}'] }}}}"}
    nightkey("workflow", "apply", str(write_workflow(folder, name, [begins, {"id": "act", **node}])))


def test_it_answers_callers_and_never_prints_their_keys(nightkey: Nightkey, tmp_path: Path) -> None:
    key, log = make_key(nightkey), tmp_path / "serve.log"
    mapper = {"componentId": "data_mapper", "mapping": {"sum": "{{ webhook_payload.amount }}"}}
    add_workflow(nightkey, tmp_path, "orders", "api_trigger", mapper)
    add_workflow(nightkey, tmp_path, "told", "webhook_trigger", mapper)
    with serving(nightkey, log) as (process, address):
        assert call(address, "/workflows/sync/orders", {"amount": 5}, X_API_Key=key) == (200, {"sum": "5"})
        status, answered = call(address, f"/workflows/webhooks/{key}", {"amount": 6})
        assert (status, [run["status"] for run in answered["runs"]]) == (202, ["completed"])
        assert call(address, "/workflows/sync/orders", {}, X_API_Key=key[:-1])[0] == 401
        (run,) = nightkey.json("workflow", "show", "told")["last_runs"]
        assert (run["id"], run["trigger"]) == (answered["runs"][0]["id"], "webhook")
        (reference,) = nightkey.json("workflow", "show", "orders")["references"]
        assert reference["proven_version"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    printed = log.read_text()
    assert printed.count("workflow.called") == 2
    assert printed.endswith("SIGTERM: finishing what is running\nnightkey has stopped serving\n")
    assert [word for word in (key, key[:-1], "/workflows", "Traceback") if word in printed] == []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_running_end(nightkey: Nightkey, tmp_path: Path, signum: signal.Signals) -> None:
    key, log = make_key(nightkey), tmp_path / "serve.log"
    answers: list[Any] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as slow,
        serving(nightkey, log) as (process, address),
    ):
        url = "http://{}:{}/".format(*slow.getsockname())
        webhook = {"componentId": "webhook", "method": "GET", "url": url}
        add_workflow(nightkey, tmp_path, "slow", "api_trigger", webhook)
        caller = Thread(target=lambda: answers.append(call(address, "/workflows/sync/slow", {}, X_API_Key=key)))
        caller.start()
        called, _ = slow.accept()  # the run is under way, and waits for us
        with called:
            process.send_signal(signum)
            wait_until_refused(address)
            called.recv(65536)
            called.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        caller.join(120)
        assert process.wait() == 0
    assert [status for status, _ in answers] == [200]
    assert log.read_text().endswith("nightkey has stopped serving\n")


def test_a_second_signal_ends_it_at_once(nightkey: Nightkey, tmp_path: Path) -> None:
    key, log = make_key(nightkey), tmp_path / "serve.log"
    with socket.create_server(("127.0.0.1", 0)) as slow, serving(nightkey, log) as (process, address):
        url = "http://{}:{}/".format(*slow.getsockname())
        webhook = {"componentId": "webhook", "method": "GET", "url": url}
        add_workflow(nightkey, tmp_path, "slow", "api_trigger", webhook)
        connection = http.client.HTTPConnection(address, timeout=120)
        connection.request("POST", "/workflows/sync/slow", headers={"X-API-Key": key})
        called, _ = slow.accept()
        with called:
            process.send_signal(signal.SIGTERM)
            wait_until_refused(address)
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 1
        connection.close()
    assert "cut off" in log.read_text()


def wait_until_refused(address: str) -> None:
    """Until nobody is let in any more, which is what a signal does first."""
    host, _, port = address.rpartition(":")
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) != 0:
                return


def test_it_warns_where_keys_would_come_in_clear(nightkey: Nightkey, tmp_path: Path) -> None:
    for listen, warned in (("0.0.0.0:0", True), ("127.0.0.1:0", False)):
        log = tmp_path / "serve.log"
        with serving(nightkey, log, listen) as (process, _):
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
        assert ("keys arrive unencrypted here" in log.read_text()) is warned


@pytest.mark.parametrize(
    "listen",
    ["8321", ":8321", "localhost:", "localhost:http", "127.0.0.1:65536", "::1:8321", "[]:1", "x:\u0663"],
)
def test_an_address_that_is_none_gets_one_line(nightkey: Nightkey, listen: str) -> None:
    line = nightkey("serve", "--listen", listen, status=2).stderr
    assert line == f"nightkey: --listen {listen!r}: write it as HOST:PORT, like 127.0.0.1:8321 or [::1]:8321\n"


def test_a_port_in_use_and_a_host_that_is_not_ours_get_one_line(nightkey: Nightkey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        line = nightkey("serve", "--listen", listen, status=2).stderr
    assert line.startswith(f"nightkey: --listen {listen}: cannot listen there: Address already in use; ")
    line = nightkey("serve", "--listen", "192.0.2.1:8321", status=2).stderr
    assert "cannot listen there: Cannot assign requested address" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_a_missing_extra_is_named(nightkey: Nightkey, package: str) -> None:
    command = f"import sys; sys.modules[{package!r}] = None; from worker.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "serve"],
        env=nightkey.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr == f"nightkey: serve needs {package}: pip install 'nightkey[web]'\n"


def test_it_refuses_at_once_what_it_could_never_run_with(tmp_path: Path) -> None:
    nowhere = Nightkey(tmp_path / "nothing")
    assert "run `nightkey init`" in nowhere("serve", "--listen", "127.0.0.1:0", status=2).stderr
