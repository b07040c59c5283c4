"""What a night came to, what is still open, and what comes next: in words, and as a program is given it.
Command line, interface and console share it. Pure; what it describes lies in rooms above.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from vaultcore.errors import UnreadableError
from vaultcore.model import Kind
from worker.domain.commands import value_command
from worker.domain.distances import show_length
from worker.domain.reasons import show_reason
from worker.domain.rotation import Rotation
from worker.domain.states import NightOutcome
from worker.wording.coming import say_turn
from worker.wording.item_states import Tone
from worker.wording.parts import say_count
from worker.wording.plain import Shape
from worker.wording.problems import describe_apart
from worker.wording.reasons import say, say_each
from worker.wording.rotation_states import say_state
from worker.wording.times import say_distance

_OF_NIGHT: Final = ("slot", "started_at", "scanned_at", "done_at", "outcome", "by_hand", "counts")
_OF_SUMMARY: Final = ("opened", "found", "rotated", "proven", "rolled_back", "waiting", "told")


@dataclass(frozen=True, kw_only=True)
class Counted:
    number: int
    words: str
    wrong: bool = False


def say_night(night: Shape) -> tuple[Tone, str]:
    """How it stands: as a mark of the console, and in words."""
    if night["done_at"] is None:
        return (Tone.REST, "under way") if night["scanned_at"] else (Tone.REST, "looks through the vault")
    if night["outcome"] == NightOutcome.GOOD:
        return Tone.WELL, "ended well"
    return Tone.WRONG, "did not end well"


def list_counts(summary: Shape) -> list[Counted]:
    """What came of it, in the order in which a night does that."""
    waiting, told, back = summary["waiting"], summary["told"], summary["rolled_back"]
    waits, owners = "waits" if waiting == 1 else "wait", "owner" if told == 1 else "owners"
    return [
        Counted(number=summary["found"], words="found"),
        Counted(number=summary["rotated"], words="rotated"),
        Counted(number=summary["proven"], words="proven"),
        Counted(number=back, words="rolled back", wrong=back > 0),
        *([Counted(number=waiting, words=f"{waits} for a person")] if waiting else []),
        Counted(number=told, words=f"{owners} told"),
    ]


def say_head(night: Shape) -> str:
    begun = ", begun by hand" if night["by_hand"] else ""
    return f"the night of {night['slot']:%Y-%m-%d %H:%M} UTC{begun}"


def say_took(night: Shape, now: datetime) -> str:
    """How long it has taken, or takes already; behind how it stands."""
    if night["done_at"] is None:
        return f", since {show_length(now - night['started_at'])}"
    return f", after {show_length(night['done_at'] - night['started_at'])}"


def say_rotation(rotation: Shape, now: datetime) -> str:
    """How one of a night stands, for how long, and why."""
    why = "; ".join(rotation["why"])
    if rotation["finished_at"] is not None:
        when = say_distance(rotation["finished_at"], now)
    else:
        when = f"since {show_length(now - rotation['since'])}"
    return f"{rotation['stands']}, {when}{': ' if why else ''}{why}"


def say_coming(night: Shape, now: datetime) -> str:
    """When the next night is, and what it holds."""
    due = f"{say_count(night['due'], 'item')} due" if night["due"] else "nothing due yet"
    lapse = f", {say_count(night['lapse'], 'item')} will lapse before it" if night["lapse"] else ""
    return f"next night: {night['slot']:%Y-%m-%d %H:%M} UTC, {say_distance(night['slot'], now)}: {due}{lapse}"


def describe_summary(summary: Any) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services.night`
    """A night with what came of it."""
    night = {name: getattr(summary.night, name) for name in _OF_NIGHT}
    return night | {name: getattr(summary, name) for name in _OF_SUMMARY}


def describe_whole_night(summary: Any, *, sees: Callable[[str, str], bool]) -> dict[str, Any]:  # noqa: ANN401  # as above
    """The same with what was wrong when it had ended, as far as `sees` lets (of a subject and a kind), and its
    first rotations; `unread`: what of these cannot be read.
    """
    read = [one for one in summary.rotations if not isinstance(one, UnreadableError)]
    return describe_summary(summary) | {
        "problems": [one for one in _read_problems(summary.night) if sees(one["subject"], one["kind"])],
        "rotations": [_describe_rotation(one) for one in read],
        "unread": [str(one) for one in summary.rotations if isinstance(one, UnreadableError)],
        "more": summary.opened - len(summary.rotations),
    }


def _read_problems(night: Any) -> Iterator[dict[str, str]]:  # noqa: ANN401  # as above
    for stored in night.problems:
        kind, subject = str(stored.get("kind", "")), str(stored.get("subject", ""))
        error = stored.get("error")
        detail = say(show_reason(error)) if error else ""
        yield {"kind": kind, "subject": subject, "detail": detail or kind}


def _describe_rotation(rotation: Rotation) -> dict[str, Any]:
    """`stands`: how, in words; `why`: what went wrong or is waited for; `since`: when that began, or ended."""
    return {
        "id": rotation.id,
        "item": rotation.item,
        "item_id": rotation.item_id,
        "state": rotation.state,
        "stands": say_state(rotation),
        "why": [text for text in (say(rotation.last_error), *say_each(rotation.waits_for)) if text],
        "since": rotation.finished_at or rotation.failing_since or rotation.created_at,
        "next_at": rotation.next_at,
        "finished_at": rotation.finished_at,
    }


def describe_outlook(
    outlook: Any,  # noqa: ANN401  # as above
    now: datetime,
) -> dict[str, Any]:
    """What waits for somebody, and the coming nights."""
    return {
        "problems": [
            {"kind": one.kind, "subject": one.subject}
            | dict(zip(("detail", "command"), describe_apart(one), strict=True))
            for one in outlook.problems
        ],
        "approvals": [
            {"id": one.id, "item": one.item, "item_id": one.item_id, "ends_at": one.next_at}
            for one in outlook.approvals
        ],
        "owners_turn": [
            {
                "item": one.name,
                "item_id": one.id,
                "expires_at": one.expires_at,
                "detail": f"{one.name} {say_turn(one, now)}",
                "command": value_command(one, now) if one.kind is Kind.SECRET else None,
            }
            for one in outlook.owners_turn
        ],
        "more": outlook.more,
        "items": outlook.items,
        "next_expiry_at": outlook.next_expiry,
        "nights": [{"slot": one.slot, "due": one.due, "lapse": one.lapse} for one in outlook.nights],
    }
