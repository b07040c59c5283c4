"""`/workflows/vault`: items in the shape of SDX. No answer holds a value, but for a new key's, once."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from vaultcore.access import Action, Principal
from vaultcore.labels import LABELS_MAX, parse_match
from vaultcore.model import UNCHANGED, Item, Mode
from vaultcore.secret import Secret
from worker.domain.changes import ItemChange
from worker.domain.item_states import ItemFilter, ItemState
from worker.domain.policies import PolicyChange
from worker.domain.revisions import revision_of_item
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.values import Time
from worker.web.api.wire import PageQuery, Seen, give_page, show_revision, show_time, show_time_or_none

router = APIRouter(prefix="/workflows/vault", tags=["vault"], route_class=AskedRoute)
_DAYS_MAX = 36_500


class VaultItem(BaseModel):
    """What is shown of an item: never its value."""

    id: str = Field(examples=["vlt_01k2m7q8r9s0t1v2w3x4y5z6a7"])
    name: str = Field(examples=["prod-ticketing-api-token"])
    created_at: str = Field(examples=["2026-03-01T02:00:00.000000Z"])
    expires_at: str | None = Field(examples=["2026-05-30T02:00:00.000000Z"])


class CreatedItem(VaultItem):
    """`secret`: the key that an `api-key:` item has generated, here and never again."""

    secret: str | None = Field(default=None, examples=["wfk_…"])


class NewItem(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=250, examples=["prod-ticketing-api-token"])
    secret: SecretStr | None = Field(default=None, examples=["the value"])
    expires_at: Time | None = Field(default=None, examples=["2027-05-30T02:00:00Z"])
    owners: list[str] = Field(default=[], max_length=100, examples=[["platform"]])


class ChangedItem(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(default=None, min_length=1, max_length=250, examples=["prod-ticketing-api-token"])
    secret: SecretStr | None = Field(default=None, examples=["the new value"])
    expires_at: Time | None = Field(default=None, examples=["2027-05-30T02:00:00Z"])


class ItemWhere(BaseModel):
    """Which items: those that are all of this; of several owners, states or modes, one is enough. `label`: each
    of them, as `KEY=VALUE`, or `KEY` for whichever value. `rotator` empty: those without one. `search`: a part
    of the name, `begins` its beginning, in any case.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    owner: list[str] = Field(default=[], max_length=100, examples=[["platform"]])
    label: list[str] = Field(default=[], max_length=LABELS_MAX, examples=[["env=prod", "team"]])
    state: list[ItemState] = Field(default=[])
    mode: list[Mode] = Field(default=[])
    rotator: str | None = Field(default=None, max_length=60)
    days_left_min: int | None = Field(default=None, ge=-_DAYS_MAX, le=_DAYS_MAX)
    days_left_max: int | None = Field(default=None, ge=-_DAYS_MAX, le=_DAYS_MAX)
    expires_after: Time | None = None
    expires_before: Time | None = None
    used_by: str | None = Field(default=None, max_length=250)
    search: str | None = Field(default=None, max_length=100)
    begins: str | None = Field(default=None, max_length=100)

    @property
    def wanted(self) -> ItemFilter:
        return ItemFilter(
            owners=frozenset(self.owner),
            labels=frozenset(map(parse_match, self.label)),
            states=frozenset(self.state),
            modes=frozenset(self.mode),
            rotator=self.rotator,
            days_left=(self.days_left_min, self.days_left_max),
            expires_after=self.expires_after,
            expires_before=self.expires_before,
            used_by=self.used_by,
            search=self.search,
            begins=self.begins,
        )


class ItemQuery(ItemWhere, PageQuery):
    """As `ItemWhere`. Without `limit` and `cursor` all come at once, as clients of that vault expect."""


@router.get("", **asks(Action.ITEM_SEE))
def list_items(
    request: Request, response: Response, principal: Asker, query: Annotated[ItemQuery, Query()]
) -> list[VaultItem]:
    """The items that the principal may see, by name unless `sort` says otherwise."""
    lists = services_of(request).lookup.lists
    if not query.model_fields_set & {"limit", "cursor"}:
        found = lists.list_items(query.wanted, query.page, seen_by=principal)
        return [_show(one.item) for one in give_page(found, request, response)]
    page = lists.page_items(query.wanted, query.page, seen_by=principal)
    return [_show(one.item) for one in give_page(page, request, response)]


@router.post("", status_code=201, response_model_exclude_unset=True, **asks(Action.ITEM_CREATE))
def create_item(request: Request, response: Response, principal: Asker, new: NewItem) -> CreatedItem:
    """A new item. One whose name begins with `api-key:` takes no secret: it generates its own."""
    services = services_of(request)
    owners = tuple(new.owners) or tuple(sorted(principal.owners)) or (services.settings.operators,)
    services.access.principals.check(principal, Action.ITEM_CREATE, owners=owners)
    given = new.secret
    with services.access.principals.without_names(principal):
        created, first = services.items.creation.create(
            new.name,
            read_value=None if given is None else lambda: Secret(given.get_secret_value()),
            owners=owners,
            expires_at=new.expires_at,
            policy=PolicyChange(),
            actor=principal.actor,
        )
    show_revision(revision_of_item(created), response)
    once = {} if first is None else {"secret": first.key.expose()}
    return CreatedItem(**_show(created).model_dump(), **once)


@router.get("/{vault_id:name}", **asks(Action.ITEM_SEE))
def get_item(request: Request, response: Response, principal: Asker, vault_id: str) -> VaultItem:
    item = _find(request, principal, vault_id, Action.ITEM_SEE)
    show_revision(revision_of_item(item), response)
    return _show(item)


@router.put("/{vault_id:name}", **asks(Action.ITEM_UPDATE))
def update_item(
    request: Request, response: Response, principal: Asker, vault_id: str, change: ChangedItem, seen: Seen
) -> VaultItem:
    """Changes name, secret or expiry. A new secret is a new version; the old one is kept for its overlap."""
    services, given = services_of(request), change.model_fields_set
    item = _find(request, principal, vault_id, Action.ITEM_UPDATE)
    value = None
    if change.secret is not None:
        services.access.principals.check(principal, Action.ITEM_REPLACE, owners=item.owners)
        value = Secret(change.secret.get_secret_value())
    wanted = ItemChange(name=change.name, expires_at=change.expires_at if "expires_at" in given else UNCHANGED)
    if value is not None and services.items.updates.lacks_expiry(item.id, wanted):
        wanted = replace(wanted, expires_at=item.expires_at)  # what is left out stays as it is
    updated = services.access.principals.update_item(principal, item, wanted, value=value, expected=seen)
    show_revision(revision_of_item(updated.item), response)
    return _show(updated.item)


@router.delete("/{vault_id:name}", status_code=204, **asks(Action.ITEM_DELETE))
def delete_item(request: Request, principal: Asker, vault_id: str, seen: Seen) -> Response:
    """The item and every value of it are gone; refused while anything uses it."""
    item = _find(request, principal, vault_id, Action.ITEM_DELETE)
    services_of(request).items.deletion.delete(item.id, expected=seen, actor=principal.actor)
    return Response(status_code=204)


def _find(request: Request, principal: Principal, vault_id: str, action: Action) -> Item:
    return services_of(request).access.principals.find_item(principal, vault_id, action)


def _show(item: Item) -> VaultItem:
    return VaultItem(
        id=item.id,
        name=item.name,
        created_at=show_time(item.created_at),
        expires_at=show_time_or_none(item.expires_at),
    )
