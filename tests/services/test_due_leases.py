"""Due rotations are leased in batches: each by one worker, none is left, and nobody waits for another."""

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from tests.counting import count_on
from tests.faults.vault_copy import let_leases_lapse
from tests.services.conftest import Moves, race
from vaultcore.errors import TamperedError
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import due_leases as due_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotations as rotation_rows
from worker.rows import target_capacity as target_rows
from worker.rows.tables import rotations

LEASE = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
SLOW, OTHER = "slow.example", "other.example"
WORKERS = 5
NEVER_WAITS = text("SET LOCAL lock_timeout = '1ms'")


def test_many_workers_lease_each_once_leave_none_and_keep_to_the_room(moves: Moves, clock: Any) -> None:
    targets = [None, *(f"target-{number}.example" for number in range(4))]
    opened = [moves.insert_due(clock(), targets[number % len(targets)]) for number in range(60)]
    lock, at_work, most_seen, leased = threading.Lock(), Counter[str](), Counter[str](), list[str]()

    def work(_: int) -> None:
        nonlocal most_seen
        while _count_open(moves):
            batch = _lease(moves, clock(), most=7, at_once=2).leased
            with lock:
                leased.extend(one.id for one in batch)
                at_work.update(one.target for one in batch if one.target)
                most_seen |= at_work
            for one in batch:
                with lock:
                    at_work.subtract([one.target] if one.target else [])
                _end(moves, one)

    assert [outcome for outcome in race(WORKERS, work) if outcome is not None] == []
    assert Counter(leased) == Counter(opened)
    assert max(most_seen.values()) == 2


def test_it_is_leased_as_one_alone_is(moves: Moves, clock: Any) -> None:
    opened = [moves.insert_due(clock() - number * MINUTE, None) for number in range(3)]
    moves.insert_due(clock() + MINUTE, None)
    first = _lease(moves, clock(), most=2)
    assert [one.id for one in first.leased] == [opened[2], opened[1]]
    assert {(one.fence, one.attempts, one.leases_lost) for one in first.leased} == {(1, 1, 0)}
    assert {one.touched_at for one in first.leased} == {clock()}
    assert first.leased == [_get(moves, one.id) for one in first.leased]
    assert [one.id for one in _lease(moves, clock(), most=2).leased] == [opened[0]]
    assert _lease(moves, clock(), most=2).leased == []
    let_leases_lapse(moves.services)
    again = _lease(moves, clock(), most=9).leased
    assert {(one.fence, one.attempts, one.leases_lost) for one in again} == {(2, 2, 1)}
    with moves.services.database.write() as connection:
        assert all(lease_rows.is_held(connection, one, now=clock()) for one in again)


def test_it_takes_one_statement_however_many_there_are(moves: Moves, clock: Any) -> None:
    for number in range(40):
        moves.insert_due(clock(), f"target-{number % 10}.example" if number % 2 else None)
    with count_on(moves.services.database.engine) as counted:
        assert len(_lease(moves, clock(), most=30, at_once=9).leased) == 30
    updates = [statement for statement in counted.statements if statement.startswith("UPDATE")]
    assert len(updates) == 1
    assert len(counted.statements) == (1 if moves.services.database.is_sqlite else 2)


def test_it_looks_at_no_more_of_those_that_are_due_at_one_moment_than_it_takes(
    moves: Moves, clock: Any
) -> None:
    """As all are that a night has opened."""
    if not moves.services.database.is_sqlite:
        pytest.skip("what PostgreSQL chooses follows from how many rows there are")

    def lease(connection: Connection) -> None:
        assert len(_lease_in(connection, clock(), most=1).leased) == 1

    def find(connection: Connection) -> None:
        assert len(rotation_rows.due_rotations(connection, clock(), limit=1, at_once=9)) == 1

    def find_at_target(connection: Connection) -> None:
        assert len(target_rows.find_next(connection, SLOW, most=1, now=clock())) == 1

    asked = (lease, find, find_at_target)
    moves.insert_due(clock(), SLOW)
    moves.insert_due(clock(), SLOW)
    alone = [_count_steps(moves, one) for one in asked]
    for _ in range(50):
        moves.insert_due(clock(), SLOW)
    among_many = [_count_steps(moves, one) for one in asked]
    assert [many <= 2 * few for many, few in zip(among_many, alone, strict=True)] == [True] * len(asked)


def test_of_given_ones_only_those_are_leased(moves: Moves, clock: Any) -> None:
    opened = [moves.insert_due(clock(), SLOW) for _ in range(4)]
    asked = [opened[3], opened[1], "rot_' OR '1'='1", ""]
    assert {one.id for one in _lease(moves, clock(), ids=asked).leased} == {opened[1], opened[3]}
    assert _lease(moves, clock(), ids=asked).leased == []
    assert _lease(moves, clock(), ids=[]).leased == []
    assert {one.id for one in _lease(moves, clock()).leased} == {opened[0], opened[2]}


