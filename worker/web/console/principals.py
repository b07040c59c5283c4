"""People and services that may ask: their roles, and the tokens by which they are known."""

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from vaultcore.access import MEANINGS, Action, Role
from vaultcore.errors import InvalidInputError, RefusedError, UnreadableError
from vaultcore.model import PrincipalKind
from worker.services.access.principals import LIFETIME
from worker.services.rotation.pickups import Collected
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.visits import Looks, PageRoute, Sent, fields_of
from worker.web.console.ways import principal_path
from worker.wording.roles import COLUMNS, mark_role

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)


@router.get("/principals", **asks(Action.PRINCIPAL_SEE))
def list_principals(request: Request) -> Response:
    """By name, with their tokens; and the table of who may do what."""
    found = services_of(request).access.principals.list_all()
    return show(
        request,
        "principals.html",
        principals=[one for one in found if not isinstance(one, UnreadableError)],
        unread=[str(one) for one in found if isinstance(one, UnreadableError)],
        roles=COLUMNS,
        table=[(action, MEANINGS[action], [mark_role(action, role) for role in COLUMNS]) for action in Action],
    )


@router.get("/principals-new", **asks(Action.PRINCIPAL_MANAGE))
def new_principal(request: Request) -> Response:
    return _show_new(request, {"kind": PrincipalKind.SERVICE.value}, {})


@router.post("/principals-new", **asks(Action.PRINCIPAL_MANAGE))
def create(request: Request, visitor: Looks, sent: Sent) -> Response:
    """Without a token: it gets one of its own on its page."""
    given = fields_of(sent, several=("role", "owner"))
    try:
        made = services_of(request).access.principals.create(
            str(given.get("name", "")),
            kind=PrincipalKind.PERSON if given.get("kind") == "person" else PrincipalKind.SERVICE,
            roles=_read_roles(sent),
            owners=[str(one) for one in given.get("owner", [])],
            actor=visitor.principal.actor,
        )
    except (InvalidInputError, RefusedError) as error:
        field = "roles" if "role owner" in str(error) else "name"
        return _show_new(request, given, {field: str(error)}, status=422)
    return go(principal_path(made.name), said="principal-created")


@router.get("/principals/{name:path}", **asks(Action.PRINCIPAL_SEE))
def show_principal(request: Request, name: str) -> Response:
    return _show(request, name)


@router.post("/principals/{name:path}/roles", **asks(Action.PRINCIPAL_MANAGE))
def change_roles(request: Request, visitor: Looks, name: str, sent: Sent) -> Response:
    """Those that are ticked, and no others."""
    given = fields_of(sent, several=("role", "owner"))
    roles = set(_read_roles(sent))
    try:
        services_of(request).access.principals.change_roles(
            name,
            give=roles,
            take=set(Role) - roles,
            owners=[str(one) for one in given.get("owner", [])],
            actor=visitor.principal.actor,
        )
    except InvalidInputError as error:
        return _show(request, name, wrong={"roles": str(error)}, status=422)
    return go(principal_path(name), said="roles-changed")


@router.post("/principals/{name:path}/token", **asks(Action.PRINCIPAL_MANAGE))
def issue_token(request: Request, visitor: Looks, name: str, sent: Sent) -> Response:
    """A new one, shown this once."""
    services, given = services_of(request), fields_of(sent)
    lifetime = str(given.get("lifetime", LIFETIME))
    try:
        item, first = services.access.principals.issue_token(
            name, lifetime=lifetime, actor=visitor.principal.actor
        )
    except InvalidInputError as error:
        return _show(request, name, wrong={"lifetime": str(error)}, lifetime=lifetime, status=422)
    if first is None:
        return go(principal_path(name))
    return _show_once(request, name, item.name, first)


@router.post("/principals/{name:path}/tokens/{token}/revoke", **asks(Action.PRINCIPAL_MANAGE))
def revoke_token(request: Request, visitor: Looks, name: str, token: str) -> Response:
    """One of its tokens opens nothing any more."""
    services_of(request).access.principals.revoke_token(name, token, actor=visitor.principal.actor)
    return go(principal_path(name), said="token-revoked")


@router.post("/principals/{name:path}/revoke", **asks(Action.PRINCIPAL_MANAGE))
def revoke(request: Request, visitor: Looks, name: str) -> Response:
    """Lets it in no more, at once, by whatever token or session."""
    services_of(request).access.principals.revoke(name, actor=visitor.principal.actor)
    return go(principal_path(name), said="principal-revoked")


def _show(
    request: Request,
    name: str,
    *,
    wrong: dict[str, str] | None = None,
    lifetime: str = LIFETIME,
    status: int = 200,
) -> Response:
    principal, tokens = services_of(request).access.principals.view(name)
    return show(
        request,
        "principal.html",
        status=status,
        principal=principal,
        tokens=tokens,
        roles=COLUMNS,
        owners=_name_owners(request),
        lifetime=lifetime,
        wrong=wrong or {},
    )


def _show_new(
    request: Request, filled: dict[str, object], wrong: dict[str, str], *, status: int = 200
) -> Response:
    return show(
        request,
        "principal_new.html",
        status=status,
        filled=filled,
        wrong=wrong,
        roles=COLUMNS,
        owners=_name_owners(request),
    )


def _show_once(request: Request, name: str, token: str, first: Collected) -> Response:
    """Until its first use, and for an hour at most, the way of a pickup gives it once more."""
    key = first.key.expose()
    return show(
        request, "principal_token.html", principal=name, token=token, key=key, back=principal_path(name)
    )


def _name_owners(request: Request) -> list[str]:
    found = services_of(request).lookup.views.list_owners()
    return [one.name for one in found if not isinstance(one, UnreadableError)]


def _read_roles(sent: FormData) -> list[Role]:
    return [Role(str(one)) for one in sent.getlist("role") if str(one) in set(Role)]
