"""One worker drives together what is due together: what is written then, what is called, and what falls out."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update

from nightkey_demo.loopback import Answer, Incoming
from tests.faults.vault_copy import let_leases_lapse
from tests.postgres import count_waiting
from tests.services.staging import Staged, get_rotation, open_passwords, open_tokens, stage
from worker.domain.saga import State
from worker.domain.work import RESUME, Task, Work
from worker.rows.tables import rotations
from worker.services.rotation.advance import Advanced, RotationDriver

AT_ONCE = 4
PATIENCE = 120.0


@pytest.fixture
def staged(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Staged]:
    with stage(tmp_path, database_url, clock, rotations_at_once=AT_ONCE, target_at_once=AT_ONCE) as made:
        yield made


def ring(staged: Staged, rotation_id: str) -> list[Work]:
    return staged[0].services.night.dispatch.do(Work(Task.ROTATE, rotation_id))


def turn_past_share(clock: Any) -> None:
    """A worker begins with no more of them from then on, and goes on with those that it has."""
    clock.now += timedelta(seconds=6)


def states(staged: Staged, ids: list[str]) -> list[State]:
    return [get_rotation(staged[0], one).state for one in ids]


class Meeting:
    """A request of each of several rotations, which are answered once all have come."""

    def __init__(self, number: int, method: str) -> None:
        self._barrier = threading.Barrier(number)
        self._method = method

    def __call__(self, incoming: Incoming) -> Answer | None:
        if incoming.method == self._method:
            self._barrier.wait(PATIENCE)
        return None


@pytest.mark.both
def test_their_calls_go_out_together(staged: Staged) -> None:
    ids = open_tokens(staged, AT_ONCE)
    staged[1].script = Meeting(AT_ONCE, "POST")
    ring(staged, ids[0])
    assert states(staged, ids) == [State.WATCHING] * AT_ONCE


def test_no_more_are_driven_at_a_time_than_the_setting_says_and_the_one_that_is_asked_for_is_among_the_first(
    staged: Staged, clock: Any
) -> None:
    """Their share of time is over before the first of them comes to rest."""
    ids = open_passwords(staged, AT_ONCE + 2)
    staged[0].services.rotation.side_by_side.drive(ids[-1], tell=lambda _: turn_past_share(clock))
    driven = [one for one in ids if get_rotation(staged[0], one).state is State.WATCHING]
    assert driven == [*ids[: AT_ONCE - 1], ids[-1]]


def test_once_its_process_is_told_to_end_no_other_begins(staged: Staged) -> None:
    ids = open_passwords(staged, AT_ONCE + 2)
    side_by_side = staged[0].services.rotation.side_by_side
    driven = side_by_side.drive(ids[0], tell=lambda _: side_by_side.begin_no_more())
    assert states(staged, ids) == [State.WATCHING] * AT_ONCE + [State.PLANNED] * 2
    assert driven.may_be_more
    assert side_by_side.drive(ids[-1], tell=lambda _: None).advanced == []


@pytest.mark.both
def test_where_one_comes_to_rest_the_next_begins_however_slow_another_is(staged: Staged) -> None:
    ids = open_tokens(staged, AT_ONCE + 3)
    last_has_come = threading.Event()

    def serve(incoming: Incoming) -> Answer | None:
        if incoming.method == "POST" and b'"account0"' in incoming.body:
            assert last_has_come.wait(PATIENCE)
        if incoming.method == "POST" and f'"account{AT_ONCE + 2}"'.encode() in incoming.body:
            last_has_come.set()
        return None

    staged[1].script = serve
    followed = ring(staged, ids[0])
    assert states(staged, ids) == [State.WATCHING] * len(ids)
    assert followed == [RESUME]


def test_one_at_a_time_is_driven_while_there_is_time(tmp_path: Path, database_url: str, clock: Any) -> None:
    with stage(tmp_path, database_url, clock, rotations_at_once=1) as staged:
        ids = open_passwords(staged, 3)
        assert ring(staged, ids[1]) == [RESUME]
        assert states(staged, ids) == [State.WATCHING] * 3
        late = open_passwords(staged, 2, after=3)
        staged[0].services.rotation.side_by_side.drive(late[1], tell=lambda _: turn_past_share(clock))
        assert states(staged, late) == [State.PLANNED, State.WATCHING]


@pytest.mark.both
def test_places_that_those_of_a_full_target_cannot_take_are_given_to_others(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    """Four of a target with room for two are due longest: they keep no place from those behind them."""
    with stage(tmp_path, database_url, clock, rotations_at_once=AT_ONCE, target_at_once=2) as staged:
        slow = open_tokens(staged, AT_ONCE)
        others = open_passwords(staged, 2)
        others_have_been = threading.Event()

        def serve(incoming: Incoming) -> None:
            if incoming.method == "POST":
                assert others_have_been.wait(PATIENCE)

        def tell(_: Any) -> None:
            if states(staged, others) == [State.WATCHING] * len(others):
                others_have_been.set()

        staged[1].script = serve
        staged[0].services.rotation.side_by_side.drive(slow[0], tell=tell)
        assert states(staged, [*slow, *others]) == [State.WATCHING] * (AT_ONCE + 2)


def test_where_others_were_left_and_no_step_moved_a_sweep_is_called_for(staged: Staged, clock: Any) -> None:
    ids = open_tokens(staged, AT_ONCE)
    left = open_passwords(staged, 2)

    def refuse(incoming: Incoming) -> Answer | None:
        if incoming.method != "POST":
            return None
        meeting(incoming)
        clock.now += timedelta(seconds=6)
        return Answer(status=503, body={})

    meeting = Meeting(AT_ONCE, "POST")
    staged[1].script = refuse
    followed = ring(staged, ids[0])
    assert states(staged, [*ids, *left]) == [State.PLANNED] * (AT_ONCE + 2)
    assert RESUME in followed


@pytest.mark.parametrize("at_once", [1, 2])
def test_one_that_fails_later_takes_nothing_from_what_those_before_it_came_to(
    tmp_path: Path, database_url: str, clock: Any, at_once: int
) -> None:
    """As where a worker's log cannot be written any more."""
    with stage(tmp_path, database_url, clock, rotations_at_once=at_once) as staged:
        ids = open_passwords(staged, 4)

        def tell(rotation: Any) -> None:
            if rotation.id not in ids[:2]:
                raise OSError

        driven = staged[0].services.rotation.side_by_side.drive(ids[0], tell=tell)
        assert sorted(one.rotation.id for one in driven.advanced) == sorted(ids[:2])
        assert driven.may_be_more


