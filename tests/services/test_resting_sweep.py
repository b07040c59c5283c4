"""A sweep costs what is due, not what is open: with nothing due it asks once, by index, and misses nothing."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert, text

from tests.benchmarks.sweeps import add_watching
from tests.counting import count_on
from tests.plans import explaining, find_walks
from tests.services.conftest import Moves
from vaultcore.ids import new_id
from vaultcore.tables import metadata, owners, routes
from worker.bootstrap import Services
from worker.domain.messages import beginning_of_ids
from worker.rows.due_work import DueWork
from worker.rows.tables import (
    credential_checks,
    deliveries,
    heartbeats,
    notices,
    pickups,
    requests,
    rotations,
    run_payloads,
    runs,
    sweeps,
    taken_messages,
    workflows,
)
from worker.services.upkeep.clock_repair import ClockRepair

WATCHING = 300
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SEALED: dict[str, Any] = {"key_id": "key", "wrapped_key": b"wrapped", "record": b"sealed"}
TENTH = 600.0


def test_with_nothing_due_it_is_one_select_however_much_is_open(services: Services, clock: Any) -> None:
    _come_to_rest(services, clock())
    with count_on(services.database.engine) as counted:
        assert services.night.resume_sweep.find_work() == []
    assert len(counted.statements) == 1
    assert counted.statements[0].startswith("SELECT")
    assert counted.commits == 0


def test_that_select_scans_no_table(services: Services, clock: Any) -> None:
    _come_to_rest(services, clock())
    with explaining(services.database.engine) as plans:
        services.night.resume_sweep.find_work()
    words = {word for plan in plans.values() for line in plan for word in line.split()}
    asked = {table.name for table in metadata.sorted_tables} & words
    assert "ix_rotations_next" in words  # that of what is due, and not any in which all that is open stands
    assert {"rotations", "deliveries", "heartbeats", "runs", "sweeps", "pickups", "audit"} <= asked
    assert find_walks(plans) == []


def _come_to_rest(services: Services, now: datetime) -> None:
    add_watching(services, WATCHING, now)
    if not services.database.is_sqlite:
        with services.database.write() as connection:
            connection.execute(text("ANALYZE rotations"))
    services.night.resume_sweep.find_work()  # a process begins with a look at times of clocks that were ahead


Add = Callable[[Moves, datetime], None]


def _add_rotation(moves: Moves, at: datetime) -> None:
    add_watching(moves.services, 1, at - HOUR)


def _add_emergency(moves: Moves, at: datetime) -> None:
    moves.insert_due(at, "a.example", emergency=True)


def _add_check(moves: Moves, at: datetime) -> None:
    _insert(moves, credential_checks, item_id="vlt_1", next_at=at, waits=True, target="a.example")


def _add_pending_run(moves: Moves, at: datetime) -> None:
    _add_run(moves, status="pending", created_at=at - 3 * MINUTE)


def _add_lost_run(moves: Moves, at: datetime) -> None:
    _add_run(moves, status="running", created_at=at - DAY, started_at=at - DAY)


def _add_run(moves: Moves, **values: Any) -> str:
    now = moves.services.clock()
    run_id, workflow_id = new_id("run", now), new_id("wfl", now)
    named = {"id": workflow_id, "name": workflow_id, "document": "{}", "runs": "here", "active": True}
    _insert(moves, workflows, **named, schedule_type="none", created_at=now, updated_at=now)
    of_it = {"workflow_id": workflow_id, "workflow_name": workflow_id, "purpose": "production"}
    _insert(moves, runs, id=run_id, **of_it, trigger="manual", **values)
    return run_id


def _add_heartbeat(moves: Moves, at: datetime) -> None:
    said = {"slot": at, "beat": "start", "text": "it begins", "attempts": 0, "posted_at": at}
    _insert(moves, heartbeats, **said, state="waiting", next_at=at)


def _add_notice(moves: Moves, at: datetime, *, routed: bool) -> str:
    notice_id = new_id("ntc", at)
    said = {"owner_id": "own_1", "owner": "platform", "kind": "due", "subject": "s", "body": "b"}
    _insert(moves, notices, id=notice_id, dedupe_key=notice_id, **said, created_at=at, routed=routed)
    return notice_id


def _add_delivery(moves: Moves, at: datetime) -> None:
    to = {"notice_id": _add_notice(moves, at, routed=True), "route_id": "rte_1", "shown": "mail"}
    _insert(moves, deliveries, **to, state="waiting", attempts=0, next_at=at)


def _add_unrouted(moves: Moves, at: datetime) -> None:
    _add_notice(moves, at, routed=False)
    _insert(moves, owners, id="own_1", name="platform", zone="UTC", created_at=at)
    _insert(moves, routes, id="rte_1", owner_id="own_1", shown="mail", created_at=at, **SEALED)


def _add_night(moves: Moves, at: datetime) -> None:
    began = {"job": "night", "slot": at, "lease_until": at, "started_at": at, "counts": {}}
    _insert(moves, sweeps, **began, scanned_at=at)


def _add_arrived(moves: Moves, at: datetime) -> None:
    arrived = at - HOUR - MINUTE
    _insert(moves, pickups, id="clm_1", item_id="vlt_1", number=1, created_at=arrived, arrived_at=arrived)


def _add_payload(moves: Moves, at: datetime) -> None:
    run_id = _add_run(moves, status="completed", created_at=at, completed_at=at)
    _insert(moves, run_payloads, run_id=run_id, kept_at=at - DAY, ends_at=at, **SEALED)


def _add_request(moves: Moves, at: datetime) -> None:
    _insert(moves, requests, actor="ci", key="k", digest="d", asked_at=at - DAY - MINUTE)


def _add_message(moves: Moves, at: datetime) -> None:
    _insert(moves, taken_messages, id=beginning_of_ids(at - 3 * DAY).ljust(32, "0"))


def _add_night_ahead(moves: Moves, at: datetime) -> None:
    over = {"scanned_at": at, "done_at": at, "outcome": "good"}
    began = {"job": "night", "slot": at + DAY, "lease_until": at, "started_at": at, "counts": {}}
    _insert(moves, sweeps, **began, **over)


def _add_run_ahead(moves: Moves, at: datetime) -> None:
    _add_run(moves, status="running", created_at=at + HOUR, started_at=at)


KINDS: Mapping[str, tuple[str, Add]] = {
    "rotation": ("rotations", _add_rotation),
    "emergency": ("rotations emergencies", _add_emergency),
    "check": ("checks", _add_check),
    "pending run": ("pending_runs", _add_pending_run),
    "lost run": ("lost_runs", _add_lost_run),
    "heartbeat": ("heartbeats", _add_heartbeat),
    "delivery": ("deliveries", _add_delivery),
    "unrouted": ("unrouted", _add_unrouted),
    "night": ("nights", _add_night),
    "arrived": ("arrived", _add_arrived),
    "payload": ("old", _add_payload),
    "request": ("old", _add_request),
    "message": ("old", _add_message),
    "night ahead": ("ahead", _add_night_ahead),
    "run ahead": ("ahead", _add_run_ahead),
}


_FILLED = {
    rotations, credential_checks, runs, workflows, heartbeats, notices, deliveries, owners, routes, sweeps,
    pickups, run_payloads, requests, taken_messages,
}  # fmt: skip


def test_each_kind_of_work_is_seen_when_its_time_has_come_and_none_else(moves: Moves, clock: Any) -> None:
    nothing = _see(moves)
    assert not any(vars(nothing).values())
    for kind, (name, add) in KINDS.items():
        with moves.services.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                if table in _FILLED:
                    connection.execute(table.delete())
        add(moves, clock())
        seen = _see(moves)
        assert [part for part, found in vars(seen).items() if found] == name.split(), kind


def _see(moves: Moves) -> DueWork:
    """By the moments of the sweep itself."""
    return moves.services.night.resume_sweep._find_due()


def test_times_of_a_clock_that_was_ahead_are_looked_for_when_there_may_be_any(moves: Moves, clock: Any) -> None:
    passed = [0.0]
    repair = ClockRepair(database=moves.services.database, lease=HOUR, clock=clock, elapsed=lambda: passed[0])
    assert repair.mend_if_due()  # a process begins
    assert not repair.mend_if_due()
    clock.advance(DAY)
    assert not repair.mend_if_due()
    assert repair.mend_if_due(seen_ahead=True)
    clock.advance(-MINUTE)
    assert repair.mend_if_due()
    assert not repair.mend_if_due()
    passed[0] += TENTH
    assert repair.mend_if_due()
    assert not repair.mend_if_due()


def test_what_was_audited_last_by_a_clock_that_was_ahead_is_seen(moves: Moves, clock: Any) -> None:
    clock.advance(HOUR)
    _audit(moves)
    clock.advance(-HOUR)
    assert _see(moves).ahead
    _audit(moves)
    assert not _see(moves).ahead


def _audit(moves: Moves) -> None:
    with moves.services.database.write() as connection:
        at = moves.services.clock()
        moves.services.audit.append(connection, at=at, actor="test", action="item.read", subject="vlt_1")


def _insert(moves: Moves, table: Table, **values: Any) -> None:
    with moves.services.database.write() as connection:
        connection.execute(insert(table).values(**values))
