"""What a rotation costs the database over its whole life, by messages as a broker gives them: opened by a
night, driven until it watches, looked at when its workflow has run, looked at again when its overlap is over,
and retired; and its notices.

Once without a target system; once with an HTTP target, where all of them are, and a workflow of its own each.
Each item has a finding, and each owner ten items, and is told by HTTP. Statements and commits are counted, also
of taking each message and of sweeps; what a night takes in an empty vault is counted apart. What it takes to
send notices falls with their number, so a small night takes more for each rotation. A run of the workflow is
not counted, since it runs anyway; what it leaves on the disk is. All of it is done twice, and the second time
counts: by then checks have been seen to refuse a wrong value, and tables have their first pages.

CPU is that of one process; with an HTTP target the target's is among it. `--write PAGE` puts the table into a
page.
"""

import argparse
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import func, select

from nightkey_demo.target_systems import TargetSystems, start_target_systems
from tests.benchmarks.grounds import open_grounds, open_vault
from tests.benchmarks.table import BenchRow, add_options, tell
from tests.counting import count_on
from tests.faults.worker_process import be_quiet
from tests.organisation import Organisation
from tests.postgres import create_database, show_for_sqlalchemy
from tests.ways_out import LOOPBACK
from vaultcore.tables import audit, audit_head
from worker.bootstrap import Services
from worker.domain.messages import beginning_of_ids
from worker.domain.saga import State
from worker.domain.work import RESUME, Task, Work

OPENED, DRIVEN, TOLD = "opened by a night", "driven until it watches", "notices sent"
LOOKED, RETIRED = "looked at behind a run", "looked at after its overlap, and retired"
_PHASES: Final = {Task.NIGHT: OPENED, Task.DELIVER: TOLD, Task.BEAT: TOLD}
"""By the message that is acted upon; any other belongs to what was called for at first."""
_OF_AN_OWNER = 10
_POLICY: Final = {"lifetime": "90d", "lead": "14d", "overlap": "1d", "spread": "0s"}
_EVERY = timedelta(days=80)
"""From a rotation of an item to the next, a little more."""
_DAYS = 10.0
"""How long the first value lives on: it is due at once."""
_TURN: Final = f"UPDATE {audit_head.name}"
_SIZES: Final = "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables"


class TurnedClock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Life:
    """Of all rotations together, by phases."""

    statements: Counter[str] = field(default_factory=Counter)
    commits: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    """Of writers at the head of the audit log."""
    cpu: float = 0.0
    """Seconds."""

    def without(self, other: "Life") -> "Life":
        left = Life(cpu=self.cpu - other.cpu)
        for whole, part, rest in (
            (self.statements, other.statements, left.statements),
            (self.commits, other.commits, left.commits),
            (self.messages, other.messages, left.messages),
            (self.turns, other.turns, left.turns),
        ):
            rest.update(whole)
            rest.subtract(part)
        return left


@dataclass(frozen=True, kw_only=True)
class Grown:
    """What the tables hold: bytes of all, of the audit log where the database says that, and its rows."""

    size: int
    audit_size: int | None
    audit_rows: int


