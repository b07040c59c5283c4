"""What a process does before it holds keys or values."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def guard_memory() -> None:
    """No core dump, and on Linux no debugger of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
