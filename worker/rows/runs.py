"""The record of runs: rows opened, begun, ended, with their logs and the versions that they used."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, exists, insert, select, update

from vaultcore.damage import is_whole
from vaultcore.errors import Cause
from vaultcore.ids import new_id
from vaultcore.mac_writing import RowChange, update_apart, update_known
from vaultcore.row_macs import check_mac, columns_of, digested
from vaultcore.stored import unreadable_fields
from worker.domain.states import RunPurpose, RunStatus, RunTrigger
from worker.rows import states as state_rows
from worker.rows.tables import run_logs, run_states, run_versions, runs
from worker.workflows.results import RunResult

PROVING = (RunPurpose.PRODUCTION.value, RunPurpose.CONTROLLED.value)
"""Runs that judge a value. Tests are of a candidate, and count for its rotation alone."""
_WAIT: Final = frozenset({RunTrigger.SCHEDULE, RunTrigger.WORKFLOW, RunTrigger.BACKGROUND})
"""What opens a run for whoever comes next to begin it."""
_PURPOSES: Final = frozenset(RunPurpose)
_STILL_OPEN: Final = RowChange(where=(runs.c.completed_at.is_(None),))
_ADD: Final = insert(runs)
_ADD_LOGS: Final = insert(run_logs)
_ADD_VERSIONS: Final = insert(run_versions)
_ENDS: Final = ("status", "completed_at", "error_message", "error_node", "error_cause")
_END: Final = (
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.completed_at.is_(None))
    .values({name: bindparam(f"new_{name}") for name in _ENDS})
)


@dataclass(frozen=True)
class OpenedRun:
    """`row`: what decides of it, with its digest, as long as nobody has changed it."""

    id: str
    row: Mapping[str, Any]


def open_run(
    connection: Connection,
    workflow_id: str,
    workflow_name: str,
    *,
    purpose: RunPurpose,
    trigger: RunTrigger,
    at: datetime,
    rotation_id: str | None = None,
    external_id: str | None = None,
    parent_id: str | None = None,
    depth: int = 0,
) -> OpenedRun:
    """A new run. One that the schedule or another run opens waits to be begun; others begin at once."""
    run_id = new_id("fl_run", at)
    pending = trigger in _WAIT
    row = {
        "id": run_id,
        "workflow_id": workflow_id,
        "workflow_name": workflow_name,
        "purpose": purpose.value,
        "trigger": trigger.value,
        "rotation_id": rotation_id,
        "external_id": external_id,
        "parent_id": parent_id,
        "depth": depth,
        "created_at": at,
        "status": RunStatus.PENDING.value if pending else RunStatus.RUNNING.value,
        "started_at": None if pending else at,
    }
    connection.execute(_ADD, row)
    decides = {name: row.get(name) for name in columns_of(runs)}
    return OpenedRun(run_id, digested(connection, runs, decides))


def begin_run(connection: Connection, run_id: str, *, at: datetime) -> str | None:
    """Leases a run that waits, once; the id of its workflow, or None if somebody else has begun it.
    `TamperedError` if none of us opened it so.
    """
    return connection.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.status == RunStatus.PENDING.value)
        .values(status=RunStatus.RUNNING.value, started_at=at)
        .returning(runs.c.workflow_id)
    ).scalar_one_or_none()


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """A run that has not ended, as it is stored. `damage`: which fields of its row cannot be read, by name;
    empty: none.
    """

    workflow_id: str
    purpose: str
    trigger: str
    depth: int
    started_at: datetime
    damage: str


def find_open(connection: Connection, run_id: str, *, lock: bool = False) -> OpenRun | None:
    """A run that has not ended; None: it has, or there is none of that id. `lock`: nobody ends it meanwhile.
    `TamperedError` if none of us wrote it so.
    """
    query = select(runs).where(runs.c.id == run_id, runs.c.completed_at.is_(None))
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        return None
    check_mac(connection, runs, row, f"run {run_id}")
    return OpenRun(
        workflow_id=row.workflow_id,
        purpose=row.purpose,
        trigger=row.trigger,
        depth=row.depth,
        started_at=row.started_at,
        damage=", ".join([*unreadable_fields(row), *([] if row.purpose in _PURPOSES else ["purpose"])]),
    )


def end_run(
    connection: Connection,
    run_id: str,
    result: RunResult,
    used: Mapping[str, int],
    *,
    at: datetime,
    opened: OpenedRun | None = None,
) -> bool:
    """The run's end, its logs and the versions it used (item id: number). False: it had ended before. `opened`:
    by whoever ends it, who has kept nothing of it to go on later.

    What it had kept goes with it. `TamperedError` if none of us wrote it so.
    """
    ends = {
        "status": result.status,
        "completed_at": at,
        "error_message": result.error_message,
        "error_node": result.error_node,
        "error_cause": None if result.cause is None else result.cause.value,
    }
    if opened is None or update_known(connection, runs, opened.row, ends, _STILL_OPEN) is None:
        given = {"run": run_id} | {f"new_{name}": value for name, value in ends.items()}
        if connection.execute(_END, given).rowcount != 1:
            return False
        state_rows.forget(connection, [run_id])
    logs = [
        {
            "id": new_id("fl_log", log.created_at),
            "run_id": run_id,
            "node_id": log.node_id,
            "component_id": log.component_id,
            "status": log.status,
            "output": log.output,
            "created_at": log.created_at,
        }
        for log in result.logs
    ]
    if logs:
        connection.execute(_ADD_LOGS, logs)
    numbers = [
        {"run_id": run_id, "item_id": item_id, "number": number} for item_id, number in sorted(used.items())
    ]
    if numbers:
        connection.execute(_ADD_VERSIONS, numbers)
    return True


def pending_runs(connection: Connection, *, opened_before: datetime) -> list[str]:
    """One whose row is damaged is nobody's: the scan makes a finding of it."""
    return list(
        connection.execute(
            select(runs.c.id).where(
                runs.c.completed_at.is_(None),
                runs.c.status == RunStatus.PENDING.value,
                runs.c.created_at < opened_before,
                is_whole(connection, runs),
            )
        ).scalars()
    )


