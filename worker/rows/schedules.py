"""When workflows run by their own schedule, as rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from vaultcore.stored import Unread, check_row, read_apart
from worker.domain.places import Place
from worker.rows.tables import workflows
from worker.rows.unread import UnreadWorkflow


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """An active workflow of ours, its schedule as it was written, and when it runs next; None: never."""

    workflow_id: str
    name: str
    type: str
    value: str | None
    next_run_at: datetime | None


def walk_schedules(connection: Connection) -> Iterator[Schedule | UnreadWorkflow]:
    """Of the active workflows that run here; one that cannot be read has its place among the others."""
    for row in connection.execute(
        select(
            workflows.c.id,
            workflows.c.name,
            workflows.c.schedule_type,
            workflows.c.schedule_value,
            workflows.c.next_run_at,
        ).where(workflows.c.active.is_(True), workflows.c.runs == Place.HERE.value)
    ):
        made = read_apart(row, _read)
        if isinstance(made, Unread):
            yield UnreadWorkflow(workflow_id=row.id, name=row.name, problem=made.problem)
        else:
            yield made


def _read(row: Row[*tuple[Any, ...]]) -> Schedule:
    check_row(row, f"workflow {row.name}")
    return Schedule(
        workflow_id=row.id,
        name=row.name,
        type=row.schedule_type,
        value=row.schedule_value,
        next_run_at=row.next_run_at,
    )
