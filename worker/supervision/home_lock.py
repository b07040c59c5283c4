"""One `up` for each data folder: a lock on a file that says who holds it, and that goes with its holder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from vaultcore.errors import RefusedError
from worker.home import UP_LOCK_FILE


@contextmanager
def hold_home(home: Path) -> Iterator[None]:
    """`RefusedError` says where the other one is. No process that is begun meanwhile inherits the lock."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(home / UP_LOCK_FILE, flags, 0o600), "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip() or "another process"
        else:
            other = ""
        if other:
            raise RefusedError(f"it is up already for {home}: {other}; stop that one first")
        file.truncate(0)
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
