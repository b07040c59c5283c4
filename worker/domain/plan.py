"""What tonight holds for one due item: pure, so that the night, the dry run and a forecast agree."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from vaultcore.model import Mode
from worker.domain.commands import quote_word, replace_command
from worker.domain.consumption import advise_unread
from worker.domain.distances import count_seconds_left
from worker.domain.findings import Finding, FindingKind, expiry_level, find_of_item
from worker.domain.limits import NIGHT, CapsLeft, cannot_wait, when_to_begin
from worker.domain.reasons import Code, Reason
from worker.domain.saga import State

_EXPIRES = Code.EXPIRES
_TONIGHT = Reason.of(Code.DOES_REPLACE_TONIGHT)
_AHEAD = timedelta(days=1)
"""How long before its window opens a rotation is planned."""


class PlannedAction(StrEnum):
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


_ROTATE = PlannedAction.ROTATE
_QUIET = (PlannedAction.ROTATE, PlannedAction.GO_ON, PlannedAction.WAIT, PlannedAction.NONE)


class DueItem(NamedTuple):
    """A row of the scan: an item whose `due_at` has come.

    `opens` is the next moment that its windows and freezes allow, None if there is none.
    """

    item_id: str
    name: str
    mode: Mode
    expires_at: datetime
    rotate_from: datetime
    overlap: timedelta
    thresholds: tuple[int, ...]
    target: str | None
    opens: datetime | None
    expiry_first: bool
    hold_until: datetime | None
    open_rotation: str | None
    open_state: str | None
    lifetime: timedelta | None = None
    """Of the next value, if the policy has one."""
    unread: bool = False
    """Nothing here reads it, and its policy does not say that nothing needs to."""
    differs: bool = False
    """From its target, since a restore."""
    give: str | None = None
    """The command that gives it the value that it waits for; None: it has one."""


class Decision(NamedTuple):
    """What is done, why, from when, and what the owner is told of it if anything."""

    action: PlannedAction
    why: Reason
    begins_at: datetime | None
    finding: Finding | None


class QuietSpan(NamedTuple):
    """Expiries, later than one time and not later than another."""

    after: datetime
    until: datetime


class _Choice(NamedTuple):
    """`does` and `command` as in `Finding`."""

    action: PlannedAction
    why: Reason
    begins_at: datetime | None = None
    does: Reason | None = None
    command: str | None = None


def plan_item(item: DueItem, now: datetime, caps_left: CapsLeft) -> Decision:
    """The decision for one item, with what is left of the night's caps.

    An item that rotates by itself is quiet while that works. It speaks when the time that a rotation and its
    overlap take is no longer left, when it has lapsed, when its rotation failed, when nothing allows one, or
    when one is stuck.
    """
    choice = _choose(item, now, caps_left)
    lapsed = item.expires_at <= now
    at_risk = lapsed or cannot_wait(item.expires_at, item.overlap, now)
    heals_itself = item.mode is Mode.AUTO and choice.action in _QUIET
    if heals_itself and not at_risk:
        return Decision(choice.action, choice.why, choice.begins_at, None)
    finding = None
    level = expiry_level(item.expires_at, item.thresholds, now)
    if heals_itself or lapsed or level is not None:
        finding = find_of_item(
            FindingKind.LAPSED if lapsed else FindingKind.EXPIRING,
            item.item_id,
            item.name,
            level=level or 1,
            detail=_urgency(item.expires_at, now),
            deadline=item.expires_at,
            does=choice.does,
            command=choice.command,
        )
    return Decision(choice.action, choice.why, choice.begins_at, finding)


def find_quiet_span(
    *, mode: Mode, opens: datetime | None, lead: timedelta, overlap: timedelta, now: datetime
) -> QuietSpan | None:
    """The expiries for which `plan_item` comes to the same for all items of a policy whose values have no known
    life, unless something else is known of one or the night is full: it is replaced tonight, and nobody is
    told. So a scan need not ask it of each. None: there are none such.
    """
    if mode is not Mode.AUTO or opens is None or opens > now:
        return None
    try:
        return QuietSpan(after=max(now, now + overlap + NIGHT), until=now + lead)
    except OverflowError:
        return None


def replace_quietly(expires_at: datetime, now: datetime) -> Decision:
    """The decision for an item whose expiry lies in that span."""
    return tuple.__new__(Decision, (_ROTATE, _urgency(expires_at, now), now, None))  # faster than its own


def _choose(item: DueItem, now: datetime, caps_left: CapsLeft) -> _Choice:
    if item.open_rotation is not None:
        return _go_on(item.open_rotation, item.open_state)
    if not item.differs and (item.give is not None or item.mode is Mode.NOTIFY):
        return _ask_owner(item)
    stays = _stay(item, now)
    return stays if stays is not None else _replace(item, now, caps_left)


def _stay(item: DueItem, now: datetime) -> _Choice | None:
    """Why nothing is done about it in this night, whatever the windows say; None: it is to be replaced."""
    if item.differs:
        return _Choice(
            action=PlannedAction.HOLD,
            why=Reason.of(Code.DIFFERS_SINCE_RESTORE, command="nightkey reconcile list"),
            does=Reason.of(Code.DOES_NOTHING, why=Reason.of(Code.DIFFERS_SINCE_RESTORE)),
            command=f"nightkey reconcile accept {quote_word(item.name)}",
        )
    if item.unread:
        why = Reason.of(Code.UNREAD)
        does = Reason.of(Code.DOES_NOTHING, why=why)
        return _Choice(action=PlannedAction.HOLD, why=why, does=does, command=advise_unread(item.name))
    if item.hold_until is not None and item.hold_until > now:
        return _Choice(
            action=PlannedAction.HOLD,
            why=Reason.of(Code.RETRIES_AFTER, at=item.hold_until),
            does=Reason.of(Code.DOES_RETRY, at=item.hold_until),
            command=_by_hand(item),
        )
    if item.rotate_from > now:
        asks = item.mode is Mode.APPROVE
        return _Choice(
            action=PlannedAction.NONE,
            why=Reason.of(Code.ASKS_FROM if asks else Code.ROTATES_FROM, at=item.rotate_from),
            does=Reason.of(Code.DOES_ASK_FROM if asks else Code.DOES_REPLACE_FROM, at=item.rotate_from),
        )
    return None


def _replace(item: DueItem, now: datetime, caps_left: CapsLeft) -> _Choice:
    """When it is replaced, or asked for: by its windows, and by what the night has room for."""
    begins_at = when_to_begin(
        opens=item.opens,
        expires_at=item.expires_at,
        overlap=item.overlap,
        expiry_first=item.expiry_first,
        now=now,
    )
    if begins_at is None:
        return _hold(item, Reason.of(Code.NO_MOMENT))
    if not item.expiry_first and begins_at > now and begins_at >= item.expires_at:
        return _hold(item, Reason.of(Code.OPENS_TOO_LATE, at=begins_at))
    urgency = _urgency(item.expires_at, now)
    if item.mode is Mode.APPROVE:
        does = Reason.of(Code.DOES_ASK)
        return _Choice(action=PlannedAction.REQUEST, why=urgency, begins_at=begins_at, does=does)
    if begins_at > now + _AHEAD:
        return _Choice(
            action=PlannedAction.WAIT,
            why=Reason.of(Code.OPENS, at=begins_at),
            does=Reason.of(Code.DOES_REPLACE_AT_OPENING, at=begins_at),
        )
    full = caps_left.find_full(item.target)
    if full is not None and not cannot_wait(item.expires_at, item.overlap, now):
        return _Choice(
            action=PlannedAction.WAIT,
            why=Reason.of(Code.ANOTHER_NIGHT, why=full),
            does=Reason.of(Code.DOES_REPLACE_ANOTHER_NIGHT, why=full),
        )
    if begins_at > now:
        return _Choice(
            action=PlannedAction.ROTATE,
            why=Reason.of(Code.EXPIRES_THEN, at=begins_at, **urgency.parameters),
            begins_at=begins_at,
            does=Reason.of(Code.DOES_REPLACE_IN_WINDOW, at=begins_at),
        )
    return _Choice(PlannedAction.ROTATE, urgency, now, _TONIGHT)


def _hold(item: DueItem, why: Reason) -> _Choice:
    does = Reason.of(Code.DOES_NOTHING, why=why)
    return _Choice(action=PlannedAction.HOLD, why=why, does=does, command=_by_hand(item))


def _by_hand(item: DueItem) -> str:
    return f"nightkey item rotate {quote_word(item.name)}"


def _ask_owner(item: DueItem) -> _Choice:
    if item.give is not None:
        does = None if item.mode is Mode.NOTIFY else Reason.of(Code.DOES_AWAIT_VALUE)
        why = Reason.of(Code.AWAITS_VALUE, command=item.give)
        return _Choice(action=PlannedAction.ASK, why=why, does=does, command=item.give)
    command = replace_command(item.name, item.lifetime)
    return _Choice(
        action=PlannedAction.ASK, why=Reason.of(Code.OWNER_REPLACES, command=command), command=command
    )


def describe_open(rotation: str, state: str) -> tuple[Reason | None, str]:
    """What Nightkey does about an item that is being rotated, and what a person can type."""
    choice = _go_on(rotation, state)
    return choice.does, choice.command or ""


def _go_on(rotation: str, state: str | None) -> _Choice:
    show = f"nightkey rotation show {rotation}"
    if state == State.STUCK:
        return _Choice(
            action=PlannedAction.HOLD,
            why=Reason.of(Code.IS_STUCK, rotation=rotation, command=show),
            does=Reason.of(Code.DOES_NOTHING, why=Reason.of(Code.STUCK)),
            command=show,
        )
    if state == State.REQUESTED:
        approve = f"nightkey rotation approve {rotation}"
        return _Choice(
            action=PlannedAction.ASK,
            why=Reason.of(Code.AWAITS_APPROVAL, command=approve),
            does=Reason.of(Code.DOES_REPLACE_WHEN_APPROVED),
            command=approve,
        )
    why = Reason.of(Code.UNDER_WAY, rotation=rotation, state=state)
    return _Choice(action=PlannedAction.GO_ON, why=why, does=Reason.of(Code.DOES_GO_ON, why=why), command=show)


def _urgency(expires_at: datetime, now: datetime) -> Reason:
    return Reason(_EXPIRES, (("seconds", count_seconds_left(expires_at, now)),))
