"""One whole night in a process of its own, which holds nothing but what a worker needs for that: no server of
the benchmarks, and no driver that the vault does not use.

Prints the most memory that it held before the night, and by its end, in MiB.
"""

import argparse
import json
from pathlib import Path

from tests.benchmarks.table import measure_peak
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.saga import State


def run_night(home: Path, number: int) -> tuple[float, float]:
    services = Services(load_settings(home, night_cap=number, target_cap=number))
    services.check()
    services.load()
    inline_night, before = services.night.inline_night, measure_peak()
    result = inline_night.run_night(lambda _: None, wait=False)
    most = measure_peak()
    rotated = [one for one in inline_night.list_rotations(result.slot) if one.state is State.WATCHING]
    assert len(rotated) == number, result.counts
    services.close()
    return before, most


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--rotations", type=int, required=True, help="how many are due there")
    given = parser.parse_args()
    print(json.dumps(run_night(given.home, given.rotations)))
