"""`nightkey up` as a process: beat rings, a night happens, SIGTERM ends it and leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nightkey_demo.target_systems import TargetSystems
from tests.acceptance.conftest import Nightkey, write_token_policy, write_workflow
from tests.acceptance.running_up import SECONDS, ask, look_back


def wait_until(
    holds: Callable[[], bool], *, process: subprocess.Popen[bytes], seconds: float = SECONDS
) -> None:
    """Polls a condition that a working program reaches in a few seconds; says so if it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, "nightkey up ended by itself"
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.2)


def processes_of(home: Path) -> list[int]:
    """Every process whose environment names this data folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            status = (folder / "status").read_text()
        except OSError:
            continue
        if (
            b"worker.cli.main" in command
            and str(home).encode() in _environ(folder)
            and "Z (zombie)" not in status
        ):
            found.append(int(folder.name))
    return found


def _environ(folder: Path) -> bytes:
    try:
        return (folder / "environ").read_bytes()
    except OSError:
        return b""


@pytest.mark.long
def test_a_night_happens_under_up_and_sigterm_ends_it(
    tmp_path: Path, nightkey: Nightkey, targets: TargetSystems
) -> None:
    service = targets.token_service
    nightkey.settings["NIGHTKEY_RING_SECONDS"] = "1"
    nightkey("owner", "create", "support", "--route", f"json://{targets.sink.url[7:]}/support")
    nightkey(
        "item",
        "create",
        "prod-tokenhub-admin-token",
        "--owner",
        "support",
        "--expires-at",
        "300d",
        "--mode",
        "notify",
        "--value-file",
        "-",
        value=service.admin_token,
    )
    _, token = service.issue("ticketing")
    policy = write_token_policy(tmp_path, service.url, "ticketing")
    nightkey(
        "item",
        "create",
        "prod-ticketing-api-token",
        "--owner",
        "support",
        "--expires-at",
        "5d",
        "--policy",
        str(policy),
        "--value-file",
        "-",
        value=token,
    )
    workflow = write_workflow(
        tmp_path,
        "ticket-sync",
        [
            {"id": "start", "componentId": "schedule_trigger"},
            {
                "id": "fetch",
                "componentId": "webhook",
                "method": "GET",
                "url": f"{service.url}/v1/tickets",
                "headers": {"Authorization": "Bearer {{ vault.prod-ticketing-api-token }}"},
            },
        ],
        schedule_type="interval",
        schedule_value="1 second",
    )
    nightkey("workflow", "apply", str(workflow))
    look_back(nightkey)
    with (
        (tmp_path / "up.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "up"], env=nightkey.environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_until(lambda: ask(nightkey, "SELECT state FROM rotations") == [("done",)], process=process)
            [(runs,)] = ask(nightkey, "SELECT count(*) FROM runs")
            wait_until(  # beat has rung again: the schedule goes on
                lambda: ask(nightkey, "SELECT count(*) FROM runs")[0][0] > runs, process=process
            )
            wait_until(  # a digest is withdrawn if all that it tells of was told before it leaves
                lambda: {n["state"] for n in nightkey.json("notice", "list")} <= {"sent", "withdrawn"},
                process=process,
            )
            children = processes_of(nightkey.home)
            process.send_signal(signal.SIGTERM)
            assert process.wait(240) == 0
        finally:
            if process.poll() is None:
                process.kill()
    assert not service.is_live(token)
    assert len(service.live_tokens("ticketing")) == 1
    assert {notice["kind"] for notice in nightkey.json("notice", "list")} <= {"digest", "rotation-done"}
    assert "prod-ticketing-api-token is now version 2" in str([r.body for r in targets.sink.requests])
    assert len(children) >= 3 or os.geteuid() != 0  # only root sees the environment of what hides itself
    assert processes_of(nightkey.home) == []
    printed = (tmp_path / "up.log").read_text()
    assert token not in printed
    assert "Traceback" not in printed


def test_up_refuses_at_once_what_it_could_never_run_with(tmp_path: Path) -> None:
    nightkey = Nightkey(tmp_path / "nothing")
    assert "run `nightkey init`" in nightkey("up", status=2).stderr
