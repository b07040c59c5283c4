"""`/nightkey/workflows`: a workflow is tested as it is stored, and stays on a version of an item."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.services.runs.execution import RunOutcome
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.values import Output
from worker.workflows.shapes import describe_pin, describe_test

router = APIRouter(prefix="/nightkey/workflows", tags=["workflows"], route_class=AskedRoute)
_ITEM: dict[str, Any] = {"min_length": 1, "max_length": 250, "examples": ["prod-crm-token"]}


class WantedTest(BaseModel):
    """`node`: that one alone. `context`: in the place of its sample context; whoever makes up what nodes give
    says where values are sent, and so needs what it takes to store a workflow.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    node: str | None = Field(default=None, min_length=1, max_length=100, examples=["create_ticket"])
    context: dict[str, Any] | None = Field(default=None, examples=[{"webhook_payload": {"amount": 5}}])


class WorkflowTest(BaseModel):
    """`output` is masked. `run_id` null: of a node alone no run is kept."""

    status: str
    output: Output
    error_message: str | None
    error_node: str | None
    cause: str | None
    run_id: str | None


class ShownOutcome(BaseModel):
    """How a run ended, or that it waits until `resume_at`; `output` is masked. `used`: ids of items; `begun`:
    runs that it has opened.
    """

    run_id: str
    workflow: str
    status: str
    error_message: str | None
    error_node: str | None
    cause: str | None
    output: Output
    used: list[str]
    resume_at: datetime | None
    begun: list[str]
    retry_at: datetime | None


class PinnedVersion(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    item: str = Field(**_ITEM)
    version: int = Field(ge=1, le=2**31 - 1, examples=[3])


class UnpinnedItem(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    item: str = Field(**_ITEM)


class Pin(BaseModel):
    """`pinned` null: it follows the current version."""

    workflow: str
    item: str
    item_id: str
    pinned: int | None


@router.post("/{workflow:name}/test", **starts(Action.WORKFLOW_RUN))
def test(request: Request, principal: Asker, workflow: str, wanted: WantedTest) -> WorkflowTest:
    """Really executes it, or one node of it, as a test: that proves no production run."""
    services = services_of(request)
    if wanted.context is not None:
        services.access.principals.check(principal, Action.WORKFLOW_APPLY)
    found, tests = services.lookup.views.view_workflow(workflow).workflow, services.runs.workflow_tests
    if wanted.node is None:
        outcome = tests.test_workflow(found, overrides={}, context=wanted.context, actor=principal.actor)
        return WorkflowTest(**describe_test(outcome))
    result = tests.test_node(found, wanted.node, overrides={}, context=wanted.context, actor=principal.actor)
    return WorkflowTest(**describe_test(result, node=wanted.node))


@router.post("/{workflow:name}/pin", **asks(Action.WORKFLOW_PIN))
def pin(request: Request, principal: Asker, workflow: str, wanted: PinnedVersion) -> Pin:
    """Lets it stay on one version of an item, until it is unpinned."""
    pins = services_of(request).runs.pins
    pinned = pins.pin(workflow, wanted.item, wanted.version, actor=principal.actor)
    return Pin(**describe_pin(*pinned, pinned=wanted.version))


@router.post("/{workflow:name}/unpin", **asks(Action.WORKFLOW_PIN))
def unpin(request: Request, principal: Asker, workflow: str, wanted: UnpinnedItem) -> Pin:
    """Lets it follow an item's current version again."""
    unpinned = services_of(request).runs.pins.unpin(workflow, wanted.item, actor=principal.actor)
    return Pin(**describe_pin(*unpinned, pinned=None))


def show_outcome(outcome: RunOutcome) -> ShownOutcome:
    return ShownOutcome(**{name: getattr(outcome, name) for name in ShownOutcome.model_fields})
