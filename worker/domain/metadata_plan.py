"""From what files say and what there is to what has to be done, each with what it changes. Pure.

What files do not name is left alone, or pruned where that is asked for: items and named policies, and no owner,
who may still be told of what was.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.labels import compare_labels
from vaultcore.model import UNCHANGED, Item, NamedPolicy, Owner, Unchanged
from worker.domain.changes import Change, ItemChange, compare, flatten
from worker.domain.metadata import (
    Fault,
    ItemEntry,
    OwnerEntry,
    PlanEntry,
    PolicyEntry,
    Subject,
    WantedVault,
    find_fault,
)
from worker.domain.policies import PolicyChange, change_policy, find_default_rotator
from worker.domain.policy_parts import Parts, find_own_parts
from worker.domain.revisions import revision_of_item, revision_of_owner, revision_of_policy


class StepDeed(StrEnum):
    """What is done with something."""

    CREATE = "create"
    CHANGE = "change"
    KEEP = "keep"
    """It is so already."""
    DELETE = "delete"
    ADD = "add"
    """It is named by a file, and there is no such item: it cannot be made without a value."""


@dataclass(frozen=True, kw_only=True)
class MetadataStep:
    """`revision`: as what it was looked at. `wanted`: what it takes to do it; None for what is deleted."""

    subject: Subject
    name: str
    deed: StepDeed
    changes: tuple[Change, ...] = ()
    revision: str | None = None
    wanted: OwnerEntry | PolicyEntry | ItemEntry | ItemChange | None = None


@dataclass(frozen=True, kw_only=True)
class VaultState:
    """What there is, by name; items with the name of their original in the place of its id. `revisions`: of
    items, by their names. `tokens`: items that are a principal's, which no file deletes.
    """

    owners: Mapping[str, Owner] = field(default_factory=dict)
    policies: Mapping[str, NamedPolicy] = field(default_factory=dict)
    items: Mapping[str, Item] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)
    tokens: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class MetadataPlan:
    """`steps`: in the order in which they are done. `mark` is another one as soon as anything of it is."""

    steps: tuple[MetadataStep, ...]
    faults: tuple[Fault, ...]

    @property
    def mark(self) -> str:
        facts = [
            [one.subject, one.name, one.deed, one.revision, [[c.field, c.before, c.after] for c in one.changes]]
            for one in self.steps
            if one.deed is not StepDeed.KEEP
        ]
        text = json.dumps(facts, sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]

    def of(self, *deeds: StepDeed) -> list[MetadataStep]:
        return [one for one in self.steps if one.deed in deeds]


def plan_metadata(wanted: WantedVault, standing: VaultState, *, prune: bool = False) -> MetadataPlan:
    """What makes the vault be as the files say. `faults`: names that nothing has, and policies that cannot be
    built; while there are any, nothing is done.
    """
    faults = list(_find_strangers(wanted, standing))
    before = {name: one.parts for name, one in standing.policies.items()}
    after = before | {name: one.parts for name, one in wanted.policies.items()}
    owners = [_plan_owner(one, standing.owners.get(name)) for name, one in wanted.owners.items()]
    policies = [_plan_policy(one, standing.policies.get(name)) for name, one in wanted.policies.items()]
    items, follows = _plan_items(wanted, standing, before, after, faults)
    gone: list[MetadataStep] = []
    if prune:
        gone = list(_prune(wanted, standing, follows))
        if gone and not wanted.items:
            says = "the files name no item, so that all of them would be deleted: is it the right folder?"
            faults.append(Fault(subject=None, name="", key="--prune", says=says))
    new = [one for one in policies if one.deed is StepDeed.CREATE]
    old = [one for one in policies if one.deed is not StepDeed.CREATE]
    # A changed policy comes after its items: who is cut off between them is changed to the same again.
    return MetadataPlan(steps=(*owners, *new, *items, *old, *gone), faults=tuple(faults))


def _find_strangers(wanted: WantedVault, standing: VaultState) -> Iterator[Fault]:
    owners, policies = {*standing.owners, *wanted.owners}, {*standing.policies, *wanted.policies}
    for name, owner in wanted.owners.items():
        if isinstance(owner.deputy, str) and owner.deputy not in owners:
            yield find_fault(Subject.OWNERS, name, _no_owner(owner.deputy), "deputy")
        if owner.deputy == name:
            yield find_fault(Subject.OWNERS, name, "nobody is their own deputy: name somebody else", "deputy")
    for name, item in wanted.items.items():
        if not isinstance(item.owners, Unchanged):
            for one in sorted(set(item.owners) - owners):
                yield find_fault(Subject.ITEMS, name, _no_owner(one), "owners")
        named = None if isinstance(item.plan, Unchanged) else item.plan.named
        if named is not None and named not in policies:
            says = f"there is no policy {named[:50]!r}: say it in [policies], or name another"
            yield find_fault(Subject.ITEMS, name, says, "policy")


def _no_owner(name: str) -> str:
    return f"there is no owner {name[:100]!r}: say them in [owners], or name another"


def _plan_owner(wanted: OwnerEntry, owner: Owner | None) -> MetadataStep:
    parts = ("zone", "quiet", "deputy")
    usual = {"zone": "UTC", "quiet": None, "deputy": None}
    was = usual if owner is None else {part: getattr(owner, part) for part in parts}
    now = {part: was[part] if getattr(wanted, part) is UNCHANGED else getattr(wanted, part) for part in parts}
    changes = tuple(
        Change(field=part, before=_plain(was[part]), after=_plain(now[part]))
        for part in parts
        if was[part] != now[part]
    )
    deed = StepDeed.CREATE if owner is None else StepDeed.CHANGE if changes else StepDeed.KEEP
    revision = None if owner is None else revision_of_owner(owner)
    return MetadataStep(
        subject=Subject.OWNERS, name=wanted.name, deed=deed, changes=changes, revision=revision, wanted=wanted
    )


def _plan_policy(wanted: PolicyEntry, policy: NamedPolicy | None) -> MetadataStep:
    was, now = {} if policy is None else _spread(policy.parts), _spread(wanted.parts)
    changes = tuple(
        Change(field=part, before=_plain(was.get(part)), after=_plain(now.get(part)))
        for part in (was | now)
        if (part in was, was.get(part)) != (part in now, now.get(part))
    )
    deed = StepDeed.CREATE if policy is None else StepDeed.CHANGE if changes else StepDeed.KEEP
    return MetadataStep(
        subject=Subject.POLICIES,
        name=wanted.name,
        deed=deed,
        changes=changes,
        revision=None if policy is None else revision_of_policy(policy),
        wanted=wanted,
    )


def _spread(parts: Parts) -> dict[str, Any]:
    """The settings each by itself."""
    spread = {name: part for name, part in parts.items() if name != "settings"}
    return spread | {f"settings.{name}": part for name, part in flatten(parts.get("settings", {}))}


def _plain(part: object) -> object:
    if isinstance(part, list):
        return tuple(part)
    return part if part is None or isinstance(part, str | int | float | bool) else str(part)


def _plan_items(
    wanted: WantedVault,
    standing: VaultState,
    before: Mapping[str, Parts],
    after: Mapping[str, Parts],
    faults: list[Fault],
) -> tuple[list[MetadataStep], dict[str, str | None]]:
    """Those of the files, and those that follow a policy that the files change; and which policy each item
    follows then.
    """
    steps, follows = [], dict[str, str | None]()
    changed = {name for name, parts in after.items() if name in before and parts != before[name]}
    for name in sorted({*wanted.items, *standing.items}):
        item, entry = standing.items.get(name), wanted.items.get(name)
        if item is None:
            if entry is not None:
                steps.append(MetadataStep(subject=Subject.ITEMS, name=name, deed=StepDeed.ADD, wanted=entry))
                follows[name] = None if isinstance(entry.plan, Unchanged) else entry.plan.named
            continue
        follows[name] = item.policy.named
        plan = UNCHANGED if entry is None else entry.plan
        if isinstance(plan, Unchanged) and item.policy.named in changed:
            named = item.policy.named or ""
            plan = PlanEntry(named=named, own=find_own_parts(item.policy, before[named], item=name))
        if entry is None and isinstance(plan, Unchanged):
            continue
        if not isinstance(plan, Unchanged):
            follows[name] = plan.named
        try:
            steps.append(_plan_item(item, entry or ItemEntry(name=name), plan, after, standing))
        except InvalidInputError as error:
            problem = str(error)
        else:
            continue
        faults.append(find_fault(Subject.ITEMS, name, problem, "policy"))
    return steps, follows


def _plan_item(
    item: Item,
    entry: ItemEntry,
    plan: PlanEntry | Unchanged,
    named: Mapping[str, Parts],
    standing: VaultState,
) -> MetadataStep:
    change = _change_item(item, entry, plan, named)
    policy = change_policy(item.policy, change.policy, default_rotator=find_default_rotator(item.name))
    after = replace(
        item,
        owners=item.owners if isinstance(change.owners, Unchanged) else tuple(sorted(change.owners)),
        labels=item.labels if isinstance(entry.labels, Unchanged) else entry.labels,
        policy=policy,
    )
    changes = compare(item, after)
    return MetadataStep(
        subject=Subject.ITEMS,
        name=item.name,
        deed=StepDeed.CHANGE if changes else StepDeed.KEEP,
        changes=changes,
        revision=standing.revisions.get(item.name) or revision_of_item(item),
        wanted=change,
    )


def _change_item(
    item: Item, entry: ItemEntry, plan: PlanEntry | Unchanged, named: Mapping[str, Parts]
) -> ItemChange:
    policy = PolicyChange()
    if not isinstance(plan, Unchanged):
        base = {} if plan.named is None else named.get(plan.named, {})
        policy = PolicyChange(parts={**base, **plan.own}, whole=True, named=plan.named)
    labels: Any = {}
    if not isinstance(entry.labels, Unchanged):
        labels = compare_labels(item.labels, entry.labels)
    return ItemChange(owners=entry.owners, labels=labels, policy=policy)


def _prune(
    wanted: WantedVault, standing: VaultState, follows: Mapping[str, str | None]
) -> Iterator[MetadataStep]:
    """Items first: one may follow a policy that goes, too. A policy stays while an item that stays has it."""
    stays = {*wanted.items, *standing.tokens}
    for name in sorted(set(standing.items) - stays):
        revision = standing.revisions.get(name) or revision_of_item(standing.items[name])
        yield MetadataStep(subject=Subject.ITEMS, name=name, deed=StepDeed.DELETE, revision=revision)
    needed = {named for name, named in follows.items() if name in stays}
    for name in sorted(set(standing.policies) - set(wanted.policies) - needed):
        revision = revision_of_policy(standing.policies[name])
        yield MetadataStep(subject=Subject.POLICIES, name=name, deed=StepDeed.DELETE, revision=revision)
