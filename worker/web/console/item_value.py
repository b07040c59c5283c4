"""A new value for an item: typed by a person, current at once, and never shown again."""

from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NightkeyError
from vaultcore.forms import KEY_MAX, VALUE_MAX
from vaultcore.model import Item, Kind
from worker.domain.changes import ItemChange
from worker.domain.commands import quote_word, value_command
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.item_fields import (
    BY_POLICY,
    FieldError,
    Filled,
    demand,
    read_expiry,
    read_meant_value,
    refill,
    status_of,
)
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.ways import ITEM, item_path
from worker.wording.times import say_exactly

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)


@router.get(f"{ITEM}/value", **asks(Action.ITEM_REPLACE))
def ask(request: Request, item_id: str, visitor: Looks) -> Response:
    item = services_of(request).access.principals.find_item(visitor.principal, item_id, Action.ITEM_REPLACE)
    return _show(request, item, Filled())


@router.post(f"{ITEM}/value", **asks(Action.ITEM_REPLACE))
def take(request: Request, item_id: str, visitor: Looks, form: Sent) -> Response:
    """A new version, current at once; the old one works on for its overlap, as it is kept."""
    services = services_of(request)
    item = services.access.principals.find_item(visitor.principal, item_id, Action.ITEM_REPLACE)
    try:
        change = replace(ItemChange(), expires_at=read_expiry(form, now=services.clock(), zone=visitor.zone))
        says = not services.items.updates.lacks_expiry(item.id, change)
        demand(says, "expires", "say when the new value lapses, or that it never does")
        services.access.principals.update_item(visitor.principal, item, change, value=read_meant_value(form))
    except (FieldError, NightkeyError) as error:
        return _show(request, item, refill(form, error), status=status_of(error))
    return go(item_path(item.name), said="value-taken")


def _show(request: Request, item: Item, filled: Filled, *, status: int = 200) -> Response:
    services = services_of(request)
    lifetime = item.policy.lifetime
    by_policy = None
    if services.vault.expiry_of_next(item, item.policy) is not None:
        by_policy = (
            f"in {say_exactly(lifetime)}, as its policy says"
            if lifetime is not None and item.version is not None
            else "as it came in, or as its policy says"
        )
    return show(
        request,
        "item_value.html",
        status=status,
        item=item,
        is_key=item.kind is Kind.API_KEY,
        filled=filled,
        by_policy=by_policy,
        usual=BY_POLICY if by_policy else "",
        value_max=VALUE_MAX,
        key_max=KEY_MAX,
        users=[one.name for one in services.lookup.views.list_consumers(item)],
        command=value_command(item, services.clock()),
        quoted=quote_word(item.name),
    )
