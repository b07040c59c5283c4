"""A trial: a worker is killed at one point of a story, another takes over, and everything must be as it should.

To repeat one:  python -m tests.faults.kill_runs sqlite good "before commit 17"
"""

import argparse
import itertools
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.clock import START, make_clock
from tests.faults.invariants import find_violations
from tests.faults.kill_points import KillPoint, Moment, Passing, read_point
from tests.faults.scenarios import ACCOUNT, SCENARIOS, set_up
from tests.faults.target_systems import WatchedTargets, watch, watched_targets
from tests.faults.vault_copy import Vault, open_services
from tests.faults.worker_process import Broken, Orders, Played, Seen, begin_worker
from tests.organisation import Organisation
from tests.postgres import start_postgres

DATABASES = ("sqlite", "postgresql")
LANES = 3  # two cores; the third fills what the others wait
_lanes = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Result:
    """`violations` empty: all is well. `point` None: nobody was killed."""

    point: KillPoint | None
    passed: list[KillPoint]
    violations: list[str]


class Lane:
    """One trial after the other, each on a copy of the same prepared vault, with one pair of targets."""

    def __init__(
        self,
        folder: Path,
        server: str | None,
        targets: WatchedTargets,
        *,
        story: str,
        name: str,
        loud: bool = False,
    ) -> None:
        self._targets = targets
        self._story = story
        self._loud = loud
        self._clock_file = folder / f"{name}.clock"
        self._clock = make_clock(self._clock_file)
        self._vault = Vault(folder, server, name, self._clock)
        services = open_services(self._vault.place, self._clock)
        set_up(Organisation(services, targets), SCENARIOS[story])
        services.close()
        self._vault.save()
        targets.token_service.remember()

    def try_point(self, point: KillPoint | None, mutant: str | None = None) -> Result:
        """Kills the worker there (None: nowhere), lets another one finish, and looks at what is left."""
        self._vault.put_back()
        self._clock.set(START)
        self._targets.token_service.put_back()
        self._targets.token_service.default_scopes.update(SCENARIOS[self._story].scopes)
        if point is not None:
            said = self._kill_at(point, mutant)
            if said is not None:
                return Result(point=point, passed=[], violations=[f"it lived on: {_explain_life(said)}"])
        served = Passing(None, lambda: None)
        with begin_worker(self._orders(mutant, None)) as life:
            watch(self._targets, served)
            played = life.go_on()
            watch(self._targets, None)
            seen = life.go_on()
        if not isinstance(played, Played) or not isinstance(seen, Seen):
            return Result(
                point=point,
                passed=[],
                violations=[f"the story did not come to its end: {_explain_life(played)}"],
            )
        accepted = self._targets.token_service.accepted(ACCOUNT)
        ended = SCENARIOS[self._story].ends
        wrong_end = [] if seen.endings == [ended] else [f"ended {seen.endings}, not {ended}"]
        return Result(
            point=point,
            passed=played.passed + served.passed,
            violations=wrong_end + find_violations(seen.known, accepted) + seen.violations,
        )

    def _kill_at(self, point: KillPoint, mutant: str | None) -> Any:
        """None: the worker died there. Else what it said."""
        with begin_worker(self._orders(mutant, point)) as life:
            watch(self._targets, Passing(point, lambda: os.kill(life.pid, signal.SIGKILL)))
            said = life.go_on()
            watch(self._targets, None)
        return said

    def _orders(self, mutant: str | None, point: KillPoint | None) -> Orders:
        return Orders(
            place=self._vault.place,
            clock=self._clock_file,
            story=self._story,
            mutant=mutant,
            dies_at=point,
            loud=self._loud,
        )

    def close(self) -> None:
        self._vault.remove()
        self._clock.close()


@contextmanager
def open_lanes(
    folder: Path, server: str | None, *, story: str, number: int = LANES, loud: bool = False
) -> Iterator[list[Lane]]:
    with ExitStack() as stack:
        lanes = []
        for each in range(number):
            name = f"lane{next(_lanes)}_{each}"
            targets = stack.enter_context(watched_targets())
            lane = Lane(folder, server, targets, story=story, name=name, loud=loud)
            stack.callback(lane.close)
            lanes.append(lane)
        yield lanes


def _explain_life(said: Any) -> str:
    match said:
        case Broken(error=error):
            return error
        case Played():
            return "it never came to that point"
    return "it died"


def enumerate_points(lane: Lane, mutant: str | None = None) -> tuple[Result, list[KillPoint]]:
    """The undisturbed story, and every point that it passed, by moment and number."""
    result = lane.try_point(None, mutant)
    order = list(Moment)
    return result, sorted(result.passed, key=lambda point: (order.index(point.moment), point.number))


def try_points(lanes: list[Lane], points: list[KillPoint], mutant: str | None = None) -> list[Result]:
    """All of them, one after the other in each lane."""
    left = iter(points)
    taking = threading.Lock()
    results: list[Result] = []

    def work(lane: Lane) -> None:
        while True:
            with taking:
                point = next(left, None)
            if point is None:
                return
            results.append(lane.try_point(point, mutant))

    with ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(work, lane) for lane in lanes]:
            done.result()
    return results


def explain(result: Result, story: str, database: str) -> str:
    """What went wrong where, and how to see it again."""
    point = result.point
    where = "with nobody killed" if point is None else f"killed {point}"
    repeat = "" if point is None else f' "{point.moment} {point.number}"'
    return (
        f'story "{story}" on {database}, {where}: {"; ".join(result.violations)}\n'
        f'  repeat: python -m tests.faults.kill_runs {database} "{story}"{repeat}'
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=DATABASES)
    parser.add_argument("story", choices=SCENARIOS)
    parser.add_argument("point", nargs="?", type=read_point, help="none: list them all")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-faults-") as folder,
        start_postgres() if given.database == "postgresql" else nullcontext() as server,
        open_lanes(Path(folder), server, story=given.story, number=1, loud=given.point is not None) as lanes,
    ):
        if given.point is None:
            result, points = enumerate_points(lanes[0])
            sys.stdout.writelines(f"{point}\n" for point in points)
        else:
            result = lanes[0].try_point(given.point)
    if result.violations:
        sys.stdout.write(explain(result, given.story, given.database) + "\n")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
