"""A broker that is away: said in the log, and to `up`, which is not to take those who wait for it for hung."""

import time
from collections.abc import Callable
from typing import Final

from worker.domain.pulses import Sign
from worker.log import get_logger
from worker.supervision.pulse import Pulse

_PAUSES: Final = (1, 2, 5, 10)
"""Seconds between two tries; the last one goes on."""
_TOLD_AGAIN_SECONDS: Final = 600.0

_log = get_logger(__name__)


class Absence:
    """The broker is away: said when it begins, now and then while it lasts, and when it is over."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._problem = ""
        self._told_at = 0.0
        self._tries = 0

    def begin(self, problem: str) -> None:
        """Also when it lasts."""
        now = time.monotonic()
        self._pulse.say(Sign.AWAY)
        if problem != self._problem or now - self._told_at > _TOLD_AGAIN_SECONDS:
            _log.warning("broker.away", problem=problem)
            self._problem, self._told_at = problem, now
        self._tries += 1

    def wait(self, may_go_on: Callable[[], None]) -> None:
        """Before the next try, if the last one failed. `may_go_on` raises what ends the wait."""
        if not self._tries:
            return
        for _ in range(_PAUSES[min(self._tries, len(_PAUSES)) - 1]):
            may_go_on()
            self._pulse.say(Sign.AWAY)
            time.sleep(1)

    def end(self) -> None:
        if self._problem:
            _log.info("broker.back")
        self._problem, self._tries = "", 0
