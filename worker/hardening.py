"""What a process that may hold values does first: no core dump, no debugger, no stray log lines."""

import ctypes
import logging
import resource
import sys

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
