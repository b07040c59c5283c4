"""What happens to `nightkey up` when its processes are killed, its folders go, and another one is begun."""

import os
import select
import shutil
import signal
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey, write_workflow
from tests.acceptance.running_up import apply_clockwork, ask, is_gone, kill, look_back, run_up
from worker.domain.pulses import Patience


@pytest.fixture
def ringing(nightkey: Nightkey) -> Nightkey:
    nightkey.settings["NIGHTKEY_RING_SECONDS"] = "1"
    return nightkey


@pytest.fixture
def alone(ringing: Nightkey) -> Nightkey:
    """With one worker, where a second would see nothing else."""
    ringing.settings["NIGHTKEY_CONCURRENCY"] = "1"
    return ringing


@pytest.mark.long
def test_up_goes_on_whatever_is_killed_or_taken_away_and_leaves_nobody_behind(
    tmp_path: Path, ringing: Nightkey
) -> None:
    count = apply_clockwork(ringing, tmp_path)
    with run_up(ringing) as up:

        def goes_on() -> None:
            before = count()
            up.wait_until(lambda: count() > before + 1)

        up.wait_until_ready()
        goes_on()

        other = ringing("up", status=3).stderr
        assert f"process {up.process.pid} on" in other
        assert "since" in other
        assert len(other.splitlines()) == 1

        worker = up.children("worker")[0]
        kill(worker)
        up.wait_until(lambda: f"the worker (process {worker}) was ended by SIGKILL" in up.said())
        goes_on()
        up.wait_until_ready(workers=3)

        (beat,) = up.children("beat")
        kill(beat)
        up.wait_until(lambda: f"the beat (process {beat}) was ended by SIGKILL" in up.said())
        up.wait_until(lambda: up.children("beat") not in ([], [beat]))
        goes_on()

        shutil.rmtree(ringing.home / "broker")
        up.wait_until(lambda: "broker.made-anew" in up.said())
        goes_on()

        others = up.children("worker") + up.children("beat")
        assert len(others) == 4  # two workers at targets, one of the night, and beat
        up.process.kill()
        up.process.join()
        deadline_reached = _wait_for_end(others)
    assert deadline_reached == []
    assert "Traceback" not in up.said()
    with run_up(ringing) as again:  # a dead one holds nothing
        again.wait_until_ready()
        assert again.stop() == 0
        assert "nightkey is down" in again.said()
        assert "Warm shutdown" not in again.said(), "the log has one form"


def _wait_for_end(pids: list[int]) -> list[int]:
    """Those that have not ended after a while."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor) as opened:
            signalled = _becomes_readable(opened.fileno())
        if not signalled:
            return [pid for pid in pids if not is_gone(pid)]
    return []


def _becomes_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 120)[0])


def test_the_workers_of_a_supervisor_of_ones_own_go_with_what_began_them(
    tmp_path: Path, alone: Nightkey
) -> None:
    with run_up(alone, "--only", "worker") as up:
        up.wait_until(lambda: "worker.ready" in up.said())
        workers = up.children("worker")
        assert len(workers) == 1
        assert up.children("beat") == []
        up.process.kill()
        up.process.join()
        assert _wait_for_end(workers) == []


@pytest.mark.long
def test_a_fresh_vault_begins_no_night_when_it_is_started(tmp_path: Path, alone: Nightkey) -> None:
    due = "--value-file - --mode auto --rotator random --lifetime 30d --expires-at 5d --consumers none"
    alone("item", "create", "prod-crm-password", "--owner", "operators", *due.split(), value="a-value")
    count = apply_clockwork(alone, tmp_path)
    with run_up(alone) as up:
        up.wait_until(lambda: count() > 3)  # it has rung and was heard, also for the night
        assert up.stop() == 0
    assert ask(alone, "SELECT count(*) FROM sweeps WHERE job = 'night'") == [(0,)]
    assert ask(alone, "SELECT count(*) FROM rotations") == [(0,)]


@pytest.mark.long
def test_a_night_missed_while_nobody_was_there_is_made_up_after_hours_and_not_after_days(
    tmp_path: Path, alone: Nightkey
) -> None:
    count = apply_clockwork(alone, tmp_path)
    look_back(alone, seen=timedelta(days=3))
    with run_up(alone) as up:
        before = count()
        up.wait_until(lambda: count() > before + 2)
        up.stop()
    assert ask(alone, "SELECT count(*) FROM sweeps WHERE job = 'night'") == [(0,)]
    alone.settings["NIGHTKEY_CATCH_UP_HOURS"] = "100"
    with run_up(alone) as up:
        done = "SELECT count(*) FROM sweeps WHERE job = 'night' AND done_at IS NOT NULL"
        up.wait_until(lambda: ask(alone, done) == [(1,)])
        up.stop()


@pytest.mark.long
def test_a_worker_that_hangs_does_not_hold_up_the_end(tmp_path: Path, alone: Nightkey) -> None:
    """Stopped dead, with nothing to do: it is killed after some seconds, not after a minute."""
    with run_up(alone) as up:
        up.wait_until_ready(workers=1)
        os.kill(up.children("worker")[0], signal.SIGSTOP)
        assert up.stop(seconds=Patience().stop_busy) == 0
        assert "did not end in time, and was killed" in up.said()


class _Slow(BaseHTTPRequestHandler):
    """Answers after a while; `asked` once it was asked."""

    asked: threading.Event

    def do_GET(self) -> None:
        self.asked.set()
        time.sleep(4)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.long
def test_what_runs_is_finished_before_the_end(tmp_path: Path, alone: Nightkey) -> None:
    asked = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Slow", (_Slow,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    nodes = [
        {"id": "start", "componentId": "schedule_trigger"},
        {
            "id": "call",
            "componentId": "webhook",
            "method": "GET",
            "url": f"http://127.0.0.1:{server.server_port}",
        },
    ]
    file = write_workflow(tmp_path, "slow", nodes, schedule_type="interval", schedule_value="1 hour")
    alone("workflow", "apply", str(file))
    ask(alone, "UPDATE workflows SET next_run_at = created_at")
    with run_up(alone) as up:
        up.wait_until(asked.is_set)
        assert up.stop() == 0
    assert ask(alone, "SELECT status FROM runs") == [("completed",)]
    server.shutdown()
    server.server_close()
