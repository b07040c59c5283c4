"""`/nightkey/items` and `/nightkey/policies`: an item whole, who answers for it, and how it is kept from
lapsing.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action, Principal
from vaultcore.errors import NotFoundError
from vaultcore.model import Item
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.domain.revisions import Expected, revision_of_item
from worker.services.items.page_update import Updated
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.wire import Seen, leave_out, show_revision
from worker.wording.harm import list_harm
from worker.wording.plain import to_plain
from worker.wording.shapes import describe_policy, describe_whole_item

router = APIRouter(prefix="/nightkey", tags=["items"], route_class=AskedRoute)
_DURATION: dict[str, Any] = {"max_length": 40}
LEFT_OUT: dict[str, Any] = {"default_factory": lambda: None}
"""Of what has no null: only what is given counts."""
_TEXT: dict[str, Any] = {"max_length": 200}


class ShownPolicy(BaseModel):
    """Times are durations such as `90d` or `1d12h`; `thresholds` are days before expiry. `stated` false: nobody
    chose it. `copy_of`: the item, by name, of which it holds the same credential. `named`: the named policy
    that it follows.
    """

    mode: str
    named: str | None
    stated: bool
    rotator: str | None
    settings: dict[str, Any]
    target: str | None
    copy_of: str | None
    lifetime: str | None
    lead: str
    spread: str | None
    overlap: str
    idle_after: str
    thresholds: list[int]
    windows: list[str]
    freezes: list[str]
    expiry_first: bool
    canary: str | None
    four_eyes: bool
    approval: str
    pickup: str
    urgent: bool
    propagation: str
    answers: int | None
    renew: bool
    consumers: str


class ItemPolicy(BaseModel):
    item: str
    item_id: str
    policy: ShownPolicy


class ShownVersion(BaseModel):
    number: int
    stage: str
    expires_at: datetime | None
    created_at: datetime
    activated_at: datetime | None
    destroyed_at: datetime | None
    used_at: datetime | None


class ShownReference(BaseModel):
    """A node that names it. `mentioned`: nothing looks it up there."""

    consumer: str
    name: str
    node: str
    active: bool
    runs: str
    mentioned: bool
    pinned: int | None
    last_version: int | None
    last_run_at: datetime | None
    proven_version: int | None


class ItemRow(BaseModel):
    """Never its value. `due_at`: when its rotation begins; `version` null: it waits for its value."""

    id: str
    name: str
    kind: str
    owners: list[str]
    labels: dict[str, str] = Field(examples=[{"env": "prod", "team": "payments"}])
    version: int | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    due_at: datetime | None
    hold_until: datetime | None
    policy: ShownPolicy


class ShownCheck(BaseModel):
    """What the other side said of a version, and from when on a night may ask again. `command`: of the command
    line, which helps where it refuses the current one.
    """

    checked_at: datetime
    version: int
    outcome: str
    said: str
    next_at: datetime
    command: str | None


class ExplainedPart(BaseModel):
    """A part of a policy in words. `source`: who said it: `own`, `named` (the policy that it follows), or
    `default`: nobody.
    """

    part: str
    says: str
    source: str


class WholeItem(ItemRow):
    """`checked`: the last time that the other side was asked whether a value still works; null: it never was.
    `replaced`: what is known of the old value beside a new one. `command`: of the command line, which gives
    it the value that it waits for. `explained`: each part of its policy in words. `harm`: what its rotation in
    an emergency may break.
    """

    copies: list[str]
    checked: ShownCheck | None
    replaced: str | None
    command: str | None
    harm: list[str]
    explained: list[ExplainedPart]
    versions: list[ShownVersion]
    references: list[ShownReference]


class PolicyPlan(BaseModel):
    """When and how it is rotated; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    mode: Literal["auto", "approve", "notify"] = Field(**LEFT_OUT, examples=["approve"])
    lifetime: str = Field(**LEFT_OUT, examples=["90d"], **_DURATION)
    lead: str = Field(**LEFT_OUT, examples=["14d"], **_DURATION)
    spread: str = Field(**LEFT_OUT, **_DURATION)
    overlap: str = Field(**LEFT_OUT, examples=["1d"], **_DURATION)
    idle_after: str = Field(**LEFT_OUT, **_DURATION)
    approval: str = Field(**LEFT_OUT, **_DURATION)
    pickup: str = Field(**LEFT_OUT, **_DURATION)
    propagation: str = Field(**LEFT_OUT, **_DURATION)
    thresholds: list[int] = Field(**LEFT_OUT, max_length=50, examples=[[30, 14, 7]])
    windows: list[str] = Field(**LEFT_OUT, max_length=50, examples=[["0 2 * * 1-5 for 4h in Europe/Zurich"]])
    freezes: list[str] = Field(**LEFT_OUT, max_length=50)
    expiry_first: bool = Field(**LEFT_OUT)
    canary: str | None = Field(default=None, **_TEXT)
    urgent: bool = Field(**LEFT_OUT)
    answers: int | None = Field(default=None, ge=1, le=20)


