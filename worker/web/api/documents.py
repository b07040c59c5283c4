"""`/nightkey/documents`: many stored at once or not at all; `/nightkey/workflows`: a workflow whole."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.domain.places import Place
from worker.services.runs.documents import Applied
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.wire import leave_out
from worker.wording.calls import say_for_calls
from worker.workflows.shapes import describe_applied, describe_listed_workflow, describe_whole_workflow

router = APIRouter(prefix="/nightkey", tags=["workflows"], route_class=AskedRoute)
_EXAMPLE = '{"name": "ticket-sync", "nodes": [], "edges": []}'


class GivenFile(BaseModel):
    """`text`: one document, or a list of them. `name`: what errors call it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=1000, examples=["ticket-sync.json"])
    text: str = Field(max_length=1_000_000, examples=[_EXAMPLE])


class GivenFiles(BaseModel):
    """`runs`: where they run; left out: as before, or as they say, or here if they can. `strict`: refuse what
    is not understood or cannot run here, too.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    files: list[GivenFile] = Field(
        min_length=1, max_length=1000, examples=[[{"name": "ticket-sync.json", "text": _EXAMPLE}]]
    )
    runs: Place | None = None
    strict: bool = False


class ShownRemark(BaseModel):
    weight: str
    where: str
    what: str


class NamedItem(BaseModel):
    """`node` null: outside the nodes. `mentioned`: nothing looks it up there."""

    node: str | None
    item: str
    mentioned: bool


class AppliedWorkflow(BaseModel):
    """`missing`: items that it names and there are not; `unknown`: workflows that it starts and there are not.
    `tested`: nodes that can be tested here.
    """

    id: str
    name: str
    runs: str
    why: str | None
    missing: list[str]
    unknown: list[str]
    remarks: list[ShownRemark]
    stays_away: bool
    schedule: str | None
    tested: list[str]
    uses: list[NamedItem]
    uses_elsewhere: bool


class AppliedDocument(BaseModel):
    """`workflow` null: it is left out, and `why` says why; or `refused`, and nothing is stored."""

    name: str | None
    change: str | None
    why: str | None
    refused: str | None
    workflow: AppliedWorkflow | None


class WorkflowRow(BaseModel):
    """`items`: what it uses, by name."""

    id: str
    name: str
    is_active: bool
    schedule_type: str
    schedule_value: str | None
    next_run_at: datetime | None
    runs: str
    items: list[str]


class UsedItem(BaseModel):
    node: str
    item: str
    item_id: str | None
    mentioned: bool
    pinned: int | None
    last_version: int | None
    proven_version: int | None
    last_run_at: datetime | None


class LastRun(BaseModel):
    id: str
    purpose: str
    trigger: str
    status: str
    error_node: str | None
    error_message: str | None
    error_cause: str | None
    started_at: datetime | None
    completed_at: datetime | None
    parent_id: str | None
    resume_at: datetime | None


class WholeWorkflow(BaseModel):
    """`text`: the document exactly as it was given; `given_id`: its id there."""

    id: str
    name: str
    given_id: str | None
    text: str
    runs: str
    why: str | None
    remarks: list[ShownRemark]
    next_run_at: datetime | None
    references: list[UsedItem]
    last_runs: list[LastRun]


@router.get("/workflows", **asks(Action.WORKFLOW_SEE))
def list_workflows(request: Request, response: Response) -> list[WorkflowRow]:
    """All, by name, with where each runs and what it uses."""
    found = leave_out(services_of(request).lookup.views.list_workflows(), response)
    return [WorkflowRow(**describe_listed_workflow(one)) for one in found]


@router.post("/documents", **asks(Action.WORKFLOW_APPLY))
def apply(request: Request, principal: Asker, given: GivenFiles) -> list[AppliedDocument]:
    """Stores all of them, or none if one is wrong."""
    applied = services_of(request).runs.documents.apply(
        [(one.name, one.text) for one in given.files],
        place=given.runs,
        strict=given.strict,
        actor=principal.actor,
    )
    return [_show(one) for one in applied]


@router.post("/documents/lint", **asks(Action.WORKFLOW_SEE))
def lint(request: Request, given: GivenFiles) -> list[AppliedDocument]:
    """What storing them would do, without doing it."""
    foreseen = services_of(request).runs.documents.lint(
        [(one.name, one.text) for one in given.files], place=given.runs, strict=given.strict
    )
    return [_show(one) for one in foreseen]


@router.get("/workflows/{workflow:name}", **asks(Action.WORKFLOW_SEE))
def get_workflow(request: Request, workflow: str) -> WholeWorkflow:
    """A workflow with its document, what it uses, and its last runs."""
    return WholeWorkflow(**describe_whole_workflow(services_of(request).lookup.views.view_workflow(workflow)))


def _show(one: Applied | Exception) -> AppliedDocument:
    described = describe_applied(one)
    refused = described["refused"]
    return AppliedDocument(**(described | {"refused": refused and say_for_calls(refused)}))
