"""`/nightkey/rotations/preview`, `/nightkey/deletions`: what would be done to several items; many deleted."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.domain.at_once import PAGE
from worker.domain.deeds import ForeseenDeed
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.changes import NAMES_MAX
from worker.web.api.vault import ItemWhere
from worker.wording.deeds import describe_deed

router = APIRouter(prefix="/nightkey", route_class=AskedRoute)


class MeantItems(BaseModel):
    """`items`: names, ids, or patterns such as `prod-*`; those of them that are also all of `where`. One of
    both is given.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    items: list[Annotated[str, Field(max_length=250)]] = Field(
        default=[], max_length=NAMES_MAX, examples=[["prod-*"]]
    )
    where: ItemWhere = Field(default=ItemWhere(), examples=[{"owner": ["platform"]}])


class MeantRotations(MeantItems):
    """As of one rotation."""

    emergency: bool = False
    in_freeze: bool = False


class MeantDeletion(BaseModel):
    """`seen`: the items by their ids, each with the `revision` that was foreseen for it, in that order."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    seen: dict[str, Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=PAGE, examples=[{"vlt_01k2m7q8r9s0t1v2w3x4y5z6a7": "3f2a"}]
    )


class ShownDeed(BaseModel):
    """`outcome`: `replace`, `ask` (it waits for somebody else's approval), `revoke` (an emergency), `delete`,
    or `refused`, and `why` then. `used_by`: the active workflows that use it.
    """

    id: str
    name: str
    outcome: str
    owners: list[str]
    expires_at: datetime | None
    rotator: str | None
    target: str | None
    used_by: list[str]
    why: str | None
    revision: str


class ShownDeeds(BaseModel):
    """`unread`: a sentence for each that may be meant, and cannot be read."""

    items: list[ShownDeed]
    unread: list[str]


@router.post("/rotations/preview", tags=["rotations"], **asks(Action.ITEM_ROTATE))
def foresee_rotations(request: Request, principal: Asker, meant: MeantRotations) -> ShownDeeds:
    """What asking for a rotation of each would do; nothing is opened."""
    services = services_of(request)
    found, unread = services.bulk.items_at_once.select(principal, meant.items, meant.where.wanted)
    foreseen = services.bulk.deeds_at_once.foresee_rotations(
        principal, list(found), emergency=meant.emergency, in_freeze=meant.in_freeze
    )
    return _show(foreseen, unread)


@router.post("/deletions/preview", tags=["items"], **asks(Action.ITEM_DELETE))
def foresee_deletions(request: Request, principal: Asker, meant: MeantItems) -> ShownDeeds:
    """What deleting them would do, in the order in which it can be done; nothing is deleted."""
    services = services_of(request)
    found, unread = services.bulk.items_at_once.select(principal, meant.items, meant.where.wanted)
    return _show(services.bulk.deeds_at_once.foresee_deletions(principal, list(found)), unread)


@router.post("/deletions", tags=["items"], **asks(Action.ITEM_DELETE))
def delete(request: Request, principal: Asker, meant: MeantDeletion) -> list[str]:
    """All of them or, where one is refused or has been changed meanwhile, none; the names of those that are
    gone.
    """
    seen = {item_id: frozenset({revision}) for item_id, revision in meant.seen.items()}
    return services_of(request).bulk.deeds_at_once.delete(principal, seen)


def _show(foreseen: list[ForeseenDeed], unread: list[Any]) -> ShownDeeds:
    return ShownDeeds(
        items=[ShownDeed(**describe_deed(one)) for one in foreseen], unread=[str(one) for one in unread]
    )
