"""What there is in a vault as files say it: sorted, the same text for the same state, and nothing else. Pure.

No value is in it, no route, no id and no time; nor an expiry, since that belongs to a value.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from vaultcore.model import Item, NamedPolicy, Owner, Policy
from worker.domain.metadata import Document, Subject
from worker.domain.policy_parts import Parts, find_own_parts

NOBODY: Final = ""
"""In the place of what there is none of: a table without null is written, too."""


def write_document(
    *, owners: Iterable[Owner], policies: Iterable[NamedPolicy], items: Iterable[Item]
) -> Document:
    """`items` have the name of their original in the place of its id."""
    named = {one.name: one.parts for one in policies}
    return {
        Subject.OWNERS: {one.name: _write_owner(one) for one in sorted(owners, key=lambda one: one.name)},
        Subject.POLICIES: {name: fill_parts(named[name]) for name in sorted(named)},
        Subject.ITEMS: {one.name: _write_item(one, named) for one in sorted(items, key=lambda one: one.name)},
    }


def _write_owner(owner: Owner) -> dict[str, Any]:
    return {
        "zone": owner.zone,
        "quiet": NOBODY if owner.quiet is None else str(owner.quiet),
        "deputy": owner.deputy or NOBODY,
    }


def _write_item(item: Item, named: Mapping[str, Parts]) -> dict[str, Any]:
    return {
        "owners": sorted(item.owners),
        "labels": {one.key: one.value for one in item.labels},
        "policy": write_plan(item.policy, named, item=item.name),
    }


def write_plan(policy: Policy, named: Mapping[str, Parts], *, item: str) -> str | dict[str, Any]:
    """The name of the policy that it follows, and its own parts beside it; of one that nobody has stated,
    nothing.
    """
    follows = policy.named if policy.named in named else None
    own = fill_parts(find_own_parts(policy, {} if follows is None else named[follows], item=item))
    if follows is not None and not own:
        return follows
    return own if follows is None else {"named": follows, **own}


def fill_parts(parts: Parts) -> dict[str, Any]:
    """With a text for what there is none of."""
    return {name: NOBODY if part is None else part for name, part in parts.items()}
