"""Who is hurt when a credential works no longer, in words. Pure."""

from collections import Counter
from typing import Any, Final

from worker.domain.impact import Harm, Hurt, Impact
from worker.wording.parts import say_count

_WORKFLOW, _ITEM, _CALLERS, _PICKUP = "workflow", "item", "callers", "pickup"
_KINDS: Final = {
    Harm.FAILS: _WORKFLOW,
    Harm.FAILS_LATER: _WORKFLOW,
    Harm.AT_REST: _WORKFLOW,
    Harm.REFUSED: _CALLERS,
    Harm.DEAD: _ITEM,
    Harm.NOT_REPLACED: _ITEM,
    Harm.NOT_COLLECTED: _PICKUP,
}
_COUNTED: Final = (
    (Harm.FAILS, "workflow", "fails", "fail"),
    (Harm.REFUSED, "key of callers", "opens nothing", "open nothing"),
    (Harm.DEAD, "copy", "is dead, too", "are dead, too"),
    (Harm.NOT_REPLACED, "item", "is not replaced any more", "are not replaced any more"),
    (Harm.FAILS_LATER, "workflow", "fails later", "fail later"),
)
_PLURALS: Final = {"key of callers": "keys of callers", "copy": "copies"}


def say_harm(one: Hurt, *, is_target: bool = False) -> str:  # noqa: PLR0911  # a table
    match one.harm:
        case Harm.FAILS if one.pinned is not None:
            return f"is pinned to version {one.pinned}: fails, if that works no longer either"
        case Harm.FAILS if one.elsewhere:
            return "fails where it runs, once its engine reads the item"
        case Harm.FAILS:
            return "fails with its next run"
        case Harm.REFUSED:
            return "its callers are let in no more"
        case Harm.DEAD:
            return "holds the same credential: works no longer either"
        case Harm.NOT_COLLECTED:
            return "its new key waits to be collected, and opens nothing"
        case Harm.NOT_REPLACED:
            why = "while that is away" if is_target and len(one.by) == 1 else "any more"
            lapses = "never lapses" if one.since is None else "lapses"
            return f"is not replaced {why}: {lapses}"
        case Harm.FAILS_LATER:
            return f"fails when {one.by[-1]} lapses"
        case Harm.AT_REST:
            return "is not active: fails once it is again"


def describe_impact(impact: Impact) -> dict[str, Any]:
    return {
        "name": impact.name,
        "is_target": impact.is_target,
        "target": impact.target,
        "items": list(impact.items),
        "says": say_impact(impact),
        "first_run_at": impact.first_run_at,
        "owners": list(impact.owners),
        "unseen": impact.unseen,
        "unread": list(impact.unread),
        "hurt": [describe_hurt(one, is_target=impact.is_target) for one in impact.hurt],
    }


def describe_hurt(one: Hurt, *, is_target: bool) -> dict[str, Any]:
    """`lapses_at`: of an item, when it lapses, and of a workflow when what it uses does."""
    return {
        "kind": _KINDS[one.harm],
        "id": one.id.removeprefix("callers of "),
        "name": one.name,
        "harm": one.harm,
        "says": say_harm(one, is_target=is_target),
        "by": list(one.by),
        "critical": one.critical,
        "runs": one.runs,
        "last_run_at": one.last_run_at,
        "next_run_at": one.next_run_at,
        "lapses_at": one.since,
        "owners": list(one.owners),
    }


def say_impact(impact: Impact) -> str:
    """`3 workflows fail, 1 copy is dead, too`; or that nobody is hurt."""
    counted = Counter(one.harm for one in impact.hurt)
    parts = []
    for harm, noun, singular, plural in _COUNTED:
        number = counted[harm]
        if number == 1:
            parts.append(f"1 {noun} {singular}")
        elif number:
            named = _PLURALS.get(noun)
            counting = say_count(number, noun) if named is None else f"{number:,} {named}"
            parts.append(f"{counting} {plural}")
    return ", ".join(parts) or "nobody that is known here is hurt at once"
