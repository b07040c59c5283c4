"""The CPU of short commands, from a process's start to its end: the best of so many, byte-compiled, in
turn with a Python that does nothing, and with one that imports SQLAlchemy. The vault is a small one on SQLite.
"""

import argparse
import os
import pstats
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.benchmarks.grounds import open_vault
from tests.benchmarks.table import BenchRow, add_options, tell
from tests.ingress import define
from vaultcore.model import Mode, Policy
from vaultcore.secret import Secret

_ITEMS = 5
_NIGHTKEY = "from worker.cli.entry import main; main()"
_BARE, _SQLALCHEMY = "python -c pass", 'python -c "import sqlalchemy"'
_COMMANDS = {"nightkey --help": (150, _BARE), "nightkey scan --dry-run": (350, _SQLALCHEMY)}
"""With the most milliseconds that one may take, and what it is set beside."""


def fill(home: Path) -> None:
    """A few items, the first of which is due and stands in a workflow."""
    policy = Policy(mode=Mode.AUTO, rotator="random", stated=True, lead=timedelta(days=14))
    ends = datetime.now(UTC) + timedelta(days=3)
    with open_vault(home) as services:
        with services.database.write() as connection:
            for number in range(_ITEMS):
                services.vault.create(
                    connection, name=f"prod-service-{number}", value=Secret(f"the first value of {number}"),
                    owner_ids=(services.owners.get(connection, "operators").id,),
                    expires_at=ends + timedelta(days=20 * number), policy=policy, actor="bench",
                )  # fmt: skip
        node = {"id": "send", "componentId": "webhook", "url": "https://example.org/orders",
                "headers": {"X-Secret": "{{ vault.prod-service-0 }}"}}  # fmt: skip
        services.runs.documents.apply([define("orders", "manual_trigger", None, node)], actor="bench")


def measure(asked: Mapping[str, Callable[[], object]], *, runs: int) -> dict[str, float]:
    """The least milliseconds of processor time of each, its kernel's share with it."""
    least = dict.fromkeys(asked, float("inf"))
    for run in range(runs + 1):
        for name, ask in asked.items():
            before = _spent()
            ask()
            if run > 0:  # the first compiles what nobody has imported yet
                least[name] = min(least[name], (_spent() - before) * 1000)
    return least


def _spent() -> float:
    """Seconds of processor time of all children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _ask(home: Path, *words: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTKEY_", "PYTHON"))}
    subprocess.run(
        [sys.executable, *words],
        env={**kept, "NIGHTKEY_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _profile(home: Path, words: list[str]) -> pstats.Stats:
    """Of a process of its own: in this one most is imported already."""
    with tempfile.TemporaryDirectory() as folder:
        script, stats = Path(folder) / "nightkey", Path(folder) / "stats"
        script.write_text(_NIGHTKEY)
        _ask(home, "-m", "cProfile", "-o", str(stats), str(script), *words)
        return pstats.Stats(str(stats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="of each, beside a first that is not counted")
    add_options(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightkey-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        fill(home)
        asked = {
            _BARE: partial(_ask, home, "-c", "pass"),
            _SQLALCHEMY: partial(_ask, home, "-c", "import sqlalchemy"),
            **{one: partial(_ask, home, "-c", _NIGHTKEY, *one.split()[1:]) for one in _COMMANDS},
        }
        least = measure(asked, runs=given.runs)
        rows = []
        for command, (bar, beside) in _COMMANDS.items():
            profile = partial(_profile, home, command.split()[1:])
            rows += [
                BenchRow(work=f"{command}: CPU", measure=least[command], at_most=bar, profile=profile),
                BenchRow(
                    work=f"{command}: beside another start",
                    measure=least[command],
                    beside=least[beside],
                    beside_what=beside,
                ),
            ]
        tell("start", rows, write=given.write)


if __name__ == "__main__":
    main()
