"""`terminate`: ends the run, as completed or as failed, with a message."""

from typing import Any, ClassVar, Literal

from vaultcore.errors import Cause
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class TerminateFields(Fields):
    """`message` is a template."""

    status: Literal["completed", "failed"] = "completed"
    message: str = ""


class Terminate(OneWayOn):
    component_id: ClassVar[str] = "terminate"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = TerminateFields

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """A run that its own workflow ends as failed has been judged: its cause is a rejection."""
        message = execution.render(fields.message)
        if fields.status == "completed":
            return Outcome(output={"message": message}, ends="completed")
        return Outcome(
            output={"message": message},
            ends="failed",
            cause=Cause.REJECTED,
            failure=message or "the workflow ended itself as failed",
        )
