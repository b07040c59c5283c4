"""What tonight holds for one due item: pure, so that the night, the dry run and a forecast agree."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vaultcore.model import Mode
from worker.domain.commands import quote_word
from worker.domain.findings import Finding, FindingKind, expiry_level, show_time_left


class Action(StrEnum):
    ROTATE = "rotate"
    """A rotation is opened."""
    ASK = "ask"
    """A person must start it, or replace the value."""
    HOLD = "hold"
    """The last try failed; the next one waits."""
    GO_ON = "go-on"
    """A rotation is under way already."""
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class DueItem:
    """A row of the scan: an item whose `due_at` has come."""

    item_id: str
    name: str
    owner_id: str | None
    mode: Mode
    rotator: str | None
    expires_at: datetime
    rotate_from: datetime
    thresholds: tuple[int, ...]
    hold_until: datetime | None
    open_rotation: str | None
    open_state: str | None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is done, why, and what the owner is told of it if anything."""

    action: Action
    why: str
    finding: Finding | None


def plan_item(item: DueItem, now: datetime) -> Decision:
    """The decision for one item.

    An item that rotates by itself is quiet while that works; it speaks when it has lapsed, when
    its rotation failed, or when one is stuck.
    """
    action, why = _action(item, now)
    level = expiry_level(item.expires_at, item.thresholds, now)
    lapsed = item.expires_at <= now
    heals_itself = item.mode is Mode.AUTO and action in (Action.ROTATE, Action.GO_ON, Action.NONE)
    if lapsed:
        detail = f"lapsed {show_time_left(item.expires_at, now)}: {why}"
        return Decision(action=action, why=why, finding=_finding(item, FindingKind.LAPSED, level, detail))
    if level is None or heals_itself:
        return Decision(action=action, why=why, finding=None)
    detail = f"expires {show_time_left(item.expires_at, now)}: {why}"
    return Decision(action=action, why=why, finding=_finding(item, FindingKind.EXPIRING, level, detail))


def _action(item: DueItem, now: datetime) -> tuple[Action, str]:
    if item.open_rotation is not None:
        if item.open_state == "stuck":
            return Action.HOLD, f"rotation {item.open_rotation} is stuck and needs a person"
        return Action.GO_ON, f"rotation {item.open_rotation} is {item.open_state}"
    if item.mode is Mode.NOTIFY:
        return Action.ASK, (
            f"only its owner can replace it: nightkey item update {quote_word(item.name)} --value-file PATH"
        )
    if item.mode is Mode.APPROVE:
        return Action.ASK, f"waits for a person: nightkey item rotate {quote_word(item.name)}"
    if item.hold_until is not None and item.hold_until > now:
        return (
            Action.HOLD,
            f"its rotation failed, next try after {item.hold_until:%Y-%m-%d %H:%M} UTC",
        )
    if item.rotate_from > now:
        return Action.NONE, f"rotates from {item.rotate_from:%Y-%m-%d %H:%M} UTC"
    return Action.ROTATE, f"expires {show_time_left(item.expires_at, now)}"


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
