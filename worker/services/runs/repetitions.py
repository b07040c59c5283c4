"""Runs again: with what one began with, from the start or behind a node that had succeeded."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import NotFoundError, RefusedError
from worker.domain.states import RunPurpose, RunTrigger
from worker.log import get_logger
from worker.rows import run_lists as run_list_rows
from worker.rows.run_lists import ListedRun
from worker.services.runs.kept_payloads import KeptPayload, KeptPayloads
from worker.services.runs.runs import Runs
from worker.workflows.run import explain_change
from worker.workflows.workflow import Workflow

_log = get_logger(__name__)
_SCHEDULED: Mapping[str, Any] = {"context": {}}
"""What a run begins with that its schedule has opened."""


class Repetitions:
    """Each opens a run that whoever comes next begins, with today's values, by its id."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        kept_payloads: KeptPayloads,
    ) -> None:
        self._database = database
        self._runs = runs
        self._kept_payloads = kept_payloads

    def run_again(self, run_id: str, *, actor: str) -> str:
        """A run with the same payload."""
        return self._open(run_id, actor, lambda _, kept: {"context": kept.context()})

    def resume_from(self, run_id: str, node_id: str, *, actor: str) -> str:
        """A run that takes what was done up to a node for done, and goes on behind it."""

        def go_on(workflow: Workflow, kept: KeptPayload) -> Mapping[str, Any]:
            if node_id not in workflow.definition.node_ids():
                raise NotFoundError(f"workflow {workflow.name} has no node {node_id[:60]!r}")
            done = kept.done_until(node_id)
            if explain_change(workflow.definition, {"shape": done.shape}) is not None:
                raise RefusedError(
                    f"workflow {workflow.name} was changed since run {run_id}: run it again whole"
                )
            return {"done": asdict(done)}

        return self._open(run_id, actor, go_on)

    def _open(
        self, run_id: str, actor: str, begin: Callable[[Workflow, KeptPayload], Mapping[str, Any]]
    ) -> str:
        with self._database.write() as connection:
            run = run_list_rows.get_run(connection, run_id)
            workflow = self._runs.find_active(connection, run.workflow_id)
            kept = self._find_kept(connection, run)
            opened = self._runs.open_kept(connection, workflow, begin(workflow, kept))
        _log.info(
            "run.opened", run=opened, again=run_id, workflow=workflow.name, workflow_id=workflow.id, actor=actor
        )
        return opened

    def _find_kept(self, connection: Connection, run: ListedRun) -> KeptPayload:
        if run.completed_at is None:
            raise RefusedError(f"run {run.id} has not ended: it can be run again when it has")
        if run.purpose != RunPurpose.PRODUCTION:
            raise RefusedError(f"run {run.id} was a test: test the workflow again")
        kept = self._kept_payloads.find(connection, run.id)
        if kept is not None:
            return kept
        if run.trigger == RunTrigger.SCHEDULE:
            return KeptPayload(run_id=run.id, noted={**_SCHEDULED, "steps": [], "outputs": {}, "shape": None})
        raise RefusedError(
            f"what run {run.id} began with is not kept: its time is over (payload_days), it was too large, or "
            "another engine ran it: start the workflow anew"
        )
