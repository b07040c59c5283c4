"""Who is told, where and when: owners, what is theirs, and what they will read after tonight."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NotFoundError, UnreadableError
from vaultcore.model import Owner
from vaultcore.quiet import check_zone, parse_quiet
from worker.delivery.formats import to_text
from worker.domain.item_states import ItemFilter
from worker.domain.paging import PageRequest
from worker.rows.finding_lists import FindingFilter
from worker.rows.item_lists import ListedItem
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.queries import link_pages, read_page
from worker.web.console.visits import Looks, PageRoute, Sent, fields_of
from worker.web.console.ways import owner_path
from worker.wording.item_states import word_state
from worker.wording.reasons import say

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_FINDINGS_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class OwnedItem:
    """`shape` and `state`: as `parts.state` takes them."""

    name: str
    shape: str
    state: str
    expires_at: datetime | None


@router.get("/owners", **asks(Action.OWNER_SEE))
def list_owners(request: Request) -> Response:
    """By name; those whom nothing reaches are marked."""
    services = services_of(request)
    found = services.lookup.views.list_owners()
    return show(
        request,
        "owners.html",
        owners=[one for one in found if not isinstance(one, UnreadableError)],
        unread=[str(one) for one in found if isinstance(one, UnreadableError)],
        unreached={one.name for one in services.lookup.views.find_unreached()},
        operators=services.settings.operators,
    )


@router.get("/owners/{name:path}", **asks(Action.OWNER_SEE))
def show_owner(request: Request, visitor: Looks, name: str) -> Response:
    """An owner, what is theirs, and what was found of it, as far as the visitor may see that."""
    return _show(request, visitor, services_of(request).notices.address_book.get(name))


@router.post("/owners/{name:path}", **asks(Action.OWNER_UPDATE))
def update_owner(request: Request, visitor: Looks, name: str, sent: Sent) -> Response:
    """Their time zone, quiet hours and deputy."""
    services, given = services_of(request), fields_of(sent)
    owner = services.notices.address_book.get(name)
    services.access.principals.check(visitor.principal, Action.OWNER_UPDATE, owners=[owner.name])
    filled = {field: str(given.get(field, "")).strip() for field in ("zone", "quiet", "deputy")}
    wrong = _find_wrong(request, owner, filled)
    if wrong:
        return _show(request, visitor, owner, filled=filled, wrong=wrong, status=422)
    services.notices.address_book.update(
        owner.name,
        zone=filled["zone"] or "UTC",
        quiet=parse_quiet(filled["quiet"]) if filled["quiet"] else None,
        deputy=filled["deputy"] or None,
        actor=visitor.principal.actor,
    )
    return go(owner_path(owner.name), said="owner-changed")


@router.get("/owners-digest/{name:path}", **asks(Action.OWNER_SEE))
def preview_digest(request: Request, visitor: Looks, name: str) -> Response:
    """What they will read after the next night, as far as that is known now; for who may see what is theirs."""
    services = services_of(request)
    owner = services.notices.address_book.get(name)
    services.access.principals.check(visitor.principal, Action.ITEM_SEE, owners=[owner.name])
    night = services.night.digest_preview.find_night(None)
    message = services.night.digest_preview.preview(owner.name, night)
    return show(
        request, "digest.html", owner=owner, night=night, subject=message.subject, text=to_text(message.body)
    )


def _show(
    request: Request,
    visitor: Visitor,
    owner: Owner,
    *,
    filled: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    services, whose = services_of(request), frozenset({owner.name})
    items = services.lookup.lists.page_items(
        ItemFilter(owners=whose), read_page(request), seen_by=visitor.principal
    )
    findings = services.lookup.lists.page_findings(
        FindingFilter(owners=whose), PageRequest(limit=_FINDINGS_SHOWN, counted=True), seen_by=visitor.principal
    )
    usual = {"zone": owner.zone, "quiet": str(owner.quiet or ""), "deputy": owner.deputy or ""}
    return show(
        request,
        "owner.html",
        status=status,
        owner=owner,
        unreached=any(one.name == owner.name for one in services.lookup.views.find_unreached()),
        items=[_show_item(one) for one in items.rows if not isinstance(one, UnreadableError)],
        total=items.total,
        pages=link_pages(request, {}, items),
        findings=[
            (one.finding, say(one.finding.detail), one.quiet)
            for one in findings.rows
            if not isinstance(one, UnreadableError)
        ],
        more_findings=findings.next is not None,
        filled=filled or usual,
        wrong=wrong or {},
        sees_theirs=visitor.may("item.see", (owner.name,)),
        may_update=visitor.may("owner.update", (owner.name,)),
        may_manage=visitor.may("owner.manage"),
    )


def _show_item(listed: ListedItem) -> OwnedItem:
    shape, state = word_state(listed.states)
    return OwnedItem(name=listed.item.name, shape=shape, state=state, expires_at=listed.item.expires_at)


def _find_wrong(request: Request, owner: Owner, filled: dict[str, str]) -> dict[str, str]:
    """By field, what cannot be taken."""
    wrong: dict[str, str] = {}
    try:
        check_zone(filled["zone"] or "UTC")
    except InvalidInputError as error:
        wrong["zone"] = str(error)
    try:
        if filled["quiet"]:
            parse_quiet(filled["quiet"])
    except InvalidInputError as error:
        wrong["quiet"] = str(error)
    if filled["deputy"] == owner.name:
        wrong["deputy"] = f"{owner.name} cannot be their own deputy: name somebody else"
    elif filled["deputy"]:
        try:
            services_of(request).notices.address_book.get(filled["deputy"])
        except NotFoundError:
            wrong["deputy"] = f"there is no owner {filled['deputy'][:60]!r}: name one of those that there are"
    return wrong
