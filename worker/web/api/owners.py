"""`/nightkey/owners`: who is told, where and when; routes are masked."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from vaultcore.model import UNCHANGED, Owner
from vaultcore.quiet import parse_quiet
from worker.domain.revisions import revision_of_owner
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.wire import Seen, leave_out, show_revision
from worker.wording.shapes import describe_owner

router = APIRouter(prefix="/nightkey/owners", tags=["owners"], route_class=AskedRoute)


class ShownOwner(BaseModel):
    """`routes` are masked; `route_ids`, `recipients` (whom it leads to) and `routed_at` are of each of them."""

    id: str
    name: str
    routes: list[str]
    route_ids: list[str]
    recipients: list[list[str]]
    routed_at: list[datetime]
    zone: str
    quiet: str | None
    deputy: str | None
    created_at: datetime


class ChangedOwner(BaseModel):
    """What is left out stays as it is; `quiet` or `deputy` null: none."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    zone: str | None = Field(default=None, max_length=64, examples=["Europe/Zurich"])
    quiet: str | None = Field(default=None, max_length=20, examples=["22:00-07:00"])
    deputy: str | None = Field(default=None, max_length=100, examples=["platform"])


@router.get("", **asks(Action.OWNER_SEE))
def list_owners(request: Request, response: Response) -> list[ShownOwner]:
    return [_show(one) for one in leave_out(services_of(request).views.list_owners(), response)]


@router.get("/{name}", **asks(Action.OWNER_SEE))
def get_owner(request: Request, response: Response, name: str) -> ShownOwner:
    owner = services_of(request).notices.address_book.get(name)
    show_revision(revision_of_owner(owner), response)
    return _show(owner)


@router.patch("/{name}", **asks(Action.OWNER_UPDATE))
def update_owner(
    request: Request, response: Response, principal: Asker, name: str, change: ChangedOwner, seen: Seen
) -> ShownOwner:
    """Their time zone, quiet hours and deputy; routes, which lead notices somewhere, take the command line."""
    services, given = services_of(request), change.model_fields_set
    services.principals.check(principal, Action.OWNER_UPDATE, owners=[name])
    quiet = None if change.quiet is None else parse_quiet(change.quiet)
    changed = services.notices.address_book.update(
        name,
        zone=UNCHANGED if change.zone is None else change.zone,
        quiet=quiet if "quiet" in given else UNCHANGED,
        deputy=change.deputy if "deputy" in given else UNCHANGED,
        expected=seen,
        actor=principal.actor,
    )
    show_revision(revision_of_owner(changed), response)
    return _show(changed)


def _show(owner: Owner) -> ShownOwner:
    return ShownOwner(**describe_owner(owner))
