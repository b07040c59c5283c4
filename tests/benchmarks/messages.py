"""How many messages rotations take, which is the same on every machine: each is followed to what it calls for,
in the order in which a broker would give them to one worker.

Once with a message for each, as a night sends them; and once without any, as a sweep finds them after a broker
has lost all. And what it takes of the database to take one of them, once, before anything is done by it.
"""

import argparse
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.grounds import open_vault
from tests.benchmarks.rotations import open_rotations
from tests.benchmarks.table import BenchRow, add_options, tell
from tests.counting import count_on
from tests.faults.worker_process import be_quiet
from worker.bootstrap import Services
from worker.domain.messages import beginning_of_ids
from worker.domain.work import RESUME, Task, Work

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def follow_all(services: Services, first: Iterable[Work]) -> Counter[Task]:
    """Until nothing is called for any more: what was."""
    waiting, counted = deque(first), Counter[Task]()
    while waiting:
        work = waiting.popleft()
        counted[work.task] += 1
        waiting.extend(services.night.dispatch.do(work))
    return counted


def measure_taking(services: Services) -> Iterator[BenchRow]:
    """A message whose number nobody has taken, as that begins with its time."""
    take = services.upkeep.taken_messages.take
    first, second = (beginning_of_ids(NOW).ljust(32, end) for end in "12")
    assert take(first)  # so that statements are built
    with count_on(services.database.engine) as counted:
        assert take(second)
    yield BenchRow(work="taking a message: statements", measure=len(counted.statements), unit="", at_most=1)
    yield BenchRow(work="taking a message: commits", measure=counted.commits, unit="", at_most=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=100)
    add_options(parser)
    given = parser.parse_args()
    rows = list[BenchRow]()
    be_quiet()
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-bench-") as folder,
        open_vault(Path(folder) / "home", clock=lambda: NOW) as services,
    ):
        for what in ("called for by a night", "found by a sweep"):
            opened = open_rotations(services, given.rotations, prefix=what.replace(" ", "-"))
            first = [Work(Task.ROTATE, one) for one in opened] if "night" in what else [RESUME]
            counted = follow_all(services, first)
            rows.append(
                BenchRow(
                    work=f"messages of each of {given.rotations:,} rotations, {what}",
                    measure=counted.total() / given.rotations,
                    unit="",
                )
            )
        rows += measure_taking(services)
        tell("messages", rows, write=given.write)


if __name__ == "__main__":
    main()
