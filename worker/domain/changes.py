"""What somebody wants changed of an item, and what that changed, field by field. Pure; never a value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from vaultcore.model import UNCHANGED, Item, Policy, Unchanged
from worker.domain.policies import PolicyChange


@dataclass(frozen=True, kw_only=True)
class ItemChange:
    """What somebody wants of an item; what is not given stays. `owners` are names: none of them, nobody.
    `labels`: by their keys the values that are set, None for what is taken away.
    """

    name: str | None = None
    owners: Sequence[str] | Unchanged = UNCHANGED
    expires_at: datetime | Unchanged | None = UNCHANGED
    policy: PolicyChange = field(default_factory=PolicyChange)
    labels: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change:
    """`field` as it is named in a policy or by the list of items; settings are dotted: `settings.verify.url`,
    and so are labels: `labels.env`.

    None: there is none. Of a new value its version's number is all that is told.
    """

    field: str
    before: Any
    after: Any


def compare(before: Item, after: Item) -> tuple[Change, ...]:
    """Everything that differs between two states of an item, and nothing that does not."""
    own = {
        name: (getattr(before, name), getattr(after, name))
        for name in ("name", "version", "expires_at", "owners")
    }
    parts = {
        field.name: (getattr(before.policy, field.name), getattr(after.policy, field.name))
        for field in fields(Policy)
        if field.name != "settings"
    }
    old, new = dict(flatten(before.policy.settings)), dict(flatten(after.policy.settings))
    settings = {f"settings.{key}": (old.get(key), new.get(key)) for key in old | new}
    was_labelled, is_labelled = ({one.key: one.value for one in item.labels} for item in (before, after))
    labels = {
        f"labels.{key}": (was_labelled.get(key), is_labelled.get(key)) for key in was_labelled | is_labelled
    }
    return tuple(
        Change(field=name, before=was, after=now)
        for name, (was, now) in (own | labels | parts | settings).items()
        if was != now
    )


def flatten(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each part of it that has no parts, by its dotted name."""
    for key, part in settings.items():
        numbered = {str(number): one for number, one in enumerate(part)} if isinstance(part, list) else part
        if isinstance(numbered, Mapping) and numbered:
            yield from flatten(numbered, f"{path}{key}.")
        else:
            yield f"{path}{key}", part