def test_where_no_others_can_be_taken_what_those_before_came_to_follows(staged: Staged) -> None:
    """As where the database is away for a moment: those under way go on to where they rest."""
    ids = open_passwords(staged, AT_ONCE + 2)
    main, taken = threading.current_thread(), list[str]()

    def fail(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread() is not main or "UPDATE rotations SET" not in statement:
            return
        if len(taken) == 2:  # the one that is asked for, and those that go with it
            raise OSError
        taken.append(statement)

    event.listen(staged[0].services.database.engine, "before_cursor_execute", fail)
    assert ring(staged, ids[0]) == [RESUME]
    event.remove(staged[0].services.database.engine, "before_cursor_execute", fail)
    assert states(staged, ids) == [State.WATCHING] * AT_ONCE + [State.PLANNED] * 2


def test_they_are_taken_by_one_commit_and_what_they_write_is_committed_together(staged: Staged) -> None:
    commits: list[str] = []
    event.listen(staged[0].services.database.engine, "commit", lambda _: commits.append("commit"))
    (alone,) = open_passwords(staged, 1)
    commits.clear()
    ring(staged, alone)
    of_one = len(commits) - 2  # the first is what takes it, and the last what finds no other
    ids = open_passwords(staged, AT_ONCE, after=1)
    commits.clear()
    ring(staged, ids[0])
    assert states(staged, ids) == [State.WATCHING] * AT_ONCE
    assert len(commits) <= 1 + AT_ONCE * of_one + 1


@pytest.mark.both
def test_one_whose_target_fails_waits_and_the_others_go_on(staged: Staged) -> None:
    ids = open_tokens(staged, AT_ONCE)
    staged[1].script = lambda incoming: (
        Answer(status=503, body={}) if incoming.method == "POST" and b'"account1"' in incoming.body else None
    )
    ring(staged, ids[0])
    assert states(staged, ids) == [State.WATCHING, State.PLANNED, State.WATCHING, State.WATCHING]
    assert get_rotation(staged[0], ids[1]).failing_since is not None
    assert all(get_rotation(staged[0], one).lease_until is None for one in ids)


def test_one_whose_rows_others_hold_falls_out_and_goes_on_when_they_are_free(
    staged: Staged,
) -> None:
    """As where an owner changes its item in that moment: the others come to their end meanwhile."""
    services = staged[0].services
    if services.database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    ids = open_passwords(staged, AT_ONCE)
    others = [ids[0], *ids[2:]]
    with ThreadPoolExecutor(1) as pool:
        with services.database.write() as connection:
            services.vault.get(connection, get_rotation(staged[0], ids[1]).item_id, lock=True)
            driven = pool.submit(ring, staged, ids[0])
            while states(staged, others) != [State.WATCHING] * len(others):
                assert not driven.done()
        driven.result(PATIENCE)
    assert states(staged, ids) == [State.WATCHING] * AT_ONCE
    assert get_rotation(staged[0], ids[1]).failing_since is None


def test_what_is_lost_at_the_end_is_done_again_by_each_alone(staged: Staged) -> None:
    """As where somebody has the head of the audit log, and then wants a row of theirs: one of the two loses."""
    database = staged[0].services.database
    if database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    ids = open_passwords(staged, AT_ONCE)
    with ThreadPoolExecutor(1) as pool:
        with database.engine.begin() as held:
            held.exec_driver_sql("SET LOCAL deadlock_timeout TO '1min'")  # so that it is not this one
            held.exec_driver_sql("SELECT seq FROM audit_head FOR UPDATE")
            driven = pool.submit(ring, staged, ids[0])
            while not count_waiting(database.engine):
                assert not driven.done()
            held.exec_driver_sql("SELECT id FROM rotations FOR UPDATE")
        driven.result(PATIENCE)
    assert states(staged, ids) == [State.WATCHING] * AT_ONCE


@pytest.mark.both
def test_one_that_none_of_us_wrote_so_falls_out_and_the_others_go_on(staged: Staged) -> None:
    ids = open_passwords(staged, AT_ONCE)
    with staged[0].services.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE rotations SET asked_by = 'somebody' WHERE id = '{ids[1]}'")
    ring(staged, ids[0])
    with staged[0].services.database.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT state FROM rotations ORDER BY id").scalars().all()
    assert found == ["watching", "planned", "watching", "watching"]


@pytest.mark.both
def test_what_was_cut_off_twice_is_driven_alone(staged: Staged) -> None:
    """One of them has killed their worker, perhaps: that is held against no other for long."""
    services = staged[0].services
    ids = open_passwords(staged, AT_ONCE)
    taker = services.rotation.side_by_side._taker
    for _ in range(2):
        assert len(taker.take_due(most=AT_ONCE, first=ids[0])) == AT_ONCE
        let_leases_lapse(services)
    fresh = open_passwords(staged, 2, after=AT_ONCE)
    ring(staged, fresh[0])
    assert states(staged, [*ids, *fresh]) == [State.PLANNED] * AT_ONCE + [State.WATCHING] * 2
    for number, one in enumerate(ids, start=1):
        ring(staged, one)
        assert states(staged, ids) == [State.WATCHING] * number + [State.PLANNED] * (AT_ONCE - number)


@pytest.mark.both
def test_one_that_another_worker_took_over_changes_nothing_and_the_others_go_on(
    staged: Staged, clock: Any
) -> None:
    """While all of them are called for, it is held by that one."""
    organisation, service = staged
    ids = open_tokens(staged, AT_ONCE)
    meeting, taken = Meeting(AT_ONCE, "POST"), threading.Event()

    def take_over(incoming: Incoming) -> Answer | None:
        meeting(incoming)
        if incoming.method == "POST" and b'"account2"' in incoming.body:
            with organisation.services.database.engine.begin() as connection:
                connection.execute(
                    update(rotations).where(rotations.c.id == ids[2]).values(fence=rotations.c.fence + 1)
                )
            taken.set()
        return None

    service.script = take_over
    ring(staged, ids[0])
    assert taken.is_set()
    found = states(staged, ids)
    assert (found[2], found[:2] + found[3:]) == (State.PLANNED, [State.WATCHING] * 3)


def test_who_is_told_to_stop_leaves_nothing_under_way(staged: Staged) -> None:
    """As at the second SIGTERM, while all are called for: each ends the step that it is at."""
    ids = open_tokens(staged, AT_ONCE)
    meeting = Meeting(AT_ONCE, "POST")

    def stop(*_: object) -> None:
        raise SystemExit(1)

    def tell_to_stop(incoming: Incoming) -> Answer | None:
        answer = meeting(incoming)
        if incoming.method == "POST" and b'"account0"' in incoming.body:
            os.kill(os.getpid(), signal.SIGUSR1)
        return answer

    staged[1].script = tell_to_stop
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(SystemExit):
            ring(staged, ids[0])
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [one.name for one in threading.enumerate() if one.name.startswith("rotation")] == []
    assert all(get_rotation(staged[0], one).lease_until is None for one in ids)


def test_the_thread_that_signals_come_to_drives_none_of_several(
    staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they raise there would keep a turn from the others for ever."""
    ids, main, seen = open_passwords(staged, AT_ONCE), threading.current_thread(), []
    drive = RotationDriver.drive_leased

    def watch(*given: Any, **named: Any) -> Advanced:
        seen.append(threading.current_thread() is main)
        return drive(*given, **named)

    monkeypatch.setattr(RotationDriver, "drive_leased", watch)
    ring(staged, ids[0])
    assert seen == [False] * AT_ONCE
