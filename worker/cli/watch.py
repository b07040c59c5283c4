"""An answer that is drawn anew, in a terminal, until Ctrl-C."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from vaultcore.errors import InvalidInputError
from worker.cli.screen import screen

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""Onto a screen of its own, without a cursor; and back."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST: Final = "\x1b[J"


def check_watchable() -> None:
    """`InvalidInputError` where nobody sees what is drawn."""
    if not screen().can_page:
        raise InvalidInputError(
            "--watch draws in a terminal, and here is none: without it the exit status says how things stand"
        )


def count_lines() -> int:
    """How many lines a screen has beside the line on which a person types."""
    return shutil.get_terminal_size().lines - 1


def watch(draw: Callable[[int], Sequence[str]], *, every: float, head: Callable[[], str]) -> None:
    """Draws what `draw` gives for so many lines, and again after `every` seconds, below a line that says so.
    Ctrl-C ends it, and the screen is as it was before.
    """
    screen().held = None  # it is seen at once, and by no pager
    _write(_ENTER)
    try:
        while True:
            lines = [head(), *draw(count_lines() - 1)]
            room = count_lines()
            _write(_HOME + "".join(f"{line}{_REST_OF_LINE}\n" for line in lines[:room]) + _REST)
            time.sleep(every)
    except KeyboardInterrupt:
        pass
    finally:
        _write(_LEAVE)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
