"""`/nightkey/notices`: what owners were told, and whether it reached them."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from vaultcore.access import Action
from vaultcore.errors import NotFoundError
from worker.rows.notice_lists import NoticeFilter
from worker.rows.notices import Notice
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.wire import PageQuery, give_page
from worker.wording.shapes import describe_notice

router = APIRouter(prefix="/nightkey/notices", tags=["notices"], route_class=AskedRoute)


class ShownDelivery(BaseModel):
    """At one recipient of one route, which is masked. `parts`: how many of its parts were taken."""

    route: str
    recipient: str
    state: str
    attempts: int
    next_at: datetime | None
    sent_at: datetime | None
    error: str | None
    stands_in: bool
    parts: int


class ShownNotice(BaseModel):
    """`body`: Markdown; null for a digest that is worded when it leaves."""

    id: str
    owner: str
    kind: str
    subject: str
    body: str | None
    created_at: datetime
    state: str
    sent_at: datetime | None
    next_at: datetime | None
    error: str | None
    deliveries: list[ShownDelivery]


class NoticeQuery(PageQuery):
    """`failed`: what somebody did not take, as `state=failed`."""

    state: list[Literal["failed", "waiting", "sent", "withdrawn", "unrouted"]] = Field(default=[])
    owner: list[str] = Field(default=[], max_length=100)
    failed: bool = False

    @property
    def wanted(self) -> NoticeFilter:
        states = {*self.state, *(["failed"] if self.failed else [])}
        return NoticeFilter(states=frozenset(states), owners=frozenset(self.owner))


@router.get("", **asks(Action.NOTICE_SEE))
def list_notices(
    request: Request, response: Response, principal: Asker, query: Annotated[NoticeQuery, Query()]
) -> list[ShownNotice]:
    """Newest first unless `sort` says otherwise. Owners see what they were told."""
    page = services_of(request).lookup.lists.page_notices(query.wanted, query.page, seen_by=principal)
    return [_show(one) for one in give_page(page, request, response)]


@router.get("/{notice_id}", **asks(Action.NOTICE_SEE))
def get_notice(request: Request, principal: Asker, notice_id: str) -> ShownNotice:
    services = services_of(request)
    found = services.lookup.views.get_notice(notice_id)
    if not services.access.principals.may(principal, Action.NOTICE_SEE, owners=[found.owner]):
        raise NotFoundError(f"there is no notice {notice_id[:60]!r} that you may see")
    return _show(found)


@router.post("/{notice_id}/retry", **asks(Action.NOTICE_RETRY))
def retry(request: Request, notice_id: str) -> ShownNotice:
    """Tries it again where it was not taken; who has it gets it no second time."""
    services = services_of(request)
    services.notices.delivery.retry(notice_id)
    return _show(services.lookup.views.get_notice(notice_id))


def _show(notice: Notice) -> ShownNotice:
    return ShownNotice(**describe_notice(notice))
