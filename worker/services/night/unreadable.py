"""What cannot be read in the vault, as findings: whether any walk of the night would meet it or not."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from vaultcore.quiet import check_zone, parse_quiet
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import owners
from worker.domain.clocks import SKEW
from worker.domain.findings import Finding, find_unreadable
from worker.domain.places import Place
from worker.rows import damage as damage_rows
from worker.rows.tables import workflows
from worker.workflows.schedule import next_run


def walk_unreadable(connection: Connection, now: datetime, clock: Callable[[], datetime]) -> Iterator[Finding]:
    """Rows that hold what none of us wrote, whether a walk meets them or not; and workflows whose next run is
    later than their schedule has it, by `clock`: workflows run on while a long night looks at them.
    """
    for damage in damage_rows.walk_damage(connection, now):
        row, fields = damage.row, ", ".join(damage.fields)
        key, name, workflow = damage.key, _show(row.beside_name), _show(row.beside_workflow)
        what = _WORDS.get(damage.table, damage.table)
        named = f" {name}" if name and row.beside_item is None else ""
        yield find_unreadable(
            key if damage.table == "items" else f"{damage.table} {key}",
            fields,
            item_id=row.beside_item,
            item=name if row.beside_item is not None else None,
            workflow=workflow,
            what="it" if damage.table == "items" else f"{what}{named} ({key})",
        )
    for row in connection.execute(select(owners)):
        owner = read_apart(row, _check_owner)
        if isinstance(owner, Unread):
            yield find_unreadable(f"owners {row.id}", owner.problem, what=f"owner {row.name} ({row.id})")
    for row in connection.execute(
        select(
            workflows.c.id,
            workflows.c.name,
            workflows.c.schedule_type,
            workflows.c.schedule_value,
            workflows.c.next_run_at,
        ).where(workflows.c.active.is_(True), workflows.c.runs == Place.HERE.value)
    ):
        late = read_apart(row, lambda one: _is_late(one, clock()))
        if isinstance(late, Unread) or late:
            problem = late.problem if isinstance(late, Unread) else "next_run_at"
            yield find_unreadable(f"workflows {row.id}", problem, workflow=_show(row.name), what="when it runs")


_WORDS = {
    "versions": "a version of it",
    "item_references": "a reference to it",
    "item_owners": "its owners",
    "item_principals": "what it changes on the other side",
    "owners": "an owner",
    "routes": "a route",
    "workflows": "it",
    "runs": "a run",
    "rotations": "its rotation",
    "claims": "the key that waits to be collected",
    "notices": "a notice",
    "deliveries": "a delivery",
    "heartbeats": "a heartbeat",
    "sweeps": "a night",
    "row_checks": "how far the check of all rows has come",
    "findings": "a finding",
    "departures": "a departure",
}
"""What a row is, to those who read of it."""


def _show(value: object) -> str | None:
    return None if value is None else str(value)


def _check_owner(row: Row[*tuple[Any, ...]]) -> None:
    """What of these cannot be read is not gone by when they are told, which is then at once."""
    check_row(row, f"owner {row.name}")
    check_zone(row.zone)
    if row.quiet is not None:
        parse_quiet(row.quiet)


def _is_late(row: Row[*tuple[Any, ...]], now: datetime) -> bool:
    """Whether it would run later than its schedule says, or never."""
    check_row(row, f"workflow {row.name}")
    following = next_run(row.schedule_type, row.schedule_value, now)
    return following is not None and (row.next_run_at is None or row.next_run_at > following + SKEW)
