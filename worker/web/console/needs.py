"""What needs somebody, as rows of the first page, each with the one button that helps its reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from vaultcore.access import Action
from vaultcore.errors import NotFoundError, UnreadableError
from vaultcore.model import Item, Kind
from vaultcore.rules import is_item_id
from worker.bootstrap import Services
from worker.domain.commands import value_command
from worker.domain.problems import Problem, ProblemKind
from worker.domain.rotation import Rotation
from worker.web.console.frame import CONSOLE, Visitor
from worker.wording.coming import say_turn
from worker.wording.item_states import Tone
from worker.wording.problems import describe_apart
from worker.wording.times import say_distance

_REPLACE = ("Replace its value", "/items/{item}/value", Action.ITEM_REPLACE)
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
    ProblemKind.REFUSED: (_ITEM,),
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
    ProblemKind.NO_VALUE: (("Add its value", "/items/{item}/value", Action.ITEM_REPLACE), _ITEM),
    ProblemKind.MISSING: (("Add this item", "/items-new?name={subject}", Action.ITEM_CREATE), _USER),
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

    kind: Tone
    item: str
    sentence: str
    command: str | None
    way: WayOut | None
    exists: bool = True


def show_problem(services: Services, problem: Problem, visitor: Visitor) -> Need:
    sentence, command = describe_apart(problem)
    named = problem.kind in _OF_ITEMS and sentence.startswith(problem.subject)
    if not sentence.startswith(problem.subject or " "):  # a name keeps its case
        sentence = sentence[:1].upper() + sentence[1:]
    ways = _WAYS.get(problem.kind, ())
    item = _find_fillable(services, problem) if any("{item}" in path for _, path, _ in ways) else None
    led = (_lead(one, problem, item, visitor) for one in ways)
    return Need(
        kind=Tone.WRONG,
        item=problem.subject if named else "",
        sentence=sentence.removeprefix(problem.subject) if named else sentence,
        command=command,
        exists=problem.kind is not ProblemKind.MISSING,
        way=next((one for one in led if one is not None), None),
    )


def _find_fillable(services: Services, problem: Problem) -> Item | None:
    """The item that it is about, if a person gives its value: a key for callers of ours is made here."""
    try:
        item = services.lookup.views.get_item(problem.subject)
    except (NotFoundError, UnreadableError):
        return None
    return item if item.kind is Kind.SECRET else None


def _lead(way: tuple[str, str, Action], problem: Problem, item: Item | None, visitor: Visitor) -> WayOut | None:
    """None: it leads nowhere, or to what the visitor may not do. Of an id alone nobody makes an item."""
    words, path, action = way
    if ("{id}" in path and problem.id is None) or ("{item}" in path and item is None):
        return None
    if not visitor.may(action, item.owners if item is not None and "{item}" in path else None):
        return None
    if action is Action.ITEM_CREATE and is_item_id(problem.subject):
        return None
    filled = path.format(
        id=quote(problem.id or "", safe=""),
        subject=quote(problem.subject, safe=""),
        item="" if item is None else item.id,
    )
    return WayOut(words=words, path=f"{CONSOLE}{filled}", begins=way is _NIGHT)


def show_turn(item: Item, visitor: Visitor, now: datetime) -> Need:
    gives = item.kind is Kind.SECRET and visitor.may(Action.ITEM_REPLACE, item.owners)
    words, path, _ = _REPLACE if gives else _ITEM
    lapsed = item.expires_at is not None and item.expires_at <= now
    return Need(
        kind=Tone.WRONG if lapsed else Tone.WAITS,
        item=item.name,
        sentence=f" {say_turn(item, now)}",
        command=value_command(item, now) if gives else None,
        way=WayOut(words=words, path=CONSOLE + path.format(item=item.id, subject=quote(item.name, safe=""))),
    )


def show_approval(services: Services, rotation: Rotation, visitor: Visitor, now: datetime) -> Need:
    try:
        owners = services.lookup.views.get_item(rotation.item_id).owners
    except (NotFoundError, UnreadableError):
        owners = ()
    approves = visitor.may(Action.ROTATION_APPROVE, owners)
    until = "" if rotation.next_at is None else f", {say_distance(rotation.next_at, now)} at the latest"
    path = f"{CONSOLE}/rotations/{rotation.id}"
    return Need(
        kind=Tone.WAITS,
        item=rotation.item,
        sentence=f" waits for an approval{until}",
        command=f"nightkey rotation approve {rotation.id}" if approves else None,
        way=WayOut(words="Approve or reject", path=f"{path}#decide")
        if approves
        else WayOut(words="See it", path=path),
    )
