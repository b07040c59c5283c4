"""What is done to several items at once, in words: one by one, in groups, and in a sentence. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker.domain.deeds import DeedGroup, DeedKind, ForeseenDeed
from worker.wording.parts import say_count

_DOES: Final[Mapping[DeedKind, str]] = {
    DeedKind.REPLACE: "is replaced",
    DeedKind.ASK: "waits for an approval",
    DeedKind.REVOKE: "is replaced, and revoked at once",
    DeedKind.DELETE: "is deleted",
}


def describe_deed(one: ForeseenDeed) -> dict[str, Any]:
    """For a program. `outcome`: what is done to it, or `refused`, and `why` then."""
    return {
        "id": one.id,
        "name": one.name,
        "outcome": "refused" if one.why is not None else one.deed.value,
        "owners": list(one.owners),
        "expires_at": one.expires_at,
        "rotator": one.rotator,
        "target": one.target,
        "used_by": list(one.used_by),
        "why": one.why,
        "revision": one.revision,
    }


def show_deed(one: ForeseenDeed) -> dict[str, Any]:
    """A row for a person."""
    return {
        "item": one.name,
        "what": _DOES[one.deed],
        "owners": list(one.owners),
        "expires_at": one.expires_at,
        "rotator": one.rotator,
        "target": one.target,
        "used_by": list(one.used_by) or "nobody",
    }


def show_deed_group(group: DeedGroup) -> dict[str, Any]:
    return {
        "what": _DOES[group.deed],
        "owners": list(group.owners) or "nobody",
        "rotator": group.rotator,
        "target": group.target,
        "items": len(group.items),
        "for_example": group.items[0],
    }


def say_deeds(foreseen: Sequence[ForeseenDeed]) -> str:
    """`3 items are replaced, 1 is refused`."""
    parts = []
    for deed, does in _DOES.items():
        number = sum(one.deed is deed and one.why is None for one in foreseen)
        if number:
            parts.append(f"{say_count(number, 'item')} {_plural(does) if number > 1 else does}")
    refused = sum(one.why is not None for one in foreseen)
    if refused:
        parts.append(f"{refused:,} {'is' if refused == 1 else 'are'} refused")
    return ", ".join(parts)


def ask_for_deeds(foreseen: Sequence[ForeseenDeed]) -> str:
    """The one question."""
    number = say_count(len(foreseen), "item")
    if foreseen[0].deed is DeedKind.DELETE:
        return f"Delete {number} and every value of {'it' if len(foreseen) == 1 else 'them'}?"
    return f"Rotate {number} now?"


def _plural(does: str) -> str:
    return does.replace("is ", "are ", 1).replace("waits ", "wait ", 1)
