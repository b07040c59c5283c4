"""One resume sweep at a time: the first looks, the others leave it to that, and no ring is lost by it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text, update

from tests.benchmarks.sweeps import add_watching
from tests.faults.vault_copy import let_leases_lapse
from tests.services.conftest import Moves, race
from tests.services.test_resting_sweep import KINDS
from worker.bootstrap import Services
from worker.domain.work import RESUME, Task, Work
from worker.rows import sweep_lease
from worker.rows.tables import runs, sweeps

DUE = 3
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WORKERS = 8
_SECONDS_MAX = 120


@pytest.fixture
def due(services: Services, clock: Any) -> Services:
    """Rotations are due, of which one worker drives one at a time."""
    services.night.resume_sweep.find_work()  # a process begins with a look at times of clocks that were ahead
    add_watching(services, DUE, clock() - HOUR)
    return services


@pytest.fixture
def other(due: Services) -> Iterator[Services]:
    """Those of another process."""
    made = Services(due.settings, due.clock)
    made.night.resume_sweep.find_work()
    with due.database.write() as connection:
        connection.execute(update(sweeps).values(counts={}))
    yield made
    made.close()


def rung(found: list[Work]) -> set[Task]:
    return {work.task for work in found}


def test_who_comes_while_another_sweeps_does_nothing_and_that_one_calls_for_one_more(
    due: Services, other: Services
) -> None:
    with _in_the_middle(due) as (first, go_on):
        assert other.night.resume_sweep.find_work() == []
        assert other.night.resume_sweep.find_work() == []
        go_on()
        found = first.result(_SECONDS_MAX)
    assert rung(found) == {Task.ROTATE, Task.RESUME}
    assert (found[-1], found.count(RESUME)) == (RESUME, 1)
    assert rung(other.night.resume_sweep.find_work()) == {Task.ROTATE}


def test_what_is_written_during_a_sweep_is_found_by_the_one_that_it_calls_for(
    moves: Moves, due: Services, other: Services, clock: Any
) -> None:
    _, add_run = KINDS["pending run"]
    with _in_the_middle(due) as (first, go_on):
        add_run(moves, clock())
        assert other.night.resume_sweep.find_work() == []
        go_on()
        assert rung(first.result(_SECONDS_MAX)) == {Task.ROTATE, Task.RESUME}
    assert Task.RUN in rung(other.night.resume_sweep.find_work())


@pytest.mark.parametrize("kind", ["check", "pending run"])
def test_a_line_full_of_checks_or_runs_keeps_no_rotation_waiting_for_their_end(
    moves: Moves, due: Services, clock: Any, kind: str
) -> None:
    assert due.night.resume_sweep.find_work(lambda: 0) == []
    _, add = KINDS[kind]
    add(moves, clock())
    assert [work.task for work in due.night.resume_sweep.find_work(lambda: 0)] == [Task.ROTATE]


def test_of_many_at_once_whoever_is_refused_is_rung_for(due: Services) -> None:
    outcomes = race(WORKERS, lambda _: due.night.resume_sweep.find_work())
    found = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert len(found) == WORKERS
    swept = [each for each in found if each]
    assert all(Task.ROTATE in rung(each) for each in swept)
    assert (len(swept) < WORKERS) == any(RESUME in each for each in swept)
    assert _read_counts(due) == {}


def test_one_that_died_holds_up_the_next_no_longer_than_its_lease(due: Services, clock: Any) -> None:
    with due.database.write() as connection:
        assert sweep_lease.take(connection, now=clock(), lease=timedelta(seconds=15)) is not None
    assert due.night.resume_sweep.find_work() == []
    let_leases_lapse(due)
    assert rung(due.night.resume_sweep.find_work()) == {Task.ROTATE, Task.RESUME}
    assert rung(due.night.resume_sweep.find_work()) == {Task.ROTATE}


def test_who_was_away_for_too_long_takes_it_from_nobody(due: Services, other: Services, clock: Any) -> None:
    with _in_the_middle(due) as (first, go_on):
        clock.advance(MINUTE)
        let_leases_lapse(due)
        with _in_the_middle(other) as (second, finish):
            go_on()
            assert rung(first.result(_SECONDS_MAX)) == {Task.ROTATE}
            assert due.night.resume_sweep.find_work() == []
            finish()
            assert rung(second.result(_SECONDS_MAX)) == {Task.ROTATE, Task.RESUME}


def test_one_that_fails_holds_up_nobody(due: Services) -> None:
    def fail() -> None:
        raise RuntimeError("the look for rotations fails")

    with _when_it_looks(due, fail), pytest.raises(RuntimeError):
        due.night.resume_sweep.find_work()
    assert rung(due.night.resume_sweep.find_work()) == {Task.ROTATE}


def test_who_was_refused_by_one_that_fails_is_rung_for_by_the_next(due: Services, other: Services) -> None:
    def be_refused_and_fail() -> None:
        assert other.night.resume_sweep.find_work() == []
        raise RuntimeError("the look for rotations fails")

    with _when_it_looks(due, be_refused_and_fail), pytest.raises(RuntimeError):
        due.night.resume_sweep.find_work()
    assert rung(due.night.resume_sweep.find_work()) == {Task.ROTATE, Task.RESUME}
    assert rung(due.night.resume_sweep.find_work()) == {Task.ROTATE}


def test_a_lease_of_a_clock_that_was_ahead_holds_up_nobody(due: Services, clock: Any) -> None:
    due.night.resume_sweep.find_work()
    with due.database.write() as connection:
        ahead = clock() + timedelta(days=3650)
        connection.execute(update(sweeps).values(started_at=ahead, lease_until=ahead, done_at=None))
    assert rung(due.night.resume_sweep.find_work()) == {Task.ROTATE}


def test_a_row_of_it_that_is_damaged_holds_up_nobody(due: Services) -> None:
    if not due.database.is_sqlite:
        pytest.skip("PostgreSQL keeps nothing that its types do not allow")
    due.night.resume_sweep.find_work()
    with due.database.write() as connection:
        connection.execute(text("UPDATE sweeps SET lease_until = 'garbage', done_at = NULL, counts = '{'"))
    assert Task.ROTATE in rung(due.night.resume_sweep.find_work())
    assert rung(due.night.resume_sweep.find_work()) == {Task.ROTATE}


def test_a_night_by_hand_leaves_nothing_to_a_sweep_that_may_have_died(moves: Moves, clock: Any) -> None:
    services = moves.services
    _, add_lost_run = KINDS["lost run"]
    add_lost_run(moves, clock())
    with services.database.write() as connection:
        assert sweep_lease.take(connection, now=clock(), lease=timedelta(seconds=15)) is not None
    services.night.resume_sweep.carry_on()
    with services.database.read() as connection:
        assert connection.execute(select(runs.c.status)).scalar_one() == "failed"


def _read_counts(services: Services) -> Any:
    with services.database.read() as connection:
        return connection.execute(select(sweeps.c.counts)).scalar_one()


@contextmanager
def _in_the_middle(services: Services) -> Iterator[tuple[Future[list[Work]], Callable[[], None]]]:
    """A sweep that has begun, and what lets it go on."""
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert go_on.wait(_SECONDS_MAX)

    with ThreadPoolExecutor(1) as pool, _when_it_looks(services, wait):
        sweep = pool.submit(services.night.resume_sweep.find_work)
        try:
            assert reached.wait(_SECONDS_MAX)
            yield sweep, go_on.set
        finally:
            go_on.set()


@contextmanager
def _when_it_looks(services: Services, act: Callable[[], None]) -> Iterator[None]:
    """Acts once, when a sweep of these services asks which rotations are due."""
    acted = threading.Event()

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT rotations.") and not acted.is_set():
            acted.set()
            act()

    event.listen(services.database.engine, "before_cursor_execute", see)
    try:
        yield
    finally:
        event.remove(services.database.engine, "before_cursor_execute", see)
