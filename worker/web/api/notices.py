"""`/nightkey/notices`: what owners were told, and whether it reached them."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from vaultcore.access import Action
from vaultcore.errors import NotFoundError
from worker.rows.notices import Notice
from worker.web.api.asking import AskedRoute, Asker, asks, services_of

router = APIRouter(prefix="/nightkey/notices", tags=["notices"], route_class=AskedRoute)


class ShownNotice(BaseModel):
    id: str
    owner: str
    kind: str
    subject: str
    created_at: datetime
    state: str
    sent_at: datetime | None
    next_at: datetime | None
    error: str | None


class WholeNotice(ShownNotice):
    """`body`: Markdown; null for a digest that is worded when it leaves."""

    body: str | None


@router.get("", **asks(Action.NOTICE_SEE))
def list_notices(request: Request, principal: Asker, *, failed: bool = False) -> list[ShownNotice]:
    """Newest first; `failed`: what somebody did not take. Owners see what they were told."""
    services = services_of(request)
    found = services.views.list_notices(failed=failed)
    return [
        _show(one) for one in found if services.principals.may(principal, Action.NOTICE_SEE, owners=[one.owner])
    ]


@router.get("/{notice_id}", **asks(Action.NOTICE_SEE))
def get_notice(request: Request, principal: Asker, notice_id: str) -> WholeNotice:
    services = services_of(request)
    found = services.views.get_notice(notice_id)
    if not services.principals.may(principal, Action.NOTICE_SEE, owners=[found.owner]):
        raise NotFoundError(f"there is no notice {notice_id[:60]!r} that you may see")
    return WholeNotice(**_show(found).model_dump(), body=found.body)


@router.post("/{notice_id}/retry", **asks(Action.NOTICE_RETRY))
def retry(request: Request, notice_id: str) -> ShownNotice:
    """Tries it again where it was not taken; who has it gets it no second time."""
    services = services_of(request)
    services.notices.delivery.retry(notice_id)
    return _show(services.views.get_notice(notice_id))


def _show(notice: Notice) -> ShownNotice:
    return ShownNotice(**{name: getattr(notice, name) for name in ShownNotice.model_fields})
