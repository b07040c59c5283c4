"""The most memory that a process holds which does one whole night: beside what it held before, and how much
more than for a tenth of its rotations. Each is a process of its own (`whole_night`), on a vault that this one
has filled.

What walks over the vault hold is measured by `scan`, at a million items and a tenth of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.grounds import open_vault
from tests.benchmarks.table import BenchRow, add_options, tell
from vaultcore.model import Consumers, Mode, Policy
from vaultcore.secret import Secret

_AT_ONCE = 500


def fill(home: Path, number: int) -> None:
    """So many items that are due, whose values are made here."""
    policy = Policy(
        mode=Mode.AUTO, rotator="random", stated=True, consumers=Consumers.NONE, lead=timedelta(days=14)
    )
    expires_at = datetime.now(UTC) + timedelta(days=3)
    with open_vault(home) as services:
        with services.database.read() as connection:
            owner_ids = (services.owners.get(connection, "operators").id,)
        for start in range(0, number, _AT_ONCE):
            with services.database.write() as connection:
                for place in range(start, min(start + _AT_ONCE, number)):
                    services.vault.create(
                        connection, name=f"prod-service-{place}", value=Secret(f"the first value of {place}"),
                        owner_ids=owner_ids, expires_at=expires_at, policy=policy, actor="bench",
                    )  # fmt: skip


def measure(folder: Path, number: int) -> tuple[float, float]:
    """Before its night and by its end."""
    home = folder / f"of-{number}"
    fill(home, number)
    asked = [sys.executable, "-m", "tests.benchmarks.whole_night", str(home), "--rotations", str(number)]
    told = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    before, most = json.loads(told.splitlines()[-1])
    return before, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=1_000, help="documented figures are of 10,000")
    add_options(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightkey-bench-", dir="/var/tmp") as name:
        (_, tenth), (before, whole) = (
            measure(Path(name), number) for number in (given.rotations // 10, given.rotations)
        )
    work = f"memory of a night of {given.rotations:,} rotations"
    tell(
        "memory",
        [
            BenchRow(work=work, measure=whole, unit="MiB", at_most=130),
            BenchRow(work=f"{work}: before it begins", measure=before, unit="MiB"),
            BenchRow(work=f"{work}: beyond that of a tenth", measure=whole - tenth, unit="MiB"),
        ],
        write=given.write,
    )


if __name__ == "__main__":
    main()
