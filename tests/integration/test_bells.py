"""Beat's bells: by a clock that nobody sets, from no file, and not into a queue that is full."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.turning import TurnedClock
from tests.forged import OURS
from tests.integration.hearing import Heard
from worker.app import make_app
from worker.broker.queues import QUEUES
from worker.config import load_settings
from worker.domain.lines import Line
from worker.domain.pulses import Sign
from worker.supervision.bells import FULL, Bells

RINGING = """
import sys, time
from pathlib import Path
from tests.forged import OURS
from tests.integration.hearing import Heard
from worker.app import make_app
from worker.broker.queues import QUEUES
from worker.config import load_settings
from worker.domain.lines import Line
from worker.supervision.bells import Bells
bells = Bells(app=make_app(load_settings(Path(sys.argv[1]), ring_seconds=0.2), OURS.seals()))
while True:
    time.sleep(bells.tick())
    for message in (Path(sys.argv[1]) / "broker" / "messages").iterdir():
        message.unlink()
    print(time.time(), flush=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With what is left of a schedule's file."""
    folder = tmp_path / "home" / "broker"
    folder.mkdir(parents=True)
    (folder / "beat-schedule.dat").write_bytes(bytes(100))
    (folder / "beat-schedule.dir").write_text("'entries', (0, 40)\n")
    return tmp_path / "home"


def messages(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "broker" / "messages").iterdir())


@pytest.fixture
def ringing(home: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], TurnedClock]]:
    turned = TurnedClock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", RINGING, str(home)], env=turned.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process, turned
        process.kill()


def test_it_rings_on_when_the_wall_clock_is_set_back_or_forth(
    ringing: tuple[subprocess.Popen[str], TurnedClock],
) -> None:
    process, turned = ringing
    assert process.stdout is not None
    for by in (timedelta(hours=-3), timedelta(days=-800), timedelta(days=900)):
        turned.turn(by)
        lines = [float(process.stdout.readline()) for _ in range(8)]
        assert lines[-1] - lines[-3] < 20  # and none is rung again and again for the time that passed


def test_all_bells_ring_at_once_and_each_again_after_its_time(home: Path) -> None:
    heard = Heard()
    bells = Bells(app=make_app(load_settings(home, ring_seconds=60), OURS.seals()), pulse=heard)
    wait = bells.tick()
    assert heard.signs == [Sign.ALIVE, Sign.RANG, Sign.RANG, Sign.RANG]
    assert len(messages(home)) == 3
    assert 0 < wait <= 60
    bells.tick()
    assert heard.signs[4:] == [Sign.NIGHT_WAITS]
    assert len(messages(home)) == 3


def test_a_full_queue_is_not_filled_more(home: Path) -> None:
    heard = Heard()
    app = make_app(
        load_settings(home, ring_seconds=1e-9), OURS.seals()
    )  # each tick rings, however fast it comes
    bells = Bells(app=app, pulse=heard)
    for _ in range(2 * FULL):
        bells.tick()
    assert FULL <= len(messages(home)) < FULL + 3
    assert Sign.RANG in heard.signs[-FULL:]  # it goes on as ever: who takes what waits is missing


def test_messages_have_no_end_and_sort_as_they_were_sent(home: Path) -> None:
    app = make_app(load_settings(home, ring_seconds=60), OURS.seals())
    bells = Bells(app=app)
    bells.tick()
    names = messages(home)
    assert len({name.index("_") for name in names}) == 1
    with app.connection() as connection, connection.channel() as channel:
        taken = [channel._get(QUEUES[Line.NIGHT]) for _ in names]
    assert [one["headers"]["task"] for one in taken] == [f"nightkey.{name}" for name in bells.schedule]
    assert [one["headers"]["expires"] for one in taken] == [None, None, None]
