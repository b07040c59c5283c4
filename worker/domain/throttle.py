"""How long the answer to a failed attempt to get in is held back. Pure: times are seconds of any one clock."""

from collections.abc import Sequence
from typing import Final

WINDOW_SECONDS: Final = 60.0
_FIRST_SECONDS: Final = 1.0
_STEP_SECONDS: Final = 0.5
_MOST_SECONDS: Final = 10.0


def find_recent(failures: Sequence[float], now: float) -> list[float]:
    """Those that still count."""
    return [at for at in failures if now - at < WINDOW_SECONDS]


def find_delay(failures: int, *, first: int) -> float:
    """Seconds, where there were so many within the window, this one with them: from the `first` on each is
    answered later than the one before.
    """
    if failures < first:
        return 0.0
    return min(_FIRST_SECONDS + (failures - first) * _STEP_SECONDS, _MOST_SECONDS)
