"""Beside the game: `nightkey up` as it is, while its wall clock jumps and its processes are killed, by chance.

Afterwards the clock is set right, and everything must go on within its time: workflows by their schedule, and
the night of that day.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acceptance.conftest import Nightkey
from tests.acceptance.running_up import Up, apply_clockwork, ask, kill, run_up
from tests.faults.turning import TurnedClock

NIGHT = datetime(2026, 5, 1, 2, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_JUMPS = (-800 * DAY, -3 * DAY, -3 * HOUR, -10 * MINUTE, 10 * MINUTE, 3 * HOUR, 3 * DAY, 800 * DAY)
_FARTHEST = 3000 * DAY
_SET_RIGHT, _KILLED = 0.3, 0.1
_PAUSE = (1.0, 4.0)
_PATIENCE = 120.0


@dataclass(kw_only=True)
class Beating:
    """What was done to it, and what did not come about afterwards."""

    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


@contextmanager
def keep_beating(folder: Path, dice: random.Random) -> Iterator[Beating]:
    """Begins at once, jumps until the block ends, and then looks."""
    folder.mkdir()
    beating, over = Beating(), threading.Event()
    turned = TurnedClock(folder)
    turned.set(NIGHT - HOUR)
    nightkey = Nightkey(folder / "home", {"NIGHTKEY_RING_SECONDS": "1", **turned.environment}, begins_anew=True)
    nightkey("init")
    count = apply_clockwork(nightkey, folder)
    with run_up(nightkey) as up:
        thread = threading.Thread(target=_disturb, args=(up, turned, dice, beating, over))
        thread.start()
        try:
            yield beating
        finally:
            over.set()
            thread.join()
        _look(nightkey, up, turned, beating, count)


def _disturb(up: Up, turned: TurnedClock, dice: random.Random, beating: Beating, over: threading.Event) -> None:
    began = time.monotonic()
    while not over.wait(dice.uniform(*_PAUSE)):
        children = up.children("worker") + up.children("beat")
        if dice.random() < _KILLED and children:
            beating.faults["process of up killed"] += 1
            kill(dice.choice(children))
        elif dice.random() < _SET_RIGHT:
            turned.set(NIGHT - HOUR + timedelta(seconds=time.monotonic() - began))
        else:
            jump = dice.choice(_JUMPS)
            if abs(turned() + jump - NIGHT) < _FARTHEST:
                beating.faults["clock jumped under up"] += 1
                turned.turn(jump)


def _look(nightkey: Nightkey, up: Up, turned: TurnedClock, beating: Beating, count: Callable[[], int]) -> None:
    """With one minute for a sign of life to be right."""
    night = NIGHT + 5 * DAY
    evening, slot, later = _show(night - HOUR), _show(night), _show(night + HOUR)
    turned.set(night - HOUR)
    before = count()
    _expect(beating, up, "workflows did not go on", lambda: count() > before + 3)
    _expect(beating, up, "no sign of life came", lambda: _newest_sign(nightkey) >= evening)
    turned.set(night + MINUTE)
    done = "SELECT slot FROM sweeps WHERE job = 'night' AND done_at IS NOT NULL AND slot = ?"
    _expect(beating, up, "the night did not come", lambda: ask(nightkey, done, slot) != [])
    ahead = "SELECT slot FROM sweeps WHERE job = 'night' AND slot > ?"
    _expect(beating, up, "a night lies in the future", lambda: ask(nightkey, ahead, later) == [])


def _expect(beating: Beating, up: Up, problem: str, holds: Callable[[], bool]) -> None:
    try:
        up.wait_until(holds, seconds=_PATIENCE)
    except AssertionError:
        last = up.said()[-600:]
        beating.violations.append(f"after the jumps of the wall clock: {problem}; its log ends {last!r}")


def _newest_sign(nightkey: Nightkey) -> str:
    limit = _show(NIGHT + 6 * DAY)
    return str(ask(nightkey, "SELECT max(seen_at) FROM signs_of_life WHERE seen_at < ?", limit)[0][0] or "")


def _show(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"
