"""Several items at once: first what will happen to each, then one word, then what came of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NightkeyError
from vaultcore.model import UNCHANGED, Item
from worker.bootstrap import Services
from worker.domain.at_once import PAGE, ItemOutcome
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.domain.revisions import Expected, revision_of_item
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.item_edit import owner_names
from worker.web.console.item_fields import (
    FieldError,
    Filled,
    demand,
    read_labels,
    read_owners,
    read_text,
    refill,
    status_of,
)
from worker.web.console.plan_fields import PLAN_FIELDS, read_plan
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.wording.changes import say_change
from worker.wording.forms import say_for_forms

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)

OWNER, PLAN, LABELS, ROTATE = "owner", "plan", "labels", "rotate"
_ACTIONS: Final = {
    OWNER: Action.ITEM_UPDATE,
    PLAN: Action.ITEM_UPDATE,
    LABELS: Action.ITEM_UPDATE,
    ROTATE: Action.ITEM_ROTATE,
}


@dataclass(frozen=True, kw_only=True)
class ToldItem:
    """Of one item: what will happen, or has; `stays`: nothing does; `stands`: it is refused. `revision`: as it
    was looked at.
    """

    id: str
    name: str
    says: tuple[str, ...]
    stays: bool = False
    stands: bool = False
    revision: str = ""


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    what: str
    change: ItemChange


@router.get("/items-at-once", **asks(Action.ITEM_SEE))
@router.get("/items-at-once/do", **asks(Action.ITEM_SEE))
def choose(request: Request) -> Response:  # noqa: ARG001  # whoever comes back to it has chosen none
    return go(f"{CONSOLE}/items", said="none-chosen")


@router.post("/items-at-once", **asks(Action.ITEM_SEE))
def ask(request: Request, visitor: Looks, form: Sent) -> Response:
    """What will happen to each; nothing has yet."""
    return _preview(request, visitor, form)


@router.post("/items-at-once/do", **asks(Action.ITEM_SEE))
def do(request: Request, visitor: Looks, form: Sent) -> Response:
    """One after the other, each by itself, as it was looked at: what came of each is shown."""
    services, ids, seen = services_of(request), _ids(form), _seen(form)
    try:
        wanted = _read(form)
    except (FieldError, NightkeyError):
        return _preview(request, visitor, form)

    def act(item: Item) -> Sequence[str]:
        if wanted.what == ROTATE:
            services.rotation.opening.request(item.id, asked_by=visitor.principal.actor)
            return ["its replacement is begun"]
        updated = services.access.principals.update_item(
            visitor.principal, item, wanted.change, expected=seen.get(item.id)
        )
        return [say_change(one) for one in updated.changes]

    steps = [_step(services, visitor, one, wanted.what, act) for one in ids]
    return show(request, "items_done.html", steps=steps, what=wanted.what)


def _preview(request: Request, visitor: Visitor, form: FormData) -> Response:
    services, ids = services_of(request), _ids(form)
    if not ids:
        return go(f"{CONSOLE}/items", said="none-chosen")
    what = read_text(form, "what")
    steps: list[ToldItem] = []
    filled, status = Filled(given=dict(form.items())), 200
    if "ready" in form or what == ROTATE:
        try:
            wanted = _read(form)
        except (FieldError, NightkeyError) as error:
            filled, status = refill(form, error), status_of(error)
        else:
            steps = _foresee(services, visitor, ids, wanted)
    return show(
        request,
        "items_at_once.html",
        status=status,
        what=what if what in _ACTIONS else OWNER,
        ids=ids,
        steps=steps,
        filled=filled,
        given={
            name: form.get(name, "")
            for name in ("mode", *(one.name for one in PLAN_FIELDS), "labels", "no_labels")
        },
        plan=PLAN_FIELDS,
        owner_given=list(read_owners(form)),
        owners=owner_names(services),
    )


def _foresee(services: Services, visitor: Visitor, ids: Sequence[str], wanted: _Wanted) -> list[ToldItem]:
    if wanted.what != ROTATE:
        foreseen = services.bulk.items_at_once.foresee(visitor.principal, ids, wanted.change)
        return [_tell(one) for one in foreseen]

    def ask_for(item: Item) -> Sequence[str]:
        services.rotation.opening.check_request(item.id)
        return ["it waits for somebody else's approval" if item.policy.four_eyes else "it is replaced now"]

    return [_step(services, visitor, one, wanted.what, ask_for) for one in ids]


def _tell(one: ItemOutcome) -> ToldItem:
    says = [say_change(change) for change in one.changes] if one.why is None else [say_for_forms(one.why)]
    return ToldItem(
        id=one.id,
        name=one.name,
        says=tuple(says),
        stays=one.stays,
        stands=one.why is not None,
        revision=one.revision,
    )


def _ids(form: FormData) -> list[str]:
    return list(dict.fromkeys(one for one in form.getlist("item") if isinstance(one, str)))[:PAGE]


def _seen(form: FormData) -> dict[str, Expected]:
    """By id, as which an item was looked at."""
    pairs = [one.split() for one in form.getlist("seen") if isinstance(one, str)]
    return {pair[0]: frozenset({pair[1]}) for pair in pairs if len(pair) == 2}


def _read(form: FormData) -> _Wanted:
    what = read_text(form, "what")
    demand(what in _ACTIONS, "form", "choose what is to be done")
    if what == OWNER:
        owners = read_owners(form)
        demand(owners, "owner", "say who answers for them")
        return _Wanted(what=what, change=ItemChange(owners=owners))
    if what == LABELS:
        return _Wanted(what=what, change=ItemChange(labels=_read_labels(form)))
    parts: dict[str, Any] = {}
    if what == PLAN:
        mode = read_text(form, "mode")
        parts = ({"mode": mode} if mode else {}) | read_plan(form, None)
        demand(parts, "form", "say what is to be changed")
    return _Wanted(what=what, change=ItemChange(owners=UNCHANGED, policy=PolicyChange(parts=parts)))


def _read_labels(form: FormData) -> dict[str, str | None]:
    """Those that are set, and those that are taken away, which are named by their keys."""
    taken, given = read_labels(form, "no_labels"), read_labels(form)
    demand(given or taken, "labels", "say which labels are set, or taken away")
    wanted: dict[str, str | None] = {one.key: None for one in taken}
    for one in taken:
        demand(not one.value, "no_labels", f"name it by its key alone: {one.key}")
    for one in given:
        demand(one.key not in wanted, "labels", f"label {one.key} is set and taken away: choose one")
        wanted[one.key] = one.value
    return wanted


def _step(
    services: Services,
    visitor: Visitor,
    item_id: str,
    what: str,
    act: Callable[[Item], Sequence[str]],
) -> ToldItem:
    """One item's, whatever stands in the way of it: the others have theirs."""
    name = item_id
    try:
        item = services.access.principals.find_item(visitor.principal, item_id, _ACTIONS[what])
        name = item.name
        says, revision = tuple(act(item)), revision_of_item(item)
        return ToldItem(id=item.id, name=name, says=says, stays=not says, revision=revision)
    except NightkeyError as error:
        status_of(error)  # what failed here is no answer for one item
        return ToldItem(id=item_id, name=name, says=(say_for_forms(str(error)),), stands=True)
