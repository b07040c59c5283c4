"""What runs all day is found by index: it costs what moves, and not all that was ever stored."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from tests.many_items import fill, make_id
from tests.plans import explaining, find_walks
from tests.services.staging import Staged
from vaultcore.composite_keys import is_among
from vaultcore.tables import versions
from worker.rows import (
    attention,
    comparisons,
    consumers,
    credential_checks,
    digests,
    due_deliveries,
    findings,
    item_notices,
    metrics,
    outbox,
    payloads,
    pickups,
    problems,
    replaced_versions,
    rotations,
    runs,
    waiting_pickups,
)
from worker.rows import notices as notice_rows
from worker.rows.deliveries import Key
from worker.rows.tables import pickups as pickup_table
from worker.rows.tables import rotations as rotation_table

ITEM = make_id("vlt", 0)
KEYS = [Key("ntc_1", "rte_1", "ann"), Key("ntc_2", "rte_1", "ann")]
LEASE = timedelta(minutes=5)
Ask = Callable[[Connection, Any], object]
BY_INDEX: dict[str, tuple[Ask, set[str]]] = {
    "deliveries are leased": (
        lambda connection, now: due_deliveries.lease(connection, KEYS, now, lease=LEASE),
        {"sqlite_autoindex_deliveries_1"},
    ),
    "deliveries are read to be sent": (
        lambda connection, _: due_deliveries.read_outgoing(connection, KEYS),
        {"sqlite_autoindex_deliveries_1"},
    ),
    "owners with notices that have no route": (
        lambda connection, _: outbox.list_unrouted_owners(connection, ["own_1"]),
        {"ix_notices_unrouted"},
    ),
    "notices that have no route": (
        lambda connection, _: outbox.list_unrouted(connection, "own_1", limit=500),
        {"ix_notices_unrouted"},
    ),
    "how many notices have no route": (
        lambda connection, _: notice_rows.count_unrouted(connection),
        {"ix_notices_unrouted"},
    ),
    "the next check of a target": (
        lambda connection, _: credential_checks.find_next(connection, "crm"),
        {"ix_credential_checks_waits"},
    ),
    "checks that wait": (
        lambda connection, _: credential_checks.list_waiting(connection),
        {"ix_credential_checks_waits"},
    ),
    "whether checks of a night wait": (
        credential_checks.is_waiting,
        {"ix_credential_checks_waits"},
    ),
    "checks of a target are left": (
        lambda connection, _: credential_checks.leave_target(connection, "crm"),
        {"ix_credential_checks_waits"},
    ),
    "checks of another night are left": (
        credential_checks.leave_others,
        {"ix_credential_checks_waits"},
    ),
    "payloads whose time is over": (
        lambda connection, now: payloads.forget_old(connection, now, ahead=False),
        {"ix_run_payloads_ends_at"},
    ),
    "what a digest says of rotations": (
        lambda connection, now: digests.find_rotated(connection, ["own_1"], night=now, operators="own_2"),
        {"ix_rotations_told"},
    ),
    "who gets a digest": (
        lambda connection, now: digests.list_to_tell(connection, now, "own_2"),
        {"ix_rotations_told", "ix_tellings_night"},
    ),
    "rotations that nobody was told of": (digests.set_down_rotations, {"ix_rotations_untold"}),
    "findings that nobody was told of": (
        lambda connection, now: list(
            findings.walk_untold(connection, operators="own_2", now=now, page_size=10)
        ),
        {"ix_findings_by_opened_at"},
    ),
    "who was told of a topic": (
        lambda connection, _: findings.told_levels(connection, ["topic", "other"]),
        {"ix_tellings_topic"},
    ),
    "rotations that a night waits for": (
        lambda connection, now: list(rotations.walk_moving(connection, begun_by=now)),
        {"ix_rotations_open"},
    ),
    "what is wrong": (
        lambda connection, now: problems.read_problems(connection, since=now, now=now),
        {
            "ix_rotations_next",
            "ix_rotations_open",
            "ix_rotations_ended",
            "ix_deliveries_failed",
            "ix_deliveries_next",
            "ix_pickups_waiting",
            "ix_comparisons_open",
        },
    ),
    "items that differ from their targets": (
        lambda connection, _: comparisons.list_differing(connection),
        {"ix_comparisons_open"},
    ),
    "how many rotations wait for an approval": (
        lambda connection, _: attention.count_requested(connection, seen_by=None),
        {"ix_rotations_open"},
    ),
    "emergencies that are due": (
        lambda connection, now: rotations.due_rotations(connection, now, at_once=2, emergencies=True),
        {"ix_rotations_emergency", "ix_rotations_held"},
    ),
    "rotations that wait for an approval": (
        lambda connection, _: attention.list_requested(connection, limit=200, seen_by=None),
        {"ix_rotations_open"},
    ),
    "whether a workflow runs": (
        lambda connection, _: consumers.is_running(connection, "fl_1"),
        {"ix_runs_begun"},
    ),
    "which users of an item run": (
        lambda connection, now: consumers.running_since(connection, ITEM, None, now),
        {"ix_runs_begun", "ix_runs_workflow"},
    ),
    "runs whose worker was lost": (
        lambda connection, now: runs.fail_lost_runs(connection, begun_before=now, at=now),
        {"ix_runs_begun"},
    ),
    "notices of an item": (
        lambda connection, _: item_notices.find_notices_of_item(connection, ITEM, limit=10),
        {"sqlite_autoindex_notices_2", "ix_tellings_topic"},
    ),
    "keys that wait to be collected": (
        waiting_pickups.list_waiting,
        {"ix_pickups_waiting"},
    ),
    "keys that nobody has collected in time": (pickups.overdue, {"ix_pickups_waiting"}),
    "versions that were replaced": (
        lambda connection, _: replaced_versions.list_replaced(connection, after=None, limit=10),
        {"ix_versions_previous"},
    ),
    "more versions that were replaced": (
        lambda connection, _: replaced_versions.list_replaced(connection, after=(ITEM, 1), limit=10),
        {"ix_versions_previous"},
    ),
    "leases that were lost": (
        lambda connection, _: metrics.count_leases_lost(connection),
        {"ix_rotations_leases_lost"},
    ),
    "rows by keys of several columns": (
        lambda connection, _: connection.execute(
            select(versions).where(is_among((versions.c.item_id, versions.c.number), [("a", 1), ("b", 2)]))
        ),
        {"sqlite_autoindex_versions_1"},
    ),
}
"""What is asked, and the indexes that have it."""
AT_MOST_A_NIGHT = {"heartbeats", "owners"}
"""Tables that have a few rows a night, or one for each team."""


@pytest.fixture
def filled(on_file: Staged, clock: Any) -> Staged:
    """The first item has had as many rotations and keys as notices are looked for."""
    database = on_file[0].services.database
    fill(database, 10, clock())
    with database.write() as connection:
        row = connection.execute(select(rotation_table)).mappings().one()
        ended = {**row, "state": "done", "finished_at": clock()}
        connection.execute(insert(rotation_table), [{**ended, "id": make_id("rot", n)} for n in range(1, 20)])
        key = {"item_id": ITEM, "number": 2, "created_at": clock()}
        connection.execute(insert(pickup_table), [{**key, "id": make_id("clm", n)} for n in range(20)])
    return on_file


@pytest.mark.parametrize("what", BY_INDEX)
def test_it_goes_through_no_table(filled: Staged, clock: Any, what: str) -> None:
    database = filled[0].services.database
    ask, indexes = BY_INDEX[what]
    with explaining(database.engine) as plans, database.write() as connection:
        ask(connection, clock())
    assert find_walks(plans, but=AT_MOST_A_NIGHT) == []
    assert indexes <= {word for plan in plans.values() for step in plan for word in step.split()}
