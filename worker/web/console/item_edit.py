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
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.commands import quote_word
from worker.domain.policies import OF_TARGET, PolicyChange
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
from worker.web.console.plan_fields import PLAN_FIELDS, TARGET_FIELDS, read_plan, show_plan
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.ways import ITEM, item_path

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_SETTINGS_MAX = 60_000
NO_ROTATOR = "-"


@router.get(f"{ITEM}/edit", **asks(Action.ITEM_UPDATE))
def ask(request: Request, item_id: str, visitor: Looks) -> Response:
    item = services_of(request).access.principals.find_item(visitor.principal, item_id, Action.ITEM_UPDATE)
    return _show(request, visitor, item, Filled())


@router.post(f"{ITEM}/edit", **asks(Action.ITEM_UPDATE))
def change(request: Request, item_id: str, visitor: Looks, form: Sent) -> Response:
    """Only what differs is changed, of the item as it was shown: who changed it meanwhile is not overruled."""
    services = services_of(request)
    item = services.access.principals.find_item(visitor.principal, item_id, Action.ITEM_UPDATE)
    try:
        wanted = _read(form, item, now=services.clock(), zone=visitor.zone)
        if _redirects(wanted):
            services.access.principals.check(visitor.principal, Action.ITEM_REDIRECT, owners=item.owners)
        updated = services.access.principals.update_item(
            visitor.principal, item, wanted, expected=frozenset({read_text(form, "revision")})
        )
    except (FieldError, NightkeyError) as error:
        return _show(request, visitor, item, refill(form, error), status=status_of(error))
    return go(item_path(updated.item.name), said="item-changed" if updated.changes else "nothing-changed")


def _redirects(wanted: ItemChange) -> bool:
    """Whether it would change where the value is sent, or what must be agreed to before that."""
    return bool(OF_TARGET & wanted.policy.parts.keys())


def _read(form: FormData, item: Item, *, now: datetime, zone: tzinfo) -> ItemChange:
    name, owners = read_text(form, "name"), read_owners(form)
    return ItemChange(
        name=name if name != item.name else None,
        owners=owners if set(owners) != set(item.owners) else UNCHANGED,
        expires_at=read_expiry(form, now=now, zone=zone),
        policy=PolicyChange(parts=_read_policy(form, item)),
        labels=compare_labels(item.labels, read_labels(form)) if "labels" in form else {},
    )


def _read_policy(form: FormData, item: Item) -> dict[str, Any]:
    """Of the policy, the parts that are not what they were; what is left out or empty stays."""
    policy = item.policy
    parts = read_plan(form, policy, PLAN_FIELDS + TARGET_FIELDS)
    mode = read_text(form, "mode")
    if mode and (mode != policy.mode or not policy.stated):
        parts["mode"] = mode
    rotator, target = read_text(form, "rotator"), read_text(form, "target")
    if rotator and rotator != (policy.rotator or NO_ROTATOR):
        parts["rotator"] = None if rotator == NO_ROTATOR else rotator
    if "target" in form and target != (policy.target or ""):
        parts["target"] = target or None
    if "settings" in form:
        settings = read_settings(form)
        if settings != dict(policy.settings):
            parts["settings"] = settings
    return parts


def read_settings(form: FormData) -> Mapping[str, Any]:
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
        **show_plan(policy, PLAN_FIELDS + TARGET_FIELDS),
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
        plan=PLAN_FIELDS,
        agreed=TARGET_FIELDS,
        redirects=visitor.may(Action.ITEM_REDIRECT, item.owners),
        quoted=quote_word(item.name),
    )


def owner_names(services: Services) -> list[str]:
    """Those that can be read."""
    return [one.name for one in services.lookup.views.list_owners() if isinstance(one, Owner)]
