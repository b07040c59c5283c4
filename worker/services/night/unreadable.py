"""What cannot be read in the vault, as findings: whether any walk of the night would meet it or not."""

from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.stored import read_apart
from worker.domain.clocks import SKEW
from worker.domain.findings import Finding, find_unreadable
from worker.rows.damage import walk_damage
from worker.rows.owners import walk_unreadable_owners
from worker.rows.schedules import Schedule, walk_schedules
from worker.rows.unread import UnreadWorkflow
from worker.workflows.schedule import next_run


def walk_unreadable(connection: Connection, now: datetime, clock: Callable[[], datetime]) -> Iterator[Finding]:
    """Rows that hold what none of us wrote, whether a walk meets them or not; and workflows whose next run is
    later than their schedule has it, by `clock`: workflows run on while a long night looks at them.
    """
    for row in walk_damage(connection, now):
        key, name = row.key, _show(row.name)
        what = _WORDS.get(row.table, row.table)
        named = f" {name}" if name and row.item_id is None else ""
        yield find_unreadable(
            key if row.table == "items" else f"{row.table} {key}",
            ", ".join(row.fields),
            item_id=row.item_id,
            item=name if row.item_id is not None else None,
            workflow=_show(row.workflow),
            what="it" if row.table == "items" else f"{what}{named} ({key})",
        )
    for owner in walk_unreadable_owners(connection):
        what = f"owner {owner.name} ({owner.owner_id})"
        yield find_unreadable(f"owners {owner.owner_id}", owner.problem, what=what)
    for schedule in walk_schedules(connection):
        problem = _find_problem(schedule, clock())
        if problem is not None:
            subject, name = f"workflows {schedule.workflow_id}", _show(schedule.name)
            yield find_unreadable(subject, problem, workflow=name, what="when it runs")


_WORDS = {
    "versions": "a version of it",
    "item_references": "a reference to it",
    "item_owners": "its owners",
    "item_labels": "a label of it",
    "item_accounts": "what it changes on the other side",
    "owners": "an owner",
    "routes": "a route",
    "workflows": "it",
    "runs": "a run",
    "rotations": "its rotation",
    "pickups": "the key that waits to be collected",
    "notices": "a notice",
    "deliveries": "a delivery",
    "heartbeats": "a heartbeat",
    "sweeps": "a night",
    "row_checks": "how far the check of all rows has come",
    "findings": "a finding",
    "departures": "a departure",
    "named_policies": "a named policy",
    "principals": "a principal",
    "tokens": "a token of a principal",
    "sessions": "who is signed in to the console",
}
"""What a row is, to those who read of it."""


def _show(value: object) -> str | None:
    return None if value is None else str(value)


def _find_problem(schedule: Schedule | UnreadWorkflow, now: datetime) -> str | None:
    late = (
        schedule
        if isinstance(schedule, UnreadWorkflow)
        else read_apart(schedule, lambda one: _is_late(one, now))
    )
    if isinstance(late, bool):
        return "next_run_at" if late else None
    return late.problem


def _is_late(schedule: Schedule, now: datetime) -> bool:
    """Whether it would run later than its schedule says, or never."""
    following = next_run(schedule.type, schedule.value, now)
    return following is not None and (schedule.next_run_at is None or schedule.next_run_at > following + SKEW)
