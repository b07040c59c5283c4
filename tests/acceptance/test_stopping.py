"""Ctrl-C and SIGTERM in the middle of a command: what was under way is said, and goes on."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey, write_token_policy, write_workflow
from tests.acceptance.running_up import ask, is_gone, look_back, run_up
from tests.forking import Forked
from tests.services.staging import ScriptedService

TOKEN = "prod-ticketing-api-token"
OTHER = "prod-crm-api-token"
_SECONDS_MAX = 300


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    with ScriptedService() as started:
        yield started


@pytest.fixture
def vault(nightkey: Nightkey, service: ScriptedService, tmp_path: Path) -> Nightkey:
    """One token that is due, and the workflow that uses it; leases of two seconds."""
    nightkey.settings["NIGHTKEY_LEASE_SECONDS"] = "2"
    nightkey("owner", "create", "support")
    nightkey(
        "item", "create", "prod-tokenhub-admin-token", "--mode", "notify", "--owner", "support",
        "--expires-at", "300d", "--value-file", "-", value=service.admin_token,
    )  # fmt: skip
    file = write_workflow(
        tmp_path, "ticket-sync",
        [{"id": "start", "componentId": "manual_trigger"},
         {"id": "call", "componentId": "webhook", "method": "GET", "url": f"{service.url}/v1/account",
          "headers": {"Authorization": f"Bearer {{{{ vault.{TOKEN} }}}}"}}],
    )  # fmt: skip
    nightkey("workflow", "apply", str(file))
    nightkey.settings["NIGHTKEY_HTTP_TIMEOUT_SECONDS"] = (
        "300"  # a call waits here for what a test does meanwhile
    )
    add_token(nightkey, service, TOKEN, "ticketing", tmp_path)
    return nightkey


def add_token(nightkey: Nightkey, service: ScriptedService, name: str, account: str, folder: Path) -> None:
    """One that is due, of that account."""
    _, token = service.issue(account)
    policy = write_token_policy(folder, service.url, account, overlap="1d")
    nightkey("item", "create", name, "--owner", "support", "--expires-at", "5d", "--policy", str(policy),
             "--value-file", "-", value=token)  # fmt: skip


def begin(vault: Nightkey, *words: str) -> Forked:
    return Forked(words, environment=vault.environment)


def read_until(process: Forked, text: str) -> None:
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended without {text!r}")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_step_under_way_is_finished_and_the_next_night_goes_on_at_once(
    vault: Nightkey, service: ScriptedService, signum: signal.Signals
) -> None:
    gate = service.gate("/v1/tokens", method="POST")
    process = begin(vault, "night")
    assert gate.reached.wait(_SECONDS_MAX)
    process.send_signal(signum)
    read_until(process, f"{signum.name}: finishing the step under way")
    gate.open()
    said = process.read_to_end()
    assert process.returncode == 128 + signum
    (rotation,) = vault.json("rotation", "list")
    assert f"{TOKEN} is created, and goes on (nightkey rotation show {rotation['id']})" in said
    assert "stopped; `nightkey up` or the next `nightkey night` goes on" in said
    assert "ended well" not in said

    vault("night", status=1)  # the operators of this vault have no route
    (rotation,) = vault.json("rotation", "list")
    assert rotation["state"] == "watching"
    assert service.calls("POST") == 1, "what was made was not made again"


def test_a_second_ctrl_c_ends_it_at_once_and_the_next_night_says_for_whom_it_waits(
    vault: Nightkey, service: ScriptedService
) -> None:
    gate = service.gate("/v1/tokens", method="POST")
    process = begin(vault, "item", "rotate", TOKEN)
    assert gate.reached.wait(_SECONDS_MAX)
    process.send_signal(signal.SIGINT)
    read_until(process, "once more stops at once")
    process.send_signal(signal.SIGINT)
    said = process.read_to_end()
    assert process.returncode == 130
    assert f"{TOKEN} is planned, and goes on after " in said
    gate.open()

    again = vault("night", status=1)
    assert vault.json("rotation", "list")[0]["state"] == "watching"
    assert len(service.live_tokens("ticketing")) == 2, (
        "what had arrived after all was found, and nothing else made"
    )
    assert "Traceback" not in said + again.stderr


def test_a_second_sigterm_ends_a_night_at_once_whatever_is_driven_side_by_side(
    vault: Nightkey, service: ScriptedService, tmp_path: Path
) -> None:
    """Both wait for their target systems, which never answer."""
    with ScriptedService() as other:
        add_token(vault, other, OTHER, "crm", tmp_path)
        gates = [one.gate("/v1/tokens", method="POST") for one in (service, other)]
        process = begin(vault, "night")
        assert all(gate.reached.wait(_SECONDS_MAX) for gate in gates)
        process.send_signal(signal.SIGTERM)
        read_until(process, "once more stops at once")
        process.send_signal(signal.SIGTERM)
        said = process.read_to_end()
        assert process.returncode == 128 + signal.SIGTERM
        for name in (TOKEN, OTHER):
            assert f"{name} is planned, and goes on after " in said
        assert "Traceback" not in said
        for gate in gates:
            gate.open()

        vault("night", status=1)
        assert [one["state"] for one in vault.json("rotation", "list")] == ["watching", "watching"]


def test_a_worker_that_is_told_to_end_begins_no_other_rotation(
    vault: Nightkey, service: ScriptedService, tmp_path: Path
) -> None:
    """One at a time, of two that are due; whoever begins workers again is stopped meanwhile."""
    with ScriptedService() as other:
        add_token(vault, other, OTHER, "crm", tmp_path)
        vault.settings |= {"NIGHTKEY_CONCURRENCY": "1", "NIGHTKEY_ROTATIONS_AT_ONCE": "1"}
        look_back(vault)
        gates = [one.gate("/v1/tokens", method="POST") for one in (service, other)]
        with run_up(vault) as up:
            up.wait_until(lambda: any(gate.reached.is_set() for gate in gates))
            begun, left = sorted(gates, key=lambda gate: not gate.reached.is_set())
            (worker,) = up.children("worker")
            assert up.process.pid is not None
            os.kill(up.process.pid, signal.SIGSTOP)
            os.kill(worker, signal.SIGTERM)
            begun.open()
            while not is_gone(worker):
                assert not left.reached.is_set()
                time.sleep(0.05)
            states = ask(vault, "SELECT state FROM rotations ORDER BY state")
            assert states == [("queued",), ("watching",)]
            os.kill(up.process.pid, signal.SIGCONT)


def test_each_step_of_a_night_is_a_line_of_its_own(
    vault: Nightkey, service: ScriptedService, tmp_path: Path
) -> None:
    names = [f"prod-password-{number}" for number in range(8)]
    for name in names:
        vault("item", "create", name, "--owner", "support", "--expires-at", "5d", "--mode", "auto",
              "--rotator", "random", "--consumers", "none", "--value-file", "-",
              value=f"the first value of {name}")  # fmt: skip
    told = vault("night", status=1).stderr.splitlines()
    steps = [line for line in told if not line.startswith("nightkey: ")]
    for name in (*names, TOKEN):
        of_it = [line for line in steps if line.startswith(f"{name}: ")]
        assert of_it[0] == f"{name}: planned"
        assert of_it[-1] == f"{name}: watching"
        steps = [line for line in steps if line not in of_it]
    assert steps == []
