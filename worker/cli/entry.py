"""The command's way in: the rest is imported here, so that Ctrl-C has its one line from the first moment on.

Python looks for garbage among all that a process holds. What a command imports is none, so it is left out of
that: it would be a tenth of the time of a short command, and as much again at its end.
"""

import gc
import os
import sys
from typing import Final

_COLLECT_AFTER: Final = 50_000
"""So many more objects made than freed: imports reach Python's own 700 hundreds of times. It bounds the garbage
that a command keeps which takes long, such as a night by hand: some megabytes.
"""


def main() -> None:
    gc.set_threshold(_COLLECT_AFTER)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # we have none; to look for some reads all packages
    try:
        from worker.cli.main import main as run  # noqa: PLC0415  # what takes the time is within the try

        run()
    except KeyboardInterrupt:
        print("nightkey: interrupted", file=sys.stderr)  # noqa: T201  # the error
        sys.exit(130)
    finally:
        gc.freeze()  # what is left goes with the process
