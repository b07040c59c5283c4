"""`/nightkey/items`: all of them with their plan, and one made or changed at once, with value and plan."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from vaultcore.access import Action, Principal
from vaultcore.labels import LABELS_MAX, read_labels
from vaultcore.model import UNCHANGED
from vaultcore.secret import Secret
from worker.domain.changes import ItemChange
from worker.domain.revisions import revision_of_item
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.items import (
    LEFT_OUT,
    Changed,
    ItemRow,
    PolicyPlan,
    PolicyTarget,
    WholeItem,
    change_of,
    show_changes,
    show_whole,
)
from worker.web.api.values import Time
from worker.web.api.vault import ItemQuery
from worker.web.api.wire import Seen, give_page, show_revision
from worker.wording.shapes import describe_item
from worker.wording.warnings import word_warnings

router = APIRouter(prefix="/nightkey/items", tags=["items"], route_class=AskedRoute)


class ItemParts(BaseModel):
    """`plan`: when and how it is rotated. `target`: where its value is sent, which takes more."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: SecretStr | None = Field(default=None, examples=["the value"])
    plan: PolicyPlan = Field(default=PolicyPlan(), examples=[{"mode": "approve", "lifetime": "90d"}])
    target: PolicyTarget = Field(default=PolicyTarget(), examples=[{}])


class WantedItem(ItemParts):
    name: str = Field(min_length=1, max_length=250, examples=["prod-ticketing-api-token"])
    expires_at: Time | None = Field(default=None, examples=["2027-05-30T02:00:00Z"])
    owners: list[str] = Field(min_length=1, max_length=100, examples=[["platform"]])
    labels: dict[str, str] = Field(
        default={}, max_length=LABELS_MAX, examples=[{"env": "prod", "team": "payments"}]
    )


class SharedChanges(BaseModel):
    """What is left out stays as it is; `expires_at` null: it never lapses. Of `labels` those that have a value
    are set, and those that are null taken away; others stay.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    plan: PolicyPlan = Field(default=PolicyPlan(), examples=[{"mode": "approve", "lifetime": "90d"}])
    target: PolicyTarget = Field(default=PolicyTarget(), examples=[{}])
    owners: list[str] = Field(**LEFT_OUT, max_length=100, examples=[["platform"]])
    labels: dict[str, str | None] = Field(
        default={}, max_length=2 * LABELS_MAX, examples=[{"env": "prod", "team": None}]
    )
    expires_at: Time | None = Field(default=None, examples=["2027-05-30T02:00:00Z"])

    @property
    def wanted(self) -> ItemChange:
        named = self.model_fields_set
        return ItemChange(
            owners=self.owners if "owners" in named else UNCHANGED,
            expires_at=self.expires_at if "expires_at" in named else UNCHANGED,
            policy=change_of(self.target, self.plan),
            labels=self.labels,
        )


class ItemChanges(SharedChanges, ItemParts):
    """As `SharedChanges`, and what an item has for itself alone."""

    name: str = Field(**LEFT_OUT, min_length=1, max_length=250, examples=["prod-ticketing-api-token"])


class KeptItem(WholeItem):
    """`secret`: the key that an `api-key:` item has generated, here and never again. `warnings`: what is taken
    as it is, and may not be meant.
    """

    secret: str | None
    warnings: list[str]


class UpdatedItem(WholeItem):
    """`changes`: what differs from before. `ends_rotation`: the open one that ends on the new value. `follows`:
    its copies, which are of the same original now; `unlike`: those with another value than that.
    """

    changes: list[Changed]
    ends_rotation: str | None
    follows: list[str]
    unlike: list[str]
    warnings: list[str]


@router.get("", **asks(Action.ITEM_SEE))
def list_items(
    request: Request, response: Response, principal: Asker, query: Annotated[ItemQuery, Query()]
) -> list[ItemRow]:
    """The items that the principal may see, by name unless `sort` says otherwise. `copy_of` is an id here."""
    page = services_of(request).lookup.lists.page_items(query.wanted, query.page, seen_by=principal)
    return [
        ItemRow(**describe_item(one.item, copy_of=one.item.policy.copy_of))
        for one in give_page(page, request, response)
    ]


@router.post("", status_code=201, **asks(Action.ITEM_CREATE))
def make_item(request: Request, principal: Asker, new: WantedItem) -> KeptItem:
    """A new item with its value and its plan. One whose name begins with `api-key:` generates its value."""
    services, given = services_of(request), _value(new)
    services.access.principals.check(principal, Action.ITEM_CREATE, owners=new.owners)
    _check_target(request, principal, new.target, new.owners)
    with services.access.principals.without_names(principal):
        created, first = services.items.creation.create(
            new.name,
            read_value=None if given is None else lambda: given,
            owners=new.owners,
            expires_at=new.expires_at,
            policy=change_of(new.target, new.plan),
            labels=read_labels(new.labels),
            actor=principal.actor,
        )
    warned = word_warnings(created.name, services.items.views.warn(created, [] if given is None else [given]))
    secret = None if first is None else first.key.expose()
    return KeptItem(**show_whole(request, created), warnings=warned, secret=secret)


@router.patch("/{item:name}", **asks(Action.ITEM_UPDATE))
def change_item(
    request: Request, response: Response, principal: Asker, item: str, change: ItemChanges, seen: Seen
) -> UpdatedItem:
    """What is given, all at once or nothing. A new secret is a new version, current at once."""
    services, named, value = services_of(request), change.model_fields_set, _value(change)
    found = services.access.principals.find_item(principal, item, Action.ITEM_UPDATE)
    if value is not None:
        services.access.principals.check(principal, Action.ITEM_REPLACE, owners=found.owners)
    _check_target(request, principal, change.target, found.owners)
    wanted = replace(change.wanted, name=change.name if "name" in named else None)
    updated = services.access.principals.update_item(principal, found, wanted, value=value, expected=seen)
    show_revision(revision_of_item(updated.item), response)
    warned = services.items.views.warn(updated.item, [] if value is None else [value])
    return UpdatedItem(
        **show_whole(request, updated.item),
        changes=show_changes(updated),
        ends_rotation=updated.ends,
        follows=list(updated.follow),
        unlike=list(updated.unlike),
        warnings=word_warnings(updated.item.name, warned),
    )


def _value(given: ItemParts) -> Secret | None:
    return None if given.secret is None else Secret(given.secret.get_secret_value())


def _check_target(request: Request, principal: Principal, target: PolicyTarget, owners: Any) -> None:  # noqa: ANN401
    if target.model_fields_set:
        services_of(request).access.principals.check(principal, Action.ITEM_REDIRECT, owners=owners)
