"""Leases: a rotation and a night belong to one worker at a time, and who lost one writes nothing more."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Interval, event, insert, literal, select
from sqlalchemy.exc import IntegrityError

from tests.faults.vault_copy import let_leases_lapse
from tests.organisation import Organisation
from tests.postgres import count_waiting
from tests.services.conftest import Moves, race
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    stage,
    step_to,
)
from tests.stepping import advance
from vaultcore.errors import ConflictError, NotFoundError, RefusedError
from vaultcore.ids import new_id
from vaultcore.tables import metadata
from worker.bootstrap import Services
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import nights as night_rows
from worker.rows import rotation_changes as change_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotations as rotation_rows
from worker.rows.tables import rotations, sweeps
from worker.services.rotation.advance import Advanced
from worker.services.rotation.lease import LeasedTurn, LeaseKeeper

LEASE = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
MOMENT = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
WORKERS, ROWS = 6, 30
PATIENCE = 120.0
FORGED = ("rot_unknown", "", "rot_' OR '1'='1", "*")


def test_each_due_rotation_is_leased_by_one_of_many_workers(moves: Moves, clock: Any) -> None:
    opened = [_open(moves, f"vlt_{number}", clock()).id for number in range(ROWS)]

    def work(_: int) -> list[str]:
        return [leased.id for each in opened if (leased := _lease(moves, each, clock())) is not None]

    outcomes = race(WORKERS, work)
    leased = [each for outcome in outcomes for each in _ids(outcome)]
    assert Counter(leased) == Counter(opened)
    with moves.services.database.read() as connection:
        stored = rotation_rows.list_rotations(connection)
        assert rotation_rows.due_rotations(connection, clock()) == []
    assert {(one.fence, one.attempts) for one in stored} == {(1, 1)}
    assert all(one.lease_until is not None for one in stored)


def test_each_slot_is_leased_by_one_of_many_sweeps(moves: Moves, clock: Any) -> None:
    slots = [clock() + timedelta(days=day) for day in range(ROWS)]

    def sweep(_: int) -> list[str]:
        return [slot.isoformat() for slot in slots if _sweep(moves, slot, clock())]

    outcomes = race(WORKERS, sweep)
    assert Counter(each for outcome in outcomes for each in _ids(outcome)) == Counter(
        slot.isoformat() for slot in slots
    )
    assert len(moves.sql(select(sweeps))) == ROWS


def test_a_lease_that_ran_out_is_taken_over_by_one_of_many(moves: Moves, clock: Any) -> None:
    opened = [_open(moves, f"vlt_{number}", clock()).id for number in range(5)]
    for each in opened:
        assert _lease(moves, each, clock()) is not None
    _let_pass(moves, clock, LEASE + TICK)

    def take(_: int) -> list[str]:
        return [leased.id for each in opened if (leased := _lease(moves, each, clock())) is not None]

    leased = [each for outcome in race(WORKERS, take) for each in _ids(outcome)]
    assert Counter(leased) == Counter(opened)
    with moves.services.database.read() as connection:
        assert {one.fence for one in rotation_rows.list_rotations(connection)} == {2}


def test_a_lease_holds_to_its_end_and_the_former_holder_writes_nothing_after_it(
    moves: Moves, clock: Any
) -> None:
    opened = _open(moves, "vlt_x", clock())
    first = _lease(moves, opened.id, clock())
    assert first is not None
    _let_pass(moves, clock, LEASE - MINUTE)
    assert _lease(moves, opened.id, clock()) is None
    _let_pass(moves, clock, MINUTE + TICK)
    second = _lease(moves, opened.id, clock())
    assert second is not None
    assert (second.fence, second.attempts) == (first.fence + 1, first.attempts + 1)

    with pytest.raises(ConflictError, match="taken over by another worker"):
        _check(moves, first)
    with pytest.raises(ConflictError, match="taken over by another worker"):
        _release(moves, first, state=State.STUCK)
    assert _get(moves, opened.id) == second
    _check(moves, second)
    _release(moves, second, state=State.CREATED, next_at=clock(), attempts=0)
    released = _get(moves, opened.id)
    assert (released.state, released.lease_until, released.attempts) == (State.CREATED, None, 0)
    assert _lease(moves, opened.id, clock()) is not None


def test_who_let_a_lease_lapse_writes_nothing_although_nobody_has_taken_over(moves: Moves, clock: Any) -> None:
    opened = _open(moves, "vlt_x", clock())
    held = _lease(moves, opened.id, clock())
    assert held is not None
    _let_pass(moves, clock, LEASE + TICK)
    with pytest.raises(ConflictError, match="taken over"):
        _check(moves, held)
    with pytest.raises(ConflictError, match="taken over"):
        _release(moves, held, state=State.CREATED)
    assert not _renew(moves, held)
    assert _get(moves, opened.id).state is State.PLANNED


def test_a_lease_that_is_renewed_holds_on(moves: Moves, clock: Any) -> None:
    opened = _open(moves, "vlt_x", clock())
    held = _lease(moves, opened.id, clock())
    assert held is not None
    for _ in range(5):
        _let_pass(moves, clock, LEASE - MINUTE)
        assert _renew(moves, held)
        assert _lease(moves, opened.id, clock()) is None
    _release(moves, held, state=State.CREATED, next_at=clock())
    assert not _renew(moves, held)


def test_a_person_takes_a_rotation_that_nobody_is_at_and_only_then(moves: Moves, clock: Any) -> None:
    opened = _open(moves, "vlt_x", clock())
    held = _lease(moves, opened.id, clock())
    assert held is not None
    with pytest.raises(ConflictError, match="a worker is at"):
        _take(moves, opened.id)
    _release(moves, held, state=State.CREATED, next_at=clock())
    taken = _take(moves, opened.id)
    assert taken.fence == held.fence + 1
    with pytest.raises(ConflictError):
        _check(moves, held)
    with pytest.raises(NotFoundError):
        _take(moves, "rot_unknown")


def test_what_the_former_holder_did_in_the_same_transaction_is_not_kept(moves: Moves, clock: Any) -> None:
    item = moves.add().item
    opened = _open(moves, item.id, clock())
    first = _lease(moves, opened.id, clock())
    assert first is not None
    _let_pass(moves, clock, LEASE + TICK)
    assert _lease(moves, opened.id, clock()) is not None

    def begin_late() -> None:
        with moves.services.database.write() as connection:
            moves.services.versions.begin_pending(connection, item.id, actor="test")
            lease_rows.store_rotation(connection, first, first, (), now=clock(), lease=LEASE)

    with pytest.raises(ConflictError, match="taken over"):
        begin_late()
    assert moves.stages(item.id) == ["current"]


def test_a_rotation_is_leased_when_it_is_due_and_not_once_it_is_finished(moves: Moves, clock: Any) -> None:
    later = _open(moves, "vlt_later", clock() + TICK)
    never = _open(moves, "vlt_never", None)
    assert _lease(moves, later.id, clock()) is None
    assert _lease(moves, never.id, clock()) is None
    assert _lease(moves, "rot_unknown", clock()) is None
    clock.advance(TICK)
    held = _lease(moves, later.id, clock())
    assert held is not None
    _release(moves, held, state=State.DONE, finished_at=clock())
    assert _lease(moves, later.id, clock()) is None
    with moves.services.database.read() as connection:
        assert rotation_rows.due_rotations(connection, clock()) == []
        with pytest.raises(NotFoundError, match="no rotation 'rot_unknown'"):
            rotation_rows.get_rotation(connection, "rot_unknown")


def test_due_rotations_are_those_that_nobody_holds_the_longest_due_first(moves: Moves, clock: Any) -> None:
    young = _open(moves, "vlt_young", clock())
    old = _open(moves, "vlt_old", clock() - timedelta(days=1))
    held = _open(moves, "vlt_held", clock() - timedelta(days=2))
    _open(moves, "vlt_later", clock() + timedelta(days=1))
    assert _lease(moves, held.id, clock()) is not None
    with moves.services.database.read() as connection:
        assert rotation_rows.due_rotations(connection, clock()) == [old.id, young.id]
        assert rotation_rows.due_rotations(connection, clock(), limit=1) == [old.id]
    _let_pass(moves, clock, LEASE + TICK)
    with moves.services.database.read() as connection:
        assert rotation_rows.due_rotations(connection, clock())[0] == held.id


def test_an_item_has_one_open_rotation(moves: Moves, clock: Any) -> None:
    first = _open(moves, "vlt_x", clock())
    with pytest.raises(ConflictError, match="is being rotated already"):
        _open(moves, "vlt_x", clock())
    with pytest.raises(ConflictError):
        moves.sql(
            insert(rotations).values(
                {**vars(first), "reason": {"code": "by-hand"}, "id": "rot_forged", "state": "planned"}
            )
        )
    held = _lease(moves, first.id, clock())
    assert held is not None
    _release(moves, held, state=State.ROLLED_BACK, finished_at=clock())
    second = _open(moves, "vlt_x", clock())
    with pytest.raises(ConflictError):
        moves.sql(rotations.update().where(rotations.c.id == first.id).values(finished_at=None))
    assert _get(moves, second.id) == second


def test_the_database_itself_refuses_a_second_open_rotation_of_an_item(moves: Moves, clock: Any) -> None:
    first = _open(moves, "vlt_x", clock())
    row = {**vars(first), "reason": {"code": "by-hand"}, "state": first.state.value}
    with moves.services.database.engine.connect() as connection, connection.begin() as transaction:
        with pytest.raises(IntegrityError):
            connection.execute(insert(rotations).values(row | {"id": "rot_forged"}))
        transaction.rollback()
    assert [found.id for found in moves.sql(select(rotations.c.id))] == [first.id]
    ended = {"id": "rot_ended", "state": State.DONE.value, "finished_at": clock()}
    moves.sql(insert(rotations).values(row | ended))
    moves.sql(insert(rotations).values(row | {"id": "rot_other", "item_id": "vlt_y"}))
    assert len(moves.sql(select(rotations))) == 3


def test_of_many_who_open_a_rotation_at_once_one_does(moves: Moves, clock: Any) -> None:
    outcomes = race(WORKERS, lambda _: _open(moves, "vlt_x", clock()))
    assert sum(isinstance(outcome, Rotation) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == WORKERS - 1
    assert len(moves.sql(select(rotations))) == 1


def test_a_slot_is_swept_again_while_it_was_not_scanned_and_never_after(moves: Moves, clock: Any) -> None:
    slot = clock()
    assert _sweep(moves, slot, clock())
    _let_pass(moves, clock, LEASE - MINUTE)
    assert not _sweep(moves, slot, clock())
    _let_pass(moves, clock, MINUTE + TICK)
    assert _sweep(moves, slot, clock())
    moves.sql(sweeps.update().values(scanned_at=clock()))
    _let_pass(moves, clock, 10 * LEASE)
    assert not _sweep(moves, slot, clock())
    assert _sweep(moves, slot, clock(), job="another")
    assert _sweep(moves, slot + TICK, clock())


# Workers


def test_the_lease_is_renewed_for_as_long_as_a_step_takes(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    lease = 2.0
    with stage(tmp_path, database_url, clock, lease_seconds=lease) as (organisation, service):
        organisation.add_token(TOKEN, "ticketing")
        rotation_id = begin_by_hand(organisation, TOKEN)
        gate = service.gate("/v1/tokens", method="POST")
        with _renewals() as renewed, _worker(organisation, rotation_id) as working:
            assert gate.reached.wait(PATIENCE)
            held = get_rotation(organisation, rotation_id)
            for _ in range(5):  # a third of the lease apart, but for the first: longer than it in all
                renewed.clear()
                clock.advance(timedelta(seconds=lease * 0.4))  # less than half, should one be under way
                assert renewed.wait(PATIENCE)
                assert advance(organisation.services, rotation_id) is None
            later = get_rotation(organisation, rotation_id)
            assert (later.state, later.fence) == (held.state, held.fence)
            assert held.lease_until is not None
            assert later.lease_until is not None
            assert later.lease_until - held.lease_until > timedelta(seconds=lease)
            gate.open()
            advanced = working.result(PATIENCE)
        assert advanced is not None
        assert (advanced.rotation.state, advanced.rotation.lease_until) == (State.CREATED, None)
        assert service.calls("POST") == 1


def test_one_thread_renews_all_that_a_process_holds(services: Services, clock: Any) -> None:
    keeper, before = LeaseKeeper(services.database, clock=clock), set(threading.enumerate())
    with ExitStack() as stack:
        for name in ("one", "two", "three"):
            stack.enter_context(keeper.hold(LeasedTurn(name, "holder", name), LEASE))
        begun = [one for one in threading.enumerate() if one.name == "leases" and one not in before]
        assert len(begun) == 1


def test_a_worker_that_lost_its_lease_commits_nothing(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    gate = service.gate("/v1/account", method="GET")
    with _worker(organisation, rotation_id) as away:
        assert gate.reached.wait(PATIENCE)
        let_leases_lapse(organisation.services)
        drive_on(organisation, clock)
        assert get_rotation(organisation, rotation_id).state is State.WATCHING
        before = _all_rows(organisation)
        gate.open()  # it hears that the new value is accepted
        away.result(PATIENCE)
    assert _all_rows(organisation) == before


def _step_to_retiring(organisation: Organisation, clock: Any) -> str:
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    clock.advance(timedelta(days=2))
    step_to(organisation, clock, rotation_id, State.RETIRING)
    return rotation_id


@pytest.mark.parametrize("is_taken", [False, True], ids=["nobody took over", "somebody took over"])
def test_a_worker_that_lost_its_lease_calls_nobody_outside_again(
    staged: Staged, clock: Any, is_taken: bool
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing")
    rotation_id = _step_to_retiring(organisation, clock)
    gate = service.gate("/v1/account", method="GET")
    with _worker(organisation, rotation_id) as away:
        assert gate.reached.wait(PATIENCE)  # it asks after the new value, before it revokes the old one
        let_leases_lapse(organisation.services)
        if is_taken:
            organisation.drive()
        before, called = _all_rows(organisation, besides="lease_until"), len(service.requests)
        clock.advance(MOMENT)
        gate.open()
        away.result(PATIENCE)
    assert len(service.requests) == called + 1  # the one that stood at the gate
    assert _all_rows(organisation, besides="lease_until") == before
    assert service.is_live(old) is not is_taken
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert service.calls("DELETE") == 1
    assert not service.is_live(old)


def test_who_lost_its_lease_a_moment_ago_may_look_and_changes_nothing(staged: Staged, clock: Any) -> None:
    """Calls that only look ask once a second whether it is still held, all others each time."""
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing")
    rotation_id = _step_to_retiring(organisation, clock)
    gate = service.gate("/v1/account", method="GET")
    with _worker(organisation, rotation_id) as away:
        assert gate.reached.wait(PATIENCE)
        let_leases_lapse(organisation.services)
        before, called = _all_rows(organisation, besides="lease_until"), len(service.requests)
        gate.open()
        away.result(PATIENCE)
    assert {one.method for one in service.requests[called:]} == {"GET"}
    assert _all_rows(organisation, besides="lease_until") == before
    assert service.is_live(old)


def test_who_stalls_in_a_commit_until_the_lease_is_over_calls_nobody(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    engine, settings = organisation.services.database.engine, organisation.services.settings

    def stall(_: object) -> None:
        commits.append(clock())
        if len(commits) > 1:  # the first one is of the lease
            clock.advance(settings.lease + TICK)

    commits: list[datetime] = []
    event.listen(engine, "commit", stall)
    organisation.services.rotation.rotations.drive(rotation_id)
    event.remove(engine, "commit", stall)
    assert len(commits) > 1
    assert not service.requests


def test_who_deletes_an_item_waits_for_who_is_at_its_rotation_and_keeps_nobody_from_the_item(
    staged: Staged,
) -> None:
    organisation, _ = staged
    services = organisation.services
    if services.database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    organisation.add_token(TOKEN, "ticketing")
    begin_by_hand(organisation, TOKEN)
    item = organisation.item(TOKEN)
    with ThreadPoolExecutor(1) as pool:
        with services.database.write() as connection:
            rotation_rows.find_open_rotation(connection, item.id, lock=True)
            deleting = pool.submit(services.items.deletion.delete, TOKEN, actor="test")
            while not (deleting.done() or count_waiting(services.database.engine)):
                pass
            services.vault.hold(connection, item.id, None)
        with pytest.raises(RefusedError, match="is being rotated"):
            deleting.result(PATIENCE)


# Messages


def test_a_message_for_what_does_not_exist_does_nothing(staged: Staged) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    begin_by_hand(organisation, TOKEN)
    before = _all_rows(organisation)
    for forged in FORGED:
        for task in ("rotate", "run", "deliver"):
            _receive(organisation.services, task, forged)
    assert _all_rows(organisation) == before
    assert service.requests == []


def test_a_message_that_comes_late_does_nothing(staged: Staged, clock: Any) -> None:
    """For a rotation that has ended, one that only watches, a notice that was sent, a run that is over."""
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    organisation.night()
    run = organisation.services.runs.runs.start("ticket-sync", actor="test")
    clock.advance(timedelta(days=2))
    organisation.drive()
    organisation.services.rotation.opening.request(TOKEN, asked_by="test")
    drive_on(organisation, clock)
    assert [one.state for one in organisation.rotations()] == [State.WATCHING, State.DONE]
    organisation.deliver()
    done, digest = organisation.notices()
    assert [(one.kind, one.state) for one in (done, digest)] == [("rotation-done", "sent"), ("digest", "sent")]
    before, called = _all_rows(organisation), len(service.requests)
    for rotation in organisation.rotations():
        _receive(organisation.services, "rotate", rotation.id)
    _receive(organisation.services, "run", run.run_id)
    _receive(organisation.services, "deliver", digest.id)
    assert _all_rows(organisation) == before
    assert len(service.requests) == called
    assert len(organisation.targets.sink.requests) == 2


def test_a_message_that_comes_twice_is_worked_on_once(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    gate = service.gate("/v1/tokens", method="POST")
    with _worker(organisation, rotation_id) as first:
        assert gate.reached.wait(PATIENCE)
        before = _all_rows(organisation)
        for _ in range(3):
            _receive(organisation.services, "rotate", rotation_id)
        assert _all_rows(organisation) == before
        gate.open()
        first.result(PATIENCE)
    assert get_rotation(organisation, rotation_id).state is State.CREATED
    assert service.calls("POST") == 1


@contextmanager
def _worker(organisation: Organisation, rotation_id: str) -> Iterator[Future[Advanced | None]]:
    """Another worker, with connections of its own, does the step that is due, and ends before the block."""
    services = Services(organisation.services.settings, organisation.services.clock)
    try:
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(advance, services, rotation_id)
    finally:
        services.close()


@contextmanager
def _renewals() -> Iterator[threading.Event]:
    """Set whenever a lease was renewed, by any worker in this process."""
    renewed = threading.Event()

    def see(_: Connection) -> None:
        if threading.current_thread().name == "leases":
            renewed.set()

    event.listen(Engine, "commit", see)
    yield renewed
    event.remove(Engine, "commit", see)


def _receive(services: Services, task: str, row_id: str) -> None:
    """What a message of that name has done: the one call of its task."""
    calls: dict[str, Callable[[str], object]] = {
        "rotate": services.rotation.rotations.drive,
        "run": lambda run_id: services.runs.runs.execute(run_id, actor="schedule"),
        "deliver": lambda _: services.notices.delivery.deliver(),
    }
    calls[task](row_id)


def _all_rows(organisation: Organisation, *, besides: str = "") -> dict[str, list[Any]]:
    """Everything that is stored, but one column."""
    with organisation.services.database.read() as connection:
        return {
            table.name: sorted(
                connection.execute(select(*[column for column in table.c if column.name != besides])).all(),
                key=repr,
            )
            for table in metadata.sorted_tables
        }


def _open(moves: Moves, item_id: str, next_at: datetime | None) -> Rotation:
    """A planned rotation; each call's id is another one."""
    now = moves.services.clock()
    rotation = Rotation(
        id=new_id("rot", now),
        item_id=item_id,
        item="prod-ticketing-api-token",
        rotator="random",
        state=State.PLANNED,
        reason=Reason.of(Code.BY_HAND),
        asked_by="test",
        old_number=1,
        next_at=next_at,
        created_at=now,
    )
    with moves.services.database.write() as connection:
        change_rows.insert_rotation(connection, rotation)
    return rotation


