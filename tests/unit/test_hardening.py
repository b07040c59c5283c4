"""What a process that may hold values does first."""

import subprocess
import sys

import pytest

ASK = """
import ctypes, resource
from worker.hardening import harden_process
harden_process()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
"""3 is PR_GET_DUMPABLE: 0 where neither a core dump nor a debugger of the same user may see memory."""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can be asked")
def test_a_process_with_values_leaves_no_dump_and_is_not_traced() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split("\n")[0] == "(0, 0) 0"
