"""What may come of one input: an answer, or one of our errors that can be read, within a second."""

import signal
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from vaultcore.errors import NightkeyError
from worker.cli.edge import shorten
from worker.cli.terminal import fit

SECONDS = 1.0
"""Of the processor's time, so that a busy machine judges as a quiet one does."""
_CUT_OFF = 5
"""So many times as long is too long to be waited for."""
_WAITED_MAX = 50.0
"""By the clock on the wall, for what sleeps: longer than a busy machine keeps anybody waiting."""
_TEXT_MAX = 40_000


class BrokenError(AssertionError):
    """What came of an input, and should not have."""


def judge(take: Callable[[Any], object], given: object, *, seconds: float = SECONDS) -> float:
    """The seconds that it took. `BrokenError` where it took too long, or failed without a clear error; an
    exception that is none of ours leaves this function as it is.
    """
    began, at = time.process_time(), time.monotonic()
    with _cut_off_at(_CUT_OFF * seconds):
        try:
            take(given)
        except NightkeyError as error:
            _check_text(str(error))
    took = time.process_time() - began
    if took > seconds:
        raise BrokenError(f"it took {took:.1f} s")
    if time.monotonic() - at > _WAITED_MAX:
        raise BrokenError(f"it was waited for longer than {_WAITED_MAX:.0f} s")
    return took


def _check_text(problem: str) -> None:
    """As the command line would show it."""
    text = fit(shorten(problem))
    if not text.strip():
        raise BrokenError("its error says nothing")
    if len(text) > _TEXT_MAX:
        raise BrokenError(f"its error has {len(text)} characters")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text if char not in "\n\t"):
        raise BrokenError(f"its error cannot be shown on a terminal: {text!r}")


@contextmanager
def _cut_off_at(seconds: float) -> Iterator[None]:
    """Ends what would go on for ever, where Python still gets a turn."""

    def cut_off(_signal: int, _frame: FrameType | None) -> None:
        raise BrokenError(f"it was cut off after {seconds:g} s")

    before = signal.signal(signal.SIGPROF, cut_off)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
