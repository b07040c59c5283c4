"""What a process that may hold values does first: no core dump, no debugger, no stray log lines."""

import ctypes
import logging
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
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
    """RLIMIT_CORE 0; on Linux PR_SET_DUMPABLE 0; libraries that print URLs or parameters at WARNING."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
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
