"""What a digest tells: the lines, worst first, as its template needs them. Pure; never a value."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from worker.domain.commands import quote_word
from worker.domain.distances import show_time_left
from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.reasons import Reason
from worker.domain.saga import State

PICKUP_MARK = "{claim}"
"""Stands in a stored body where the token of a pickup is put when the notice leaves."""
PICKUP_COMMAND = "nightkey pickup"
"""Asks for the token: others on the machine see what stands on a command line, and the shell keeps it."""

FEW = 10
"""So many findings are all told one by one."""
NAMED_OF_A_KIND = 5
"""Where there are more, so many of each kind are named, the worst; of the others their number."""
READ_OF_A_KIND = 100
"""So many of each kind are looked at: what is also wrong with an item that is named stands beside it."""


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
    FindingKind.UNUSED: ("is used by no active workflow", "Where something else uses it"),
    FindingKind.NO_OWNER: ("has no owner", "Name one"),
    FindingKind.NO_EXPIRY: ("has no expiry", "Give it one"),
    FindingKind.NO_PLAN: ("has no rotation plan", "Choose one"),
    FindingKind.GENERIC_NAME: ("has a name that does not say what it opens", "Rename it"),
}
"""What is wrong, and what a person is asked to do about it."""

_BESIDE = frozenset(
    {
        FindingKind.USES_EXPIRED,
        FindingKind.UNUSED,
        FindingKind.NO_EXPIRY,
        FindingKind.NO_PLAN,
        FindingKind.GENERIC_NAME,
    }
)
"""What stands in the line of something worse, where the item has that, too."""


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
    numbers: Mapping[FindingKind, int] | None = None,
    tonight: Sequence[TonightLine] = (),
) -> dict[str, Any]:
    """The data of one message for one owner and one night. `numbers`: how many findings there are of each kind,
    where not all of them are here.
    """
    numbers = numbers or Counter(line.kind for line in found)
    number = sum(numbers.values())
    folded = _fold(sort_worst_first(found))
    alone = Counter(numbers) - Counter(kind for line in folded for kind in line.also)
    lines = _choose(folded, alone, few=number <= FEW)
    headed = sum(alone[kind] for kind in {line.head.kind for line in lines})
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
        "found": [_describe_finding(line, now) for line in lines],
        "more": alone.total() - headed,
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


@dataclass(frozen=True, kw_only=True)
class _DigestLine:
    """A finding with those that stand beside it, and the number of others of its kind that are not named."""

    head: FoundLine
    also: tuple[FindingKind, ...] = ()
    rest: int = 0


def _fold(ordered: Sequence[FoundLine]) -> list[_DigestLine]:
    """One line for all that is said of one item, by the worst of it; but what has to be done about a workflow,
    or to a rotation, keeps a line of its own.
    """
    heads: dict[str, FoundLine] = {}
    also: dict[str, list[FindingKind]] = defaultdict(list)
    lines = []
    for line in ordered:
        worse = heads.setdefault(line.subject, line)
        if line.kind in _BESIDE and line.kind is not worse.kind:
            also[line.subject].append(line.kind)
        else:
            lines.append(line)
    return [
        _DigestLine(head=line, also=tuple(also[line.subject]) if heads[line.subject] is line else ())
        for line in lines
    ]


def _choose(lines: Sequence[_DigestLine], alone: Mapping[FindingKind, int], *, few: bool) -> list[_DigestLine]:
    """All of them where they are few; else the worst of each kind, of which the last says how many others are.
    `alone`: how many there are of each kind that stand beside nothing worse.
    """
    if few:
        return list(lines)
    chosen = []
    for kind, of_kind in groupby(lines, key=lambda line: line.head.kind):
        *most, last = islice(of_kind, NAMED_OF_A_KIND)
        chosen += [*most, replace(last, rest=alone[kind] - len(most) - 1)]
    return chosen


def _describe_finding(told: _DigestLine, now: datetime) -> dict[str, Any]:
    line = told.head
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
        "also": tuple(dict.fromkeys(map(name_finding, told.also))),
        "rest": told.rest,
    }