def fail_lost_runs(connection: Connection, *, begun_before: datetime, at: datetime) -> list[str]:
    """Runs that were begun so long ago that whoever ran them is gone, or that nobody went on with in their
    hour: the ids of their workflows.
    """
    waits = exists().where(run_states.c.run_id == runs.c.id)
    return fail_runs(
        connection,
        and_(runs.c.status != RunStatus.PENDING.value, runs.c.started_at < begun_before),
        why=case(
            (waits, "it waited, and nobody went on with it within the hour that a run may take"),
            else_="the worker that ran it was lost",
        ),
        at=at,
    )


def fail_waiting_runs(connection: Connection, *, why: str, at: datetime) -> list[str]:
    """All that have kept something to go on with, or to begin with: the ids of their workflows."""
    return fail_runs(connection, exists().where(run_states.c.run_id == runs.c.id), why=why, at=at)


def refuse_run(connection: Connection, run_id: str, *, why: str, at: datetime) -> list[str]:
    """Ends a run that cannot be begun, gone on with, or believed: the id of its workflow, if it was open."""
    return fail_runs(connection, runs.c.id == run_id, why=why, at=at, cause=Cause.MISTAKE)


def fail_runs(
    connection: Connection,
    which: ColumnElement[bool],
    *,
    why: str | ColumnElement[str],
    at: datetime,
    cause: Cause = Cause.OUTAGE,
) -> list[str]:
    """Ends those that have not ended, with what they had kept; the ids of their workflows. One that none of us
    wrote so ends, too, and is believed as little as before.
    """
    values = {
        "status": RunStatus.FAILED.value,
        "completed_at": at,
        "error_cause": cause.value,
        "error_message": why,
    }
    ended = update_apart(connection, runs, and_(runs.c.completed_at.is_(None), which), values)
    state_rows.forget(connection, [row.id for row in ended])
    return sorted({row.workflow_id for row in ended})


def last_runs(connection: Connection, workflow_id: str, *, limit: int = 10) -> list[dict[str, Any]]:
    """The workflow's latest runs, newest first; `resume_at` of those that wait."""
    columns = (
        runs.c.id,
        runs.c.purpose,
        runs.c.trigger,
        runs.c.status,
        runs.c.error_node,
        runs.c.error_message,
        runs.c.error_cause,
        runs.c.started_at,
        runs.c.completed_at,
        runs.c.parent_id,
        run_states.c.resume_at,
    )
    rows = connection.execute(
        select(*columns)
        .outerjoin(run_states, run_states.c.run_id == runs.c.id)
        .where(runs.c.workflow_id == workflow_id)
        .order_by(runs.c.created_at.desc(), runs.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public way
