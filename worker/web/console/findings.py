"""What the scan saw, worst first, and that somebody knows of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NotFoundError, UnreadableError
from worker.bootstrap import Services
from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.paging import LIMIT, PageRequest, Total
from worker.rows.finding_lists import FindingFilter
from worker.rows.findings import ListedFinding, OpenFinding
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.queries import link_pages, link_without, read_day, read_filters, read_page
from worker.web.console.visits import Looks, PageRoute, Sent, fields_of
from worker.wording import say

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_OF_EACH: Final = 10
"""How many of a kind stand among all kinds."""
_WORST: Final = frozenset(list(FindingKind)[: list(FindingKind).index(FindingKind.EXPIRING)])
"""What is broken now; the others will be, or are untidy."""


@dataclass(frozen=True, kw_only=True)
class FindingRow:
    """`owners`: who answers for its item. `answerable`: the visitor may say that they know of it."""

    finding: OpenFinding
    shape: str
    detail: str
    does: str
    quiet: str | None
    owners: tuple[str, ...]
    answerable: bool


@dataclass(frozen=True, kw_only=True)
class Section:
    """Those of a kind. `more`: a link to all of them, where there are more."""

    kind: FindingKind
    total: Total | None
    rows: list[FindingRow]
    more: str | None


@router.get("/findings", **asks(Action.FINDING_SEE))
def list_findings(request: Request, visitor: Looks) -> Response:
    """By kind, worst first; all of one kind in pages."""
    filters = read_filters(request, "kind", "owner", "known")
    owners = frozenset(filter(None, [filters.get("owner")]))
    snoozed = {"yes": True, "no": False}.get(filters.get("known", ""))
    kinds = [kind for kind in WORST_FIRST if filters.get("kind", kind) == kind]
    paged = "kind" in filters and len(kinds) == 1
    sections, unread, pages = [], [], {}
    for kind in kinds:
        wanted = FindingFilter(kinds=frozenset({kind}), owners=owners, snoozed=snoozed)
        asked = read_page(request) if paged else PageRequest(limit=_OF_EACH, counted=True)
        page = services_of(request).lists.page_findings(wanted, asked, seen_by=visitor.principal)
        unread += [str(one) for one in page.rows if isinstance(one, UnreadableError)]
        rows = _show_all(request, visitor, page.rows)
        if paged:
            pages = link_pages(request, filters, page)
        if rows:
            more = f"{CONSOLE}/findings?kind={kind}" if page.next and not paged else None
            sections.append(Section(kind=kind, total=page.total, rows=rows, more=more))
    return show(
        request,
        "findings.html",
        sections=sections,
        unread=unread,
        filters=filters,
        without=link_without(request, filters),
        pages=pages,
        kinds=list(WORST_FIRST),
        limit=LIMIT,
    )


@router.get("/findings/{finding_id}", **asks(Action.FINDING_SEE))
def show_finding(request: Request, visitor: Looks, finding_id: str) -> Response:
    """One of them, what settles it, and how to say that one knows of it."""
    _check(request, visitor, finding_id, Action.FINDING_SEE)
    return _show_one(request, visitor, finding_id)


@router.post("/findings/{finding_id}/acknowledge", **asks(Action.FINDING_QUIET))
def acknowledge(request: Request, visitor: Looks, finding_id: str, sent: Sent) -> Response:
    """Nobody is told of it again unless it gets worse; or, with a day, before that day."""
    _check(request, visitor, finding_id, Action.FINDING_QUIET)
    given = fields_of(sent)
    why, day = str(given.get("why", "")), str(given.get("until", ""))
    answers = services_of(request).overview.acknowledgements
    wrong: dict[str, str] = {}
    until: datetime | None = None
    try:
        until = read_day(day, visitor.zone, name="until") if day else None
    except InvalidInputError as error:
        wrong["until"] = str(error).removeprefix("until: ").capitalize()
    if until is not None and until <= services_of(request).clock():
        wrong["until"] = "Choose a day that is still to come."
    if not why.strip():
        wrong["why"] = "Say why: it is kept in the record, for who looks after you."
    if not wrong:
        try:
            actor = visitor.principal.actor
            if until is None:
                answers.acknowledge(finding_id, why=why, actor=actor)
            else:
                answers.snooze(finding_id, until, why=why, actor=actor)
        except InvalidInputError:
            wrong["why"] = "A reason has up to 500 characters, in one line."
    if wrong:
        return _show_one(
            request, visitor, finding_id, filled={"why": why, "until": day}, wrong=wrong, status=422
        )
    return go(f"{CONSOLE}/findings/{finding_id}", said="finding-known" if until is None else "finding-snoozed")


def _show_one(
    request: Request,
    visitor: Visitor,
    finding_id: str,
    *,
    filled: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    services = services_of(request)
    tomorrow = (services.clock() + timedelta(days=1)).astimezone(visitor.zone)
    return show(
        request,
        "finding.html",
        status=status,
        one=_show(services, visitor, services.views.view_finding(finding_id)),
        tomorrow=f"{tomorrow:%Y-%m-%d}",
        filled=filled or {"why": "", "until": ""},
        wrong=wrong or {},
    )


def _check(request: Request, visitor: Visitor, finding_id: str, action: Action) -> None:
    services = services_of(request)
    finding = services.views.get_finding(finding_id)
    services.principals.check_about(visitor.principal, finding.item_id, action)


def _show_all(
    request: Request, visitor: Visitor, rows: tuple[ListedFinding | UnreadableError, ...]
) -> list[FindingRow]:
    services = services_of(request)
    return [_show(services, visitor, one) for one in rows if not isinstance(one, UnreadableError)]


def _show(services: Services, visitor: Visitor, one: ListedFinding) -> FindingRow:
    finding = one.finding
    owners = _find_owners(services, finding)
    shape = "rest" if one.quiet else "wrong" if finding.kind in _WORST else "waits"
    return FindingRow(
        finding=finding,
        shape=shape,
        detail=say(finding.detail),
        does=say(finding.does),
        quiet=one.quiet,
        owners=owners,
        answerable=visitor.may("finding.quiet", owners),
    )


def _find_owners(services: Services, finding: OpenFinding) -> tuple[str, ...]:
    """None of what is about no item, or about one that is gone or cannot be read."""
    if finding.item_id is None:
        return ()
    try:
        return services.views.get_item(finding.item_id).owners
    except (NotFoundError, UnreadableError):
        return ()
