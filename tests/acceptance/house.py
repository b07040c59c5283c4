"""A data folder, and the command in this process: what a process of its own would take seconds for."""

import gc
import os
import sys
from pathlib import Path

from worker.cli import entry


class House:
    """What a command prints goes where this process prints."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"

    def __call__(self, *words: str) -> int:
        before, streams, mask = sys.argv, (sys.stdin, sys.stdout, sys.stderr), os.umask(0o022)
        sys.argv = ["nightkey", *words]
        try:
            entry.main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        finally:
            os.umask(mask)
            sys.argv = before
            sys.stdin, sys.stdout, sys.stderr = streams
            gc.collect()  # a process that ended would hold no database open
        return 0
