"""Runs that another engine has run, and that were reported, as rows: each once, by its id there."""

from datetime import datetime

from sqlalchemy import Connection, select

from vaultcore.errors import RefusedError
from vaultcore.ids import new_id
from vaultcore.row_macs import check_mac
from vaultcore.upserts import upsert_into
from worker.domain.states import RunPurpose, RunStatus, RunTrigger
from worker.rows.tables import runs


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
            purpose=RunPurpose.PRODUCTION.value,
            trigger=RunTrigger.REPORT.value,
            external_id=external_id,
            status=RunStatus.RUNNING.value,
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
