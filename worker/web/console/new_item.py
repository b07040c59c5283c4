"""A new item, as the guide has it: name, value, expiry, owner, and who replaces it."""

from datetime import datetime, tzinfo
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NightkeyError, RefusedError
from vaultcore.forms import KEY_MAX, VALUE_MAX
from vaultcore.model import Kind, Mode, Policy, Unchanged
from vaultcore.rules import API_KEY_PREFIX, NAME_MAX, NAME_MIN, is_generic, kind_of
from worker.bootstrap import Services
from worker.domain.policies import OF_TARGET, PolicyChange
from worker.domain.reasons import Code, Reason
from worker.rotators.catalog import rotator_names
from worker.services.rotation.pickups import Collected
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.item_edit import NO_ROTATOR, owner_names, read_settings
from worker.web.console.item_fields import (
    BY_POLICY,
    NEVER,
    FieldError,
    Filled,
    demand,
    read_expiry,
    read_labels,
    read_meant_value,
    read_owners,
    read_text,
    refill,
    status_of,
)
from worker.web.console.key_shown_once import show_key
from worker.web.console.plan_fields import NEW_TARGET_FIELDS, read_plan, show_plan
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.ways import item_path
from worker.wording.reasons import say

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_NAME_MAX: Final = 250


@router.get("/items-new", **asks(Action.ITEM_CREATE))
def ask(request: Request, visitor: Looks, name: str = "") -> Response:
    """`name`: which item somebody came to add."""
    return _show(request, visitor, Filled(given={"name": name[:_NAME_MAX]} if name else {}))


@router.get("/items-new/name", **asks(Action.ITEM_CREATE))
def judge_name(request: Request, name: str = "", shown: str = "") -> Response:
    """While it is typed: what the vault would say to such a name. `shown`: for which kind the form is."""
    problem, hint = _judge(services_of(request), name[:_NAME_MAX])
    kind = kind_of(name)
    return show(
        request,
        "new_item_name.html",
        problem=problem,
        hint=hint,
        is_key=kind is Kind.API_KEY,
        switches=shown != kind,
        filled=Filled(),
        **_limits(),
    )


@router.post("/items-new", **asks(Action.ITEM_CREATE))
def create(request: Request, visitor: Looks, form: Sent) -> Response:
    """The item; the key that it generates is shown here and never again."""
    services = services_of(request)
    try:
        name, owners = read_text(form, "name"), read_owners(form)
        demand(owners, "owner", "say who answers for it: they are told before it lapses")
        services.access.principals.check(visitor.principal, Action.ITEM_CREATE, owners=owners)
        parts, labels = _read_plan(form), read_labels(form)
        if _redirects(parts):
            services.access.principals.check(visitor.principal, Action.ITEM_REDIRECT, owners=owners)
        expires_at = _read_expiry(form, parts, now=services.clock(), zone=visitor.zone)
        value = read_meant_value(form)
        with services.access.principals.without_names(visitor.principal):
            created, first = services.items.creation.create(
                name,
                read_value=(lambda: value) if len(value) else None,
                owners=owners,
                expires_at=expires_at,
                policy=PolicyChange(parts=parts),
                labels=labels,
                actor=visitor.principal.actor,
            )
    except (FieldError, NightkeyError) as error:
        again = _repeat(services, visitor, form, error)
        if again is not None:
            return show_key(request, again, again=True)
        return _show(request, visitor, refill(form, error), status=status_of(error))
    if first is not None:
        return show_key(request, first)
    return go(item_path(created.name), said="item-created")


def _repeat(services: Services, visitor: Visitor, form: FormData, error: Exception) -> Collected | None:
    """The key of an item that they have just added: the page that has it was loaded once more."""
    if not isinstance(error, RefusedError):
        return None
    return services.rotation.pickups.repeat_first(read_text(form, "name"), actor=visitor.principal.actor)


def _judge(services: Services, name: str) -> tuple[str, str]:
    """What is wrong with a name, or what might be better of it."""
    if not name.strip():
        return "", ""
    try:
        kept = services.items.creation.check_new_name(name.strip())
    except NightkeyError as error:
        said = str(error)
        return said[:1].upper() + said[1:], ""
    if is_generic(kept.removeprefix(API_KEY_PREFIX)):
        said = say(Reason.of(Code.GENERIC_NAME))
        return "", said[:1].upper() + said[1:]
    return "", ""


def _read_expiry(form: FormData, parts: dict[str, Any], *, now: datetime, zone: tzinfo) -> datetime | None:
    """None: it never lapses, or the lifetime says when it does."""
    chosen, lapses = (
        read_text(form, "expires"),
        "lifetime" in parts or parts.get("mode", Mode.NOTIFY) != Mode.NOTIFY,
    )
    if chosen == NEVER and lapses:
        raise FieldError("expires", "what has a lifetime, or is replaced by Nightkey, lapses: choose a time")
    if chosen == BY_POLICY and not lapses:
        raise FieldError("expires", "no lifetime says when it lapses: choose a time, or never")
    found = read_expiry(form, now=now, zone=zone)
    return None if isinstance(found, Unchanged) else found


def _read_plan(form: FormData) -> dict[str, Any]:
    """What somebody chose of its policy: nothing chosen, nothing stated."""
    mode, rotator, lifetime = (read_text(form, name) for name in ("mode", "rotator", "lifetime"))
    parts: dict[str, Any] = {}
    if mode:
        parts["mode"] = mode
    if rotator not in ("", NO_ROTATOR):
        parts["rotator"] = rotator
    settings = read_settings(form)
    if settings:
        parts["settings"] = settings
    parts |= read_plan(form, Policy(), NEW_TARGET_FIELDS)
    if lifetime:
        parts["lifetime"] = lifetime
    return parts


def _redirects(parts: dict[str, Any]) -> bool:
    return bool(OF_TARGET & parts.keys())


def _limits() -> dict[str, Any]:
    return {"value_max": VALUE_MAX, "key_max": KEY_MAX, "name_min": NAME_MIN, "name_max": NAME_MAX}


def _show(request: Request, visitor: Visitor, filled: Filled, *, status: int = 200) -> Response:
    services = services_of(request)
    usual: dict[str, Any] = {
        "name": "",
        "expires": "90",
        "owner": sorted(visitor.principal.owners),
        "mode": Mode.NOTIFY.value,
        "rotator": NO_ROTATOR,
        "settings": "",
        **show_plan(Policy(), NEW_TARGET_FIELDS),
        "lifetime": "",
        "labels": "",
    }
    given = {**usual, **filled.given}
    problem, hint = ("", "") if "name" in filled.errors else _judge(services, given["name"])
    return show(
        request,
        "new_item.html",
        status=status,
        filled=filled,
        given=given,
        hint=problem or hint,
        is_key=kind_of(given["name"]) is Kind.API_KEY,
        owners=owner_names(services),
        modes=list(Mode),
        rotators=rotator_names(),
        agreed=NEW_TARGET_FIELDS,
        redirects=visitor.may(Action.ITEM_REDIRECT, ()),
        by_policy=BY_POLICY,
        **_limits(),
    )