class PolicyTarget(BaseModel):
    """Where its value is sent, and what must be shown and agreed to before that. `settings` take the place of
    all; `set` goes over those that are there, part by part, and `unset` takes some away, dotted.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    rotator: str | None = Field(default=None, examples=["http"], **_TEXT)
    settings: dict[str, Any] = Field(**LEFT_OUT)
    set: dict[str, Any] = Field(default={}, examples=[{"create": {"url": "https://crm.example.com/tokens"}}])
    unset: list[str] = Field(default=[], max_length=50)
    target: str | None = Field(default=None, **_TEXT)
    copy_of: str | None = Field(default=None, **_TEXT)
    consumers: Literal["required", "none"] = Field(**LEFT_OUT)
    renew: bool = Field(**LEFT_OUT)
    four_eyes: bool = Field(**LEFT_OUT)


class Changed(BaseModel):
    field: str
    before: Any
    after: Any


class ChangedPolicy(ItemPolicy):
    """`changes`: what differs from before; none: it was so already."""

    changes: list[Changed]


@router.get("/items/{item:name}", **asks(Action.ITEM_SEE))
def get_item(request: Request, response: Response, principal: Asker, item: str) -> WholeItem:
    """An item with its policy, its versions and who uses it."""
    found = services_of(request).access.principals.find_item(principal, item, Action.ITEM_SEE)
    show_revision(revision_of_item(found), response)
    return WholeItem(**show_whole(request, found))


@router.get("/policies", tags=["policies"], **asks(Action.ITEM_SEE))
def list_policies(request: Request, response: Response, principal: Asker) -> list[ItemPolicy]:
    """Of all items that the principal may see, by name."""
    services = services_of(request)
    found = leave_out(services.lookup.views.list_items(), response)
    names = {item.id: item.name for item in found}
    return [_show(item, names) for item in found if services.access.principals.sees(principal, item.owners)]


@router.get("/policies/{item:name}", tags=["policies"], **asks(Action.ITEM_SEE))
def get_policy(request: Request, response: Response, principal: Asker, item: str) -> ItemPolicy:
    found = services_of(request).access.principals.find_item(principal, item, Action.ITEM_SEE)
    show_revision(revision_of_item(found), response)
    return _show(services_of(request).items.views.view(found.id).item, _name_original(request, found))


@router.patch("/policies/{item:name}/target", tags=["policies"], **asks(Action.ITEM_REDIRECT))
def redirect(
    request: Request, response: Response, principal: Asker, item: str, wanted: PolicyTarget, seen: Seen
) -> ChangedPolicy:
    """Its rotator, the rotator's settings, its target: as good as reading the value, so an item's owner may
    not.
    """
    found = services_of(request).access.principals.find_item(principal, item, Action.ITEM_REDIRECT)
    updated = _change(request, found, change_of(wanted), principal, seen)
    show_revision(revision_of_item(updated.item), response)
    return _show_change(request, updated)


@router.patch("/policies/{item:name}", tags=["policies"], **asks(Action.ITEM_UPDATE))
def change_plan(
    request: Request, response: Response, principal: Asker, item: str, plan: PolicyPlan, seen: Seen
) -> ChangedPolicy:
    """When and how it is rotated; where its value is sent takes `…/target`. With mode `auto` in place of
    another nobody is asked any more: that takes who may approve.
    """
    found = services_of(request).access.principals.find_item(principal, item, Action.ITEM_UPDATE)
    updated = _change(request, found, PolicyChange(parts=given_in(plan)), principal, seen)
    show_revision(revision_of_item(updated.item), response)
    return _show_change(request, updated)


def change_of(wanted: PolicyTarget, plan: PolicyPlan | None = None) -> PolicyChange:
    parts = {name: part for name, part in given_in(wanted).items() if name not in ("set", "unset")}
    planned = {} if plan is None else given_in(plan)
    return PolicyChange(parts=planned | parts, assigned=wanted.set, unset=tuple(wanted.unset))


def given_in(change: BaseModel) -> dict[str, Any]:
    return {name: getattr(change, name) for name in change.model_fields_set}


def _change(
    request: Request, item: Item, change: PolicyChange, principal: Principal, seen: Expected | None
) -> Updated:
    wanted = ItemChange(policy=change)
    return services_of(request).access.principals.update_item(principal, item, wanted, expected=seen)


def _show_change(request: Request, updated: Updated) -> ChangedPolicy:
    shown = _show(updated.item, _name_original(request, updated.item))
    return ChangedPolicy(**shown.model_dump(), changes=show_changes(updated))


def show_changes(updated: Updated) -> list[Changed]:
    return [
        Changed(field=one.field, before=to_plain(one.before), after=to_plain(one.after))
        for one in updated.changes
    ]


def _name_original(request: Request, item: Item) -> dict[str, str]:
    """The name of the item of which it is a copy, by its id, as long as there is one."""
    of = item.policy.copy_of
    with suppress(NotFoundError):
        return {} if of is None else {of: services_of(request).lookup.views.get_item(of).name}
    return {}


def _show(item: Item, names: Mapping[str, str]) -> ItemPolicy:
    return ItemPolicy(item=item.name, item_id=item.id, policy=_show_policy(item, names))


def _show_policy(item: Item, names: Mapping[str, str]) -> ShownPolicy:
    of = item.policy.copy_of
    return ShownPolicy(**describe_policy(item.policy, copy_of=of and names.get(of, of)))


def show_whole(request: Request, item: Item) -> dict[str, Any]:
    services = services_of(request)
    view = services.items.views.view(item.id)
    harm = list_harm(view.item, services.lookup.views.list_consumers(view.item))
    return describe_whole_item(view, services.clock()) | {"harm": harm}
