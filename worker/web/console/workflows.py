"""Workflows: the list, and one of them drawn, with what it uses and the way out of what is stale."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError
from vaultcore.rules import is_item_id
from worker.domain.commands import quote_word
from worker.domain.findings import Finding, FindingKind
from worker.services.night.workflow_views import Used, WorkflowPicture
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.ways import NEW_ITEM, item_path
from worker.web.drawings.graph import NODES_MAX, DrawnItem, DrawnNode, draw_workflow
from worker.wording.item_states import Tone
from worker.wording.reasons import say
from worker.wording.times import say_distance

router = APIRouter(prefix=f"{CONSOLE}/workflows", include_in_schema=False, route_class=PageRoute)
_STALE: Final = {
    FindingKind.MISSING: (Tone.WRONG, "does not exist"),
    FindingKind.USES_EXPIRED: (Tone.WRONG, "lapsed"),
    FindingKind.SUPERSEDED: (Tone.WAITS, "not on the current version"),
    FindingKind.IDLE: (Tone.REST, "idle"),
    FindingKind.UNREADABLE: (Tone.WRONG, "cannot be read"),
}
"""How what is stale is marked: the worst first."""
_ITEMS_SHOWN: Final = 3
"""So many of what a workflow uses are named in a row."""


@dataclass(frozen=True, kw_only=True)
class FindingOnPage:
    """`way`: what helps, as a link with its words; None: its command alone."""

    kind: Tone
    words: str
    item: str
    detail: str
    command: str | None
    way: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class UseOnPage:
    """`kind` and `words`: how the item stands there, by shape and in words."""

    used: Used
    kind: Tone
    words: str


@router.get("", **asks(Action.WORKFLOW_SEE))
def list_workflows(
    request: Request, visitor: Looks, after: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """By name, a page at a time, with what is stale in each."""
    services = services_of(request)
    page = services.overview.workflows.page(after=after or None, seen_by=visitor.principal)
    marks = {
        one.workflow.id: [_STALE[kind] for kind in _STALE if any(f.kind is kind for f in one.stale)]
        for one in page.rows
        if not isinstance(one, Exception)
    }
    return show(
        request,
        "workflows.html",
        rows=[(one, str(one) if isinstance(one, Exception) else "") for one in page.rows],
        marks=marks,
        stale=sum(bool(found) for found in marks.values()),
        is_whole=after is None and page.next is None,
        shown=_ITEMS_SHOWN,
        link=link_workflow,
        next=page.next,
        after=after,
    )


@router.get("/{name}", **asks(Action.WORKFLOW_SEE))
def get_workflow(request: Request, visitor: Looks, name: str) -> Response:
    """One by its name, or its id."""
    services = services_of(request)
    picture = services.overview.workflows.view(name, seen_by=visitor.principal)
    now = services.clock()
    uses = [_show_use(one, now) for one in picture.uses]
    workflow = picture.workflow
    stale = list(dict.fromkeys(finding for one in picture.uses for finding in one.stale))
    trigger = workflow.definition.nodes[workflow.definition.trigger_id()]
    return show(
        request,
        "workflow.html",
        workflow=workflow,
        quoted=quote_word,
        why_elsewhere=workflow.explain_place(),
        drawing=_draw(picture, uses),
        nodes=len(workflow.definition.nodes),
        nodes_drawn=NODES_MAX,
        uses=uses,
        pinnable=_find_pinnable(picture),
        stale=[_show_finding(one, visitor) for one in stale],
        trigger=trigger,
        runs=picture.last_runs,
    )


@router.post("/{workflow_id}/pin", **asks(Action.WORKFLOW_PIN))
def pin(request: Request, visitor: Looks, workflow_id: str, form: Sent) -> Response:
    """Lets it stay on a version of an item that the visitor may see."""
    services = services_of(request)
    item = services.access.principals.find_item(visitor.principal, _read(form, "item"), Action.ITEM_SEE)
    number = _read(form, "version")
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise InvalidInputError("version: choose one of those that the page offers")
    workflow_id = services.lookup.views.view_workflow(workflow_id).workflow.id
    services.runs.pins.pin(workflow_id, item.id, int(number), actor=visitor.principal.actor)
    return go(f"{CONSOLE}/workflows/{workflow_id}", said="pinned")


@router.post("/{workflow_id}/unpin", **asks(Action.WORKFLOW_PIN))
def unpin(request: Request, visitor: Looks, workflow_id: str, form: Sent) -> Response:
    """Lets it follow the current version again."""
    services = services_of(request)
    item = services.access.principals.find_item(visitor.principal, _read(form, "item"), Action.ITEM_SEE)
    workflow_id = services.lookup.views.view_workflow(workflow_id).workflow.id
    services.runs.pins.unpin(workflow_id, item.id, actor=visitor.principal.actor)
    return go(f"{CONSOLE}/workflows/{workflow_id}", said="unpinned")


def _read(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def link_workflow(name: str, workflow_id: str) -> str:
    """The page of a workflow: by its name, or by its id where its name would be taken for more of the path."""
    plain = "/" not in name and name.strip(".")
    return f"{CONSOLE}/workflows/{quote(name if plain else workflow_id, safe='')}"


def _show_use(used: Used, now: datetime) -> UseOnPage:
    """The worst that is found of it now; otherwise how its item stands."""
    kinds = {one.kind for one in used.stale}
    kind, words = next((_STALE[one] for one in _STALE if one in kinds), (None, ""))
    item, pinned = used.item, used.reference.pinned
    if kind is not None:
        if FindingKind.SUPERSEDED in kinds and words != "lapsed" and pinned is not None:
            words = f"pinned to version {pinned}"
    elif used.hidden:
        kind, words = Tone.REST, "not shown to you"
    elif item is None:
        kind, words = Tone.WRONG, "does not exist"
    elif item.version is None:
        kind, words = Tone.WAITS, "waits for its value"
    elif item.expires_at is None:
        kind, words = Tone.WELL, "never lapses"
    else:
        lapsed = item.expires_at <= now
        kind = Tone.WRONG if lapsed else Tone.WELL
        words = f"{'lapsed' if lapsed else 'lapses'} {say_distance(item.expires_at, now)}"
    if used.reference.mentioned and kind is Tone.WELL:
        kind = Tone.REST
    return UseOnPage(used=used, kind=kind, words=words)


def _draw(picture: WorkflowPicture, uses: Sequence[UseOnPage]) -> object:
    items: dict[str, list[DrawnItem]] = defaultdict(list)
    for one in uses:
        reference, item = one.used.reference, one.used.item
        items[reference.node_id].append(
            DrawnItem(
                name=reference.written if item is None else item.name,
                state=one.kind,
                words=one.words,
                link=None if item is None else item_path(item.name),
            )
        )
    document = picture.workflow.definition.document
    nodes = [
        DrawnNode(id=node.id, kind=node.component_id or "node", items=tuple(items[node.id]))
        for node in document.nodes
    ]
    return draw_workflow(picture.workflow.name, nodes, [(edge.source, edge.target) for edge in document.edges])


def _find_pinnable(picture: WorkflowPicture) -> list[Used]:
    """One use of each item that the workflow can be pinned to, or is: all its uses go together."""
    once = {
        one.item.id: one
        for one in reversed(picture.uses)
        if one.item is not None and not one.reference.mentioned and not one.reference.elsewhere
    }
    return sorted(once.values(), key=lambda one: "" if one.item is None else one.item.name)


def _show_finding(finding: Finding, visitor: Visitor) -> FindingOnPage:
    kind, words = _STALE.get(finding.kind, (Tone.WRONG, finding.kind.value))
    item = finding.item or ""
    return FindingOnPage(
        kind=kind,
        words=words,
        item=item,
        detail=say(finding.detail),
        command=finding.command,
        way=_find_way(finding, item, visitor),
    )


def _find_way(finding: Finding, item: str, visitor: Visitor) -> tuple[str, str] | None:
    """What helps and the visitor may do; otherwise where they see it."""
    if finding.kind is FindingKind.MISSING:
        can_add = visitor.may(Action.ITEM_CREATE) and not is_item_id(item)
        return ("Add this item", f"{NEW_ITEM}?name={quote(item, safe='')}") if can_add else None
    if finding.kind is FindingKind.SUPERSEDED and finding.command and " unpin " in finding.command:
        return ("See its pin", "#pins")
    if finding.item_id is None or finding.kind not in (FindingKind.USES_EXPIRED, FindingKind.UNREADABLE):
        return None
    return ("See the item", item_path(item))
