"""Soak: real machines, databases and brokers that are stopped, restarted and emptied, by chance.

    python -m tests.faults.soak --minutes 60 --engines postgresql+rabbitmq --seed 1

The seed decides what happens and for how long; how processes then fall in with each other is the machine's.
After each few minutes the troubles end, nights must go on, all must come to rest, and is looked at.
"""

import argparse
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.soak.brokers import find_missing, start_broker
from tests.faults.soak.run import SoakRun
from tests.faults.worker_process import be_quiet
from tests.postgres import Server, create_database, run_sql, show_for_sqlalchemy, start_server

ENGINES = {
    "sqlite+folder": (False, "folder"),
    "postgresql+folder": (True, "folder"),
    "postgresql+rabbitmq": (True, "rabbit"),
    "postgresql+valkey": (True, "valkey"),
}
"""Whether a server has the database, and which broker there is."""
ROUND = 240.0
"""Seconds of troubles, at most, until all must come to rest."""


def run_soak(*, engines: str, minutes: float, seed: int, folder: Path) -> list[str]:
    """What must not be, if anything is."""
    has_server, broker_engine = ENGINES[engines]
    violations: list[str] = []
    with (
        _start_database(has_server=has_server) as (database, url),
        start_broker(broker_engine, folder / "broker", folder / "home") as broker,
        SoakRun(folder, broker, database, url, dice=random.Random(seed), tell=_tell) as soak,
    ):
        soak.wait_until_at_work()
        left = minutes * 60
        while left > 0 and not violations:
            soak.disturb(min(left, ROUND))
            left -= ROUND
            violations += soak.rest_and_look()
            if left > 0:
                soak.go_on()
        if not soak.finished():
            violations.append("no rotation was finished: nothing was shown")
        if not soak.counted:
            violations.append("nothing was stopped or emptied: nothing was shown")
        ended = ", ".join(f"{number} {state}" for state, number in sorted(soak.ended().items()))
        troubles = ", ".join(f"{number} {name}" for name, number in sorted(soak.counted.items()))
        _tell(
            f"soak on {engines}, seed {seed}: {soak.finished()} rotations finished ({ended}) in "
            f"{soak.nights()} nights; {troubles}; {soak.trouble.counted.total()} faults of targets; "
            f"{len(violations)} violations"
        )
    return violations


@contextmanager
def _start_database(*, has_server: bool) -> Iterator[tuple[Server | None, str]]:
    if not has_server:
        yield None, ""
        return
    with start_server() as server:
        # It is crashed here: what it has committed must be with the system, though not on the disk.
        run_sql(server.address, "ALTER SYSTEM SET synchronous_commit = on")
        run_sql(server.address, "SELECT pg_reload_conf()")
        yield server, show_for_sqlalchemy(create_database(server.address, "soak"))


def read_minutes(text: str) -> float:
    """More than none, and with an end."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number above 0")
    return minutes


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=read_minutes, default=3)
    parser.add_argument("--engines", choices=ENGINES, default="sqlite+folder")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    missing = find_missing(ENGINES[given.engines][1])
    if missing:
        _tell(f"soak on {given.engines} is left out: {missing}")
        return 0
    _tell(f"soak on {given.engines}, {given.minutes:g} minutes, seed {given.seed}")
    be_quiet()
    folder = Path(tempfile.mkdtemp(prefix="nightkey-soak-"))
    violations = ["it was cut off"]
    try:
        violations = run_soak(engines=given.engines, minutes=given.minutes, seed=given.seed, folder=folder)
    finally:
        if violations:
            _tell(f"  its logs: {folder}")
        else:
            shutil.rmtree(folder)
    for violation in violations:
        _tell(f"  {violation}")
    if violations:
        _tell(f"repeat: make soak MINUTES={given.minutes:g} ENGINES={given.engines} SEED={given.seed}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
