"""What the scan saw, worst first, and that somebody knows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NotFoundError, UnreadableError
from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.notices import name_finding
from worker.domain.paging import PageRequest, Total
from worker.rows.finding_lists import FindingFilter
from worker.rows.findings import ListedFinding, OpenFinding
from worker.web.api.asking import asks, services_of
from worker.web.console.days import HOW_TO, begin_of
from worker.web.console.finding_shapes import BROKEN, shape_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.queries import link_pages, link_without, read_filters, read_page
from worker.web.console.visits import Looks, PageRoute, Sent, fields_of
from worker.wording.item_states import Tone
from worker.wording.reasons import say

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)
_OF_EACH: Final = 10
"""How many of a kind stand among all kinds."""
_REPLACED: Final = frozenset(
    {
        FindingKind.LAPSED,
        FindingKind.EXPIRING,
        FindingKind.USES_EXPIRED,
        FindingKind.NO_VALUE,
        FindingKind.STALE_COPY,
    }
)
"""What a new value resolves."""


@dataclass(frozen=True, kw_only=True)
class FindingRow:
    """`word`: what it says of its subject. `owners`: who answers for its item. `answerable`: the visitor may
    say that they know of it. `replaceable`: a new value helps, and they may give it.
    """

    finding: OpenFinding
    shape: Tone
    word: str
    detail: str
    does: str
    quiet: str | None
    owners: tuple[str, ...]
    answerable: bool
    replaceable: bool


@dataclass(frozen=True, kw_only=True)
class Section:
    """Those of a kind, and what they say of their subjects. `more`: a link to all, where there are more."""

    kind: FindingKind
    word: str
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
    wrong = _find_wrong_owner(request, filters)
    for kind in [] if wrong else kinds:
        wanted = FindingFilter(kinds=frozenset({kind}), owners=owners, snoozed=snoozed)
        asked = read_page(request) if paged else PageRequest(limit=_OF_EACH, counted=True)
        page = services_of(request).lookup.lists.page_findings(wanted, asked, seen_by=visitor.principal)
        unread += [str(one) for one in page.rows if isinstance(one, UnreadableError)]
        rows = _show_all(request, visitor, page.rows)
        if paged:
            pages = link_pages(request, filters, page)
        if rows:
            more = f"{CONSOLE}/findings?kind={kind}" if page.next and not paged else None
            sections.append(Section(kind=kind, word=name_finding(kind), total=page.total, rows=rows, more=more))
    totals = [(one.kind, one.total) for one in sections if one.total is not None]
    return show(
        request,
        "findings.html",
        status=422 if wrong else 200,
        wrong=wrong,
        sections=sections,
        number=sum(total.number for _, total in totals),
        broken=sum(total.number for kind, total in totals if kind in BROKEN),
        unread=unread,
        filters=filters,
        shown={**filters, **({"kind": name_finding(kinds[0])} if paged else {})},
        without=link_without(request, filters),
        pages=pages,
        kinds={kind: name_finding(kind) for kind in WORST_FIRST},
    )


def _find_wrong_owner(request: Request, filters: Mapping[str, str]) -> str:
    """What to say of a name that no owner has; empty: one has it, or none is asked for."""
    try:
        if "owner" in filters:
            services_of(request).lookup.views.get_owner(filters["owner"])
    except NotFoundError:
        return "No owner has this name."
    return ""


@router.get("/findings/{finding_id}", **asks(Action.FINDING_SEE))
def show_finding(request: Request, visitor: Looks, finding_id: str) -> Response:
    """One of them, what resolves it, and how to say that one knows of it."""
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
    until = begin_of(day, visitor.zone)
    if day and until is None:
        wrong["until"] = f"That is no day: {HOW_TO}."
    elif until is not None and until <= services_of(request).clock():
        wrong["until"] = "Choose a day that is still to come."
    if not why.strip():
        wrong["why"] = "Say why: it stands in the record, with your name."
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
        one=_show_all(request, visitor, [services.lookup.views.view_finding(finding_id)])[0],
        tomorrow=f"{tomorrow:%Y-%m-%d}",
        filled=filled or {"why": "", "until": ""},
        wrong=wrong or {},
    )


def _check(request: Request, visitor: Visitor, finding_id: str, action: Action) -> None:
    services = services_of(request)
    finding = services.lookup.views.get_finding(finding_id)
    services.access.principals.check_about(visitor.principal, finding.item_id, action)


def _show_all(
    request: Request, visitor: Visitor, rows: Sequence[ListedFinding | UnreadableError]
) -> list[FindingRow]:
    read = [one for one in rows if not isinstance(one, UnreadableError)]
    about = {one.finding.item_id for one in read if one.finding.item_id is not None}
    owners = services_of(request).lookup.views.find_owners(about) if about else {}
    return [_show(visitor, one, owners.get(one.finding.item_id or "", ())) for one in read]


def _show(visitor: Visitor, one: ListedFinding, owners: tuple[str, ...]) -> FindingRow:
    finding = one.finding
    return FindingRow(
        finding=finding,
        shape=shape_of(one),
        word=name_finding(finding.kind),
        detail=say(finding.detail),
        does=say(finding.does),
        quiet=one.quiet,
        owners=owners,
        answerable=visitor.may(Action.FINDING_QUIET, owners),
        replaceable=finding.item_id is not None
        and finding.kind in _REPLACED
        and visitor.may(Action.ITEM_REPLACE, owners),
    )
