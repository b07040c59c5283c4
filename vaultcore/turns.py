"""Whose turn it is to write to SQLite: every writer's, one after the other, over all threads and processes.

SQLite gives its lock to whoever asks when it is free, and lets who does not get it sleep, longer each time. So
who has just written most often writes again, and one that writes much keeps the others out for seconds. Here
a writer takes the turn first, and passes it on once it has begun: who wants to write again stands behind who
waits already.

The turn is the kernel's (flock on the database's folder), so it ends with its process. It is a courtesy: who
does not get it in time, or cannot ask for it, begins as soon as SQLite lets it.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

COURTESY_SECONDS: Final = 1.0
"""As long as a turn is waited for: its holder may be stopped while it waits for SQLite."""
_POLL_SECONDS: Final = 0.002
_BEGIN: Final = "BEGIN IMMEDIATE"
_PRIMARY: Final = 0xFF
"""Of SQLite's codes, which part is the kind of error."""


class Turns:
    def __init__(self, folder: Path | None) -> None:
        """`folder`: the database's; None: it is nobody else's."""
        self._folder = folder

    def begin(self, connection: Connection, *, patience: float) -> None:
        """A transaction that writes. The library's `OperationalError` where others have written for `patience`
        seconds, or where it cannot begin for another reason.
        """
        driver: Any = connection.connection.driver_connection
        with self._taken(), _impatient(driver, patience):
            until = time.monotonic() + patience
            while True:
                try:
                    driver.execute(_BEGIN)
                    return
                except sqlite3.Error as error:
                    if not _is_busy(error) or time.monotonic() >= until:
                        break
                time.sleep(_POLL_SECONDS)
            connection.exec_driver_sql(_BEGIN)  # what is wrong is said by the library

    @contextmanager
    def _taken(self) -> Iterator[None]:
        descriptor = None
        if self._folder is not None:
            with suppress(OSError):
                descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        if descriptor is None:
            yield
            return
        try:
            _wait_for(descriptor)
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child of this process may have it, too
            os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    until = time.monotonic() + COURTESY_SECONDS
    while time.monotonic() < until:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_POLL_SECONDS)
        except OSError:  # a file system that has none
            return
        else:
            return


@contextmanager
def _impatient(driver: Any, patience: float) -> Iterator[None]:  # noqa: ANN401  # DBAPI
    """SQLite itself waits for nobody meanwhile, and afterwards so long again."""
    driver.execute("PRAGMA busy_timeout=0")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout={patience * 1000:.0f}")


def _is_busy(error: sqlite3.Error) -> bool:
    """Others are writing."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_BUSY
