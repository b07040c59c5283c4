"""`/nightkey/scan`: what is found, and what a night would do."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from vaultcore.access import Action, Principal
from worker.services.night.scans import Preview
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.values import Time
from worker.wording.scans import describe_preview

router = APIRouter(prefix="/nightkey/scan", tags=["nights"], route_class=AskedRoute)


class PlannedItem(BaseModel):
    """`action`: what a night at that time would do with it."""

    item: str
    item_id: str
    action: str
    why: str


class FoundThing(BaseModel):
    kind: str
    item: str | None
    item_id: str | None
    workflow: str | None
    detail: str


class ScanResult(BaseModel):
    """Of what you may see."""

    at: datetime
    actions: list[PlannedItem]
    findings: list[FoundThing]


@router.get("", **asks(Action.NIGHT_SEE))
def preview(request: Request, principal: Asker, at: Time | None = None) -> ScanResult:
    """Looks as if it were that time, or now, and writes nothing."""
    services = services_of(request)
    return _show(request, principal, services.scans.preview(services.clock() if at is None else at))


@router.post("", **starts(Action.NIGHT_RUN))
def scan(request: Request, principal: Asker) -> ScanResult:
    """Looks, and records findings; nothing is rotated or sent."""
    services = services_of(request)
    return _show(request, principal, services.night.nights.record())


def _show(request: Request, principal: Principal, found: Preview) -> ScanResult:
    shown, seen = describe_preview(found), services_of(request).lookup.lists.find_seen(principal)
    parts = {
        name: [one for one in shown[name] if seen is None or one["item_id"] in seen.ids]
        for name in ("actions", "findings")
    }
    return ScanResult(at=found.at, actions=parts["actions"], findings=parts["findings"])
