"""What follows from a piece of work that was done."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.domain.saga import State
from worker.domain.work import (
    ENOUGH,
    RESUME,
    AtTarget,
    Task,
    Work,
    after_check,
    after_drive,
    after_night,
    after_run,
    after_step,
    after_sweep,
    call_next,
    find_room,
    find_room_to_rotate,
)

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
AGAIN = [Work(Task.ROTATE, "rot")]
NOTHING: dict[str, Any] = {
    "emergencies": [], "rotations": [], "checks": [], "runs": [], "heartbeats": [], "notices": False,
    "at_once": 1, "room": None,
}  # fmt: skip
"""What a sweep found due."""


@pytest.mark.parametrize(
    ("stands", "follows"),
    [
        ({"state": State.CREATED, "next_at": NOW}, AGAIN),
        ({"state": State.CREATED, "next_at": LATER}, []),
        ({"state": State.CREATED, "next_at": None}, []),
        ({"state": State.QUEUED, "next_at": NOW, "waits_for": ("the first of its target",)}, AGAIN),
        ({"state": State.CREATED, "next_at": NOW, "waits_for": ("its window",), "moved": False}, []),
        ({"state": State.WATCHING, "next_at": NOW}, [RESUME]),
        ({"state": State.WATCHING, "next_at": NOW, "moved": False}, []),
        ({"state": State.WATCHING, "next_at": NOW, "emergency": True}, AGAIN),
        ({"state": State.WATCHING, "next_at": NOW, "emergency": True, "waits_for": ("a check",)}, [RESUME]),
        ({"state": State.DONE, "next_at": None}, [RESUME]),
        ({"state": State.STUCK, "next_at": None}, [RESUME]),
        ({"state": State.STUCK, "next_at": None, "moved": False}, []),
    ],
)
def test_a_step_is_followed_by_the_next_or_by_those_who_waited(
    stands: dict[str, Any], follows: list[Work]
) -> None:
    usual: dict[str, Any] = {"waits_for": (), "emergency": False, "moved": True, "now": NOW}
    assert after_step("rot", **usual | stands) == follows


def test_a_night_is_followed_by_its_rotations_and_a_sweep() -> None:
    rotations = [Work(Task.ROTATE, "rot_1"), Work(Task.ROTATE, "rot_2")]
    assert after_night(["rot_1", "rot_2"], ["vlt_1"], at_once=1) == [
        *rotations,
        Work(Task.CHECK, "vlt_1"),
        RESUME,
    ]
    assert after_night([], [], at_once=1) == [RESUME]


def test_whoever_is_called_takes_others_along() -> None:
    opened = [f"rot_{number}" for number in range(5)]
    rung = [work.about for work in after_night(opened, [], at_once=4)]
    assert rung == ["rot_0", "rot_4", ""]
    sweep = after_sweep(**NOTHING | {"rotations": opened, "at_once": 2})
    assert [work.about for work in sweep] == ["rot_0", "rot_2", "rot_4"]
    following = call_next(AtTarget(rotations=tuple(opened)), at_once=3)
    assert [work.about for work in following] == ["rot_0", "rot_3"]


def test_whoever_comes_to_rest_calls_for_others_together_whatever_their_targets() -> None:
    following = [AtTarget(rotations=("rot_1",)), AtTarget(rotations=("rot_2", "rot_3"), checks=("vlt_1",))]
    called = [Work(Task.ROTATE, "rot_1"), Work(Task.ROTATE, "rot_3"), Work(Task.CHECK, "vlt_1")]
    assert after_drive(following, at_once=2, may_be_more=False) == called
    assert after_drive(following, at_once=2, may_be_more=True) == [*called, RESUME]
    assert after_drive([], at_once=2, may_be_more=False) == []


def test_however_many_a_night_opens_no_more_are_called_for_than_are_enough() -> None:
    opened = [f"rot_{number}" for number in range(10_000)]
    called = after_night(opened, [], at_once=4)
    assert [work.about for work in called] == [*opened[: 4 * ENOUGH : 4], ""]


@pytest.mark.parametrize(
    ("waiting", "room"), [(0, ENOUGH), (1, ENOUGH - 1), (ENOUGH - 1, 1), (ENOUGH, 0), (ENOUGH + 1, 0)]
)
def test_there_is_room_beside_what_waits_until_that_is_enough(waiting: int, room: int) -> None:
    assert find_room(waiting) == room


@pytest.mark.parametrize(("room", "called"), [(0, 0), (1, 1), (2, 2), (5, 3), (None, 3)])
def test_a_sweep_calls_for_as_many_checks_and_runs_as_there_is_room_for(room: int | None, called: int) -> None:
    many = {"checks": ["vlt_1", "vlt_2", "vlt_3"], "runs": ["1", "2", "3"], "emergencies": ["rot_8", "rot_9"]}
    found = after_sweep(**NOTHING | many | {"room": room, "heartbeats": ["2026 start"], "notices": True})
    assert found[:2] == [Work(Task.ROTATE, "rot_8"), Work(Task.ROTATE, "rot_9")]
    tasks = [work.task for work in found]
    assert [tasks.count(task) for task in (Task.CHECK, Task.RUN)] == [called] * 2
    assert tasks[-2:] == [Task.BEAT, Task.DELIVER]


@pytest.mark.parametrize(("room", "alone", "beside"), [(0, 0, 1), (1, 1, 1), (5, 5, 5), (None, None, None)])
def test_beside_checks_and_runs_there_is_room_for_a_rotation(
    room: int | None, alone: int | None, beside: int | None
) -> None:
    assert find_room_to_rotate(room, others_wait=False) == alone
    assert find_room_to_rotate(room, others_wait=True) == beside


def test_a_check_is_followed_by_the_next_of_its_target_and_the_last_one_by_a_sweep() -> None:
    assert after_check(AtTarget(checks=("vlt_2",)), at_once=1) == [Work(Task.CHECK, "vlt_2")]
    assert after_check(AtTarget(), at_once=1) == [RESUME]
    assert after_check(AtTarget(rotations=("rot_1",)), at_once=1) == [Work(Task.ROTATE, "rot_1"), RESUME]


def test_a_run_is_followed_by_those_that_it_began() -> None:
    assert after_run(["run_2"]) == [Work(Task.RUN, "run_2"), RESUME]


def test_a_sweep_calls_for_each_row_once_and_for_the_notices_together() -> None:
    one_each = {"rotations": ["rot"], "checks": ["vlt"], "runs": ["run"], "heartbeats": ["2026 start"]}
    found = after_sweep(**NOTHING | one_each | {"notices": True})
    assert found == [
        Work(Task.ROTATE, "rot"),
        Work(Task.CHECK, "vlt"),
        Work(Task.RUN, "run"),
        Work(Task.BEAT, "2026 start"),
        Work(Task.DELIVER),
    ]
    assert after_sweep(**NOTHING) == []
