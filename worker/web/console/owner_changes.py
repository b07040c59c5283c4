"""An owner leaves, gets another name, or is deleted: for who manages owners."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.visits import Looks, PageRoute, Sent, fields_of
from worker.web.console.ways import owner_path
from worker.wording.people import describe_departure

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)


@router.post("/owners-rename/{name:path}", **asks(Action.OWNER_MANAGE))
def rename(request: Request, visitor: Looks, name: str, sent: Sent) -> Response:
    """Items, routes, deputies and roles stay theirs."""
    new = str(fields_of(sent).get("name", "")).strip()
    owner = services_of(request).rotation.owner_changes.rename(name, new, actor=visitor.principal.actor)
    return go(owner_path(owner.name), said="owner-renamed")


@router.post("/owners-delete/{name:path}", **asks(Action.OWNER_MANAGE))
def delete(request: Request, visitor: Looks, name: str, sent: Sent) -> Response:
    """Refused, with names, while anything hangs on them that goes to nobody."""
    to = str(fields_of(sent).get("to", "")).strip() or None
    services_of(request).rotation.owner_changes.delete(name, to=to, actor=visitor.principal.actor)
    return go(f"{CONSOLE}/owners", said="owner-deleted")


@router.get("/owners-leave/{name:path}", **asks(Action.OWNER_MANAGE))
def ask_to_leave(request: Request, visitor: Looks, name: str) -> Response:
    """What they could read, and whom it may go to."""
    _ = visitor
    services = services_of(request)
    owner = services.notices.address_book.get(name)
    readable = services.rotation.offboarding.preview(owner.name)
    return show(request, "owner_leave.html", owner=owner, readable=readable, departure=None)


@router.post("/owners-leave/{name:path}", **asks(Action.OWNER_MANAGE))
def leave(request: Request, visitor: Looks, name: str, sent: Sent) -> Response:
    """Begins it, or goes on with it; workers drive it. Asked again, it says how it stands."""
    services, given = services_of(request), fields_of(sent)
    owner = services.notices.address_book.get(name)
    departure = services.night.departures.begin(
        owner.name,
        emergency=given.get("compromised") == "yes",
        in_freeze=False,
        to=str(given.get("to", "")).strip() or None,
        actor=visitor.principal.actor,
    )
    return show(request, "owner_leave.html", owner=owner, readable=[], departure=describe_departure(departure))
