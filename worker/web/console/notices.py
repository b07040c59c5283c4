"""What owners were told, and whether it reached them."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NotFoundError, UnreadableError
from worker.delivery.formats import to_text
from worker.domain.states import DeliveryState
from worker.rows.notice_lists import NoticeFilter
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.queries import link_pages, link_without, read_filters, read_page
from worker.web.console.visits import Looks, PageRoute

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)


@router.get("/notices", **asks(Action.NOTICE_SEE))
def list_notices(request: Request, visitor: Looks) -> Response:
    """Newest first: those that the visitor may see."""
    services, filters = services_of(request), read_filters(request, "state", "owner")
    wanted = NoticeFilter(
        states=frozenset(filter(None, [filters.get("state")])),
        owners=frozenset(filter(None, [filters.get("owner")])),
    )
    page = services.lookup.lists.page_notices(wanted, read_page(request), seen_by=visitor.principal)
    return show(
        request,
        "notices.html",
        notices=[one for one in page.rows if not isinstance(one, UnreadableError)],
        unread=[str(one) for one in page.rows if isinstance(one, UnreadableError)],
        total=page.total,
        filters=filters,
        without=link_without(request, filters),
        pages=link_pages(request, filters, page),
    )


@router.get("/notices/{notice_id}", **asks(Action.NOTICE_SEE))
def show_notice(request: Request, visitor: Looks, notice_id: str) -> Response:
    """As it was sent, and what came of it at each recipient."""
    services = services_of(request)
    notice = services.lookup.views.get_notice(notice_id)
    if not services.access.principals.may(visitor.principal, Action.NOTICE_SEE, owners=[notice.owner]):
        raise NotFoundError(f"there is no notice {notice_id[:60]!r} that you may see")
    return show(
        request,
        "notice.html",
        notice=notice,
        text=None if notice.body is None else to_text(notice.body),
        failed=any(one.state == DeliveryState.FAILED for one in notice.deliveries),
    )


@router.post("/notices/{notice_id}/retry", **asks(Action.NOTICE_RETRY))
def retry(request: Request, notice_id: str) -> Response:
    """Tries it again where it was not taken; whoever works on the vault sends it."""
    services = services_of(request)
    services.notices.delivery.retry(notice_id)
    return go(f"{CONSOLE}/notices/{notice_id}", said="notice-again")
