"""`/nightkey/runs/report`: a run of a workflow that another engine ran."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from vaultcore.errors import Cause
from worker.services.runs.reports import Report
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.values import Time

router = APIRouter(prefix="/nightkey/runs", tags=["runs"], route_class=AskedRoute)


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
