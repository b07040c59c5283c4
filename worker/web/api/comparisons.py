"""`/nightkey/comparisons`: after a restore, what the targets say of each item, and what a person answers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.services.rotation.comparison import Compared
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.wire import leave_out
from worker.wording.reasons import say
from worker.wording.shapes import describe_comparison

router = APIRouter(prefix="/nightkey/comparisons", tags=["comparisons"], route_class=AskedRoute)
Name = Annotated[str, Field(min_length=1, max_length=250)]


class ShownComparison(BaseModel):
    """`resolved_by`: who answers for it, or how it was resolved; null: it waits."""

    item: str
    item_id: str
    result: str
    detail: str
    compared_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None


class ComparedItem(BaseModel):
    item: str
    item_id: str
    result: str
    detail: str


class WantedItems(BaseModel):
    """`items`: these; left out: all that wait for a comparison."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    items: list[Name] | None = Field(default=None, min_length=1, max_length=1000, examples=[["prod-crm-token"]])


@router.get("", **asks(Action.ITEM_SEE))
def list_comparisons(request: Request, response: Response, principal: Asker) -> list[ShownComparison]:
    """Those that wait for a person first; none: this vault was not restored."""
    services = services_of(request)
    seen = services.lookup.lists.find_seen(principal)
    found = leave_out(services.rotation.comparison.list_all(), response)
    return [
        ShownComparison(**describe_comparison(one)) for one in found if seen is None or one.item_id in seen.ids
    ]


@router.post("/run", **starts(Action.NIGHT_RUN))
def compare(request: Request, wanted: WantedItems) -> list[ComparedItem]:
    """Asks each target now, and changes nothing there."""
    services = services_of(request)
    services.upkeep.anchors.refuse_older()
    return [_show(one) for one in services.rotation.comparison.compare_now(wanted.items)]


@router.post("/{item:name}/accept", **asks(Action.ROTATION_ANSWER))
def accept(request: Request, principal: Asker, item: str) -> ComparedItem:
    """Answers for an item that differs: Nightkey goes on with what the vault holds."""
    services = services_of(request)
    found = services.access.principals.find_item(principal, item, Action.ROTATION_ANSWER)
    return _show(services.rotation.comparison.accept(found.id, actor=principal.actor))


def _show(one: Compared) -> ComparedItem:
    return ComparedItem(item=one.item, item_id=one.item_id, result=one.result, detail=say(one.detail))
