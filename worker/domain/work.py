"""Pieces of work, and which follow from one that was done. Pure.

A piece of work is a task and the one id that it is about. Who does it leases its row first, so one that is
called for twice is done once, and one that was lost is found by the next sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Final

from worker.domain.reasons import Reason
from worker.domain.saga import State, is_moving


class Task(StrEnum):
    NIGHT = "night"
    """Begin the night that is due."""
    RESUME = "resume"
    """Look for whatever is due and has no message under way."""
    SCHEDULE = "schedule"
    """Begin the runs whose workflows' schedules are due."""
    ROTATE = "rotate"
    """A rotation as far as it goes, and others that are due."""
    CHECK = "check"
    """Whether one credential still works."""
    RUN = "run"
    DELIVER = "deliver"
    """The notices that are due."""
    BEAT = "beat"
    """The heartbeat of a night, by its name."""


@dataclass(frozen=True)
class Work:
    """`about` is the id of a rotation, an item or a run, or a heartbeat's name; empty for what is about no one
    row.
    """

    task: Task
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class AtTarget:
    """Whose turn it is at a target system that has capacity: ids of rotations, and of items to be checked."""

    rotations: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


BELLS = (Task.NIGHT, Task.RESUME, Task.SCHEDULE)
"""What is rung by the clock, and by each worker that begins: whoever hears it looks at what is due."""

RESUME = Work(Task.RESUME)

ENOUGH: Final = 32
"""So many calls for rotations that wait are enough. Whoever hears one takes along others that are due, and then
calls for a sweep, which calls for those that are left. More of them would be heard when all is done.
"""


def find_room(waiting: int) -> int:
    """For how many calls more there is room beside so many that wait."""
    return max(ENOUGH - waiting, 0)


def find_room_to_rotate(room: int | None, *, others_wait: bool) -> int | None:
    """For how many calls for rotations. `others_wait`: checks or runs, which may fill the line for as long as
    there are any, and take no rotation along: beside them there is room for one.
    """
    return max(room, 1) if room is not None and others_wait else room


def after_night(opened: Sequence[str], checks: Sequence[str], *, at_once: int) -> list[Work]:
    """A night was begun, and opened these rotations; `checks`: the items whose turn it is at their targets.
    What it found besides is the sweep's. `at_once`: how many rotations a worker drives together.
    """
    return [*_rotate_all(opened, at_once)[:ENOUGH], *(Work(Task.CHECK, one) for one in checks), RESUME]


def _rotate_all(due: Sequence[str], at_once: int) -> list[Work]:
    """Whoever is called for one takes others along that are due: so it is called once for so many."""
    return [Work(Task.ROTATE, one) for one in due[::at_once]]


def after_check(following: AtTarget, *, at_once: int) -> list[Work]:
    """A credential was asked of: whose turn it is at that target now; and, after the last, nights may end."""
    return [*call_next(following, at_once=at_once), *([] if following.checks else [RESUME])]


def call_next(following: AtTarget, *, at_once: int) -> list[Work]:
    """Some have come to an end at a target: as many that waited for that. `at_once`: as in `after_night`."""
    checks = (Work(Task.CHECK, one) for one in following.checks)
    return [*_rotate_all(following.rotations, at_once), *checks]


def after_drive(following: Sequence[AtTarget], *, at_once: int, may_be_more: bool) -> list[Work]:
    """Some rotations came to rest: whose turn it is at each of their targets. There may be others due that
    their worker left: a sweep calls for these, as nothing else does where no step has moved.
    """
    together = AtTarget(
        rotations=tuple(chain.from_iterable(one.rotations for one in following)),
        checks=tuple(chain.from_iterable(one.checks for one in following)),
    )
    return [*call_next(together, at_once=at_once), *([RESUME] if may_be_more else [])]


def after_sweep(
    *,
    emergencies: Sequence[str],
    rotations: Sequence[str],
    checks: Sequence[str],
    runs: Sequence[str],
    heartbeats: Sequence[str],
    notices: bool,
    at_once: int,
    room: int | None,
) -> list[Work]:
    """What a sweep found due. `emergencies`: rotations that wait for no room, each called for by its id;
    `rotations`: others, for which there is room; `notices`: whether any could leave; `at_once`: as in
    `after_night`; `room`: for how many checks and as many runs, or None for all.
    """
    return [
        *(Work(Task.ROTATE, one) for one in emergencies),
        *_rotate_all(rotations, at_once),
        *(Work(Task.CHECK, one) for one in checks[:room]),
        *after_schedule(runs[:room]),
        *(Work(Task.BEAT, one) for one in heartbeats),
        *([Work(Task.DELIVER)] if notices else []),
    ]


def after_schedule(runs: Sequence[str]) -> list[Work]:
    """These runs are due, or were begun by another."""
    return [Work(Task.RUN, one) for one in runs]


def after_run(begun: Sequence[str]) -> list[Work]:
    """A run came to its end or waits: those that it began, and whoever waited for it."""
    return [*after_schedule(begun), RESUME]


def after_step(
    rotation_id: str,
    *,
    state: State,
    waits_for: Sequence[Reason],
    emergency: bool,
    next_at: datetime | None,
    moved: bool,
    now: datetime,
) -> list[Work]:
    """A rotation did a step and stands there now: its next step if that is due, or those that may have waited
    for it, and its notices. `moved`: it came to another state by the step.
    """
    if is_moving(state, waits_for, emergency=emergency):
        return [Work(Task.ROTATE, rotation_id)] if next_at is not None and next_at <= now else []
    return [RESUME] if moved else []
