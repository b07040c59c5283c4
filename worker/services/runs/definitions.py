"""Workflows as they are stored, and what is asked of them."""

from collections.abc import Iterator

from sqlalchemy import Connection

from vaultcore.errors import NotFoundError, RefusedError, UnreadableError
from vaultcore.unit_of_work import remember
from worker.domain.commands import quote_word
from worker.rows import workflows as workflow_rows
from worker.workflows.workflow import Workflow


class Definitions:
    """Finds and lists workflows, in the caller's transaction."""

    def get(self, connection: Connection, name_or_id: str) -> Workflow:
        """By name, by our id, or by the id that its document has; `TamperedError` if none of us wrote it so."""
        workflow = remember(
            connection,
            ("workflow", name_or_id),
            workflow_rows.READ_FROM,
            lambda: workflow_rows.know_workflow(connection, name_or_id),
        )
        if workflow is None:
            raise NotFoundError(f"no workflow {name_or_id[:60]!r}: `nightkey workflow list` shows them all")
        return workflow

    def is_known(self, connection: Connection, name_or_id: str) -> bool:
        return workflow_rows.is_known(connection, name_or_id)

    def walk(
        self, connection: Connection, *, after: str | None = None, limit: int | None = None
    ) -> Iterator[Workflow | UnreadableError]:
        """By name; in the place of one that cannot be read, or was edited, the error that says so. `after`:
        those whose names come behind this.
        """
        return workflow_rows.walk_workflows(connection, after=after, limit=limit)


def refuse_elsewhere(workflow: Workflow) -> None:
    """`RefusedError` for a workflow that another engine runs."""
    why = workflow.explain_place()
    if why is not None:
        raise RefusedError(
            f"workflow {workflow.name} runs elsewhere: {why}; what its engine ran is told by "
            f"nightkey run report {quote_word(workflow.name)}"
        )
