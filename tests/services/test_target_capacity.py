"""So many are at a target system at once, over all workers; who waits there is called by who ends."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.faults.vault_copy import let_leases_lapse
from tests.services.conftest import Moves, race
from tests.services.staging import Staged, begin_by_hand, reopen
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.domain.work import Task, Work
from worker.rows import check_turns as turn_rows
from worker.rows import credential_checks as check_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotations as rotation_rows

LEASE = timedelta(minutes=15)
SLOW, OTHER = "slow.example", "other.example"
PATIENCE = 120.0


def test_no_more_are_at_a_target_than_may_be_however_many_begin_at_once(moves: Moves, clock: Any) -> None:
    slow = [moves.insert_due(clock(), SLOW) for _ in range(6)]
    others = [moves.insert_due(clock(), target) for target in (OTHER, None, None)]
    for _ in range(3):  # it is the same each time that their workers are killed
        got = race(len(slow), lambda number: _lease(moves, slow[number], clock(), at_once=2))
        assert sum(isinstance(one, Rotation) for one in got) == 2, got
        assert [one for one in got if isinstance(one, Exception)] == []
        let_leases_lapse(moves.services)
    assert all(_lease(moves, one, clock(), at_once=1) is not None for one in others)


def test_one_whose_value_somebody_knows_does_not_wait_for_room(moves: Moves, clock: Any) -> None:
    first, second = moves.insert_due(clock(), SLOW), moves.insert_due(clock(), SLOW)
    leaked = moves.insert_due(clock(), SLOW, emergency=True)
    assert _lease(moves, first, clock(), at_once=1) is not None
    assert _lease(moves, second, clock(), at_once=1) is None
    assert _lease(moves, leaked, clock(), at_once=1) is not None


def test_checks_and_rotations_of_a_target_share_its_room(moves: Moves, clock: Any) -> None:
    first, second = moves.insert_due(clock(), SLOW), moves.insert_due(clock(), SLOW)
    assert _take_turn(moves, "trn_1", clock(), at_once=1)
    assert _lease(moves, first, clock(), at_once=1) is None
    assert _lease(moves, first, clock(), at_once=2) is not None
    assert _lease(moves, second, clock(), at_once=2) is None
    with moves.services.database.write() as connection:
        turn_rows.give_back(connection, SLOW, "trn_1")
    assert not _take_turn(moves, "trn_2", clock(), at_once=1)
    assert _take_turn(moves, "trn_2", clock(), at_once=2)


def test_a_sweep_finds_no_more_of_a_target_than_have_room(moves: Moves, clock: Any) -> None:
    slow = [moves.insert_due(clock() - timedelta(minutes=60 - number), SLOW) for number in range(4)]
    free = moves.insert_due(clock(), None)
    assert _find_due(moves, clock(), at_once=2) == [*slow[:2], free]
    for one in slow[:2]:
        assert _lease(moves, one, clock(), at_once=2) is not None
    assert _find_due(moves, clock(), at_once=2) == [free]
    let_leases_lapse(moves.services)
    assert _find_due(moves, clock(), at_once=2) == [*slow[:2], free]


@pytest.fixture
def narrow(on_file: Staged) -> Iterator[Staged]:
    """One at a time at each target."""
    organisation, service = on_file
    with reopen(organisation, target_at_once=1, check_every_days=7):
        yield organisation, service


def test_who_ends_at_a_target_calls_for_the_next(narrow: Staged, clock: Any) -> None:
    organisation, service = narrow
    for number in range(3):
        organisation.add_token(f"prod-token-{number}", f"account-{number}")
    first, second, third = (begin_by_hand(organisation, f"prod-token-{number}") for number in range(3))
    do = organisation.services.night.dispatch.do
    gate = service.gate("/v1/tokens", method="POST")
    followed: list[Work] = []
    thread = threading.Thread(target=lambda: followed.extend(do(Work(Task.ROTATE, first))))
    thread.start()
    assert gate.reached.wait(PATIENCE)
    assert do(Work(Task.ROTATE, second)) == []
    assert do(Work(Task.ROTATE, third)) == []
    assert [work for work in do(Work(Task.RESUME)) if work.task is Task.ROTATE] == []
    clock.now += timedelta(seconds=6)  # whoever drives it begins with no other from then on
    gate.open()
    thread.join(PATIENCE)
    assert [work.about for work in followed if work.task is Task.ROTATE] == [second]
    assert [work for work in do(Work(Task.ROTATE, second)) if work.task is Task.ROTATE] == []
    assert {one.state for one in organisation.rotations()} == {State.WATCHING}


def test_a_check_waits_for_room_and_is_called_by_the_rotation_that_ends(narrow: Staged, clock: Any) -> None:
    organisation, service = narrow
    organisation.add_token("prod-token-0", "account-0")
    organisation.add_token("prod-token-1", "account-1", days=300)
    services = organisation.services
    checked = organisation.item("prod-token-1").id
    with services.database.write() as connection:
        check_rows.enrol(connection, {checked: clock()})
    services.rotation.credential_checks.choose(clock())
    rotation_id = begin_by_hand(organisation, "prod-token-0")
    gate = service.gate("/v1/tokens", method="POST")
    followed: list[Work] = []
    do = services.night.dispatch.do
    thread = threading.Thread(target=lambda: followed.extend(do(Work(Task.ROTATE, rotation_id))))
    thread.start()
    assert gate.reached.wait(PATIENCE)
    assert services.rotation.credential_checks.find_ready() == []
    assert do(Work(Task.CHECK, checked)) == []
    gate.open()
    thread.join(PATIENCE)
    assert Work(Task.CHECK, checked) in followed
    assert do(Work(Task.CHECK, checked)) == [Work(Task.RESUME)]


def _lease(moves: Moves, rotation_id: str, now: datetime, *, at_once: int) -> Rotation | None:
    with moves.services.database.write() as connection:
        return lease_rows.lease_rotation(connection, rotation_id, now=now, lease=LEASE, at_once=at_once)


def _take_turn(moves: Moves, holder: str, now: datetime, *, at_once: int) -> bool:
    with moves.services.database.write() as connection:
        return turn_rows.take(
            connection, SLOW, item_id="vlt_1", holder=holder, now=now, lease=LEASE, at_once=at_once
        )


def _find_due(moves: Moves, now: datetime, *, at_once: int) -> list[str]:
    with moves.services.database.read() as connection:
        return rotation_rows.due_rotations(connection, now, at_once=at_once)
