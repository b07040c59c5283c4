"""The record of every change: read, filtered, and proven to be whole."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.audit import AuditRow, Verification
from vaultcore.errors import NightkeyError, NotFoundError, UnreadableError
from worker.bootstrap import Services
from worker.rows.audit_lists import AuditFilter
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, show
from worker.web.console.queries import link_pages, link_without, read_day, read_filters, read_page
from worker.web.console.visits import Looks, PageRoute

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_FILTERS: Final = ("item", "subject", "actor", "action", "after", "before")
_PLACES: Final[Mapping[str, str]] = {"vlt_": "items", "rot_": "rotations", "ntc_": "notices"}
"""By the beginning of an id, the pages of what it names."""


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """`place`: the page of what it is about, if it has one."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    place: str | None
    details: str


@router.get("/audit", **asks(Action.AUDIT_READ))
def read_record(request: Request, visitor: Looks) -> Response:
    """Newest first."""
    return _show(request, visitor)


@router.post("/audit/verify", **asks(Action.AUDIT_READ))
def verify(request: Request, visitor: Looks) -> Response:
    """Walks the whole chain, and holds it against the anchors of the data folder."""
    return _show(request, visitor, verdict=services_of(request).upkeep.anchors.verify())


def _show(request: Request, visitor: Visitor, *, verdict: Verification | None = None) -> Response:
    services, filters = services_of(request), read_filters(request, *_FILTERS)
    page = services.lists.page_audit(_read_filter(services, filters, visitor), read_page(request))
    anchors = services.upkeep.anchors
    head, anchor, problem = None, None, ""
    try:
        head = anchors.read_head()
        anchor = anchors.find_newest()
    except FileNotFoundError:
        pass  # nothing was anchored yet
    except (NightkeyError, OSError) as error:
        problem = str(error) if isinstance(error, NightkeyError) else "the file of anchors cannot be read"
    return show(
        request,
        "audit.html",
        rows=[_show_row(one) for one in page.rows if not isinstance(one, UnreadableError)],
        unread=[str(one) for one in page.rows if isinstance(one, UnreadableError)],
        total=page.total,
        filters=filters,
        without=link_without(request, filters),
        pages=link_pages(request, filters, page),
        head=head,
        anchor=anchor,
        problem=problem,
        verdict=verdict,
    )


def _read_filter(services: Services, filters: Mapping[str, str], visitor: Visitor) -> AuditFilter:
    """Days are the reader's, the last one with all of it. An item may be given by its name."""
    item = filters.get("item")
    if item is not None:
        with suppress(NotFoundError):  # one that is gone has its rows, by its id
            item = services.views.get_item(item).id
    after, before = filters.get("after"), filters.get("before")
    return AuditFilter(
        item=item,
        subject=filters.get("subject"),
        actor=filters.get("actor"),
        action=filters.get("action"),
        after=read_day(after, visitor.zone, name="after") if after else None,
        before=read_day(before, visitor.zone, name="before") + timedelta(days=1) if before else None,
    )


def _show_row(row: AuditRow) -> ShownRow:
    place = _PLACES.get(row.subject[:4])
    return ShownRow(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        place=None if place is None else f"{CONSOLE}/{place}/{row.subject}",
        details=", ".join(f"{name} {_say(value)}" for name, value in row.details.items()),
    )


def _say(value: Any) -> str:  # noqa: ANN401  # JSON
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
