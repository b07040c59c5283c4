"""What a digest tells: the lines, worst first, as its template needs them. Pure; never a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.domain.commands import quote_word
from worker.domain.findings import WORST_FIRST, FindingKind, show_time_left
from worker.domain.reasons import Reason
from worker.domain.saga import State

PICKUP_MARK = "{claim}"
"""Stands in a stored body where the token of a pickup is put when the notice leaves."""
PICKUP_COMMAND = "nightkey pickup"
"""Asks for the token: others on the machine see what stands on a command line, and the shell keeps it."""

LINES_MAX = 100
"""So many findings are told one by one; of the others their number."""


def digest_key(owner_id: str, night: datetime) -> str:
    """Under which the digest of a night for an owner is written: once."""
    return f"digest:{owner_id}:{night.isoformat()}"


def name_finding(kind: FindingKind) -> str:
    """What such a finding says of its subject, in a few words."""
    return _MEANS[kind][0]


_REPLACED = (State.CANARY, State.WATCHING, State.RETIRING, State.DONE)
_NOT_REPLACED = (State.ROLLED_BACK, State.STUCK)

_MEANS: dict[FindingKind, tuple[str, str]] = {
    FindingKind.LAPSED: ("lapsed", "Replace it"),
    FindingKind.REFUSED: ("is refused by the other side", "Give it a value that works"),
    FindingKind.STUCK: ("needs a person", "Decide"),
    FindingKind.ROTATION_FAILED: ("was not replaced", "What happened"),
    FindingKind.TAMPERED: ("was changed behind the vault's back", "Look, and answer for it"),
    FindingKind.UNREADABLE: ("could not be looked at", "Look"),
    FindingKind.DRIFTED: ("differs from its target since the restore", "Look, and decide"),
    FindingKind.EXPIRING: ("lapses", "Replace it"),
    FindingKind.MISSING: ("does not exist", "Create it, or correct the workflow"),
    FindingKind.USES_EXPIRED: ("is used after it lapsed", "Look"),
    FindingKind.SHARED: ("holds the same credential as another item", "Say which is the copy, or delete it"),
    FindingKind.STALE_COPY: ("is a copy of what was replaced", "Move to the original"),
    FindingKind.NO_VALUE: ("waits for its value", "Give it"),
    FindingKind.SUPERSEDED: ("is used in an older version", "Move it to the current one"),
    FindingKind.UNPROVEN: ("is not proven since it was replaced", "Decide"),
    FindingKind.NO_CONSUMER: ("cannot be replaced here, since nothing here reads it", "Decide"),
    FindingKind.MISFIT: ("is given values that live too shortly for its policy", "Make them fit"),
    FindingKind.PASSED_OVER: ("does not work", "Look at your templates"),
    FindingKind.IDLE: ("is held by a workflow that no longer runs", "Run it, or deactivate it"),
    FindingKind.UNUSED: ("is used by no active workflow", "Delete it"),
    FindingKind.NO_OWNER: ("has no owner", "Name one"),
    FindingKind.NO_EXPIRY: ("has no expiry", "Give it one"),
    FindingKind.NO_PLAN: ("has no rotation plan", "Choose one"),
    FindingKind.GENERIC_NAME: ("has a name that does not say what it opens", "Rename it"),
}
"""What is wrong, and what a person is asked to do about it."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A subject of one line, and a body in Markdown."""

    subject: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Letter(Message):
    """`passed_over`: why the organisation's own template did not make it; None: it did, or there is none."""

    passed_over: str | None = None


@dataclass(frozen=True, kw_only=True)
class FoundLine:
    """An open finding, as a digest needs it.

    `users` are the active workflows that use the item; `belongs` are its owners, where the reader is none of
    them; `deadline`, `does` and `command` as in `Finding`.
    """

    kind: FindingKind
    subject: str
    detail: Reason
    deadline: datetime | None
    does: Reason | None
    command: str | None
    users: tuple[str, ...] = ()
    belongs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RotatedLine:
    """A rotation of this night, as a digest needs it."""

    id: str
    item: str
    state: State
    version: int | None
    error: Reason | None
    waits_for: tuple[Reason, ...]
    works: bool = True
    """The version before it works beside the new one."""
    made: bool = True
    """The new version holds a value."""


@dataclass(frozen=True, kw_only=True)
class TonightLine:
    """What the coming night will do, for a preview."""

    item: str
    why: Reason
    does: str


def build_digest(
    owner: str,
    found: Sequence[FoundLine],
    rotated: Sequence[RotatedLine],
    *,
    night: datetime,
    now: datetime,
    total: int | None = None,
    tonight: Sequence[TonightLine] = (),
) -> dict[str, Any]:
    """The data of one message for one owner and one night. `total`: how many findings there are in all."""
    ordered = sort_worst_first(found)[:LINES_MAX]
    number = max(len(found), total or 0)
    failed = [line for line in rotated if line.state in _NOT_REPLACED]
    replaced = [line for line in rotated if line.state in _REPLACED]
    counts = (
        (number, "to look at"),
        (len(failed), "not replaced"),
        (len(replaced), "replaced"),
        (len(tonight), "due tonight"),
    )
    return {
        "owner": owner,
        "night": night,
        "summary": ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing to tell",
        "found": [_describe_finding(line, now) for line in ordered],
        "more": number - len(ordered),
        "list": f"nightkey finding list --owner {quote_word(owner)}",
        "failed": [
            {
                "item": line.item,
                "stuck": line.state is State.STUCK,
                "made": line.made,
                "error": line.error or "for an unknown reason",
                "command": f"nightkey rotation show {line.id}",
            }
            for line in failed
        ],
        "replaced": [
            {
                "item": line.item,
                "version": line.version,
                "done": line.state is State.DONE,
                "works": line.works,
                "waits_for": line.waits_for,
            }
            for line in replaced
        ],
        "tonight": [vars(line) for line in tonight],
    }


def sort_worst_first(found: Sequence[FoundLine]) -> list[FoundLine]:
    """By kind, then by what lapses first, then by name."""
    return sorted(
        found,
        key=lambda line: (
            WORST_FIRST[line.kind],
            line.deadline is None,
            0.0 if line.deadline is None else line.deadline.timestamp(),
            line.subject,
        ),
    )


def _describe_finding(line: FoundLine, now: datetime) -> dict[str, Any]:
    means, asks = _MEANS[line.kind]
    return {
        "subject": line.subject,
        "means": means,
        "left": None if line.deadline is None else show_time_left(line.deadline, now),
        "deadline": line.deadline,
        "detail": None if line.deadline is not None else line.detail,
        "users": line.users,
        "belongs": line.belongs,
        "does": line.does,
        "asks": asks,
        "command": line.command,
    }
