"""`/nightkey/findings`: what the scan saw, and that a principal knows of it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action, Principal
from worker.domain.findings import FindingKind
from worker.domain.whys import WHY_MAX
from worker.rows.finding_lists import FindingFilter
from worker.rows.findings import ListedFinding
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.values import Time
from worker.web.api.wire import PageQuery, give_page
from worker.wording.shapes import describe_finding

router = APIRouter(prefix="/nightkey/findings", tags=["findings"], route_class=AskedRoute)


class ShownFinding(BaseModel):
    """`subject`: what it is about, where that is no item. `quiet`: who knows of it, for how long and why.
    `command`: of the command line, which resolves it.
    """

    id: str
    kind: str
    subject: str
    item: str | None
    item_id: str | None
    workflow: str | None
    detail: str
    does: str | None
    command: str | None
    opened_at: datetime
    quiet: str | None


class KnownRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    why: str = Field(min_length=1, max_length=WHY_MAX, examples=["the vendor is told"])


class Later(KnownRequest):
    until: Time = Field(examples=["2027-03-01T00:00:00Z"])


class Quietened(BaseModel):
    """`until` null: until it gets worse."""

    id: str
    kind: str
    subject: str
    until: datetime | None


class FindingQuery(PageQuery):
    """`item`: by name or id. `snoozed`: those that somebody knows of, or the others."""

    kind: list[FindingKind] = Field(default=[])
    owner: list[str] = Field(default=[], max_length=100)
    item: str | None = Field(default=None, max_length=250)
    workflow: str | None = Field(default=None, max_length=250)
    snoozed: bool | None = None

    @property
    def wanted(self) -> FindingFilter:
        return FindingFilter(
            kinds=frozenset(self.kind),
            owners=frozenset(self.owner),
            item=self.item,
            workflow=self.workflow,
            snoozed=self.snoozed,
        )


@router.get("", **asks(Action.FINDING_SEE))
def list_findings(
    request: Request, response: Response, principal: Asker, query: Annotated[FindingQuery, Query()]
) -> list[ShownFinding]:
    """Open ones that the principal may see, oldest first unless `sort` says otherwise."""
    page = services_of(request).lookup.lists.page_findings(query.wanted, query.page, seen_by=principal)
    return [_show(one) for one in give_page(page, request, response)]


@router.post("/{finding_id}/ack", **asks(Action.FINDING_QUIET))
def acknowledge(request: Request, principal: Asker, finding_id: str, known: KnownRequest) -> Quietened:
    """Nobody is told of it again unless it gets worse."""
    _check(request, principal, finding_id)
    answers = services_of(request).overview.acknowledgements
    return Quietened(**vars(answers.acknowledge(finding_id, why=known.why, actor=principal.actor)))


@router.post("/{finding_id}/snooze", **asks(Action.FINDING_QUIET))
def snooze(request: Request, principal: Asker, finding_id: str, later: Later) -> Quietened:
    """Nobody is told of it before that time unless it gets worse."""
    _check(request, principal, finding_id)
    answers = services_of(request).overview.acknowledgements
    return Quietened(**vars(answers.snooze(finding_id, later.until, why=later.why, actor=principal.actor)))


def _check(request: Request, principal: Principal, finding_id: str) -> None:
    """404 for one that there is not, or that the principal may not even see."""
    services = services_of(request)
    found = services.lookup.views.get_finding(finding_id)
    services.access.principals.check_about(principal, found.item_id, Action.FINDING_QUIET)


def _show(one: ListedFinding) -> ShownFinding:
    return ShownFinding(**describe_finding(one))
