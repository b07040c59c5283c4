"""What the scan can see, how bad it is, and whom it concerns. Pure.

`level` only compares a finding with itself: it rises when the thing gets worse, and a rise is
what an owner is told of again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vaultcore.rules import show_duration
from worker.domain.commands import quote_word
from worker.domain.reasons import Code, Reason

SUBJECT_MAX = 250
_NAME_MAX = 60
_WORKFLOW_MAX = 200
_PROBLEM_MAX = 300
_UNITS = (timedelta(hours=1), timedelta(minutes=1))
LAPSED_LEVEL = 100
"""The level of what has just lapsed: it rises by one a day."""


class FindingKind(StrEnum):
    LAPSED = "lapsed"
    """The item itself."""
    REFUSED = "refused"
    """The other side no longer accepts what the vault holds."""
    STUCK = "stuck"
    ROTATION_FAILED = "rotation-failed"
    TAMPERED = "tampered"
    """A stored row that decides, or a sealed record, is not as any of us wrote it."""
    UNREADABLE = "unreadable"
    DRIFTED = "drifted"
    """After a restore: what the target accepts is not what the vault holds."""
    EXPIRING = "expiring"
    MISSING = "missing"
    USES_EXPIRED = "expired"
    """A workflow uses an item that has lapsed."""
    SHARED = "shared"
    """Another item holds the same credential."""
    STALE_COPY = "stale-copy"
    """A declared copy has the value that its original had before."""
    NO_VALUE = "no-value"
    SUPERSEDED = "superseded"
    UNPROVEN = "unproven"
    NO_CONSUMER = "no-consumer"
    MISFIT = "misfit"
    """Its service gives values that live too shortly for its policy."""
    PASSED_OVER = "passed-over"
    """A template of notices does not work: ours is sent in its place."""
    IDLE = "idle"
    UNUSED = "unused"
    NO_OWNER = "no-owner"
    NO_EXPIRY = "no-expiry"
    NO_PLAN = "no-plan"
    GENERIC_NAME = "generic-name"


MENTIONED = 0
"""The level of what only stands in a text that nothing here reads: it is told, and fails nothing."""

WORST_FIRST = {kind: position for position, kind in enumerate(FindingKind)}
"""The order of a digest: as the enumeration has them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing seen. `subject` tells it from others of its kind.

    `deadline`: the expiry that it is about. `does`: what Nightkey does about it by itself, and when; `command`:
    what a person can do, as they would type it.
    """

    kind: FindingKind
    subject: str
    item_id: str | None
    item: str | None
    workflow: str | None
    level: int
    detail: Reason
    deadline: datetime | None = None
    does: Reason | None = None
    command: str | None = None


def find_of_item(
    kind: FindingKind,
    item_id: str,
    item: str,
    *,
    detail: Reason,
    level: int = 1,
    deadline: datetime | None = None,
    does: Reason | None = None,
    command: str | None = None,
) -> Finding:
    """What is seen of an item as a whole: one of a kind for each."""
    return Finding(
        kind=kind,
        subject=item_id,
        item_id=item_id,
        item=item,
        workflow=None,
        level=level,
        detail=detail,
        deadline=deadline,
        does=does,
        command=command,
    )


def find_unreadable(
    subject: object,
    problem: str,
    *,
    item_id: object = None,
    item: object = None,
    workflow: object = None,
    what: str = "it",
) -> Finding:
    """A stored row that holds what none of us wrote; `problem` names the fields, `what` the row.

    What it says of the row may itself be what cannot be read.
    """
    name = str(item)[:_NAME_MAX] if item else None
    show = "nightkey audit verify" if name is None else f"nightkey item show {quote_word(name)}"
    return Finding(
        kind=FindingKind.UNREADABLE,
        subject=str(subject)[:SUBJECT_MAX],
        item_id=item_id if isinstance(item_id, str) else None,
        item=name,
        workflow=None if workflow is None else str(workflow)[:_WORKFLOW_MAX],
        level=1,
        detail=Reason.of(Code.UNREADABLE, what=what, problem=problem),
        command=show,
    )


def tampered_subject(table: str, key: str) -> str:
    """Its beginning, where the key is long."""
    return f"{table} {key}"[:SUBJECT_MAX]


def find_tampered(
    table: str,
    key: str,
    *,
    what: Reason,
    command: str,
    item_id: str | None = None,
    item: str | None = None,
    workflow: str | None = None,
) -> Finding:
    """A row that none of us wrote so; `what` says the row and what is wrong with it, `command` what helps."""
    return Finding(
        kind=FindingKind.TAMPERED,
        subject=tampered_subject(table, key),
        item_id=item_id,
        item=None if item is None else item[:_NAME_MAX],
        workflow=None if workflow is None else workflow[:_WORKFLOW_MAX],
        level=1,
        detail=what,
        does=Reason.of(Code.NOTHING_BEFORE_THAT),
        command=command,
    )


def find_passed_over(subject: str, *, template: str, problem: str) -> Finding:
    """`subject`: the template as it is now; another text of it is another subject."""
    return Finding(
        kind=FindingKind.PASSED_OVER,
        subject=subject,
        item_id=None,
        item=None,
        workflow=None,
        level=1,
        detail=Reason.of(Code.BAD_TEMPLATE, template=template, problem=problem[:_PROBLEM_MAX]),
        command="nightkey notice template",
    )


def expiry_level(expires_at: datetime, thresholds: tuple[int, ...], now: datetime) -> int | None:
    """How many thresholds (days before expiry) have been crossed; None: not one.

    By what has been crossed and never by an exact day, so that a night that was missed loses
    nothing. From the expiry on the level rises by one a day.
    """
    left = expires_at - now
    if left <= timedelta(0):
        return LAPSED_LEVEL + (-left).days
    crossed = sum(left <= timedelta(days=days) for days in thresholds)
    return crossed or None


def topic_of(item_id: str, deadline: datetime) -> str:
    """What is told of one expiry, whether it is near, past, or near because a rotation failed."""
    return f"{item_id} {deadline.isoformat()}"


def show_lasting(duration: timedelta) -> str:
    """As a person would say it, and `--lifetime` takes it: `7d` of what lives a second less; never nothing."""
    unit = next((unit for unit in _UNITS if duration >= 10 * unit), timedelta(seconds=1))
    return show_duration(max(round(duration / unit) * unit, timedelta(seconds=1)))
