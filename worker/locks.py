"""One lock per home: shared by whoever works on its vault, alone for who puts another database in its place, or
moves it to another.

The lock is the kernel's (flock on a file in the home), so it ends with its process, however that ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaultcore.errors import ConfigurationError, RefusedError

LOCK_FILE = "vault.lock"


def share_vault(home: Path) -> int | None:
    """Works on the vault until the descriptor is closed. None where no file can be made there.

    `RefusedError` while a restore or a move has it alone.
    """
    descriptor = _open(home)
    if descriptor is None or _take(descriptor, fcntl.LOCK_SH):
        return descriptor
    os.close(descriptor)
    raise RefusedError(f"a restore or a move is at work in {home}: wait for its end, then repeat this")


@contextmanager
def join_vault(home: Path) -> Iterator[None]:
    """As `share_vault`, for this block."""
    descriptor = share_vault(home)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def take_vault(home: Path) -> Iterator[None]:
    """Nobody else works on the vault for this block; `RefusedError` if somebody does."""
    descriptor = _open(home)
    if descriptor is None:
        raise ConfigurationError(f"the folder {home} cannot be written: make it this user's own")
    if not _take(descriptor, fcntl.LOCK_EX):
        os.close(descriptor)
        raise RefusedError(
            f"something works on the vault in {home}: stop `nightkey up`, `serve` and other commands there, "
            "then repeat this"
        )
    try:
        yield
    finally:
        os.close(descriptor)


def _open(home: Path) -> int | None:
    try:
        return os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:  # a folder that is not there yet, or that only others may write
        return None


def _take(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
