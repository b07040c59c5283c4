"""Runs and what their nodes said, for who looks: pages, newest first, and counts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, select

from vaultcore.errors import NotFoundError
from vaultcore.row_macs import check_mac
from vaultcore.stored import check_row
from vaultcore.tables import items
from worker.domain.paging import Page, PageRequest
from worker.domain.states import RunPurpose, RunStatus
from worker.rows.listing import Sortable, read_page, read_rows
from worker.rows.tables import run_logs, run_versions, runs

RUNS: Final = Sortable(name="runs", id=runs.c.id, sorts={"created_at": runs.c.created_at}, usual="-created_at")


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """`workflow`: its name or id. `outcomes`: how a run stands, as `RunStatus` has it. `since`: opened then or
    later.
    """

    workflow: str | None = None
    outcomes: Collection[RunStatus] = frozenset()
    purposes: Collection[RunPurpose] = frozenset()
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    id: str
    workflow_id: str
    workflow: str
    status: str
    trigger: str
    purpose: str
    error_message: str | None
    error_node: str | None
    cause: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it has not ended."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()


@dataclass(frozen=True, kw_only=True)
class StoredNodeLog:
    """What a node came to in a run; its output is masked."""

    id: str
    run_id: str
    node_id: str
    component_id: str
    status: str
    output: Any
    created_at: datetime


def get_run(connection: Connection, run_id: str) -> ListedRun:
    """`NotFoundError` if there is none of that id, `TamperedError` if none of us wrote it so."""
    row = connection.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no run {run_id[:60]!r}")
    check_mac(connection, runs, row, f"run {row.id}")
    return _run(row)


def page_runs(
    connection: Connection, wanted: RunFilter, request: PageRequest, *, workflow_id: str | None
) -> Page[ListedRun]:
    """`workflow_id` is that of the filter."""
    c = runs.c
    where: list[ColumnElement[bool]] = []
    if wanted.workflow is not None:
        where.append(c.workflow_id == workflow_id)
    if wanted.outcomes:
        where.append(c.status.in_(sorted(wanted.outcomes)))
    if wanted.purposes:
        where.append(c.purpose.in_(sorted(wanted.purposes)))
    if wanted.since is not None:
        where.append(c.created_at >= wanted.since)
    asked = {**vars(wanted), "workflow": workflow_id}
    found = read_page(connection, RUNS, select(c.id).where(*where), request, asked=asked)
    return read_rows(connection, runs, found, _run, what="run")


def logs_of_run(connection: Connection, run_id: str) -> list[StoredNodeLog]:
    """In the order in which they were written."""
    rows = connection.execute(
        select(run_logs).where(run_logs.c.run_id == run_id).order_by(run_logs.c.created_at, run_logs.c.id)
    )
    return [_log(row) for row in rows]


def versions_of_run(connection: Connection, run_id: str) -> dict[str, int]:
    """Which version of each item it used, by the item's name, or by its id where that is gone."""
    rows = connection.execute(
        select(run_versions, items.c.name)
        .outerjoin(items, items.c.id == run_versions.c.item_id)
        .where(run_versions.c.run_id == run_id)
        .order_by(items.c.name, run_versions.c.item_id)
    ).all()
    for row in rows:
        check_mac(connection, run_versions, row, f"the versions of run {run_id}")
    return {row.name or row.item_id: row.number for row in rows}


def logs_of_workflow(connection: Connection, workflow_id: str, *, limit: int) -> list[StoredNodeLog]:
    """The newest first."""
    rows = connection.execute(
        select(run_logs)
        .join(runs, runs.c.id == run_logs.c.run_id)
        .where(runs.c.workflow_id == workflow_id)
        .order_by(run_logs.c.created_at.desc(), run_logs.c.id.desc())
        .limit(limit)
    )
    return [_log(row) for row in rows]


def count_by_status(connection: Connection, workflow_id: str) -> dict[str, int]:
    """Runs of a workflow that have ended or not, by their status."""
    rows: Sequence[Row[*tuple[Any, ...]]] = connection.execute(
        select(runs.c.status, func.count()).where(runs.c.workflow_id == workflow_id).group_by(runs.c.status)
    ).all()
    return {str(status): int(count) for status, count in rows}


def _run(row: Row[*tuple[Any, ...]]) -> ListedRun:
    check_row(row, f"run {row.id}")
    return ListedRun(
        id=row.id,
        workflow_id=row.workflow_id,
        workflow=row.workflow_name,
        status=row.status,
        trigger=row.trigger,
        purpose=row.purpose,
        error_message=row.error_message,
        error_node=row.error_node,
        cause=row.error_cause,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
    )


def _log(row: Row[*tuple[Any, ...]]) -> StoredNodeLog:
    return StoredNodeLog(
        id=row.id,
        run_id=row.run_id,
        node_id=row.node_id,
        component_id=row.component_id,
        status=row.status,
        output=row.output,
        created_at=row.created_at,
    )
