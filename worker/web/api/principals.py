"""`/nightkey/principals`: people and services that may ask, their roles, and their tokens."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action, Role
from vaultcore.errors import InvalidInputError, NightkeyError
from vaultcore.model import PrincipalKind
from worker.services.access.principals import LIFETIME, find_revision
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.items import LEFT_OUT, ItemRow
from worker.web.api.wire import Seen, leave_out, show_revision
from worker.wording.people import describe_bearer, describe_principal
from worker.wording.shapes import describe_item

router = APIRouter(prefix="/nightkey/principals", tags=["principals"], route_class=AskedRoute)


class ShownPrincipal(BaseModel):
    """`owners`: for whom it answers, with the role owner. `disabled_at` not null: it is let in no more."""

    id: str
    name: str
    kind: str
    roles: list[str]
    owners: list[str]
    created_at: datetime
    disabled_at: datetime | None


class ShownToken(BaseModel):
    """The `api-key:` item that it is; never its value."""

    item: str
    item_id: str
    expires_at: datetime | None
    last_used_at: datetime | None


class Bearer(ShownPrincipal):
    tokens: list[ShownToken]


class NewPrincipal(BaseModel):
    """It may do what its roles say, and nothing without one. The role owner and `owners` go together."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=250, examples=["deploy-bot"])
    kind: PrincipalKind = Field(default=PrincipalKind.SERVICE, examples=["service"])
    roles: list[Role] = Field(default=[], max_length=20, examples=[["operator"]])
    owners: list[str] = Field(default=[], max_length=100, examples=[[]])


class ChangedRoles(BaseModel):
    """What is left out stays as it is. `owners` take the place of those that were."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    give: list[Role] = Field(default=[], max_length=20, examples=[["viewer"]])
    take: list[Role] = Field(default=[], max_length=20, examples=[["operator"]])
    owners: list[str] = Field(**LEFT_OUT, max_length=100, examples=[[]])


class WantedToken(BaseModel):
    """`lifetime`: of each, such as `90d`; the next one is made before it lapses."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    lifetime: str = Field(default=LIFETIME, max_length=40, examples=["90d"])


class IssuedToken(ItemRow):
    """The item that the token is. `secret`: the token itself, here and never again."""

    principal: str
    secret: str


class RevokedToken(BaseModel):
    principal: str
    token: str
    revoked: bool


@router.get("", **asks(Action.PRINCIPAL_SEE))
def list_principals(request: Request, response: Response) -> list[Bearer]:
    """By name, with their tokens: when each lapses, and when it was last used."""
    found = leave_out(services_of(request).access.principals.list_all(), response)
    return [Bearer(**describe_bearer(principal, tokens)) for principal, tokens in found]


@router.post("", status_code=201, **asks(Action.PRINCIPAL_MANAGE))
def create_principal(request: Request, principal: Asker, new: NewPrincipal) -> ShownPrincipal:
    """Without a token: that is asked for by itself."""
    made = services_of(request).access.principals.create(
        new.name, kind=new.kind, roles=new.roles, owners=new.owners, actor=principal.actor
    )
    return ShownPrincipal(**describe_principal(made))


@router.get("/{principal:name}", **asks(Action.PRINCIPAL_SEE))
def get_principal(request: Request, response: Response, principal: str) -> Bearer:
    found, tokens = services_of(request).access.principals.view(principal)
    show_revision(find_revision(found), response)
    return Bearer(**describe_bearer(found, tokens))


@router.patch("/{principal:name}", **asks(Action.PRINCIPAL_MANAGE))
def change_roles(
    request: Request, response: Response, asker: Asker, principal: str, change: ChangedRoles, seen: Seen
) -> ShownPrincipal:
    """Gives and takes roles, and says for which owners it answers."""
    if not change.model_fields_set:
        raise InvalidInputError("body: say what is to change: give, take or owners")
    changed = services_of(request).access.principals.change_roles(
        principal,
        give=change.give,
        take=change.take,
        owners=change.owners if "owners" in change.model_fields_set else None,
        expected=seen,
        actor=asker.actor,
    )
    show_revision(find_revision(changed), response)
    return ShownPrincipal(**describe_principal(changed))


@router.post("/{principal:name}/tokens", status_code=201, **asks(Action.PRINCIPAL_MANAGE))
def issue_token(request: Request, asker: Asker, principal: str, wanted: WantedToken) -> IssuedToken:
    """A new token. This answer alone has it: it is kept as a digest, and `Idempotency-Key` is not heeded, since
    then it would be kept for a day.
    """
    services = services_of(request)
    item, first = services.access.principals.issue_token(principal, lifetime=wanted.lifetime, actor=asker.actor)
    if first is None:
        raise NightkeyError(f"{item.name} was made without a key")
    shown = describe_item(services.items.views.view(item.id).item, copy_of=None)
    return IssuedToken(**shown, principal=principal, secret=first.key.expose())


@router.post("/{principal:name}/tokens/{token}/revoke", **asks(Action.PRINCIPAL_MANAGE))
def revoke_token(request: Request, asker: Asker, principal: str, token: str) -> RevokedToken:
    """One of its tokens opens nothing any more, at once."""
    item = services_of(request).access.principals.revoke_token(principal, token, actor=asker.actor)
    return RevokedToken(principal=principal, token=item.name, revoked=True)


@router.post("/{principal:name}/revoke", **asks(Action.PRINCIPAL_MANAGE))
def revoke(request: Request, asker: Asker, principal: str) -> ShownPrincipal:
    """Lets it in no more, at once, by whatever token or session."""
    return ShownPrincipal(
        **describe_principal(services_of(request).access.principals.revoke(principal, actor=asker.actor))
    )
