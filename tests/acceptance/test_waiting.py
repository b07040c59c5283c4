"""Runs that wait, with real workers: they go on by themselves, and one whose worker was killed ends as lost."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.http_sink import HttpSink
from tests.acceptance.conftest import Nightkey, write_workflow
from tests.acceptance.running_up import ask, kill, run_up
from tests.acceptance.test_canary import hunt, make_ascii_canary
from tests.ways_out import LOOPBACK
from worker.bootstrap import Services
from worker.config import load_settings

ITEM = "prod-orders-token"
BEARER = {"Authorization": f"Bearer {{{{ vault.{ITEM} }}}}"}


def write(folder: Path, url: str, *, seconds: int) -> str:
    """It asks, waits, tells by the values that it began with, and begins another that tells, too."""

    def post(path: str, node_id: str, body: object) -> dict[str, object]:
        return {"id": node_id, "componentId": "webhook", "url": url + path, "headers": BEARER, "body": body}

    second: list[dict[str, Any]] = [
        {"id": "start", "componentId": "workflow_trigger"},
        post("/second", "tell", {"answer": "{{ webhook_payload.answer }}"}),
    ]
    first: list[dict[str, Any]] = [
        {"id": "start", "componentId": "manual_trigger"},
        post("/before", "ask", {}),
        {"id": "wait", "componentId": "delay", "duration": seconds, "unit": "seconds"},
        post("/after", "tell", {"answer": "{{ ask.body.answer }}"}),
        {"id": "begin", "componentId": "trigger_workflow", "workflowId": "second",
         "payload": {"answer": "{{ ask.body.answer }}"}},
    ]  # fmt: skip
    write_workflow(folder, "second", second)
    write_workflow(folder, "first", first)
    return str(folder)


def add_item(nightkey: Nightkey, value: str) -> None:
    nightkey(
        "item", "create", ITEM, "--value-file", "-", "--mode", "notify", "--owner", "operators", value=value
    )


def test_a_run_waits_goes_on_and_begins_another_and_no_value_of_it_is_seen(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    nightkey.settings |= {
        "NIGHTKEY_RING_SECONDS": "1",
        "NIGHTKEY_LOG_LEVEL": "DEBUG",
        "NIGHTKEY_CONCURRENCY": "1",
    }
    canaries = {"the item": make_ascii_canary()}
    add_item(nightkey, canaries["the item"])
    folder = tmp_path / "workflows"
    folder.mkdir()
    with HttpSink() as sink:
        nightkey("workflow", "apply", write(folder, sink.url, seconds=1))
        sink.answer(200, body={"answer": f"{canaries['the item']}!"})
        done = nightkey("workflow", "run", "first")
        assert done.stdout.splitlines() == ["running"]
        assert "nightkey: it waits until " in done.stderr
        assert " UTC: `nightkey up`, or the next `nightkey night`, goes on with it" in done.stderr
        waiting = {file.name: file.read_bytes() for file in nightkey.home.rglob("*") if file.is_file()}
        assert ask(nightkey, "SELECT count(*) FROM run_states") == [(1,)]
        with run_up(nightkey) as up:
            up.wait_until(lambda: len(sink.requests) == 3)
            up.wait_until(lambda: not ask(nightkey, "SELECT id FROM runs WHERE completed_at IS NULL"))
            assert up.stop() == 0
            waiting["the log of up"] = up.log.read_bytes()
        answer = {"answer": f"{canaries['the item']}!"}
        assert [(one.path, one.body) for one in sink.requests] == [
            ("/before", {}),
            ("/after", answer),
            ("/second", answer),
        ]
    shown = nightkey.json("workflow", "show", "second")["last_runs"]
    assert [(one["status"], one["parent_id"]) for one in shown] == [
        ("completed", nightkey.json("workflow", "show", "first")["last_runs"][0]["id"])
    ]
    assert ask(nightkey, "SELECT count(*) FROM run_states") == [(0,)]
    waiting["what was printed"] = "".join(nightkey.printed).encode()
    waiting |= {
        f"afterwards: {file.name}": file.read_bytes() for file in nightkey.home.rglob("*") if file.is_file()
    }
    assert hunt(canaries, waiting) == []
    logs = json.dumps(ask(nightkey, "SELECT node_id, output FROM run_logs"))
    assert logs.count("[masked]") >= 3


@pytest.mark.long
def test_a_worker_that_is_killed_after_the_delay_leaves_a_run_that_ends_as_lost(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    nightkey.settings |= {"NIGHTKEY_RING_SECONDS": "1", "NIGHTKEY_CONCURRENCY": "1"}
    add_item(nightkey, "the-first-value")
    folder = tmp_path / "workflows"
    folder.mkdir()
    with HttpSink() as sink:
        nightkey("workflow", "apply", write(folder, sink.url, seconds=1))
        sink.answer(200, body={"answer": "yes"})
        run_id = nightkey.json("workflow", "run", "first")["run_id"]
        sink.hang()
        with run_up(nightkey) as up:
            up.wait_until(lambda: len(sink.requests) == 2)  # it went on, and hangs
            (worker,) = up.children("worker")
            kill(worker)
            up.wait_until(lambda: f"the worker (process {worker}) was ended by SIGKILL" in up.said())
            up.wait_until_ready(workers=2)  # the next one rings for all that waits
            assert up.stop() == 0
        assert ask(nightkey, "SELECT status FROM runs") == [("running",)]
        assert ask(nightkey, "SELECT count(*) FROM run_states") == [(0,)]
        assert [one.path for one in sink.requests] == ["/before", "/after"], "nobody does it twice"
        later = Services(
            load_settings(nightkey.home, outbound_private=LOOPBACK),
            lambda: datetime.now(UTC) + timedelta(minutes=70),
        )
        later.night.inline_night.run_night(lambda _: None)
        later.close()
    assert ask(nightkey, "SELECT id, status, error_message FROM runs") == [
        (run_id, "failed", "the worker that ran it was lost")
    ]
