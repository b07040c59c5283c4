"""`/nightkey/owners`: who is told, where and when; routes are taken, and shown masked."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from vaultcore.access import Action
from vaultcore.model import UNCHANGED, Owner
from vaultcore.quiet import parse_quiet
from vaultcore.secret import Secret
from worker.domain.reach import find_concerned
from worker.domain.revisions import revision_of_owner
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.wire import Seen, leave_out, show_revision
from worker.wording.people import describe_handover, describe_tried_route, describe_unreached
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


class WarnedOwner(ShownOwner):
    """`warnings`: who would be told something of them, and has no way to be."""

    warnings: list[str]


class NewRoute(BaseModel):
    """An apprise URL: it leads notices somewhere, and may hold a password or a token. No answer has it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    route: SecretStr = Field(max_length=4000, examples=["json://hooks.example.com/nightkey"])


class NewOwner(BaseModel):
    """A person or a team. `route`: where to tell them; left out: nowhere yet."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=250, examples=["platform-team"])
    route: SecretStr | None = Field(
        default=None, max_length=4000, examples=["json://hooks.example.com/nightkey"]
    )
    zone: str = Field(default="UTC", max_length=64, examples=["Europe/Zurich"])
    quiet: str | None = Field(default=None, max_length=20, examples=["22:00-07:00"])
    deputy: str | None = Field(default=None, max_length=100, examples=[None])


class TriedRoute(BaseModel):
    """What came of a test message at one recipient. `recipient` empty: the route leads to one place."""

    route: str
    id: str
    recipient: str
    taken: bool
    error: str | None


class NewOwnerName(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=250, examples=["payments-team"])


class HandedOver(BaseModel):
    """What went to another owner: items, those whose deputy they were, notices that had not arrived."""

    to: str | None
    items: list[str]
    stood_in_for: list[str]
    notices: int


class ChangedOwner(BaseModel):
    """What is left out stays as it is; `quiet` or `deputy` null: none."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    zone: str | None = Field(default=None, max_length=64, examples=["Europe/Zurich"])
    quiet: str | None = Field(default=None, max_length=20, examples=["22:00-07:00"])
    deputy: str | None = Field(default=None, max_length=100, examples=["platform"])


@router.get("", **asks(Action.OWNER_SEE))
def list_owners(request: Request, response: Response) -> list[ShownOwner]:
    return [_show(one) for one in leave_out(services_of(request).lookup.views.list_owners(), response)]


@router.post("", status_code=201, **asks(Action.OWNER_MANAGE))
def create_owner(request: Request, response: Response, principal: Asker, new: NewOwner) -> WarnedOwner:
    owner = services_of(request).notices.address_book.create(
        new.name,
        route=None if new.route is None else Secret(new.route.get_secret_value().strip()),
        zone=new.zone,
        quiet=None if new.quiet is None else parse_quiet(new.quiet),
        deputy=new.deputy,
        actor=principal.actor,
    )
    show_revision(revision_of_owner(owner), response)
    return _show_warned(request, owner)


@router.get("/{name:name}", **asks(Action.OWNER_SEE))
def get_owner(request: Request, response: Response, name: str) -> WarnedOwner:
    owner = services_of(request).notices.address_book.get(name)
    show_revision(revision_of_owner(owner), response)
    return _show_warned(request, owner)


@router.patch("/{name:name}", **asks(Action.OWNER_UPDATE))
def update_owner(
    request: Request, response: Response, principal: Asker, name: str, change: ChangedOwner, seen: Seen
) -> WarnedOwner:
    """Their time zone, quiet hours and deputy; routes, which lead notices somewhere, take more."""
    services, given = services_of(request), change.model_fields_set
    services.access.principals.check(principal, Action.OWNER_UPDATE, owners=[name])
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
    return _show_warned(request, changed)


@router.post("/{name:name}/rename", **asks(Action.OWNER_MANAGE))
def rename_owner(
    request: Request, response: Response, principal: Asker, name: str, new: NewOwnerName
) -> WarnedOwner:
    """Items, routes and roles stay theirs."""
    owner = services_of(request).rotation.owner_changes.rename(name, new.name, actor=principal.actor)
    show_revision(revision_of_owner(owner), response)
    return _show_warned(request, owner)


@router.delete("/{name:name}", **asks(Action.OWNER_MANAGE))
def delete_owner(
    request: Request,
    principal: Asker,
    name: str,
    to: Annotated[str | None, Query(max_length=100)] = None,
) -> HandedOver:
    """Refused, with names, while anything hangs on them that does not go `to` another owner."""
    handed = services_of(request).rotation.owner_changes.delete(name, to=to, actor=principal.actor)
    return HandedOver(**describe_handover(handed))


@router.post("/{name:name}/routes", status_code=201, **asks(Action.OWNER_MANAGE))
def add_route(request: Request, response: Response, principal: Asker, name: str, new: NewRoute) -> WarnedOwner:
    """One more way to tell them; refused where it could not be delivered to."""
    route = Secret(new.route.get_secret_value().strip())
    owner = services_of(request).notices.address_book.add_route(name, route, actor=principal.actor)
    show_revision(revision_of_owner(owner), response)
    return _show_warned(request, owner)


@router.delete("/{name:name}/routes/{route_id}", status_code=204, **asks(Action.OWNER_MANAGE))
def remove_route(request: Request, principal: Asker, name: str, route_id: str) -> Response:
    services_of(request).notices.address_book.remove_route(name, route_id, actor=principal.actor)
    return Response(status_code=204)


@router.post("/{name:name}/test", **starts(Action.OWNER_UPDATE))
def try_routes(request: Request, principal: Asker, name: str) -> list[TriedRoute]:
    """Sends a test message to each recipient, and says what came of each; none: they have no route."""
    services = services_of(request)
    services.access.principals.check(principal, Action.OWNER_UPDATE, owners=[name])
    return [TriedRoute(**describe_tried_route(one)) for one in services.notices.route_test.check(name)]


def _show_warned(request: Request, owner: Owner) -> WarnedOwner:
    found = find_concerned(services_of(request).lookup.views.find_unreached(), {owner.name})
    return WarnedOwner(**describe_owner(owner), warnings=[describe_unreached(one) for one in found])


def _show(owner: Owner) -> ShownOwner:
    return ShownOwner(**describe_owner(owner))
