"""`/nightkey/changes`: what a change would do to several items, and the change of a page of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.domain.at_once import PAGE, ItemOutcome
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.item_changes import SharedChanges
from worker.web.api.items import Changed
from worker.web.api.vault import ItemWhere
from worker.wording.changes import describe_outcome
from worker.wording.plain import to_plain

router = APIRouter(prefix="/nightkey/changes", tags=["items"], route_class=AskedRoute)
NAMES_MAX = 1_000
_Change = Annotated[SharedChanges, Field(examples=[{"plan": {"lead": "14d"}}])]


class ForeseenChange(BaseModel):
    """`items`: names, ids, or patterns such as `prod-*`; those of them that are also all of `where`. One of
    both is given. `change`: as of one item, without a value or another name.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    items: list[Annotated[str, Field(max_length=250)]] = Field(
        default=[], max_length=NAMES_MAX, examples=[["prod-*"]]
    )
    where: ItemWhere = Field(default=ItemWhere(), examples=[{"owner": ["platform"]}])
    change: _Change


class WantedChange(BaseModel):
    """`seen`: the items by their ids, each with the `revision` that was foreseen for it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    seen: dict[str, Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=PAGE, examples=[{"vlt_01k2m7q8r9s0t1v2w3x4y5z6a7": "3f2a"}]
    )
    change: _Change


class ChangedItemOfMany(BaseModel):
    """`outcome`: `changes`, `stays` (it is so already) or `refused`, and `why` then."""

    id: str
    name: str
    outcome: str
    changes: list[Changed]
    why: str | None
    revision: str


class ForeseenItems(BaseModel):
    """`unread`: a sentence for each that may be meant, and cannot be read."""

    items: list[ChangedItemOfMany]
    unread: list[str]


@router.post("/preview", **asks(Action.ITEM_UPDATE))
def foresee(request: Request, principal: Asker, wanted: ForeseenChange) -> ForeseenItems:
    """What the change would do to each; nothing is changed."""
    at_once = services_of(request).bulk.items_at_once
    found, unread = at_once.select(principal, wanted.items, wanted.where.wanted)
    outcomes = at_once.foresee(principal, list(found), wanted.change.wanted)
    return ForeseenItems(items=[_show(one) for one in outcomes], unread=[str(one) for one in unread])


@router.post("", **asks(Action.ITEM_UPDATE))
def change(request: Request, principal: Asker, wanted: WantedChange) -> list[ChangedItemOfMany]:
    """All of them or, where one is refused or has been changed meanwhile, none."""
    seen = {item_id: frozenset({revision}) for item_id, revision in wanted.seen.items()}
    changed = services_of(request).bulk.items_at_once.change(principal, seen, wanted.change.wanted)
    return [_show(one) for one in changed]


def _show(outcome: ItemOutcome) -> ChangedItemOfMany:
    shown: Any = to_plain(describe_outcome(outcome))
    return ChangedItemOfMany(**shown)
