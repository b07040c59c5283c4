"""An owner collects a key that was made while nobody looked: one page, one button, once."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NightkeyError
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, show
from worker.web.console.item_fields import FieldError, demand, read_text, status_of
from worker.web.console.key_shown_once import show_key
from worker.web.console.visits import Looks, PageRoute, Sent

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_TOKEN_MAX = 200


@router.get("/pickup", **asks(Action.PICKUP_COLLECT))
def ask(request: Request, visitor: Looks) -> Response:  # noqa: ARG001  # it is for who is signed in
    """The token is pasted, or comes behind the `#` of the link, which no server sees."""
    return show(request, "pickup.html", problem="")


@router.post("/pickup", **asks(Action.PICKUP_COLLECT))
def collect(request: Request, visitor: Looks, form: Sent) -> Response:
    """The key, to who answers for its item; refused the second time, with why."""
    services = services_of(request)
    try:
        token = read_text(form, "token", most=_TOKEN_MAX)
        demand(token, "token", "paste the token of the notice")
        item_id = services.rotation.pickups.find_item(token)
        services.access.principals.find_item(visitor.principal, item_id, Action.PICKUP_COLLECT)
        collected = services.rotation.pickups.collect(token, actor=visitor.principal.actor, show=lambda _: None)
    except (FieldError, NightkeyError) as error:
        said = str(error)
        return show(request, "pickup.html", status=status_of(error), problem=said[:1].upper() + said[1:])
    return show_key(request, collected)
