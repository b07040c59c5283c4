"""Chaos: two workers, a broker that cannot be trusted, targets that fail, a clock that jumps.

    python -m tests.faults.chaos --rotations 200 --seed 1 --database sqlite

The seed decides what happens to which message, request and worker; how two processes then fall in with
each other is the machine's. The invariants must hold whatever comes of it: every few dozen rotations all
faults stop, everything comes to rest by the resume sweep, and every item is looked at. Beside all that, a real
`nightkey up` goes through jumps of its wall clock (`tests.faults.beating`).
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from nightkey_demo.faces import Face
from tests.faults.beating import Beating, keep_beating
from tests.faults.chaos_run import ChaosRun
from tests.faults.fault_injection import CHANCES
from tests.faults.kill_runs import DATABASES
from tests.postgres import start_postgres

QUIET_EVERY = 40


@dataclass(kw_only=True)
class Outcome:
    """What came of it. `errors`: what left a service's call, by type; `strange`: those not of our own tree."""

    finished: int
    ended: Counter[str]
    faults: Counter[str]
    errors: Counter[str]
    strange: Counter[str]
    seconds: float
    violations: list[str] = field(default_factory=list)

    def line(self, database: str, seed: int) -> str:
        return (
            f"chaos on {database}, seed {seed}: {self.finished} rotations finished ({_show(self.ended)}); "
            f"{self.faults.total()} faults ({_show(self.faults)}); "
            f"errors at the edge: {_show(self.errors + self.strange)}; "
            f"{self.seconds:.0f} s; {len(self.violations)} violations"
        )


def run_chaos(
    *,
    rotations: int,
    seed: int,
    folder: Path,
    server: str | None,
    without: tuple[str, ...] = (),
    log: TextIO | None = None,
) -> Outcome:
    """Until so many rotations have finished, and each face was shown.

    `without` leaves out kinds of trouble, by name.
    """
    began = time.monotonic()
    with ChaosRun(folder, server, dice=random.Random(seed), without=without, log=log) as game:
        violations: list[str] = []
        rested = 0
        while game.finished < rotations or game.has_unseen_faces():
            game.turn()
            if game.finished - rested >= QUIET_EVERY or game.needs_persons:
                rested = game.finished
                violations += game.rest_and_look()
        violations += game.rest_and_look(last=True)
        return Outcome(
            finished=game.finished,
            ended=game.ended(),
            faults=game.faults + game.trouble.counted,
            errors=game.errors,
            strange=game.strange,
            seconds=time.monotonic() - began,
            violations=violations,
        )


def read_rotations(text: str) -> int:
    """More than none."""
    try:
        rotations = int(text)
    except ValueError:
        rotations = 0
    if rotations <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number above 0")
    return rotations


def repeat(*, rotations: int, seed: int, database: str, without: tuple[str, ...]) -> str:
    left_out = "".join(f' --without "{kind}"' for kind in without)
    return f"python -m tests.faults.chaos --rotations {rotations} --seed {seed} --database {database}{left_out}"


def _show(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(counted.items())) or "none"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rotations", type=read_rotations, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--without", action="append", default=[], choices=[*CHANCES, *Face, "stopped"])
    parser.add_argument("--log", type=Path, help="where to write down everything that happened")
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-chaos-") as folder,
        start_postgres() if given.database == "postgresql" else nullcontext() as server,
        given.log.open("w") if given.log else nullcontext() as log,
        keep_beating(Path(folder) / "up", random.Random(given.seed))
        if shutil.which("cc")
        else nullcontext(Beating()) as beating,
    ):
        outcome = run_chaos(
            rotations=given.rotations,
            seed=given.seed,
            folder=Path(folder),
            server=server,
            without=tuple(given.without),
            log=log,
        )
    outcome.faults += beating.faults
    outcome.violations += beating.violations
    sys.stdout.write(outcome.line(given.database, given.seed) + "\n")
    for violation in outcome.violations:
        sys.stdout.write(f"  {violation}\n")
    if outcome.violations:
        again = repeat(
            rotations=given.rotations,
            seed=given.seed,
            database=given.database,
            without=tuple(given.without),
        )
        sys.stdout.write(f"repeat: {again}\n")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
