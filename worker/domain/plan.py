"""What tonight holds for one due item: pure, so that the night, the dry run and a forecast agree."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vaultcore.model import Mode
from worker.domain.commands import quote_word
from worker.domain.findings import Finding, FindingKind, expiry_level, show_time_left
from worker.domain.limits import Room, cannot_wait, when_to_begin

_AHEAD = timedelta(days=1)
"""How long before its window opens a rotation is planned."""


class Action(StrEnum):
    ROTATE = "rotate"
    """A rotation is opened, to begin at `begins_at`."""
    REQUEST = "request"
    """A rotation is opened that waits for a person's approval."""
    ASK = "ask"
    """Its owner must replace the value."""
    HOLD = "hold"
    """The last try failed, or windows forbid it: the next one waits, and its owner should know."""
    WAIT = "wait"
    """Its turn comes another night, in time."""
    GO_ON = "go-on"
    """A rotation is under way already."""
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class DueItem:
    """A row of the scan: an item whose `due_at` has come.

    `opens` is the next moment that its windows and freezes allow, None if there is none.
    """

    item_id: str
    name: str
    owner_id: str | None
    mode: Mode
    expires_at: datetime
    rotate_from: datetime
    overlap: timedelta
    thresholds: tuple[int, ...]
    counterpart: str | None
    opens: datetime | None
    expiry_first: bool
    hold_until: datetime | None
    open_rotation: str | None
    open_state: str | None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is done, why, from when, and what the owner is told of it if anything."""

    action: Action
    why: str
    begins_at: datetime | None
    finding: Finding | None


def plan_item(item: DueItem, now: datetime, room: Room) -> Decision:
    """The decision for one item, with what is left of the night's caps.

    An item that rotates by itself is quiet while that works; it speaks when it has lapsed, when
    its rotation failed, when nothing allows one, or when one is stuck.
    """
    action, why, begins_at = _action(item, now, room)
    level = expiry_level(item.expires_at, item.thresholds, now)
    lapsed = item.expires_at <= now
    quiet = (Action.ROTATE, Action.GO_ON, Action.WAIT, Action.NONE)
    heals_itself = item.mode is Mode.AUTO and action in quiet
    finding = None
    if lapsed or (level is not None and not heals_itself):
        kind = FindingKind.LAPSED if lapsed else FindingKind.EXPIRING
        follows = "waits for approval" if action is Action.REQUEST else why
        urgency = _show_urgency(item, now)
        finding = _finding(item, kind, level, urgency if follows == urgency else f"{urgency}: {follows}")
    return Decision(action=action, why=why, begins_at=begins_at, finding=finding)


def _action(item: DueItem, now: datetime, room: Room) -> tuple[Action, str, datetime | None]:
    if item.open_rotation is not None:
        action, why = _go_on(item.open_rotation, item.open_state)
        return action, why, None
    if item.mode is Mode.NOTIFY:
        return (
            Action.ASK,
            f"only its owner can replace it: nightkey item update {quote_word(item.name)} --value-file PATH",
            None,
        )
    if item.hold_until is not None and item.hold_until > now:
        return Action.HOLD, f"its rotation failed, next try after {_show(item.hold_until)}", None
    if item.rotate_from > now:
        what = "asks for approval" if item.mode is Mode.APPROVE else "rotates"
        return Action.NONE, f"{what} from {_show(item.rotate_from)}", None
    begins_at = when_to_begin(
        opens=item.opens,
        expires_at=item.expires_at,
        overlap=item.overlap,
        expiry_first=item.expiry_first,
        now=now,
    )
    if begins_at is None:
        return Action.HOLD, "its windows and freezes allow no moment for a rotation", None
    if not item.expiry_first and begins_at > now and begins_at >= item.expires_at:
        return Action.HOLD, f"its window opens too late, {_show(begins_at)}: it lapses first", None
    urgency = _show_urgency(item, now)
    if item.mode is Mode.APPROVE:
        return Action.REQUEST, urgency, begins_at
    if begins_at > now + _AHEAD:
        return Action.WAIT, f"its window opens {_show(begins_at)}", None
    full = room.explain_full(item.counterpart)
    if full is not None and not cannot_wait(item.expires_at, item.overlap, now):
        return Action.WAIT, f"{full}: another night", None
    if begins_at > now:
        return Action.ROTATE, f"{urgency}, begins {_show(begins_at)}, when changes may be made", begins_at
    return Action.ROTATE, urgency, now


def _go_on(rotation: str, state: str | None) -> tuple[Action, str]:
    if state == "stuck":
        return (
            Action.HOLD,
            f"rotation {rotation} is stuck and needs a person: nightkey rotation show {rotation}",
        )
    if state == "requested":
        return Action.ASK, f"waits for approval: nightkey rotation approve {rotation}"
    return Action.GO_ON, f"rotation {rotation} is {state}"


def _show_urgency(item: DueItem, now: datetime) -> str:
    verb = "lapsed" if item.expires_at <= now else "expires"
    return f"{verb} {show_time_left(item.expires_at, now)}"


def _show(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _finding(item: DueItem, kind: FindingKind, level: int | None, detail: str) -> Finding:
    return Finding(
        kind=kind,
        subject=item.item_id,
        item_id=item.item_id,
        item=item.name,
        workflow=None,
        owner_id=item.owner_id,
        level=level or 1,
        detail=detail,
    )
