"""The first page: what needs somebody, what happened last night, what comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NotFoundError, UnreadableError
from vaultcore.model import Item, Kind
from vaultcore.rules import is_item_id
from worker.bootstrap import Services
from worker.domain.commands import value_command
from worker.domain.problems import Problem, ProblemKind
from worker.domain.rotation import Rotation
from worker.domain.states import NightOutcome
from worker.services.night.last_nights import NightSummary
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.rotation_rows import RotationRow, show_rotations
from worker.web.console.visits import Looks, PageRoute
from worker.wording import describe_apart
from worker.wording.coming import say_lapse
from worker.wording.times import say_distance

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)

_REPLACE = ("Replace its value", "/items/{subject}/value", Action.ITEM_REPLACE)
_ITEM = ("See the item", "/items/{subject}", Action.ITEM_SEE)
_ROTATION = ("See why", "/rotations/{id}", Action.ROTATION_SEE)
_NOTICE = ("See the notice", "/notices/{id}", Action.NOTICE_SEE)
_OWNER = ("See the owner", "/owners/{subject}", Action.OWNER_SEE)
_USER = ("See who uses it", "/workflows/{id}", Action.WORKFLOW_SEE)
_NIGHT = ("Begin a night now", "/night", Action.NIGHT_RUN)
_WAYS: Final[Mapping[ProblemKind, tuple[tuple[str, str, Action], ...]]] = {
    ProblemKind.NIGHT_LATE: (_NIGHT,),
    ProblemKind.NIGHT_CUT_OFF: (_NIGHT,),
    ProblemKind.NIGHT_NOT_SCANNED: (_NIGHT,),
    ProblemKind.NIGHT_FAILED: (_NIGHT,),
    ProblemKind.TAMPERED: (
        ("Check the record", "/audit", Action.AUDIT_READ),
        ("See what was found", "/findings?kind=tampered", Action.FINDING_SEE),
    ),
    ProblemKind.STUCK: (("Decide", "/rotations/{id}#decide", Action.ROTATION_DECIDE), _ROTATION),
    ProblemKind.NOT_REPLACED: (_ROTATION,),
    ProblemKind.GOING_BACK: (_ROTATION,),
    ProblemKind.NOT_BEGUN: (_ROTATION,),
    ProblemKind.RETRYING: (_ROTATION,),
    ProblemKind.HELD: (_ROTATION,),
    ProblemKind.UNFINISHED: (_ROTATION,),
    ProblemKind.DUE_AGAIN: (_ITEM,),
    ProblemKind.DIFFERS: (_ITEM,),
    ProblemKind.UNREADABLE: (("See what was found", "/findings?kind=unreadable", Action.FINDING_SEE),),
    ProblemKind.USES_EXPIRED: (_REPLACE, _ITEM),
    ProblemKind.NO_VALUE: (("Add its value", "/items/{subject}/value", Action.ITEM_REPLACE), _ITEM),
    ProblemKind.MISSING: (("Add this item", "/items/new?name={subject}", Action.ITEM_CREATE), _USER),
    ProblemKind.PICKUP: (_ITEM,),
    ProblemKind.NOTICE_FAILED: (_NOTICE,),
    ProblemKind.NOTICE_WAITING: (_NOTICE,),
    ProblemKind.UNREACHED: (_OWNER,),
    ProblemKind.OPERATORS_UNREACHED: (_OWNER,),
    ProblemKind.NO_OPERATORS: (("See the owners", "/owners", Action.OWNER_SEE),),
}
"""What helps, the best first: a visitor is shown the first that they may do. A problem of the machine has none
here: its sentence says what to type.
"""
_OF_ITEMS: Final = frozenset(
    kind for kind, ways in _WAYS.items() if kind is ProblemKind.MISSING or _ITEM in ways or _ROTATION in ways
)
_DECIDES: Final = (Action.ROTATION_APPROVE, Action.ROTATION_DECIDE, Action.ITEM_REPLACE)


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """`begins`: it is a button that does something; otherwise a link."""

    words: str
    path: str
    begins: bool = False


@dataclass(frozen=True, kw_only=True)
class Need:
    """`item`: the name of the item that the sentence begins with, if it does with one. `command`: what to type,
    where nothing here helps or one would rather type. `exists`: there is such an item.
    """

    kind: str
    item: str
    sentence: str
    command: str | None
    way: WayOut | None
    exists: bool = True


@dataclass(frozen=True, kw_only=True)
class NightStrip:
    """`kind` and `state`: how it stands, by shape and in words. `more`: rotations beside those of the rows."""

    summary: NightSummary
    kind: str
    state: str
    rows: list[RotationRow]
    more: int


@router.get("/", **asks(Action.NIGHT_SEE))
def overview(request: Request, visitor: Looks) -> Response:
    """Green only if nothing is wrong, and nothing waits."""
    services = services_of(request)
    found = services.overview.outlook.read(seen_by=visitor.principal)
    now = services.clock()
    needs = [_show_problem(one, visitor) for one in found.problems]
    needs += [_show_turn(one, visitor, now) for one in found.owners_turn]
    return show(
        request,
        "overview.html",
        needs=needs + [_show_approval(services, one, visitor, now) for one in found.approvals],
        decides=any(map(visitor.may, _DECIDES)),
        outlook=found,
        nights=_show_nights(services, services.overview.last_nights.read(seen_by=visitor.principal)),
    )


@router.get("/night", **asks(Action.NIGHT_SEE))
def show_night(request: Request, visitor: Looks) -> Response:
    """The last night alone: what the first page asks for again and again while it runs."""
    services = services_of(request)
    found = services.overview.last_nights.read(seen_by=visitor.principal)
    return show(request, "night.html", nights=_show_nights(services, found))


@router.post("/night", **asks(Action.NIGHT_RUN))
def begin_night(request: Request) -> Response:
    """Looks through the vault now, and opens what is due. Whoever works on the vault goes on with that."""
    services = services_of(request)
    services.night.nights.begin(services.clock(), by_hand=True)
    return go(f"{CONSOLE}/", said="night-begun")


def _show_problem(problem: Problem, visitor: Visitor) -> Need:
    sentence, command = describe_apart(problem)
    named = problem.kind in _OF_ITEMS and sentence.startswith(problem.subject)
    if not sentence.startswith(problem.subject or " "):  # a name keeps its case
        sentence = sentence[:1].upper() + sentence[1:]
    ways = _WAYS.get(problem.kind, ())
    return Need(
        kind="wrong",
        item=problem.subject if named else "",
        sentence=sentence.removeprefix(problem.subject) if named else sentence,
        command=command,
        exists=problem.kind is not ProblemKind.MISSING,
        way=next(
            (_lead(one, problem) for one in ways if visitor.may(one[2]) and _is_there(one, problem)), None
        ),
    )


def _is_there(way: tuple[str, str, Action], problem: Problem) -> bool:
    """Whether it leads somewhere: an item that is named by its id alone can be added by nobody."""
    if way[2] is Action.ITEM_CREATE:
        return not is_item_id(problem.subject)
    return problem.id is not None or "{id}" not in way[1]


def _lead(way: tuple[str, str, Action], problem: Problem) -> WayOut:
    path = way[1].format(id=quote(problem.id or "", safe=""), subject=quote(problem.subject, safe=""))
    return WayOut(words=way[0], path=f"{CONSOLE}{path}", begins=way is _NIGHT)


def _show_turn(item: Item, visitor: Visitor, now: datetime) -> Need:
    """A key for callers of ours is given by nobody: its page says what to do."""
    gives = item.kind is Kind.SECRET and visitor.may(Action.ITEM_REPLACE, item.owners)
    words, path, _ = _REPLACE if gives else _ITEM
    lapsed = item.expires_at is not None and item.expires_at <= now
    verb, comma, unless = say_lapse(item, now).partition(",")
    away = "" if item.expires_at is None else f" {say_distance(item.expires_at, now)}"
    return Need(
        kind="wrong" if lapsed else "waits",
        item=item.name,
        sentence=f" {verb}{away}{comma}{unless}",
        command=value_command(item, now) if gives else None,
        way=WayOut(words=words, path=CONSOLE + path.format(subject=quote(item.name, safe=""))),
    )


def _show_approval(services: Services, rotation: Rotation, visitor: Visitor, now: datetime) -> Need:
    try:
        owners = services.views.get_item(rotation.item_id).owners
    except (NotFoundError, UnreadableError):
        owners = ()
    approves = visitor.may(Action.ROTATION_APPROVE, owners)
    until = "" if rotation.next_at is None else f", {say_distance(rotation.next_at, now)} at the latest"
    path = f"{CONSOLE}/rotations/{rotation.id}"
    return Need(
        kind="waits",
        item=rotation.item,
        sentence=f" waits for an approval{until}",
        command=f"nightkey rotation approve {rotation.id}" if approves else None,
        way=WayOut(words="Approve or reject", path=f"{path}#decide")
        if approves
        else WayOut(words="See it", path=path),
    )


def _show_nights(services: Services, found: Sequence[NightSummary]) -> list[NightStrip]:
    return [
        NightStrip(
            summary=one,
            kind=_judge(one)[0],
            state=_judge(one)[1],
            rows=show_rotations(services, one.rotations),
            more=one.opened - len(one.rotations),
        )
        for one in found
    ]


def _judge(summary: NightSummary) -> tuple[str, str]:
    if not summary.is_over:
        return ("rest", "under way") if summary.night.scanned_at else ("rest", "looks through the vault")
    if summary.night.outcome == NightOutcome.GOOD:
        return "well", "ended well"
    return "wrong", "did not end well"
