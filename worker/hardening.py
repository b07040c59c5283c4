"""What a process that may hold values does first: no core dump, no debugger, no stray log lines."""

import ctypes
import logging
import os
import signal
import sys

from vaultcore.crypto.memory import guard_memory

_PR_SET_PDEATHSIG = 1
_LOUD = (
    "urllib3",
    "requests",
    "apprise",
    "kombu",
    "amqp",
    "asyncio",
    "celery.app.trace",
    "celery.worker.strategy",
)


def harden_process() -> None:
    """Its memory is guarded; libraries that print URLs or parameters are at WARNING."""
    guard_memory()
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)


def die_with(parent: int) -> None:
    """From now on this process is killed when the one that began it ends; if that has ended, at once.

    Linux does so by itself; elsewhere `is_orphan` is asked now and then.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if is_orphan(parent):
        os.kill(os.getpid(), signal.SIGKILL)


def is_orphan(parent: int) -> bool:
    return os.getppid() != parent