class Lives:
    """So many items of one kind in a vault of their own, whose rotations live at the same time."""

    def __init__(self, services: Services, clock: TurnedClock, targets: TargetSystems, number: int) -> None:
        self._services = services
        self._clock = clock
        self._number = number
        self._taken = 0
        self._organisation = Organisation(services, targets)
        self._workflows: list[str] = []

    def add_items(self, *, with_target: bool) -> None:
        self._organisation.add_owner("support")
        for place in range(self._number):
            owner, name = f"team-{place // _OF_AN_OWNER}", f"prod-service-{place}-token"
            if place % _OF_AN_OWNER == 0:
                self._organisation.add_owner(owner)
            if with_target:
                account = f"account-{place}"
                self._organisation.add_token(name, account, days=_DAYS, owner=owner, **_POLICY)
                self._organisation.add_workflow(f"workflow-{place}", name)
                self._workflows.append(f"workflow-{place}")
            else:
                policy = {"mode": "auto", "rotator": "random"} | _POLICY
                self._organisation.add_item(name, f"value {place}", days=_DAYS, owner=owner, **policy)

    def live(self) -> Life:
        """One night, and the day behind it: each rotation from its opening to its end. Then the next is due."""
        life, began = Life(), self._clock.now
        self._pass_night(life)
        self._expect(began, State.WATCHING)
        self._clock.now = began + timedelta(hours=1)
        for workflow in self._workflows:
            self._services.runs.runs.start(workflow, actor="bench")
        if self._workflows:
            self._follow(life, LOOKED, [RESUME])
            self._expect(began, State.WATCHING)
        self._clock.now = began + timedelta(days=1, hours=2)
        self._follow(life, RETIRED, [RESUME])
        self._expect(began, State.DONE)
        assert len(self._organisation.findings()) == self._number
        self._clock.now = began + _EVERY
        return life

    def rest(self) -> Life:
        """A night in an empty vault, and the day behind it."""
        life = Life()
        self._pass_night(life)
        self._clock.now += timedelta(days=1)
        self._follow(life, RETIRED, [RESUME])
        return life

    def _pass_night(self, life: Life) -> None:
        self._follow(life, DRIVEN, self._begin_night(life))

    def _begin_night(self, life: Life) -> list[Work]:
        with self._counted(life, OPENED):
            return self._services.night.dispatch.begin_night(self._clock.now)

    def _follow(self, life: Life, phase: str, first: Iterable[Work]) -> None:
        waiting = deque(first)
        while waiting:
            work = waiting.popleft()
            with self._counted(life, _PHASES.get(work.task, phase)):
                assert self._services.upkeep.taken_messages.take(self._next_message())
                waiting.extend(self._services.night.dispatch.do(work))

    @contextmanager
    def _counted(self, life: Life, phase: str) -> Iterator[None]:
        began = time.process_time()
        with count_on(self._services.database.engine) as counted:
            yield
        life.cpu += time.process_time() - began
        life.statements[phase] += len(counted.statements)
        life.commits[phase] += counted.commits
        life.messages[phase] += 1
        life.turns[phase] += sum(_TURN in one for one in counted.statements)

    def _next_message(self) -> str:
        self._taken += 1
        return beginning_of_ids(self._clock.now) + f"{self._taken:020x}"

    def _expect(self, night: datetime, state: State) -> None:
        found = Counter(one.state for one in self._services.night.inline_night.list_rotations(night))
        assert found == {state: self._number}, found

    def weigh(self) -> Grown:
        database = self._services.database
        with database.read() as connection:
            rows = connection.execute(select(func.count()).select_from(audit)).scalar_one()
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            if database.is_sqlite:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                of_one = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
                return Grown(size=pages * of_one, audit_size=None, audit_rows=rows)
            connection.exec_driver_sql("VACUUM")
            sizes: dict[str, int] = dict(connection.exec_driver_sql(_SIZES).all())
            return Grown(size=sum(sizes.values()), audit_size=sizes[audit.name], audit_rows=rows)


def measure(name: str, lives: Lives, number: int, *, with_target: bool) -> Iterator[BenchRow]:
    lives.rest()
    night = lives.rest()
    lives.add_items(with_target=with_target)
    lives.live()
    before = lives.weigh()
    life = lives.live().without(night)
    after = lives.weigh()
    for what, counted in (("statements", night.statements), ("commits", night.commits)):
        yield BenchRow(work=f"{name}, a night of none: {what}", measure=counted.total(), unit="")
    for phase in (OPENED, DRIVEN, LOOKED, RETIRED, TOLD):
        count = life.statements[phase] / number
        if count:
            yield BenchRow(work=f"{name}, {phase}: statements", measure=count, unit="")
    whole = f"{name}, whole life"
    for what, counted in (
        ("statements", life.statements),
        ("commits", life.commits),
        ("turns at the audit log", life.turns),
        ("messages", life.messages),
    ):
        yield BenchRow(work=f"{whole}: {what}", measure=counted.total() / number, unit="")
    yield BenchRow(work=f"{whole}: CPU", measure=life.cpu * 1000 / number)
    rows = (after.audit_rows - before.audit_rows) / number
    yield BenchRow(work=f"{whole}: audit rows", measure=rows, unit="")
    yield BenchRow(work=f"{whole}: on disk", measure=(after.size - before.size) / 1000 / number, unit="kB")
    if after.audit_size is not None and before.audit_size is not None:
        size = (after.audit_size - before.audit_size) / 1000 / number
        yield BenchRow(work=f"{whole}: on disk, of the audit log", measure=size, unit="kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=20, help="of each kind on each database")
    add_options(parser)
    given = parser.parse_args()
    be_quiet()
    rows: list[BenchRow] = []
    with open_grounds() as (folder, server), start_target_systems() as targets:
        for engine in ("SQLite", "PostgreSQL"):
            for kind in ("no target", "HTTP target and workflow"):
                address = ""
                if engine == "PostgreSQL":
                    address = show_for_sqlalchemy(create_database(server.address, f"life_{len(rows)}"))
                clock = TurnedClock()
                with open_vault(
                    folder / engine / kind.replace(" ", "-"), address, clock=clock, outbound_private=LOOPBACK,
                    check_every_days=0, night_cap=10**6, target_cap=10**6,
                ) as services:  # fmt: skip
                    lives = Lives(services, clock, targets, given.rotations)
                    rows += measure(
                        f"{engine}: {kind}", lives, given.rotations, with_target=kind != "no target"
                    )
        tell("life", rows, write=given.write)


if __name__ == "__main__":
    main()
