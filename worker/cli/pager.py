"""A long answer on a terminal goes through a pager, as git's does. What holds values never comes here."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping

from worker.origins import PAGER_VARIABLE, PREFIX

_LESS = "FRX"
"""It ends by itself where all fits, shows colours, and leaves the text on the screen."""


def show_paged(text: str) -> bool:
    """Whether a pager took it. It is told nothing of our settings, which may hold secrets."""
    command = find_pager(os.environ)
    if command is None:
        return False
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment.setdefault("LESS", _LESS)
    environment.setdefault("LV", "-c")
    try:
        pager = subprocess.Popen(  # noqa: S602  # as its user wrote it, like git
            command, shell=True, stdin=subprocess.PIPE, env=environment
        )
    except OSError:
        return False
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's while it runs
    try:
        content = text.encode(sys.stdout.encoding or "utf-8", sys.stdout.errors or "backslashreplace")
        pager.communicate(content)  # one that ends early has read enough
    finally:
        signal.signal(signal.SIGINT, before)
    return pager.returncode not in _NOT_THERE


_NOT_THERE = (126, 127)
"""What a shell says of a command that it cannot find or start: nothing was shown."""


def find_pager(environment: Mapping[str, str]) -> str | None:
    """`NIGHTKEY_PAGER`, then `PAGER`, then less; None: none is wanted (`cat`, or nothing)."""
    for name in (PAGER_VARIABLE, "PAGER"):
        if name in environment:
            wanted = environment[name].strip()
            return None if wanted in ("", "cat") else wanted
    return "less"