def test_a_full_target_holds_up_nobody_else(moves: Moves, clock: Any) -> None:
    slow = [moves.insert_due(clock() - (60 - number) * MINUTE, SLOW) for number in range(20)]
    leaked = moves.insert_due(clock() - MINUTE, SLOW, emergency=True)
    others = [
        moves.insert_due(clock(), OTHER),
        moves.insert_due(clock(), None),
        moves.insert_due(clock(), None),
    ]
    assert [one.id for one in _lease(moves, clock(), most=5, at_once=2).leased] == slow[:2]
    rest = {one.id for one in _lease(moves, clock(), most=5, at_once=2).leased}
    assert rest == {leaked, *others}
    assert _lease(moves, clock(), most=5, at_once=2).leased == []
    assert [one.id for one in _lease(moves, clock(), most=5, at_once=4).leased] == [slow[2]]


def test_one_of_which_the_value_is_known_takes_room_from_those_after_it(moves: Moves, clock: Any) -> None:
    leaked = [moves.insert_due(clock() - MINUTE, SLOW, emergency=True) for _ in range(3)]
    moves.insert_due(clock(), SLOW)
    assert {one.id for one in _lease(moves, clock(), at_once=2).leased} == set(leaked)


def test_rows_that_nobody_may_act_by_fall_out_and_hold_up_nobody(moves: Moves, clock: Any) -> None:
    bad = [moves.insert_due(clock() - (60 - number) * MINUTE, SLOW) for number in range(5)]
    good = [moves.insert_due(clock() - MINUTE, SLOW), moves.insert_due(clock(), None)]
    for one in bad[:4]:
        moves.sql("UPDATE rotations SET asked_by = 'somebody else' WHERE id = :id", id=one)
    moves.sql("UPDATE rotations SET polls = -1 WHERE id = :id", id=bad[4])
    before = [_fields(moves, one) for one in bad]
    got = _lease(moves, clock(), most=2, at_once=1)
    assert [one.id for one in got.leased] == good
    assert set(got.refused) == set(bad[:4])  # the last is not even read
    assert all(isinstance(one, TamperedError) for one in got.refused.values())
    assert [_fields(moves, one) for one in bad] == before
    assert set(_lease(moves, clock(), most=2, at_once=1).refused) <= set(bad[:4])


def test_nobody_waits_for_a_batch_that_is_being_leased(moves: Moves, clock: Any) -> None:
    database = moves.services.database
    if database.is_sqlite:
        pytest.skip("writers take turns there")
    first = [moves.insert_due(clock() - MINUTE, SLOW), moves.insert_due(clock() - MINUTE, None)]
    second = [moves.insert_due(clock(), OTHER), moves.insert_due(clock(), None)]
    behind, by_person = moves.insert_due(clock(), SLOW), moves.insert_due(clock(), OTHER)
    with database.write() as a_worker, database.write() as a_person:
        assert {one.id for one in _lease_in(a_worker, clock(), most=2).leased} == set(first)
        lease_rows.take_rotation(a_person, by_person, now=clock())
        with database.write() as another:
            another.execute(NEVER_WAITS)
            assert {one.id for one in _lease_in(another, clock()).leased} == set(second)
            assert _lease_in(another, clock()).leased == []
    assert {one.id for one in _lease(moves, clock()).leased} == {behind, by_person}


def _lease(
    moves: Moves, now: datetime, *, ids: Collection[str] | None = None, most: int = 50, at_once: int = 9
) -> due_rows.DueLeases:
    with moves.services.database.write() as connection:
        return _lease_in(connection, now, ids=ids, most=most, at_once=at_once)


def _lease_in(
    connection: Connection,
    now: datetime,
    *,
    ids: Collection[str] | None = None,
    most: int = 50,
    at_once: int = 9,
) -> due_rows.DueLeases:
    return due_rows.lease_due(connection, ids, most=most, now=now, lease=LEASE, at_once=at_once)


def _count_steps(moves: Moves, ask: Callable[[Connection], None]) -> int:
    """Of SQLite's machine, for what is asked; nothing of it is kept."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with moves.services.database.engine.connect() as connection:
        ask(connection)  # so that it is prepared
        connection.rollback()
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, 1)
        try:
            ask(connection)
        finally:
            driver.set_progress_handler(None, 1)
        connection.rollback()
    return steps


def _end(moves: Moves, leased: Rotation) -> None:
    now = moves.services.clock()
    after = replace(leased, state=State.CANCELLED, finished_at=now, next_at=None)
    with moves.services.database.write() as connection:
        lease_rows.store_rotation(connection, leased, after, (), now=now, lease=None)


def _get(moves: Moves, rotation_id: str) -> Rotation:
    with moves.services.database.read() as connection:
        return rotation_rows.get_rotation(connection, rotation_id)


def _fields(moves: Moves, rotation_id: str) -> Any:
    query = select(rotations.c.attempts, rotations.c.lease_until, rotations.c.leases_lost, rotations.c.next_at)
    return moves.sql(query.where(rotations.c.id == rotation_id))


def _count_open(moves: Moves) -> int:
    with moves.services.database.read() as connection:
        query = select(func.count()).select_from(rotations).where(rotations.c.finished_at.is_(None))
        return int(connection.execute(query).scalar_one())
