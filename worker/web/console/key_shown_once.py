"""A key that was made here, shown once: to be copied, and kept by whoever asked for it."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from worker.services.rotation.pickups import Collected
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.item_fields import read_text
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.ways import item_path

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)


def show_key(request: Request, collected: Collected, *, again: bool = False) -> Response:
    """The one page that has it. That it is stored is what its reader says next; before that it may be loaded
    once more (`again`).
    """
    return show(
        request,
        "key_shown_once.html",
        key=collected.key.expose(),
        item=collected.item,
        pickup_id=collected.pickup_id,
        version=collected.version,
        again=again,
    )


@router.post("/keys/stored", **asks(Action.ITEM_SEE))
def stored(request: Request, visitor: Looks, form: Sent) -> Response:
    """Its reader has it: it is not kept here any longer. Anybody else is refused by the pickup itself."""
    services = services_of(request)
    item_id = services.rotation.pickups.end_stored(read_text(form, "pickup"), actor=visitor.principal.actor)
    item = services.access.principals.find_item(visitor.principal, item_id, Action.ITEM_SEE)
    return go(item_path(item.name), said="key-stored")
