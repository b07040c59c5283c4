"""`/nightkey/owners/…/leave`: somebody leaves, and all that they could read is replaced."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.wording.people import describe_departure

router = APIRouter(prefix="/nightkey/owners", tags=["owners"], route_class=AskedRoute)


class ReadableItem(BaseModel):
    item: str
    item_id: str


class WantedDeparture(BaseModel):
    """`emergency`: nothing overlaps, old values are revoked at once. `in_freeze`: also what a freeze holds.
    `to`: the owner who has their items from now on, and hears what would be told to them.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    emergency: bool = Field(default=False, examples=[False])
    in_freeze: bool = Field(default=False, examples=[False])
    to: str | None = Field(default=None, max_length=100, examples=[None])


class ShownLeftItem(BaseModel):
    """`fate`: how it stands, and `why`."""

    position: int
    item: str
    item_id: str
    fate: str
    why: str


class ShownDeparture(BaseModel):
    """`finished_at` null: some of it is left; the same call goes on with it."""

    id: str
    name: str
    items: list[ShownLeftItem]
    finished_at: datetime | None


@router.get("/{leaver:name}/leave", **asks(Action.OWNER_MANAGE))
def preview(
    request: Request, leaver: str, to: Annotated[str | None, Query(max_length=100)] = None
) -> list[ReadableItem]:
    """What the owner, or login, of that name could read: what they own, gave or collected. Refused as the
    departure itself would be, `to` another owner or not.
    """
    found = services_of(request).rotation.offboarding.preview(leaver, to=to)
    return [ReadableItem(item=one.name, item_id=one.id) for one in found]


@router.post("/{leaver:name}/leave", status_code=202, **starts(Action.OWNER_MANAGE))
def leave(request: Request, principal: Asker, leaver: str, wanted: WantedDeparture) -> ShownDeparture:
    """Takes their routes away, and opens the replacement of each item, or goes on with that; whoever works on
    the vault drives it. Asked again, it says how it stands.
    """
    departure = services_of(request).night.departures.begin(
        leaver,
        emergency=wanted.emergency,
        in_freeze=wanted.in_freeze,
        to=wanted.to,
        actor=principal.actor,
    )
    return ShownDeparture(**describe_departure(departure))
