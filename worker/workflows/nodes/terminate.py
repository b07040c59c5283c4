"""`terminate`: ends the run, as completed or as failed, with a message."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from vaultcore.errors import Cause
from worker.domain.states import RunStatus
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class TerminateFields(Fields):
    status: Literal["completed", "failed"] = Field(default="completed", description="how the run ends")
    message: str = Field(default="", description="a template: why")


class Terminate(OneWayOn):
    """Ends the run here, as completed or as failed, with a message.

    A run that it ends as failed has been judged by its own workflow: in a rotation that rejects the new value.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "terminate"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = TerminateFields
    example: ClassVar[Mapping[str, Any]] = {
        "status": "failed",
        "message": "no order {{ webhook_payload.order }}",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """A run that its own workflow ends as failed has been judged: its cause is a rejection."""
        message = execution.render(fields.message)
        if fields.status == RunStatus.COMPLETED:
            return Outcome(output={"message": message}, ends=RunStatus.COMPLETED)
        return Outcome(
            output={"message": message},
            ends=RunStatus.FAILED,
            cause=Cause.REJECTED,
            failure=message or "the workflow ended itself as failed",
            unsaid=not message,
        )
