"""What is done to an item by a button: replaced, in a hurry too, and deleted."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NightkeyError, RefusedError
from vaultcore.model import Item
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go
from worker.web.console.item import show_item
from worker.web.console.item_fields import FieldError, status_of
from worker.web.console.key_shown_once import show_key
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.ways import ITEM, item_path
from worker.wording.forms import say_for_forms

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)


@router.post(f"{ITEM}/rotate", **asks(Action.ITEM_ROTATE))
def rotate(request: Request, item_id: str, visitor: Looks, form: Sent) -> Response:
    """Opens a rotation; whoever works on the vault goes on with it."""
    item = _find(request, visitor, item_id, Action.ITEM_ROTATE)

    def do() -> str:
        opened = services_of(request).rotation.opening.request(
            item.id, asked_by=visitor.principal.actor, in_freeze="in_freeze" in form
        )
        return "rotation-waits" if opened.request_digest is not None else "rotation-asked"

    return _try(request, visitor, item, do)


@router.post(f"{ITEM}/emergency", **asks(Action.ITEM_EMERGENCY))
def rotate_in_a_hurry(request: Request, item_id: str, visitor: Looks) -> Response:
    """Without tests and overlap: somebody else knows the value."""
    item = _find(request, visitor, item_id, Action.ITEM_EMERGENCY)

    def do() -> str:
        services_of(request).rotation.opening.request_emergency(item.id, asked_by=visitor.principal.actor)
        return "emergency-asked"

    return _try(request, visitor, item, do)


@router.post(f"{ITEM}/check", **asks(Action.ITEM_CHECK))
def check(request: Request, item_id: str, visitor: Looks) -> Response:
    """Asks the other side now; the page says what it answered."""
    item = _find(request, visitor, item_id, Action.ITEM_CHECK)

    def do() -> str:
        checked = services_of(request).rotation.credential_checks.check_now(
            item.id, actor=visitor.principal.actor
        )
        return f"check-{checked.answer.outcome}"

    return _try(request, visitor, item, do)


@router.post(f"{ITEM}/first-key", **asks(Action.ITEM_ROTATE))
def make_first_key(request: Request, item_id: str, visitor: Looks) -> Response:
    """The key of an item that came in without one, shown once."""
    item = _find(request, visitor, item_id, Action.ITEM_ROTATE)
    services = services_of(request)
    services.access.principals.check_token(visitor.principal, item.id, Action.PICKUP_COLLECT)
    try:
        _, first = services.items.creation.make_first_key(item.id, actor=visitor.principal.actor)
    except NightkeyError as error:
        again = services.rotation.pickups.repeat_first(item.name, actor=visitor.principal.actor)
        if again is not None:  # the page that has it was loaded once more
            return show_key(request, again, again=True)
        status = status_of(error)
        return show_item(request, services, visitor, item.id, problem=say_for_forms(str(error)), status=status)
    return show_key(request, first)


@router.post(f"{ITEM}/delete", **asks(Action.ITEM_DELETE))
def delete(request: Request, item_id: str, visitor: Looks) -> Response:
    """The item and every value of it are gone; refused while anything uses it, with who that is."""
    item = _find(request, visitor, item_id, Action.ITEM_DELETE)
    services = services_of(request)
    try:
        services.items.deletion.delete(item.id, actor=visitor.principal.actor)
    except RefusedError as error:
        return show_item(request, services, visitor, item.id, problem=str(error), status=409)
    return go(f"{CONSOLE}/items", said="item-deleted")


def _find(request: Request, visitor: Visitor, item_id: str, action: Action) -> Item:
    return services_of(request).access.principals.find_item(visitor.principal, item_id, action)


def _try(request: Request, visitor: Visitor, item: Item, do: Callable[[], str]) -> Response:
    """Back to the item, with what was done, or with why it was not."""
    try:
        said = do()
    except (FieldError, NightkeyError) as error:
        status = status_of(error)
        return show_item(
            request, services_of(request), visitor, item.id, problem=say_for_forms(str(error)), status=status
        )
    return go(item_path(item.name), said=said)