def _let_pass(moves: Moves, clock: Any, duration: timedelta) -> None:
    """Time passes: on the clock, and where leases go by the server's, as if it had passed there too."""
    clock.advance(duration)
    if moves.services.database.is_sqlite:
        return
    with moves.services.database.write() as connection:
        for table in (rotations, sweeps):
            connection.execute(
                table.update().values(lease_until=table.c.lease_until - literal(duration, Interval()))
            )


def _lease(moves: Moves, rotation_id: str, now: datetime) -> Rotation | None:
    with moves.services.database.write() as connection:
        return lease_rows.lease_rotation(connection, rotation_id, now=now, lease=LEASE, at_once=2)


def _sweep(moves: Moves, slot: datetime, now: datetime, *, job: str = "night") -> bool:
    with moves.services.database.write() as connection:
        return night_rows.open_sweep(connection, job=job, slot=slot, now=now, lease=LEASE, tries=3)


def _renew(moves: Moves, leased: Rotation) -> bool:
    with moves.services.database.write() as connection:
        return lease_rows.renew_lease(connection, leased, now=moves.services.clock(), lease=LEASE)


def _take(moves: Moves, rotation_id: str) -> Rotation:
    with moves.services.database.write() as connection:
        return lease_rows.take_rotation(connection, rotation_id, now=moves.services.clock())


def _check(moves: Moves, leased: Rotation) -> None:
    with moves.services.database.write() as connection:
        lease_rows.store_rotation(connection, leased, leased, (), now=moves.services.clock(), lease=LEASE)


def _release(moves: Moves, leased: Rotation, **values: Any) -> None:
    with moves.services.database.write() as connection:
        after = replace(leased, **values)
        lease_rows.store_rotation(connection, leased, after, (), now=moves.services.clock(), lease=None)


def _get(moves: Moves, rotation_id: str) -> Rotation:
    with moves.services.database.read() as connection:
        return rotation_rows.get_rotation(connection, rotation_id)


def _ids(outcome: list[str] | Exception) -> list[str]:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
