"""`/nightkey/impact`: who is hurt when an item, or a target system, works no longer."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError
from worker.domain.impact import Harm
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.wording.impact import describe_impact

router = APIRouter(prefix="/nightkey/impact", tags=["items"], route_class=AskedRoute)


class HurtOne(BaseModel):
    """`by`: the items over which it comes, the nearest last. `runs`: in the last 30 days. `lapses_at`: of an
    item, when it lapses, and of a workflow that fails later, when what it uses does. `owners`: of it or, of a
    workflow, of what it uses.
    """

    kind: str
    id: str
    name: str
    harm: Harm
    says: str
    by: list[str]
    critical: bool
    runs: int
    last_run_at: datetime | None
    next_run_at: datetime | None
    lapses_at: datetime | None
    owners: list[str]


class ShownImpact(BaseModel):
    """`hurt`: the worst first. `items`: those of the target or, of an item, all that hold its credential.
    `first_run_at`: when the first of them fails that runs by itself. `unseen`: so many more items are hurt that
    the principal may not see; `unread`: a sentence for each that cannot be read.
    """

    name: str
    is_target: bool
    target: str | None
    items: list[str]
    says: str
    first_run_at: datetime | None
    owners: list[str]
    unseen: int
    unread: list[str]
    hurt: list[HurtOne]


@router.get("", **asks(Action.ITEM_SEE))
def get_impact(
    request: Request,
    principal: Asker,
    item: Annotated[str | None, Query(max_length=250)] = None,
    target: Annotated[str | None, Query(max_length=600)] = None,
) -> ShownImpact:
    """Of an item, by name or id, or of a target system: one of both."""
    impacts = services_of(request).bulk.impacts
    if item is not None and target is None:
        return ShownImpact(**describe_impact(impacts.of_item(principal, item)))
    if target is not None and item is None:
        return ShownImpact(**describe_impact(impacts.of_target(principal, target)))
    raise InvalidInputError("item, target: give one of both")
