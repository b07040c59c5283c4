"""`/nightkey/findings`: what the scan saw, and that a principal knows of it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action, Principal
from vaultcore.errors import NotFoundError
from worker.services.views import ListedFinding
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.values import Time
from worker.wording import say

router = APIRouter(prefix="/nightkey/findings", tags=["findings"], route_class=AskedRoute)
WHY_MAX = 500


class ShownFinding(BaseModel):
    """`quiet`: who knows of it, for how long and why. `command`: of the command line, which settles it."""

    id: str
    kind: str
    item: str | None
    item_id: str | None
    workflow: str | None
    detail: str
    does: str | None
    command: str | None
    opened_at: datetime
    quiet: str | None


class Known(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    why: str = Field(min_length=1, max_length=WHY_MAX, examples=["the vendor is told"])


class Later(Known):
    until: Time = Field(examples=["2027-03-01T00:00:00Z"])


class Quietened(BaseModel):
    """`until` null: until it gets worse."""

    id: str
    kind: str
    subject: str
    until: datetime | None


@router.get("", **asks(Action.FINDING_SEE))
def list_findings(
    request: Request, principal: Asker, owner: Annotated[str | None, Query(max_length=100)] = None
) -> list[ShownFinding]:
    """Open ones, oldest first: of an owner's items, or of all that the principal may see."""
    services = services_of(request)
    seen = services.principals.visible_items(principal)
    found = services.views.list_findings(owner=owner)
    return [_show(one) for one in found if seen is None or one.finding.item_id in seen]


@router.post("/{finding_id}/ack", **asks(Action.FINDING_QUIET))
def acknowledge(request: Request, principal: Asker, finding_id: str, known: Known) -> Quietened:
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
    found = [one.finding for one in services.views.list_findings() if one.finding.id == finding_id]
    if not found:
        raise NotFoundError(f"there is no open finding {finding_id[:60]!r}")
    services.principals.check_about(principal, found[0].item_id, Action.FINDING_QUIET)


def _show(one: ListedFinding) -> ShownFinding:
    finding = one.finding
    return ShownFinding(
        id=finding.id,
        kind=finding.kind,
        item=finding.item,
        item_id=finding.item_id,
        workflow=finding.workflow,
        detail=say(finding.detail),
        does=say(finding.does) or None,
        command=finding.command,
        opened_at=finding.opened_at,
        quiet=one.quiet,
    )
