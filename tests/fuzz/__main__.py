"""Fuzzing, for as long as one likes:

    python -m tests.fuzz --seconds 60 --seed 1 [--surface "workflow files"]

Each surface gets an equal share of the time. The same seed tries the same inputs in the same order, as
far as the time reaches. What broke is told with its input,
and the command that tries it again.
"""

import argparse
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from tests.fuzz.catalog import SURFACES
from tests.fuzz.rounds import Tried, run_round


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for all of them together")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--surface", choices=SURFACES, help="this one alone")
    given = parser.parse_args()
    chosen = [given.surface] if given.surface else list(SURFACES)
    whole = [_fuzz(name, seed=given.seed, seconds=given.seconds / len(chosen)) for name in chosen]
    return 0 if all(whole) else 1


def _fuzz(name: str, *, seed: int, seconds: float) -> bool:
    """In rounds, each with a seed of its own; False where an input broke it, which ends its share."""
    total = Tried()
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-fuzz-") as folder,
        SURFACES[name](Path(folder) / "own") as surface,
    ):
        ends = time.monotonic() + seconds
        for number in count(seed):
            tried = run_round(surface, seed=number)
            total = total.add(tried)
            if tried.problem is not None:
                again = f'python -m tests.fuzz --seconds 1 --seed {number} --surface "{name}"'
                sys.stdout.write(f"{name}: BROKEN\n{tried.problem}\nrepeat: {again}\n")
                return False
            if time.monotonic() >= ends:
                break
    sys.stdout.write(f"{name}: {total.inputs} inputs, the slowest {total.slowest:.2f} s\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
