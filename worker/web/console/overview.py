"""The first page: what needs somebody, what happened last night, what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from worker.bootstrap import Services
from worker.domain.problems import Problem, ProblemKind
from worker.services.night.summaries import NightSummary
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, show
from worker.web.console.rotation_rows import RotationRow, show_rotations
from worker.web.console.visits import Looks, PageRoute
from worker.wording import describe_apart
from worker.wording.nights import Counted, describe_summary, list_counts, say_night

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
    ProblemKind.NO_VALUE: ("Add its value", "/items/{subject}/value"),
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
class Need:
    """`command`: what to type, where nothing here helps or one would rather type."""

    sentence: str
    command: str | None
    way: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class NightStrip:
    """`kind` and `state`: how it stands, by shape and in words. `counts`: what came of it, each a number, its
    words, and whether it went wrong. `more`: rotations beside those of the rows.
    """

    summary: NightSummary
    kind: str
    state: str
    counts: list[Counted]
    rows: list[RotationRow]
    more: int


@router.get("/", **asks(Action.NIGHT_SEE))
def overview(request: Request, visitor: Looks) -> Response:
    """Green only if nothing is wrong, and nothing waits."""
    services = services_of(request)
    found = services.overview.outlook.read()
    seen = services.lists.find_seen(visitor.principal)
    problems = [one for one in found.problems if seen is None or one.subject in seen.names]
    approvals = [one for one in found.approvals if seen is None or one.item_id in seen.ids]
    return show(
        request,
        "overview.html",
        problems=[_show(one) for one in problems],
        approvals=approvals,
        outlook=found,
        sees_all=seen is None,
        nights=_show_nights(services, services.overview.night_summaries.last(seen_by=visitor.principal)),
    )


@router.get("/night", **asks(Action.NIGHT_SEE))
def show_night(request: Request, visitor: Looks) -> Response:
    """The last night alone: what the first page asks for again and again while it runs."""
    services = services_of(request)
    found = services.overview.night_summaries.last(seen_by=visitor.principal)
    return show(request, "night.html", nights=_show_nights(services, found))


def _show(problem: Problem) -> Need:
    sentence, command = describe_apart(problem)
    way = _WAYS.get(problem.kind)
    target = way and way[1].format(id=problem.id, subject=quote(problem.subject, safe=""))
    if not sentence.startswith(problem.subject or " "):  # a name keeps its case
        sentence = sentence[:1].upper() + sentence[1:]
    return Need(sentence=sentence, command=command, way=way and (way[0], f"{CONSOLE}{target}"))


def _show_nights(services: Services, found: Sequence[NightSummary]) -> list[NightStrip]:
    return [
        NightStrip(
            summary=one,
            kind=say_night(describe_summary(one))[0],
            state=say_night(describe_summary(one))[1],
            counts=list_counts(describe_summary(one)),
            rows=show_rotations(services, one.rotations),
            more=one.opened - len(one.rotations),
        )
        for one in found
    ]
