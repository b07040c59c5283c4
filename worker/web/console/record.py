"""The record of every change: read, filtered, and proven to be whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.audit_rows import AuditRow
from vaultcore.audit_verification import Verification
from vaultcore.errors import NightkeyError, UnreadableError
from worker.domain.paging import Page
from worker.rows.audit_lists import AuditFilter
from worker.web.api.asking import asks, services_of
from worker.web.console.days import HOW_TO, begin_of, end_of
from worker.web.console.frame import CONSOLE, Visitor, show
from worker.web.console.queries import link_pages, link_without, read_filters, read_page
from worker.web.console.visits import Looks, PageRoute
from worker.wording.record import say_details

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "actor": ("By", "text"),
    "action": ("Action", "text"),
    "item": ("Item", "text"),
    "subject": ("About the id", "text"),
    "after": ("From", "date"),
    "before": ("To", "date"),
}
"""By its name in the address, how a filter is called, and what is written into it."""
_FILTERS: Final = tuple(_FIELDS)
_PLACES: Final[Mapping[str, str]] = {"vlt_": "items", "rot_": "rotations", "ntc_": "notices"}
"""By the beginning of an id, the pages of what it names."""


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """`place`: the page of what it is about, if it has one; `name`: what that is called."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    name: str
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
    days, wrong = _read_days(filters, visitor)
    page: Page[AuditRow] = Page(rows=(), next=None, total=None)
    if not wrong:
        page = services.lookup.lists.page_audit(_read_filter(filters, days), read_page(request))
    anchors = services.upkeep.anchors
    head, anchor, problem = None, None, ""
    try:
        head = anchors.read_head()
        anchor = anchors.find_newest()
    except FileNotFoundError:
        pass  # nothing was anchored yet
    except (NightkeyError, OSError) as error:
        problem = str(error) if isinstance(error, NightkeyError) else "the file of anchors cannot be read"
    rows = [one for one in page.rows if not isinstance(one, UnreadableError)]
    names = services.lookup.views.name_subjects({one.subject for one in rows})
    return show(
        request,
        "audit.html",
        status=422 if wrong else 200,
        rows=[_show_row(one, names.get(one.subject, "")) for one in rows],
        unread=[str(one) for one in page.rows if isinstance(one, UnreadableError)],
        total=page.total,
        filters=filters,
        fields=_FIELDS,
        wrong=wrong,
        without=link_without(request, filters),
        pages=link_pages(request, filters, page),
        head=head,
        anchor=anchor,
        problem=problem,
        verdict=verdict,
    )


def _read_days(
    filters: Mapping[str, str], visitor: Visitor
) -> tuple[dict[str, datetime | None], dict[str, str]]:
    """The moments between which rows are asked for, by field, and what is wrong with what was written there.
    Days are the reader's, the last one with all of it.
    """
    readers = {"after": begin_of, "before": end_of}
    days = {name: read(filters[name], visitor.zone) for name, read in readers.items() if name in filters}
    return days, {name: f"That is no day: {HOW_TO}." for name, moment in days.items() if moment is None}


def _read_filter(filters: Mapping[str, str], days: Mapping[str, datetime | None]) -> AuditFilter:
    return AuditFilter(
        item=filters.get("item"),
        subject=filters.get("subject"),
        actor=filters.get("actor"),
        action=filters.get("action"),
        after=days.get("after"),
        before=days.get("before"),
    )


def _show_row(row: AuditRow, name: str) -> ShownRow:
    place = _PLACES.get(row.subject[:4])
    return ShownRow(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        name=name,
        place=None if place is None else f"{CONSOLE}/{place}/{row.subject}",
        details=say_details(row.details),
    )
