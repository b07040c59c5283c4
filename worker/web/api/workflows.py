"""`/workflows`: documents, their runs and logs, in the shape of SDX."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from vaultcore.cursors import CURSOR_MAX
from vaultcore.errors import InvalidInputError
from worker.domain.paging import PageRequest
from worker.domain.revisions import revision_of_workflow
from worker.rows.run_lists import ListedRun, RunFilter, StoredNodeLog
from worker.services.runs.documents import Applied
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.values import Output
from worker.web.api.wire import Seen, leave_out, next_page, show_revision, show_time, show_time_or_none
from worker.wording.calls import say_for_calls
from worker.workflows.workflow import Workflow

router = APIRouter(prefix="/workflows", tags=["workflows"], route_class=AskedRoute)
PAGE_MAX = 100
_LOGS_MAX = 500
EXAMPLE: dict[str, Any] = {
    "name": "ticket-sync",
    "is_active": True,
    "schedule_type": "cron",
    "schedule_value": "0 9 * * *",
    "nodes": [
        {"id": "start", "type": "trigger", "data": {"componentId": "schedule_trigger"}},
        {
            "id": "fetch",
            "type": "action",
            "data": {
                "componentId": "webhook",
                "method": "GET",
                "url": "https://tickets.example.com/api/open",
                "headers": {"Authorization": "Bearer {{ vault.prod-ticketing-api-token }}"},
            },
        },
    ],
    "edges": [{"id": "e1", "source": "start", "target": "fetch"}],
}
Document = Annotated[dict[str, Any], Body(examples=[EXAMPLE])]


class ShownWorkflow(BaseModel):
    id: str
    name: str
    is_active: bool
    schedule_type: str
    schedule_value: str | None
    next_run_at: str | None


class WorkflowDocument(ShownWorkflow):
    """The document with all that it holds, and what is ours to say. `runs`: `here`, or `elsewhere`, by another
    engine. `webhook_url` is null, since the key in it is shown once, when its item is made: POST
    /workflows/webhooks/KEY. `authorization_id` is null, since there are no delegated authorizations here.
    """

    model_config = ConfigDict(extra="allow")

    description: Any
    nodes: list[Any]
    edges: list[Any]
    authorization_id: str | None
    webhook_url: str | None
    created_at: str | None
    updated_at: str | None
    runs: str


class StoredDocument(WorkflowDocument):
    """`missing_items`, `missing_workflows`: what it names, and what there is not (yet)."""

    change: str
    missing_items: list[str]
    missing_workflows: list[str]


class Validation(BaseModel):
    valid: bool
    errors: list[str]


class ShownRun(BaseModel):
    id: str
    workflow_id: str
    status: str
    error_message: str | None
    started_at: str | None
    completed_at: str | None
    duration_in_seconds: float | None


class Log(BaseModel):
    """`output` is masked: no value is in it."""

    id: str
    node_id: str
    component_id: str
    status: str
    output: Output
    created_at: str


class RunWithLogs(ShownRun):
    logs: list[Log]


class RunPage(BaseModel):
    data: list[ShownRun]
    links: dict[str, str | None]
    meta: dict[str, int]


class ExecuteRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    context: dict[str, Any] = Field(default={}, examples=[{"webhook_payload": {"amount": 5}}])


class Stats(BaseModel):
    """`success_rate`: of the runs that have ended, from 0 to 1; null while none has."""

    total: int
    completed: int
    failed: int
    success_rate: float | None


@router.get("", **asks(Action.WORKFLOW_SEE))
def list_workflows(request: Request, response: Response) -> list[ShownWorkflow]:
    """All, by name, without nodes and edges."""
    found = leave_out(services_of(request).lookup.views.list_workflows(), response)
    return [_list(one.workflow) for one in found]


@router.post("", status_code=201, **asks(Action.WORKFLOW_APPLY))
def create_workflow(
    request: Request, response: Response, principal: Asker, document: Document, seen: Seen
) -> StoredDocument:
    """Keeps the document as it is given, and says where its workflow runs. One of a name or id that is there
    takes the place of that.
    """
    services = services_of(request)
    (applied,) = services.runs.documents.apply(
        [("document", json.dumps(document, ensure_ascii=False))], expected=seen, actor=principal.actor
    )
    if applied.workflow is None:
        raise InvalidInputError(f"nodes: {applied.why}")
    stored = services.lookup.views.view_workflow(applied.workflow.id).workflow
    _mark(stored, response)
    own = {
        "change": applied.change.value,
        "missing_items": list(applied.missing),
        "missing_workflows": list(applied.unknown),
    }
    return StoredDocument(**(_document(stored) | own))


@router.post("/validate", **asks(Action.WORKFLOW_SEE))
def validate(request: Request, document: Document) -> Validation:
    """What `POST /workflows` would refuse, without doing it."""
    found = services_of(request).runs.documents.lint([("document", json.dumps(document, ensure_ascii=False))])
    errors = [say_for_calls(str(one)) for one in found if not isinstance(one, Applied)]
    return Validation(valid=not errors, errors=errors)


@router.get("/authorization", **asks(Action.WORKFLOW_SEE))
def list_authorizations() -> list[dict[str, Any]]:
    """Delegated authorizations: there are none here, where values are vault items alone."""
    return []


@router.get("/runs/{run_id}", **asks(Action.WORKFLOW_SEE))
def get_run(request: Request, run_id: str) -> RunWithLogs:
    """A run with what each of its nodes came to."""
    found = services_of(request).lookup.views.view_run(run_id)
    return RunWithLogs(**_run(found.run).model_dump(), logs=[_log(one) for one in found.logs])


@router.get("/{workflow_id}", **asks(Action.WORKFLOW_SEE))
def get_workflow(request: Request, response: Response, workflow_id: str) -> WorkflowDocument:
    """The document as it was given, with its id, and when it runs next."""
    workflow = services_of(request).lookup.views.view_workflow(workflow_id).workflow
    _mark(workflow, response)
    return WorkflowDocument(**_document(workflow))


@router.post("/{workflow_id}/execute", status_code=202, **starts(Action.WORKFLOW_RUN))
def execute(request: Request, principal: Asker, workflow_id: str, wanted: ExecuteRequest) -> ShownRun:
    """A run in the background: a worker begins it, and `GET /workflows/runs/…` tells what came of it."""
    services = services_of(request)
    run_id = services.runs.runs.open_in_background(workflow_id, context=wanted.context, actor=principal.actor)
    return _run(services.lookup.views.view_run(run_id).run)


@router.post("/runs/{run_id}/rerun", status_code=202, **starts(Action.WORKFLOW_RUN))
def rerun(request: Request, principal: Asker, run_id: str) -> ShownRun:
    """Another run with the same payload, as long as that is kept."""
    services = services_of(request)
    opened = services.runs.repetitions.run_again(run_id, actor=principal.actor)
    return _run(services.lookup.views.view_run(opened).run)


@router.post("/runs/{run_id}/resume-from/{node_id}", status_code=202, **starts(Action.WORKFLOW_RUN))
def resume_from(request: Request, principal: Asker, run_id: str, node_id: str) -> ShownRun:
    """Another run, which takes what was done up to that node for done, and goes on behind it with today's
    values.
    """
    services = services_of(request)
    opened = services.runs.repetitions.resume_from(run_id, node_id, actor=principal.actor)
    return _run(services.lookup.views.view_run(opened).run)


@router.get("/{workflow_id}/executions", **asks(Action.WORKFLOW_SEE))
def list_runs(
    request: Request,
    response: Response,
    workflow_id: str,
    size: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 25,
    before: Annotated[str | None, Query(max_length=CURSOR_MAX)] = None,
) -> RunPage:
    """A page of its runs, newest first; `links.next` leads to older ones."""
    services = services_of(request)
    page = services.lookup.lists.page_runs(
        RunFilter(workflow=workflow_id), PageRequest(limit=size, cursor=before)
    )
    data = [_run(one) for one in leave_out(page.rows, response)]
    following = None if page.next is None else next_page(request, page.next, name="before")
    return RunPage(data=data, links={"next": following}, meta={"size": len(data)})


@router.get("/{workflow_id}/logs", **asks(Action.WORKFLOW_SEE))
def list_logs(
    request: Request, workflow_id: str, size: Annotated[int, Query(ge=1, le=_LOGS_MAX)] = 100
) -> list[Log]:
    """What its nodes came to, newest first."""
    services = services_of(request)
    workflow = services.lookup.views.view_workflow(workflow_id).workflow
    return [_log(one) for one in services.lookup.views.list_logs(workflow, limit=size)]


@router.get("/{workflow_id}/logs/stats", **asks(Action.WORKFLOW_SEE))
def show_stats(request: Request, workflow_id: str) -> Stats:
    services = services_of(request)
    counts = services.lookup.views.count_runs(services.lookup.views.view_workflow(workflow_id).workflow)
    completed, failed = counts.get("completed", 0), counts.get("failed", 0)
    ended = completed + failed
    return Stats(
        total=sum(counts.values()),
        completed=completed,
        failed=failed,
        success_rate=completed / ended if ended else None,
    )


def _mark(workflow: Workflow, response: Response) -> None:
    revision = revision_of_workflow(
        id=workflow.id,
        given_id=workflow.given_id,
        name=workflow.name,
        text=workflow.text,
        runs=workflow.runs.value,
    )
    show_revision(revision, response)


def _list(workflow: Workflow) -> ShownWorkflow:
    return ShownWorkflow(
        id=workflow.id,
        name=workflow.name,
        is_active=workflow.active,
        schedule_type=workflow.schedule_type,
        schedule_value=workflow.schedule_value,
        next_run_at=show_time_or_none(workflow.next_run_at),
    )


def _document(workflow: Workflow) -> dict[str, Any]:
    """As it was given, and what is ours to say under the names of that vault."""
    document: dict[str, Any] = json.loads(workflow.text)
    return {
        **document,
        **_list(workflow).model_dump(),
        "description": document.get("description"),
        "edges": document.get("edges") or [],
        "authorization_id": None,
        "webhook_url": None,
        "created_at": show_time_or_none(workflow.created_at),
        "updated_at": show_time_or_none(workflow.updated_at),
        "runs": workflow.runs.value,
    }


def _run(run: ListedRun) -> ShownRun:
    return ShownRun(
        id=run.id,
        workflow_id=run.workflow_id,
        status=run.status,
        error_message=run.error_message,
        started_at=show_time_or_none(run.started_at),
        completed_at=show_time_or_none(run.completed_at),
        duration_in_seconds=run.seconds,
    )


def _log(log: StoredNodeLog) -> Log:
    return Log(
        id=log.id,
        node_id=log.node_id,
        component_id=log.component_id,
        status=log.status,
        output=log.output,
        created_at=show_time(log.created_at),
    )
