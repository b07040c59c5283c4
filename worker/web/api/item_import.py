"""`/nightkey/imports`: items of another vault come in as metadata, and wait for their values."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.domain.incoming import ENTRIES_MAX, sort_out
from worker.importing.vault_list import read_entries
from worker.web.api.asking import AskedRoute, Asker, services_of, starts
from worker.wording.incoming import describe_import

router = APIRouter(prefix="/nightkey", tags=["items"], route_class=AskedRoute)
_ENTRY = {
    "id": "vlt_01jy2t7w6k3m9n4p5q8r1s2v3x",
    "name": "prod-ledger-token",
    "created_at": "2026-01-01T00:00:00.000000Z",
    "expires_at": None,
}


class ArrivingItems(BaseModel):
    """`items`: of that vault's answer to `GET /workflows/vault`, as they are, with `labels` if wanted. No value
    is taken of them.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    items: list[dict[str, Any]] = Field(min_length=1, max_length=ENTRIES_MAX, examples=[[_ENTRY]])
    owners: list[Annotated[str, Field(max_length=250)]] = Field(default=[], max_length=100, examples=[[]])
    dry_run: bool = Field(default=False, examples=[True])


class ArrivedItem(BaseModel):
    """`place`: among those that were sent, from 1. `arrival`: `new`, `there` or `left-out`. `id`: here."""

    place: int
    name: str | None
    id: str | None = None
    given_id: str | None = None
    labels: dict[str, str] = {}
    expires_at: datetime | None = None
    arrival: str
    why: str | None


class Arrivals(BaseModel):
    """`not_taken`: what of the items is not kept, in sentences."""

    dry_run: bool
    items: list[ArrivedItem]
    not_taken: list[str]


@router.post("/imports", **starts(Action.ITEM_CREATE))
def import_items(request: Request, principal: Asker, arriving: ArrivingItems) -> Arrivals:
    """What is there already is left alone. It takes who may add items for everybody, since it says of each name
    whether there is one.
    """
    services = services_of(request)
    services.access.principals.check(principal, Action.ITEM_CREATE)
    contents = sort_out(read_entries(arriving.items, now=services.clock()))
    judged = list(
        services.upkeep.item_import.take_in(
            contents.entries, owners=arriving.owners, actor=principal.actor, dry_run=arriving.dry_run
        )
    )
    return Arrivals(**describe_import(contents, judged, dry_run=arriving.dry_run))
