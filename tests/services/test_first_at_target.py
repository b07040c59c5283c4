"""Who of a night's rotations at one target system is waited for, as rows tell it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.services.conftest import Moves
from vaultcore.ids import new_id
from worker.domain.limits import IN_THE_WAY, SUCCEEDED
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import rotation_changes as change_rows
from worker.rows import rotation_outcomes as outcome_rows
from worker.rows import rotations as rotation_rows
from worker.rows.tables import rotations

pytestmark = pytest.mark.rules

TARGET = "crm.example.org"
HOUR = timedelta(hours=1)


def _open(moves: Moves, state: State, **given: Any) -> Rotation:
    now = moves.services.clock()
    rotation = Rotation(
        id=new_id("rot", now),
        item_id=new_id("vlt", now),
        item=f"prod-{state.value}",
        rotator="random",
        target=TARGET,
        state=state,
        reason=Reason.of(Code.BY_HAND),
        asked_by="test",
        night=now,
        old_number=1,
        next_at=now,
        created_at=now,
    )
    rotation = replace(rotation, **given)
    with moves.services.database.write() as connection:
        change_rows.insert_rotation(connection, rotation)
    return rotation


def _first_before(moves: Moves, rotation: Rotation) -> Rotation | None:
    with moves.services.database.read() as connection:
        return outcome_rows.first_before(connection, rotation, states=IN_THE_WAY, unless=SUCCEEDED)


S = State


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ([], None),
        # One has succeeded.
        ([S.CANARY], None),
        ([S.WATCHING], None),
        ([S.STUCK, S.CREATED, S.DONE], None),
        ([S.RETIRING, S.QUEUED], None),
        # It is at work.
        ([S.QUEUED], 0),
        ([S.CREATED], 0),
        ([S.ACTIVATED], 0),
        ([S.DISCARDING], 0),
        ([S.QUEUED, S.PLANNED], 0),
        ([S.PLANNED, S.QUEUED], 0),
        # It has failed, or does not begin in this night: the next is the first.
        ([S.UNDOING], None),
        ([S.CANCELLED, S.REQUESTED, S.SCHEDULED], None),
        ([S.ROLLED_BACK, S.CREATED], 1),
        ([S.SCHEDULED, S.STUCK, S.QUEUED, S.CREATED], 2),
    ],
)
def test_the_first_that_is_in_the_way(moves: Moves, before: list[State], found: int | None) -> None:
    opened = [_open(moves, state) for state in before]
    first = _first_before(moves, _open(moves, State.QUEUED))
    assert (first and first.id) == (None if found is None else opened[found].id)


def test_only_those_before_it_at_the_same_target_in_the_same_night_are_looked_at(
    moves: Moves, clock: Any
) -> None:
    _open(moves, State.CREATED, target="other.example.org")
    _open(moves, State.CREATED, night=clock() - HOUR)
    this = _open(moves, State.QUEUED)
    _open(moves, State.CREATED)
    assert _first_before(moves, this) is None
    assert _first_before(moves, _open(moves, State.QUEUED, target=None)) is None
    _open(moves, State.DONE, target="other.example.org")
    last = _first_before(moves, _open(moves, State.QUEUED))
    assert last is not None
    assert last.id == this.id


def test_one_that_cannot_be_read_holds_up_nobody(moves: Moves) -> None:
    damaged, sound = _open(moves, State.CREATED), _open(moves, State.PLANNED)
    broken = update(rotations).where(rotations.c.id == damaged.id)
    moves.sql(broken.values(reason="of no code"))
    found = _first_before(moves, _open(moves, State.QUEUED))
    assert found is not None
    assert found.id == sound.id


def test_a_night_is_counted_by_states(moves: Moves, clock: Any) -> None:
    for state in (S.STUCK, S.STUCK, S.DONE, S.QUEUED):
        _open(moves, state)
    _open(moves, S.STUCK, night=clock() - HOUR)
    with moves.services.database.read() as connection:
        assert outcome_rows.count_night(connection, clock(), [S.STUCK, S.ROLLED_BACK]) == 2
        assert outcome_rows.count_night(connection, clock(), SUCCEEDED) == 1


@pytest.mark.parametrize(("before", "due_too"), [(S.DONE, True), (S.CANCELLED, False)])
def test_those_behind_are_woken_once(moves: Moves, clock: Any, before: State, due_too: bool) -> None:
    """Each rotation that comes to an end wakes those that wait; once one has succeeded, who is due already is
    left as it is. So it is where one was called off.
    """
    now = clock()
    _open(moves, before)
    for next_at in (now + HOUR, now - HOUR, None):
        _open(moves, State.QUEUED, next_at=next_at)
    with moves.services.database.write() as connection:
        rotation_rows.wake_queued(connection, now, TARGET, now, due_too=due_too)
    found = rotations.select().order_by(rotations.c.id)
    assert [row.next_at for row in moves.sql(found)][1:] == [now, now - HOUR, now]


@pytest.mark.both
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_begins_to_look_waits_for_the_first_to_come_to_its_end(moves: Moves, clock: Any) -> None:
    """Else it would find that one in its way, and wait for a minute more. Once one has succeeded, nobody is."""
    now, database = clock(), moves.services.database
    first, behind = _open(moves, State.CREATED), _open(moves, State.QUEUED)
    begins = select(rotations.c.id).where(rotations.c.id == behind.id).with_for_update(skip_locked=True)

    def has_to_wait() -> bool:
        with database.write() as ends, database.write() as looks:
            rotation_rows.wake_queued(ends, now, TARGET, now)
            return looks.execute(begins).first() is None

    assert has_to_wait()
    moves.sql(update(rotations).where(rotations.c.id == first.id).values(state=State.WATCHING.value))
    assert not has_to_wait()
