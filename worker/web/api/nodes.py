"""`POST /workflows/test-node`: a node by itself, really executed, in the shape of SDX."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from vaultcore.errors import NotFoundError
from worker.domain.states import NodeStatus
from worker.web.api.asking import AskedRoute, Asker, services_of, starts
from worker.web.api.values import Output

router = APIRouter(prefix="/workflows", tags=["nodes"], route_class=AskedRoute)
NODE = {
    "id": "ask",
    "type": "action",
    "data": {"componentId": "text_transform", "text": "{{ webhook_payload.name }}"},
}


class NodeTest(BaseModel):
    """`context`: what takes the place of the payload and of what other nodes give. `authorization_id`: there
    are no delegated authorizations here, so any is refused.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    node: dict[str, Any] = Field(examples=[NODE])
    context: dict[str, Any] = Field(default={}, examples=[{"webhook_payload": {"name": "Ada"}}])
    authorization_id: Annotated[str | None, Field(max_length=100)] = None


class TestedNode(BaseModel):
    """`output` is masked: no value is in it. `error_message`: what went wrong; null where nothing did."""

    status: Literal["success", "error", "skipped"]
    output: Output
    error_message: str | None
    cause: str | None


@router.post("/test-node", **starts(Action.WORKFLOW_RUN))
def test_node(request: Request, principal: Asker, wanted: NodeTest) -> TestedNode:
    """Executes it, side effects and all. Whoever names a value of the vault in it says where that is sent, and
    so needs what it takes to store a workflow.
    """
    services = services_of(request)
    node = services.runs.node_tests.read(wanted.node)
    if node.items:
        services.access.principals.check(principal, Action.WORKFLOW_APPLY)
    if wanted.authorization_id is not None:
        raise NotFoundError(
            "authorization_id: there is none of that id, since there are none here: leave it out"
        )
    result = services.runs.node_tests.execute(node, context=wanted.context, actor=principal.actor)
    return TestedNode(
        status=NodeStatus(result.status).value,
        output=result.output,
        error_message=result.error_message,
        cause=result.cause,
    )
