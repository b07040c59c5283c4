"""The wall clock was ahead, and is set right: nothing waits for a time that was never to come.

On SQLite, whose rows know one clock; the rules themselves are tables in `tests/unit/test_clocks.py`.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from tests.services.dues import find_due
from tests.services.staging import TOKEN, Staged, begin_by_hand, get_rotation, step_to
from vaultcore.ids import new_id
from worker.domain.pulses import PulseKind
from worker.domain.saga import State
from worker.domain.signs import Presence, SignOfLife, find_presence
from worker.domain.work import Task
from worker.rows import nights as night_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import signs as sign_rows
from worker.rows.deliveries import Key
from worker.rows.tables import deliveries, findings, heartbeats, rotations, runs, sweeps, workflows

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LEASE = timedelta(seconds=60)
HOURS, YEARS = timedelta(hours=3), timedelta(days=730)
both = pytest.mark.parametrize("ahead", [HOURS, YEARS], ids=["three hours", "two years"], indirect=True)


@pytest.fixture
def ahead(request: pytest.FixtureRequest) -> timedelta:
    return getattr(request, "param", HOURS)


@both
def test_a_rotation_that_a_killed_worker_held_is_free_when_its_lease_can_be_over(
    on_file: Staged, clock: Any, ahead: timedelta
) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    clock.advance(ahead)
    with organisation.services.database.write() as connection:
        assert (
            lease_rows.lease_rotation(connection, rotation_id, now=clock(), lease=LEASE, at_once=2) is not None
        )
    clock.advance(-ahead)
    assert find_due(organisation.services, Task.ROTATE) == []
    clock.advance(LEASE + timedelta(seconds=1))
    assert find_due(organisation.services, Task.ROTATE) == [rotation_id]
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING


def test_who_lives_keeps_its_lease(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    clock.advance(ahead)
    with organisation.services.database.write() as connection:
        held = lease_rows.lease_rotation(connection, rotation_id, now=clock(), lease=LEASE, at_once=2)
    assert held is not None
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    clock.advance(LEASE / 2)
    with organisation.services.database.write() as connection:
        assert lease_rows.renew_lease(connection, held, now=clock(), lease=LEASE)
    clock.advance(LEASE / 2 + timedelta(seconds=1))
    organisation.services.upkeep.clock_repair.mend()
    with organisation.services.database.read() as connection:
        assert lease_rows.is_held(connection, held, now=clock())


def test_a_pause_after_an_outage_is_a_pause_from_now(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    clock.advance(ahead)
    service.fail_next("/v1/tokens", status=503, method="POST")
    organisation.drive()
    waits = get_rotation(organisation, rotation_id)
    assert waits.next_at is not None
    pause = waits.next_at - clock()
    assert pause > timedelta(0)
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    put_right = get_rotation(organisation, rotation_id)
    assert put_right.next_at == clock() + pause
    assert put_right.failing_since == clock()
    clock.advance(pause)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING


@both
def test_an_overlap_lasts_as_long_as_it_should_from_now(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, service = on_file
    old = organisation.add_token(TOKEN, "ticketing", days=2000)
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    clock.advance(ahead)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    put_right = get_rotation(organisation, rotation_id)
    assert put_right.activated_at == clock()
    assert organisation.services.runs.runs.start("ticket-sync", actor="test").status == "completed"
    clock.advance(DAY - MINUTE)
    organisation.drive()
    assert service.is_live(old)
    clock.advance(2 * MINUTE)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert not service.is_live(old)


def test_a_request_for_approval_stands_for_its_time(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, _ = on_file
    clock.advance(ahead)
    organisation.add_token(TOKEN, "ticketing", mode="approve")
    (opened,) = organisation.night()
    assert opened.state is State.REQUESTED
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    organisation.drive()
    found = get_rotation(organisation, opened.id)
    assert found.state is State.REQUESTED
    assert found.next_at == clock() + organisation.item(TOKEN).policy.approval


@both
def test_a_night_of_the_future_gets_its_slot_now_and_that_time_has_its_own_night(
    on_file: Staged, clock: Any, ahead: timedelta
) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=5 + ahead / DAY)
    clock.advance(ahead)
    slot = clock()
    (opened,) = organisation.night()
    assert opened.state is State.WATCHING
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    assert _slots(organisation) == [clock()]
    assert get_rotation(organisation, opened.id).night == clock()
    assert organisation.services.overview.status.read().last_night.slot == clock()
    clock.now = slot
    assert organisation.services.night.nights.begin(slot) is not None
    assert _slots(organisation) == [slot - ahead, slot]


def test_a_scan_that_was_cut_off_begins_again_when_its_lease_can_be_over(
    on_file: Staged, clock: Any, ahead: timedelta
) -> None:
    organisation, _ = on_file
    slot, lease = clock(), timedelta(minutes=15)

    def take() -> bool:
        with organisation.services.database.write() as connection:
            return night_rows.open_sweep(
                connection, job=night_rows.NIGHT_JOB, slot=slot, now=clock(), lease=lease, tries=8
            )

    clock.advance(ahead)
    assert take()
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    assert not take()
    clock.advance(lease + timedelta(seconds=1))
    assert take()


def test_a_workflow_runs_by_its_schedule_as_it_is_now(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, schedule_type="interval", schedule_value="1 hour")
    clock.advance(ahead)
    assert len(organisation.services.runs.runs.open_due()) == 1
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    with organisation.services.database.read() as connection:
        assert connection.execute(select(workflows.c.next_run_at)).scalar_one() == clock() + HOUR


def test_a_run_that_died_ahead_of_its_time_is_found_lost_in_its_time(
    on_file: Staged, clock: Any, ahead: timedelta
) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    clock.advance(ahead)
    with organisation.services.database.write() as connection:
        workflow_id = connection.execute(select(workflows.c.id)).scalar_one()
        connection.execute(
            insert(runs).values(
                id=new_id("fl_run", clock()), workflow_id=workflow_id, workflow_name="ticket-sync",
                purpose="production", trigger="manual", status="running", created_at=clock(),
                started_at=clock(),
            )
        )  # fmt: skip
    clock.advance(-ahead)
    organisation.services.night.resume_sweep.find_work()
    clock.advance(2 * HOUR)
    organisation.services.night.resume_sweep.find_work()
    with organisation.services.database.read() as connection:
        assert connection.execute(select(runs.c.completed_at)).scalar_one() is not None


def test_a_notice_is_sent_again_after_its_pause_from_now(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, _ = on_file
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=2, mode="notify")
    organisation.targets.sink.stop()
    clock.advance(ahead)
    organisation.night()
    assert _waiting(organisation) > [clock()]
    pauses = [next_at - clock() for next_at in _waiting(organisation)]
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    assert [next_at - clock() for next_at in _waiting(organisation)] == pauses


def test_a_delivery_that_a_killed_worker_held_is_free_when_its_lease_can_be_over(
    on_file: Staged, clock: Any, ahead: timedelta
) -> None:
    organisation, _ = on_file
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=2, mode="notify")
    slot = clock()
    organisation.services.night.nights.begin(slot)
    organisation.services.night.nights.close(slot)
    clock.advance(ahead)
    organisation.services.notices.delivery._route_late()
    with organisation.services.database.read() as connection:
        found = connection.execute(
            select(deliveries.c.notice_id, deliveries.c.route_id, deliveries.c.recipient)
        )
        keys = [Key(*row) for row in found]
    assert organisation.services.notices.delivery._lease(keys)
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    assert max(_waiting(organisation)) <= clock() + 6 * MINUTE


def test_a_heartbeat_is_tried_again_at_once(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, _ = on_file
    clock.advance(ahead)
    with organisation.services.database.write() as connection:
        connection.execute(
            insert(heartbeats).values(
                slot=clock(), beat="success", text="-", state="waiting", attempts=3, posted_at=clock(),
                next_at=clock() + HOUR,
            )
        )  # fmt: skip
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    with organisation.services.database.read() as connection:
        assert connection.execute(select(heartbeats.c.next_at)).scalar_one() == clock()


def test_what_was_found_ahead_of_its_time_is_resolved_by_the_next_scan(
    on_file: Staged, clock: Any, ahead: timedelta
) -> None:
    organisation, _ = on_file
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=2000, mode="notify")
    organisation.services.night.nights.record()
    clock.advance(ahead)
    with organisation.services.database.write() as connection:
        assert connection.execute(update(findings).values(kind="lapsed", seen_at=clock())).rowcount
    clock.advance(-ahead)
    organisation.services.upkeep.clock_repair.mend()
    clock.advance(MINUTE)
    organisation.services.night.nights.record()
    assert ("lapsed", "prod-crm-password") not in organisation.findings()


def test_what_was_never_ahead_is_left_as_it_is(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=2, mode="notify")
    organisation.add_workflow("ticket-sync", TOKEN, schedule_type="interval", schedule_value="1 hour")
    service.fail_next("/v1/tokens", status=503, method="POST")
    organisation.targets.sink.stop()
    organisation.night()
    before = _everything(organisation)
    clock.advance(-MINUTE)  # as much as the clocks of two machines may differ
    assert organisation.services.upkeep.clock_repair.mend() == 0
    clock.advance(400 * DAY)
    assert organisation.services.upkeep.clock_repair.mend() == 0
    assert _everything(organisation) == before


def test_mending_twice_mends_nothing_more(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=2, mode="notify")
    clock.advance(ahead)
    service.fail_next("/v1/tokens", status=503, method="POST")
    organisation.targets.sink.stop()
    organisation.night()
    clock.advance(-ahead)
    assert organisation.services.upkeep.clock_repair.mend() > 0
    assert organisation.services.upkeep.clock_repair.mend() == 0


def test_a_sign_of_life_from_the_future_is_nobodys(on_file: Staged, clock: Any, ahead: timedelta) -> None:
    organisation, _ = on_file
    clock.advance(ahead)
    renew = organisation.services.upkeep.signs_of_life.begin(PulseKind.WORKER)
    clock.advance(-ahead)
    assert find_presence(_signs(organisation), clock()) is Presence.SILENT
    renew()
    assert find_presence(_signs(organisation), clock()) is Presence.NO_BEAT
    (sign,) = _signs(organisation)
    assert sign.started_at <= sign.seen_at == clock()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE deployment SET created_at = 'garbage'",
        "UPDATE signs_of_life SET seen_at = 'garbage'",
        "UPDATE signs_of_life SET kind = 'garbage'",
        "UPDATE rotations SET touched_at = 'garbage'",
        "UPDATE workflows SET next_run_at = 'garbage'",
        "UPDATE sweeps SET done_at = '2099-01-01 00:00:00.000000', slot = 'garbage'",
    ],
)
def test_a_damaged_time_holds_up_neither_the_night_nor_what_else_was_ahead(
    on_file: Staged, clock: Any, damage: str
) -> None:
    organisation, _ = on_file
    services = organisation.services
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, schedule_type="interval", schedule_value="1 hour")
    renew = services.upkeep.signs_of_life.begin(PulseKind.WORKER)
    services.upkeep.signs_of_life.begin(PulseKind.BEAT)
    begin_by_hand(organisation, TOKEN)
    with services.database.write() as connection:
        night_rows.open_sweep(
            connection, job=night_rows.NIGHT_JOB, slot=clock(), now=clock(), lease=LEASE, tries=8
        )
        connection.execute(
            insert(heartbeats).values(
                slot=clock(), beat="success", text="-", state="waiting", attempts=0, posted_at=clock() + HOURS,
                next_at=clock() + HOURS,
            )
        )  # fmt: skip
        connection.execute(text(damage))
    assert services.upkeep.clock_repair.mend() >= 1
    clock.advance(DAY)
    renew()
    assert services.night.night_schedule.due_night() == clock()


def _slots(organisation: Any) -> list[datetime]:
    with organisation.services.database.read() as connection:
        return list(connection.execute(select(sweeps.c.slot).order_by(sweeps.c.slot)).scalars())


def _waiting(organisation: Any) -> list[datetime]:
    with organisation.services.database.read() as connection:
        waiting = select(deliveries.c.next_at).where(deliveries.c.state == "waiting")
        found = list(connection.execute(waiting).scalars())
    assert found
    return found


def _everything(organisation: Any) -> list[Any]:
    with organisation.services.database.read() as connection:
        return [
            [tuple(row) for row in connection.execute(select(table))]
            for table in (rotations, deliveries, workflows, sweeps, findings, runs)
        ]


def _signs(organisation: Any) -> list[SignOfLife]:
    with organisation.services.database.read() as connection:
        return sign_rows.list_signs(connection)
