"""How many messages a night takes: as many as there is to do, however many wait for the same."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import Moves
from tests.services.staging import Staged, get_rotation, open_passwords, open_tokens, stage
from worker.domain.lines import Line, line_of
from worker.domain.saga import State
from worker.domain.work import ENOUGH, Task, Work, after_night, find_room

NUMBER = 2 * ENOUGH
AT_ONCE = 2
Open = Callable[[Staged, int], list[str]]


class Ticking:
    """A clock that goes on each time that it is looked at: a worker's share of time is over soon."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def __call__(self) -> datetime:
        self._clock.now += timedelta(milliseconds=50)
        now: datetime = self._clock.now
        return now


@pytest.fixture
def staged(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Staged]:
    limits = {"rotations_at_once": AT_ONCE, "target_at_once": AT_ONCE}
    with stage(tmp_path, database_url, Ticking(clock), **limits) as made:
        yield made


@pytest.mark.parametrize("open_some", [open_passwords, open_tokens])
def test_they_are_no_more_than_there_is_to_do(staged: Staged, open_some: Open) -> None:
    """By one worker for both lines, as the broker gives them: the first that waits in each."""
    ids = open_some(staged, NUMBER)
    heard = hear_all(staged, after_night(ids, [], at_once=AT_ONCE))
    assert {get_rotation(staged[0], one).state for one in ids} == {State.WATCHING}
    assert heard[Task.ROTATE] <= NUMBER // AT_ONCE + ENOUGH
    assert heard[Task.RESUME] <= heard[Task.ROTATE] + 2


def test_an_emergency_is_called_for_whatever_waits(moves: Moves, clock: Any) -> None:
    """By its id, so that whoever hears it takes it first, and as one alone where its target has no room."""
    ids = [moves.insert_due(clock() - timedelta(hours=1), None) for _ in range(3)]
    sweep = moves.services.night.resume_sweep
    assert sweep.find_work(lambda: 0) == []
    urgent = moves.insert_due(clock(), None, emergency=True)
    later = moves.insert_due(clock() + timedelta(hours=1), None, emergency=True)
    assert sweep.find_work(lambda: 0) == [Work(Task.ROTATE, urgent)]
    called = [work.about for work in sweep.find_work()]
    assert called[0] == urgent
    assert set(called[1:]) <= set(ids)
    assert len(called) == len(set(called))
    assert later not in called


def hear_all(staged: Staged, called: list[Work]) -> Counter[Task]:
    """How many messages of each kind there were until none was left."""
    lines: dict[Line, deque[Work]] = {line: deque() for line in Line}
    heard = Counter[Task]()
    while called or any(lines.values()):
        for work in called:
            lines[line_of(work.task)].append(work)
        called = []
        for waiting in lines.values():
            if waiting:
                work = waiting.popleft()
                heard[work.task] += 1
                called += staged[0].services.night.dispatch.do(
                    work, lambda: find_room(len(lines[Line.TARGETS]))
                )
    return heard
