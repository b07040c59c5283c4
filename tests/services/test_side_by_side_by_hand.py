"""A night by hand drives together what is due together, too, and goes on beside what is slow."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from nightkey_demo.loopback import Answer, Incoming
from tests.faults.vault_copy import let_leases_lapse
from tests.services.staging import Staged, get_rotation, open_passwords, open_tokens, stage
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.tables import rotations

AT_ONCE = 4
AT_TARGET = 2
PATIENCE = 120.0


@pytest.fixture
def staged(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Staged]:
    with stage(tmp_path, database_url, clock, rotations_at_once=AT_ONCE, target_at_once=AT_TARGET) as made:
        yield made


class Told:
    """What a night told, and where `until` rotations watch, that they do."""

    def __init__(self, until: int = 0) -> None:
        self.rotations: list[Rotation] = []
        self.reached = threading.Event()
        self._until = until
        self._entered = threading.Lock()

    def __call__(self, rotation: Rotation) -> None:
        assert self._entered.acquire(blocking=False), "two at a time"
        try:
            self.rotations.append(rotation)
            if sum(one.state is State.WATCHING for one in self.rotations) == self._until:
                self.reached.set()
        finally:
            self._entered.release()

    def of(self, rotation_id: str) -> list[State]:
        return [one.state for one in self.rotations if one.id == rotation_id]


def run_night(staged: Staged, told: Any = lambda _: None) -> None:
    staged[0].services.night.inline_night.run_night(told, wait=False)


def states(staged: Staged, ids: list[str]) -> list[State]:
    return [get_rotation(staged[0], one).state for one in ids]


def count_leased(staged: Staged) -> int:
    with staged[0].services.database.read() as connection:
        leased = select(func.count()).where(rotations.c.lease_until.is_not(None))
        return connection.execute(leased).scalar_one()


@pytest.mark.both
def test_calls_go_out_together_and_no_more_to_one_target_than_it_may_have(staged: Staged) -> None:
    """Each waits for another one to arrive; were they driven in turn, none would be answered."""
    ids, pair, at_once = open_tokens(staged, 2 * AT_TARGET), threading.Barrier(AT_TARGET), []

    def meet(incoming: Incoming) -> Answer | None:
        if incoming.method == "POST":
            at_once.append(count_leased(staged))
            pair.wait(PATIENCE)
        return None

    staged[1].script = meet
    told = Told()
    run_night(staged, told)
    assert states(staged, ids) == [State.WATCHING] * len(ids)
    assert max(at_once) == AT_TARGET
    assert all(told.of(one)[-1] is State.WATCHING for one in ids)


@pytest.mark.both
def test_a_slow_target_keeps_none_waiting_that_are_elsewhere(staged: Staged) -> None:
    """It answers when all others, more than are driven at once, have come to rest."""
    (slow,) = open_tokens(staged, 1)
    others = open_passwords(staged, 2 * AT_ONCE)
    told = Told(until=len(others))

    def wait_for_others(incoming: Incoming) -> Answer | None:
        if incoming.method == "POST":
            assert told.reached.wait(PATIENCE)
        return None

    staged[1].script = wait_for_others
    run_night(staged, told)
    assert states(staged, [slow, *others]) == [State.WATCHING] * (1 + len(others))


def test_told_to_stop_each_ends_the_step_that_it_is_at(staged: Staged) -> None:
    ids = open_tokens(staged, AT_TARGET)
    pair = threading.Barrier(AT_TARGET, action=staged[0].services.night.inline_night.stop)

    def stop(incoming: Incoming) -> Answer | None:
        if incoming.method == "POST":
            pair.wait(PATIENCE)
        return None

    staged[1].script = stop
    run_night(staged)
    assert states(staged, ids) == [State.CREATED] * AT_TARGET
    assert count_leased(staged) == 0


def test_who_cannot_be_told_ends_the_night_and_nothing_stays_leased(staged: Staged) -> None:
    open_passwords(staged, AT_ONCE)

    def break_off(_: Rotation) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_night(staged, break_off)
    assert count_leased(staged) == 0


def test_of_errors_that_come_together_one_is_raised_and_the_others_are_told(staged: Staged) -> None:
    open_passwords(staged, 2)

    def break_off(_: Rotation) -> None:
        raise BrokenPipeError

    def let_both_end() -> bool:
        if threading.current_thread() is threading.main_thread():
            for driving in [one for one in threading.enumerate() if one.name.startswith("rotation_")]:
                driving.join(PATIENCE)
        return False

    with capture_logs() as logs, pytest.raises(BrokenPipeError):
        staged[0].services.rotation.side_by_side.drive_all(tell=break_off, stopped=let_both_end)
    told = [one["error"] for one in logs if one["event"] == "rotation.failed"]
    assert told == ["BrokenPipeError"]


def test_where_there_is_no_room_for_a_thread_the_night_ends_and_nothing_stays_leased(
    staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_passwords(staged, AT_ONCE)
    start = threading.Thread.start

    def have_no_room(thread: threading.Thread) -> None:
        if thread.name.startswith("rotation_"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", have_no_room)
    with pytest.raises(RuntimeError, match="new thread"):
        run_night(staged)
    assert count_leased(staged) == 0


def test_what_was_cut_off_twice_has_its_turn_alone(staged: Staged) -> None:
    services = staged[0].services
    ids = open_passwords(staged, AT_ONCE)
    for _ in range(2):
        assert len(services.rotation.side_by_side._taker.take_due(most=AT_ONCE, first=None)) == AT_ONCE
        let_leases_lapse(services)
    told = Told()
    run_night(staged, told)
    assert states(staged, ids) == [State.WATCHING] * AT_ONCE
    in_turn = [one.id for one in told.rotations]
    assert in_turn == sorted(in_turn, key=in_turn.index), "one began before the one before it came to rest"


def test_what_was_given_up_calls_nobody_any_more(staged: Staged) -> None:
    """The process that drives it ends, and has said that nothing of its step can arrive."""
    room = staged[0].services.rotation
    (rotation_id,) = open_tokens(staged, 1)
    before = staged[1].calls("POST")
    (leased,) = room.side_by_side._taker.take_due(most=1, first=rotation_id)
    drive = room.rotations.make_drive(leased)
    assert drive.abandon()
    room.rotations.drive_leased(leased, drive=drive)
    assert staged[1].calls("POST") == before
    assert (states(staged, [rotation_id]), count_leased(staged)) == ([State.PLANNED], 0)
