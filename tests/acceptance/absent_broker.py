"""An `up` whose broker is away when it begins, goes away, comes back, and comes back with nothing in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.acceptance.conftest import Nightkey
from tests.acceptance.running_up import Up, apply_clockwork, run_up


class StoppableBroker(Protocol):
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def empty(self) -> None:
        """What was in it is gone, queues as well."""


def outlive(nightkey: Nightkey, folder: Path, broker: StoppableBroker, *, named: str) -> None:
    """It works whenever the broker is there, and says when it is not. Nobody is taken for hung meanwhile."""
    nightkey.settings |= {"NIGHTKEY_RING_SECONDS": "1", "NIGHTKEY_CONCURRENCY": "2"}
    runs = apply_clockwork(nightkey, folder)
    with run_up(nightkey) as up:
        up.wait_until(lambda: up.said().count("broker.away") >= 4)  # three workers and beat
        first = up.said().splitlines()[0]
        assert first.startswith(f"nightkey: {named} refuses connections: see that it runs there")
        broker.start()
        _wait_for_runs(up, runs)
        broker.kill()
        away = up.said().count("broker.away")
        up.wait_until(lambda: up.said().count("broker.away") > away)
        broker.start()
        _wait_for_runs(up, runs)
        broker.kill()
        broker.empty()
        broker.start()
        _wait_for_runs(up, runs)
        assert "started again" not in up.said()
        assert "Traceback" not in up.said()
        assert up.stop() == 0


def _wait_for_runs(up: Up, runs: Callable[[], int]) -> None:
    """Several, each of which takes a second: a RabbitMQ that is killed while it makes a queue does not know it
    any more, and knows that there is one.
    """
    worked = runs()
    up.wait_until(lambda: runs() > worked + 3)
