"""Until a server that a test has begun can be reached."""

import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any


def wait_until_reached(
    process: subprocess.Popen[bytes],
    connect: Callable[[], AbstractContextManager[Any]],
    *,
    away: tuple[type[Exception], ...],
    name: str,
    log: Path,
    patience: float,
    pause: float,
) -> None:
    """`away`: what `connect` raises until then. Patience and pause in seconds."""
    deadline = time.monotonic() + patience
    while True:
        assert process.poll() is None, f"{name} ended:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"{name} did not begin:\n{log.read_text()}"
        try:
            with connect():
                return
        except away:
            time.sleep(pause)
