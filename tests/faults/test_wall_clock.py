"""`nightkey up` as it is, while somebody sets the wall clock: it rings on, and each night comes in its time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.acceptance.running_up import apply_clockwork, ask, kill, run_up
from tests.faults.turning import TurnedClock

NIGHT = datetime(2026, 5, 1, 2, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def turned(tmp_path: Path) -> TurnedClock:
    clock = TurnedClock(tmp_path)
    clock.set(NIGHT - HOUR)
    return clock


@pytest.fixture
def nightkey(tmp_path: Path, turned: TurnedClock) -> Nightkey:
    made = Nightkey(tmp_path / "home", {"NIGHTKEY_RING_SECONDS": "1", **turned.environment}, begins_anew=True)
    made("init")
    return made


def slots(nightkey: Nightkey) -> list[str]:
    """Of nights that have ended: messages that were set aside are counted in the same table, by days."""
    rows = ask(nightkey, "SELECT slot FROM sweeps WHERE job = 'night' AND done_at IS NOT NULL ORDER BY slot")
    return [slot[:16] for (slot,) in rows]


@pytest.mark.long
def test_nights_begin_whatever_the_wall_clock_does_and_an_idle_worker_that_is_killed_holds_up_none(
    tmp_path: Path, nightkey: Nightkey, turned: TurnedClock
) -> None:
    count = apply_clockwork(nightkey, tmp_path)
    with run_up(nightkey) as up:

        def goes_on() -> None:
            before = count()
            up.wait_until(lambda: count() > before + 2)

        up.wait_until_ready()
        goes_on()
        assert slots(nightkey) == []
        kill(up.children("worker")[0])
        turned.set(NIGHT + MINUTE)
        up.wait_until(lambda: slots(nightkey) == ["2026-05-01 02:00"])

        turned.turn(-3 * HOUR)  # back, and nothing stops
        goes_on()

        turned.turn(-2 * DAY)
        goes_on()

        turned.set(NIGHT + 800 * DAY)  # years ahead, for as long as it takes to begin a night there
        up.wait_until(lambda: len(slots(nightkey)) >= 2)
        turned.set(NIGHT + HOUR)
        goes_on()
        up.wait_until(lambda: max(slots(nightkey)) < "2026-05-02")

        turned.set(NIGHT + DAY + MINUTE)
        up.wait_until(lambda: "2026-05-02 02:00" in slots(nightkey))
        goes_on()
        assert up.said().count("it is started again") == 1
        assert up.stop() == 0
    assert "Traceback" not in up.said()
