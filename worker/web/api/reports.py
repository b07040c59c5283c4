"""`/nightkey/runs`: the runs of all workflows, and `report`: one that another engine ran."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from vaultcore.errors import Cause
from worker.domain.states import RunPurpose, RunStatus
from worker.rows.run_lists import RunFilter
from worker.services.runs.reports import Report
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.values import Output, Time
from worker.web.api.wire import PageQuery, give_page
from worker.wording.runs import describe_run

router = APIRouter(prefix="/nightkey/runs", tags=["runs"], route_class=AskedRoute)


class RunQuery(PageQuery):
    """`since`: opened then or later."""

    workflow: str | None = Field(default=None, max_length=250)
    outcome: list[RunStatus] = Field(default=[])
    purpose: list[RunPurpose] = Field(default=[])
    since: Time | None = None

    @property
    def wanted(self) -> RunFilter:
        return RunFilter(
            workflow=self.workflow,
            outcomes=frozenset(self.outcome),
            purposes=frozenset(self.purpose),
            since=self.since,
        )


class SummedRun(BaseModel):
    """`trigger`: what began it. `error_node`, `cause`: where it failed, and why."""

    id: str
    workflow: str
    workflow_id: str
    status: str
    trigger: str
    purpose: str
    error_message: str | None
    error_node: str | None
    cause: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class RunNodeLog(BaseModel):
    """What a node came to. `output` is masked: no value is in it."""

    node: str
    component: str
    status: str
    output: Output
    at: datetime


class WholeRun(SummedRun):
    """`used`: the version of each item, by its name."""

    used: dict[str, int]
    logs: list[RunNodeLog]


class ReportedRun(BaseModel):
    """`run_id` tells it from others. `cause`: only a rejection judges a value. `used`: versions by item; each
    other item counts in the version that was current when the run started.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    workflow: str = Field(max_length=250, examples=["ticket-sync"])
    status: Literal["completed", "failed"] = Field(examples=["completed"])
    started_at: Time | None = Field(default=None, examples=["2027-03-01T02:00:00Z"])
    run_id: str | None = Field(default=None, max_length=150)
    node: str | None = Field(default=None, max_length=100)
    cause: Cause | None = None
    message: str | None = Field(default=None, max_length=1000)
    used: dict[str, int] = Field(default={}, max_length=100, examples=[{"prod-crm-token": 3}])


class Taken(BaseModel):
    """`new` false: that run was reported before, and nothing changes."""

    workflow: str
    new: bool
    used: dict[str, int]


@router.get("", **asks(Action.WORKFLOW_SEE))
def list_runs(request: Request, response: Response, query: Annotated[RunQuery, Query()]) -> list[SummedRun]:
    """Newest first unless `sort` says otherwise."""
    page = services_of(request).lookup.lists.page_runs(query.wanted, query.page)
    return [SummedRun(**vars(one)) for one in give_page(page, request, response)]


@router.get("/{run_id}", **asks(Action.WORKFLOW_SEE))
def get_run(request: Request, run_id: str) -> WholeRun:
    """A run with what it used, and what each of its nodes came to."""
    return WholeRun(**describe_run(services_of(request).lookup.views.view_run(run_id)))


@router.post("/report", **asks(Action.RUN_REPORT))
def report(request: Request, principal: Asker, run: ReportedRun) -> Taken:
    """It proves a new value, or rejects it; whoever works on the vault goes on by that."""
    found = services_of(request).runs.run_reports.report(
        Report(
            workflow=run.workflow,
            status=run.status,
            started_at=run.started_at,
            external_id=run.run_id,
            node=run.node,
            cause=run.cause,
            message=run.message,
            used=run.used,
        ),
        actor=principal.actor,
    )
    return Taken(workflow=found.workflow, new=found.new, used=dict(found.used))
