"""Runs that judge a version of an item: those that used it, and how they ended."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from vaultcore.errors import Cause
from vaultcore.row_macs import check_mac
from vaultcore.tables import references
from worker.domain.states import RunStatus
from worker.rows.runs import PROVING
from worker.rows.tables import run_versions, runs

_USED = "used_"
_WITH = (
    select(runs, *(column.label(f"{_USED}{column.name}") for column in run_versions.columns))
    .join(run_versions, run_versions.c.run_id == runs.c.id)
    .where(run_versions.c.item_id == bindparam("item"), run_versions.c.number == bindparam("number"))
    .order_by(runs.c.completed_at, runs.c.id)
)


class JudgingRun(NamedTuple):
    """A run that has ended, and the workflow that ran."""

    workflow_id: str
    workflow_name: str
    status: str
    error_cause: str | None
    error_node: str | None
    error_message: str | None


def runs_with(connection: Connection, *, item_id: str, number: int, since: datetime) -> list[JudgingRun]:
    """The runs that judge a version and have ended since then, in that order.

    `TamperedError` where none of us wrote one that used it so, whatever it says now.
    """
    rows = connection.execute(_WITH, {"item": item_id, "number": number}).all()
    for row in rows:
        check_mac(connection, runs, row, f"run {row.id} of {row.workflow_name}")
        check_mac(connection, run_versions, row, f"what run {row.id} of {row.workflow_name} used", prefix=_USED)
    return [
        JudgingRun(
            row.workflow_id, row.workflow_name, row.status, row.error_cause, row.error_node, row.error_message
        )
        for row in rows
        if row.purpose in PROVING and row.completed_at is not None and row.completed_at >= since
    ]


def first_rejection(
    connection: Connection, item_id: str, found: Iterable[JudgingRun]
) -> tuple[str, str, str] | None:
    """Of such runs, the first in which a node that uses the item was rejected: (workflow, node, message).

    Only a rejection judges a value; a run that failed otherwise neither proves nor condemns.
    """
    for run in found:
        if run.status != RunStatus.FAILED.value or run.error_cause != Cause.REJECTED.value:
            continue
        uses = select(references.c.node_id).where(
            references.c.consumer_id == run.workflow_id,
            references.c.node_id == run.error_node,
            references.c.item_id == item_id,
            ~references.c.mentioned,
        )
        if connection.execute(uses.limit(1)).first() is not None:
            return (run.workflow_name, run.error_node or "", run.error_message or "")
    return None


def last_failures(found: Iterable[JudgingRun]) -> dict[str, str]:
    """Of such runs, by workflow: how the last one failed, where it did fail."""
    last = {run.workflow_id: run for run in found}
    return {
        workflow_id: f"node {run.error_node}: {run.error_message}"
        if run.error_node
        else run.error_message or ""
        for workflow_id, run in last.items()
        if run.status == RunStatus.FAILED.value
    }
