"""The first page: what needs somebody, what happened last night, what comes next."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from worker.bootstrap import Services
from worker.domain.item_states import ItemFilter
from worker.domain.paging import PageRequest
from worker.domain.problems import Problem, ProblemKind
from worker.rows.item_lists import ListedItem
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, show
from worker.web.console.visits import Looks, PageRoute
from worker.wording import describe_apart

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)

_ROTATION = ("See why", "/rotations/{id}")
_ITEM = ("See the item", "/items/{subject}")
_NOTICE = ("See the notice", "/notices/{id}")
_OWNER = ("See the owner", "/owners/{subject}")
_AUDIT = ("Check the record", "/audit")
_WAYS: Final[dict[ProblemKind, tuple[str, str]]] = {
    ProblemKind.TAMPERED: _AUDIT,
    ProblemKind.STUCK: ("Decide", "/rotations/{id}"),
    ProblemKind.NOT_REPLACED: _ROTATION,
    ProblemKind.GOING_BACK: _ROTATION,
    ProblemKind.NOT_BEGUN: _ROTATION,
    ProblemKind.RETRYING: _ROTATION,
    ProblemKind.HELD: _ROTATION,
    ProblemKind.UNFINISHED: _ROTATION,
    ProblemKind.DUE_AGAIN: _ITEM,
    ProblemKind.DIFFERS: _ITEM,
    ProblemKind.UNREADABLE: _ITEM,
    ProblemKind.USES_EXPIRED: _ITEM,
    ProblemKind.NO_VALUE: ("Add its value", "/items/{subject}/edit"),
    ProblemKind.MISSING: ("See who uses it", "/workflows"),
    ProblemKind.PICKUP: _ITEM,
    ProblemKind.NOTICE_FAILED: _NOTICE,
    ProblemKind.NOTICE_WAITING: _NOTICE,
    ProblemKind.UNREACHED: _OWNER,
    ProblemKind.OPERATORS_UNREACHED: _OWNER,
    ProblemKind.NO_OPERATORS: ("See the owners", "/owners"),
}
"""The one way that helps. A problem of the machine has none here: its command says what to do."""


@dataclass(frozen=True, kw_only=True)
class ShownProblem:
    """`command`: what to type, where nothing here helps or one would rather type."""

    sentence: str
    command: str | None
    way: tuple[str, str] | None


@router.get("/", **asks(Action.NIGHT_SEE))
def overview(request: Request, visitor: Looks) -> Response:
    """Green only if nothing is wrong, and nothing waits."""
    services = services_of(request)
    found = services.overview.outlook.read()
    sees_all = visitor.principal.sees_all
    names = set() if sees_all else _names_seen(services, visitor)
    problems = [one for one in found.problems if sees_all or one.subject in names]
    approvals = [one for one in found.approvals if sees_all or one.item in names]
    return show(
        request,
        "overview.html",
        problems=[_show(one) for one in problems],
        approvals=approvals,
        outlook=found,
        sees_all=sees_all,
    )


def _names_seen(services: Services, visitor: Visitor) -> set[str]:
    """The items of who sees some alone."""
    page = services.lists.list_items(ItemFilter(), PageRequest(), seen_by=visitor.principal)
    return {one.item.name for one in page.rows if isinstance(one, ListedItem)}


def _show(problem: Problem) -> ShownProblem:
    sentence, command = describe_apart(problem)
    way = _WAYS.get(problem.kind)
    target = way and way[1].format(id=problem.id, subject=quote(problem.subject, safe=""))
    if not sentence.startswith(problem.subject or " "):  # a name keeps its case
        sentence = sentence[:1].upper() + sentence[1:]
    return ShownProblem(sentence=sentence, command=command, way=way and (way[0], f"{CONSOLE}{target}"))
