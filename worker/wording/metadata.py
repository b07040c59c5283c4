"""What files would change of a vault, for who reads it before they agree. Pure; never a value."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from vaultcore.model import NamedPolicy, Unchanged
from worker.domain.changes import Change
from worker.domain.commands import create_command
from worker.domain.metadata import ItemEntry, Subject
from worker.domain.metadata_plan import MetadataPlan, MetadataStep, StepDeed
from worker.domain.policies import build_policy
from worker.domain.reach import Unreached, find_concerned
from worker.wording.changes import say_change
from worker.wording.parts import say_count
from worker.wording.people import describe_unreached
from worker.wording.plain import Shape, to_plain
from worker.wording.policies import explain_named

_NOUNS: Final = {Subject.OWNERS: "owner", Subject.POLICIES: "policy", Subject.ITEMS: "item"}
_SIGNS: Final = {StepDeed.CREATE: "+", StepDeed.CHANGE: "~", StepDeed.DELETE: "-", StepDeed.ADD: "?"}
_ENDS: Final = {
    StepDeed.CREATE: "is created",
    StepDeed.CHANGE: "changes",
    StepDeed.DELETE: "is deleted",
    StepDeed.ADD: "is not in the vault",
}


def describe_metadata_plan(plan: MetadataPlan) -> dict[str, object]:
    """Only what is not so already. `mark` says which state of the vault it is of; `kept`: what is so already;
    `command` adds what cannot be made without a value.
    """
    return {
        "mark": plan.mark,
        "steps": [_describe(one) for one in plan.steps if one.deed is not StepDeed.KEEP],
        "kept": len(plan.of(StepDeed.KEEP)),
        "faults": [
            {"subject": one.subject, "name": one.name, "key": one.key, "says": one.says} for one in plan.faults
        ],
    }


def describe_applied(applied: Any, unreached: Sequence[Unreached]) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services`, above
    """How far it came, and which of the owners that were made nobody can tell anything."""
    made = {one.name for one in applied.plan.of(StepDeed.CREATE) if one.subject is Subject.OWNERS}
    told = find_concerned(unreached, made) if made else []
    return {
        "done": applied.done,
        "problem": applied.problem,
        "warnings": [describe_unreached(one) for one in told],
    }


def _describe(step: MetadataStep) -> dict[str, object]:
    command = None
    if isinstance(step.wanted, ItemEntry):
        owners = step.wanted.owners
        command = create_command(step.name, () if isinstance(owners, Unchanged) else owners)
    return {
        "subject": step.subject,
        "name": step.name,
        "deed": step.deed,
        "changes": [
            {"field": one.field, "before": to_plain(one.before), "after": to_plain(one.after)}
            for one in step.changes
        ],
        "command": command,
    }


def describe_named_policy(policy: NamedPolicy, *, items: int) -> dict[str, object]:
    """As lists have it. `items`: how many follow it; `parts`: what it says itself."""
    built = build_policy(None, policy.parts)
    return {
        "name": policy.name,
        "mode": built.mode,
        "rotator": built.rotator,
        "lifetime": to_plain(built.lifetime),
        "lead": to_plain(built.lead),
        "items": items,
        "parts": to_plain(policy.parts),
        "updated_at": policy.updated_at,
    }


def describe_whole_policy(policy: NamedPolicy, *, followers: Sequence[str]) -> dict[str, object]:
    """The same with who follows it, and each part in words."""
    return {
        **describe_named_policy(policy, items=len(followers)),
        "followers": list(followers),
        "explained": [vars(one) for one in explain_named(policy)],
    }


def tell_step(step: Shape) -> Iterator[str]:
    """What is done with one thing: a line, and one for each part of it that changes."""
    deed, noun = StepDeed(step["deed"]), _NOUNS[Subject(step["subject"])]
    loudly = ", with every value of it, for ever" if deed is StepDeed.DELETE and noun == "item" else ""
    yield f"{_SIGNS[deed]} {noun} {step['name']} {_ENDS[deed]}{loudly}"
    if deed is StepDeed.ADD:
        yield f"    a file holds no value, so add it by: {step['command']}"
    for one in step["changes"]:
        change = Change(field=one["field"], before=_fix(one["before"]), after=_fix(one["after"]))
        if deed is StepDeed.CREATE and change.after is None:
            continue
        yield f"    {say_change(change)}"


def count_deeds(plan: Shape) -> dict[StepDeed, int]:
    counted = dict.fromkeys((StepDeed.CREATE, StepDeed.CHANGE, StepDeed.DELETE, StepDeed.ADD), 0)
    for step in plan["steps"]:
        counted[StepDeed(step["deed"])] += 1
    return counted


def summarise_plan(plan: Shape) -> str:
    counted = count_deeds(plan)
    parts = [
        f"{counted[StepDeed.CREATE]} to create",
        f"{counted[StepDeed.CHANGE]} to change",
        *([f"{counted[StepDeed.DELETE]} to delete"] if counted[StepDeed.DELETE] else []),
        f"{plan['kept']} as the files say",
        *([f"{say_count(counted[StepDeed.ADD], 'item')} to add with a value"] if counted[StepDeed.ADD] else []),
    ]
    return ", ".join(parts)


def ask_about(plan: Shape) -> str:
    """The one question; what is deleted is said first, since nothing brings it back."""
    counted = count_deeds(plan)
    others = counted[StepDeed.CREATE] + counted[StepDeed.CHANGE]
    gone = [one for one in plan["steps"] if one["deed"] == StepDeed.DELETE]
    items = sum(one["subject"] == Subject.ITEMS for one in gone)
    if not gone:
        return f"Make {'this' if others == 1 else f'these {others}'} now?"
    what = f"{say_count(items, 'item')} with every value, for ever" if items else ""
    policies = f"{len(gone) - items} named {'policy' if len(gone) - items == 1 else 'policies'}"
    whole = " and ".join([*([what] if what else []), *([policies] if len(gone) > items else [])])
    return f"Delete {whole}{f', and make {others} other changes' if others else ''}?"


def _fix(part: object) -> object:
    return tuple(part) if isinstance(part, list) else part
