"""What may be changed of an item: its name, expiry, owners, and plan; where its value is sent, for who may."""

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NightkeyError
from vaultcore.labels import compare_labels, join_line
from vaultcore.model import UNCHANGED, Item, Mode, Owner
from vaultcore.rules import show_duration
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.commands import quote_word
from worker.domain.policies import PolicyChange
from worker.domain.revisions import revision_of_item
from worker.domain.strict_json import parse_json
from worker.rotators.catalog import rotator_names
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.item_fields import (
    KEEP,
    FieldError,
    Filled,
    read_expiry,
    read_labels,
    read_owners,
    read_text,
    refill,
    status_of,
)
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.ways import item_path

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_LENGTHS = ("lifetime", "lead", "overlap")
_SETTINGS_MAX = 60_000
NO_ROTATOR = "-"


@router.get("/items/{item_id}/edit", **asks(Action.ITEM_UPDATE))
def ask(request: Request, item_id: str, visitor: Looks) -> Response:
    item = services_of(request).principals.find_item(visitor.principal, item_id, Action.ITEM_UPDATE)
    return _show(request, visitor, item, Filled())


@router.post("/items/{item_id}/edit", **asks(Action.ITEM_UPDATE))
def change(request: Request, item_id: str, visitor: Looks, form: Sent) -> Response:
    """Only what differs is changed, of the item as it was shown: who changed it meanwhile is not overruled."""
    services = services_of(request)
    item = services.principals.find_item(visitor.principal, item_id, Action.ITEM_UPDATE)
    try:
        wanted = _read(form, item, now=services.clock(), zone=visitor.zone)
        if _redirects(wanted):
            services.principals.check(visitor.principal, Action.ITEM_REDIRECT, owners=item.owners)
        updated = services.principals.update_item(
            visitor.principal, item, wanted, expected=frozenset({read_text(form, "revision")})
        )
    except (FieldError, NightkeyError) as error:
        return _show(request, visitor, item, refill(form, error), status=status_of(error))
    return go(item_path(updated.item.name), said="item-changed" if updated.changes else "nothing-changed")


def _redirects(wanted: ItemChange) -> bool:
    """Whether it would change where the value is sent."""
    return bool({"rotator", "target", "settings"} & wanted.policy.parts.keys())


def _read(form: FormData, item: Item, *, now: datetime, zone: tzinfo) -> ItemChange:
    name, owners = read_text(form, "name"), read_owners(form)
    return ItemChange(
        name=name if name != item.name else None,
        owners=owners if set(owners) != set(item.owners) else UNCHANGED,
        expires_at=read_expiry(form, now=now, zone=zone),
        policy=PolicyChange(parts=read_plan(form, item)),
        labels=compare_labels(item.labels, read_labels(form)) if "labels" in form else {},
    )


def read_plan(form: FormData, item: Item) -> dict[str, Any]:
    """Of the policy, the parts that are not what they were; what is left out or empty stays."""
    policy, parts = item.policy, dict[str, Any]()
    mode = read_text(form, "mode")
    if mode and (mode != policy.mode or not policy.stated):
        parts["mode"] = mode
    for name in _LENGTHS:
        now, given = getattr(policy, name), read_text(form, name)
        if given and given != (show_duration(now) if now is not None else ""):
            parts[name] = given
    rotator, target = read_text(form, "rotator"), read_text(form, "target")
    if rotator and rotator != (policy.rotator or NO_ROTATOR):
        parts["rotator"] = None if rotator == NO_ROTATOR else rotator
    if "target" in form and target != (policy.target or ""):
        parts["target"] = target or None
    if "settings" in form:
        settings = _read_settings(form)
        if settings != dict(policy.settings):
            parts["settings"] = settings
    return parts


def _read_settings(form: FormData) -> Mapping[str, Any]:
    text = read_text(form, "settings", most=_SETTINGS_MAX)
    try:
        found = parse_json(text) if text else {}
    except InvalidInputError as error:
        problem = str(error)
    else:
        if isinstance(found, dict):
            return found
        problem = "write an object, as in { }"
    raise FieldError("settings", f"this is not JSON that can be kept: {problem}")


def _show(request: Request, visitor: Visitor, item: Item, filled: Filled, *, status: int = 200) -> Response:
    services, policy = services_of(request), item.policy
    usual: dict[str, Any] = {
        "name": item.name,
        "expires": KEEP,
        "owner": list(item.owners),
        "labels": join_line(item.labels),
        "mode": policy.mode.value if policy.stated else "",
        **{name: _show_length(getattr(policy, name)) for name in _LENGTHS},
        "rotator": policy.rotator or NO_ROTATOR,
        "target": policy.target or "",
        "settings": json.dumps(dict(policy.settings), indent=2, ensure_ascii=False) if policy.settings else "",
    }
    return show(
        request,
        "item_edit.html",
        status=status,
        item=item,
        filled=filled,
        given={**usual, **filled.given},
        revision=filled.given.get("revision") or revision_of_item(item),
        owners=owner_names(services),
        modes=list(Mode),
        rotators=rotator_names(),
        redirects=visitor.may(Action.ITEM_REDIRECT, item.owners),
        quoted=quote_word(item.name),
    )


def _show_length(length: Any) -> str:  # noqa: ANN401  # a duration, or none
    return "" if length is None else show_duration(length)


def owner_names(services: Services) -> list[str]:
    """Those that can be read."""
    return [one.name for one in services.views.list_owners() if isinstance(one, Owner)]
