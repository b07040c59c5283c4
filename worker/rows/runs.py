"""The record of runs: rows opened, begun, ended, with their logs and the versions that they used."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, insert, select, update

from vaultcore.damage import is_whole
from vaultcore.database import upsert_into
from vaultcore.errors import Cause, RefusedError
from vaultcore.ids import new_id
from vaultcore.mac_writing import update_apart
from vaultcore.row_macs import check_mac
from vaultcore.tables import references
from worker.rows import states as state_rows
from worker.rows.tables import run_logs, run_states, run_versions, runs
from worker.workflows.results import RunResult

PROVING = ("production", "controlled")
"""Runs that judge a value. Tests are of a candidate, and count for its rotation alone."""
WORKFLOW, SUBFLOW = "workflow", "subflow"
"""What triggered a run that another run has begun: one that runs by itself, and one within that run."""


def report_run(
    connection: Connection,
    workflow_id: str,
    workflow_name: str,
    *,
    external_id: str | None,
    started_at: datetime,
    at: datetime,
) -> str | None:
    """A production run that another engine has run; to be ended at once. None: it was reported already.

    `RefusedError` where a run of another workflow was reported under that id: this one was not. `TamperedError`
    where none of us wrote the one that has it so.
    """
    run_id = new_id("fl_run", at)
    opened = connection.execute(
        upsert_into(connection, runs)
        .values(
            id=run_id,
            workflow_id=workflow_id,
            workflow_name=workflow_name,
            purpose="production",
            trigger="report",
            external_id=external_id,
            status="running",
            created_at=at,
            started_at=started_at,
        )
        .on_conflict_do_nothing()
        .returning(runs.c.id)
    ).first()
    if opened is not None:
        return run_id
    first = connection.execute(select(runs).where(runs.c.external_id == external_id)).one_or_none()
    if first is None:
        return None
    check_mac(connection, runs, first, f"run {external_id!r}, which was reported before")
    if first.workflow_id != workflow_id:
        raise RefusedError(
            f"run {external_id!r} was reported before, as one of {first.workflow_name}: give each run an id of "
            "its own"
        )
    return None


def open_run(
    connection: Connection,
    workflow_id: str,
    workflow_name: str,
    *,
    purpose: str,
    trigger: str,
    at: datetime,
    rotation_id: str | None = None,
    parent_id: str | None = None,
    depth: int = 0,
) -> str:
    """A new run, by id. One that the schedule or another run opens waits to be begun; others begin at once."""
    run_id = new_id("fl_run", at)
    pending = trigger in ("schedule", WORKFLOW)
    connection.execute(
        insert(runs).values(
            id=run_id,
            workflow_id=workflow_id,
            workflow_name=workflow_name,
            purpose=purpose,
            trigger=trigger,
            rotation_id=rotation_id,
            parent_id=parent_id,
            depth=depth,
            created_at=at,
            status="pending" if pending else "running",
            started_at=None if pending else at,
        )
    )
    return run_id


def begin_run(connection: Connection, run_id: str, *, at: datetime) -> str | None:
    """Claims a run that waits, once; the id of its workflow, or None if somebody else has begun it.
    `TamperedError` if none of us opened it so.
    """
    return connection.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.status == "pending")
        .values(status="running", started_at=at)
        .returning(runs.c.workflow_id)
    ).scalar_one_or_none()


def find_open(connection: Connection, run_id: str, *, lock: bool = False) -> Row[*tuple[Any, ...]] | None:
    """A run that has not ended; None: it has, or there is none of that id. `lock`: nobody ends it meanwhile.
    `TamperedError` if none of us wrote it so.
    """
    query = select(runs).where(runs.c.id == run_id, runs.c.completed_at.is_(None))
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is not None:
        check_mac(connection, runs, row, f"run {run_id}")
    return row


def end_run(
    connection: Connection, run_id: str, result: RunResult, used: Mapping[str, int], *, at: datetime
) -> bool:
    """The run's end, its logs and the versions it used (item id: number). False: it had ended before.

    What it had kept, to go on later, goes with it. `TamperedError` if none of us wrote it so.
    """
    ended = connection.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.completed_at.is_(None))
        .values(
            status=result.status,
            completed_at=at,
            error_message=result.error_message,
            error_node=result.error_node,
            error_cause=None if result.cause is None else result.cause.value,
        )
    )
    if ended.rowcount != 1:
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
        connection.execute(insert(run_logs), logs)
    numbers = [
        {"run_id": run_id, "item_id": item_id, "number": number} for item_id, number in sorted(used.items())
    ]
    if numbers:
        connection.execute(insert(run_versions), numbers)
    return True


def pending_runs(connection: Connection, *, opened_before: datetime) -> list[str]:
    """One whose row is damaged is nobody's: the scan makes a finding of it."""
    return list(
        connection.execute(
            select(runs.c.id).where(
                runs.c.completed_at.is_(None),
                runs.c.status == "pending",
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
        and_(runs.c.status != "pending", runs.c.started_at < begun_before),
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
    values = {"status": "failed", "completed_at": at, "error_cause": cause.value, "error_message": why}
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


def runs_with(
    connection: Connection, *, item_id: str, number: int, since: datetime
) -> list[Row[*tuple[Any, ...]]]:
    """The runs that judge a version and have ended since then, in that order.

    `TamperedError` where none of us wrote one that used it so, whatever it says now.
    """
    used = (column.label(f"{_USED}{column.name}") for column in run_versions.columns)
    rows = connection.execute(
        select(runs, *used)
        .join(run_versions, run_versions.c.run_id == runs.c.id)
        .where(run_versions.c.item_id == item_id, run_versions.c.number == number)
        .order_by(runs.c.completed_at, runs.c.id)
    ).all()
    for row in rows:
        check_mac(connection, runs, row, f"run {row.id} of {row.workflow_name}")
        check_mac(connection, run_versions, row, f"what run {row.id} of {row.workflow_name} used", prefix=_USED)
    return [
        row
        for row in rows
        if row.purpose in PROVING and row.completed_at is not None and row.completed_at >= since
    ]


def first_rejection(
    connection: Connection, item_id: str, found: Iterable[Row[*tuple[Any, ...]]]
) -> tuple[str, str, str] | None:
    """Of such runs, the first in which a node that uses the item was rejected: (workflow, node, message).

    Only a rejection judges a value; a run that failed otherwise neither proves nor condemns.
    """
    for row in found:
        if row.status != "failed" or row.error_cause != Cause.REJECTED.value:
            continue
        uses = select(references.c.node_id).where(
            references.c.consumer_id == row.workflow_id,
            references.c.node_id == row.error_node,
            references.c.item_id == item_id,
            ~references.c.mentioned,
        )
        if connection.execute(uses.limit(1)).first() is not None:
            return (row.workflow_name, row.error_node or "", row.error_message or "")
    return None


def last_failures(found: Iterable[Row[*tuple[Any, ...]]]) -> dict[str, str]:
    """Of such runs, by workflow: how the last one failed, where it did fail."""
    last = {row.workflow_id: row for row in found}
    return {
        workflow_id: f"node {row.error_node}: {row.error_message}"
        if row.error_node
        else row.error_message or ""
        for workflow_id, row in last.items()
        if row.status == "failed"
    }


_USED = "used_"
