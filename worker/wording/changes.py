"""A change of an item, or of several, in words: which field, what it was, what it is. Pure; never a value."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from vaultcore.rules import show_duration
from worker.domain.at_once import ChangeGroup, ItemOutcome
from worker.domain.changes import Change
from worker.wording.parts import say_count

_NAMES: Final = {"version": "value", "stated": "plan", "named": "policy"}
_LABELS: Final = "labels."


def say_change(change: Change, *, show: Callable[[object], str] | None = None) -> str:
    """`lead: 14d -> 7d`. `show`: how the reader's screen shows what is no word of ours."""
    name = _name(change.field)
    said = [_show(change.field, one, show or show_plain) for one in (change.before, change.after)]
    return f"{name}: {' -> '.join(said)}"


def describe_outcome(outcome: ItemOutcome) -> dict[str, Any]:
    """`outcome`: `changes`, `stays` (it is so already) or `refused`."""
    word = "refused" if outcome.why is not None else "stays" if outcome.stays else "changes"
    return {
        "id": outcome.id,
        "name": outcome.name,
        "outcome": word,
        "changes": [vars(change) for change in outcome.changes],
        "why": outcome.why,
        "revision": outcome.revision,
    }


def describe_group(group: ChangeGroup, *, show: Callable[[object], str]) -> dict[str, Any]:
    """A row of what changes, for many items alike."""

    def part(value: object, different: int) -> str:
        return _show(group.field, value, show) if different == 1 else f"{different:,} different"

    return {
        "change": _name(group.field),
        "before": part(group.before, group.befores),
        "after": part(group.after, group.afters),
        "items": len(group.items),
        "for_example": group.items[0],
    }


def say_outcomes(outcomes: Sequence[ItemOutcome], *, done: bool = False) -> str:
    """`3 items change, 2 are so already, 1 is refused`; `done`: what came of them."""
    refused = sum(one.why is not None for one in outcomes)
    stays = sum(one.stays for one in outcomes)
    changes = len(outcomes) - refused - stays
    verb = "changed" if done else "changes" if changes < 2 else "change"
    parts = [f"{say_count(changes, 'item') if changes else 'no item'} {verb}"]
    if stays:
        parts.append(f"{stays:,} {'is' if stays == 1 else 'are'} so already")
    if refused:
        parts.append(f"{refused:,} {'is' if refused == 1 else 'are'} refused")
    return ", ".join(parts)


def _name(field: str) -> str:
    if field.startswith(_LABELS):
        return f"label {field.removeprefix(_LABELS)}"
    return _NAMES.get(field, field.replace("_", " "))


def show_plain(value: object) -> str:
    """As it stands in a sentence."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(show_plain, value))
    return str(value)


def _show(field: str, value: object, show: Callable[[object], str]) -> str:
    if field == "version" and value is not None:
        return f"version {value}"
    if field == "stated":
        return "stated" if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.startswith(("settings.", _LABELS)) and value == "":
        return "''"
    return "none" if value in (None, ()) else show(value)
