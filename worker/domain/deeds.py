"""What is done to several items at once, beside a change of them: each is replaced, or deleted. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vaultcore.model import Item
from worker.domain.revisions import revision_of_item


class DeedKind(StrEnum):
    """`replace`, or `ask` (its policy wants four eyes: somebody else approves it first); `revoke`: in an
    emergency, the old value is revoked as soon as there is a new one.
    """

    REPLACE = "replace"
    ASK = "ask"
    REVOKE = "revoke"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class ForeseenDeed:
    """What will be done to one item. `used_by`: the active workflows that use it. `why`: it is refused, and so.
    `revision`: as it was looked at.
    """

    id: str
    name: str
    deed: DeedKind
    owners: tuple[str, ...] = ()
    expires_at: datetime | None = None
    rotator: str | None = None
    target: str | None = None
    used_by: tuple[str, ...] = ()
    why: str | None = None
    revision: str = ""


@dataclass(frozen=True, kw_only=True)
class DeedGroup:
    """Items to which the same is done: deletions by their owners, replacements by rotator and target."""

    deed: DeedKind
    owners: tuple[str, ...]
    rotator: str | None
    target: str | None
    items: tuple[str, ...]


def foresee_deed(
    item: Item,
    deed: DeedKind,
    *,
    target: str | None = None,
    used_by: Sequence[str] = (),
) -> ForeseenDeed:
    return ForeseenDeed(
        id=item.id,
        name=item.name,
        deed=deed,
        owners=item.owners,
        expires_at=item.expires_at,
        rotator=item.policy.rotator,
        target=target,
        used_by=tuple(used_by),
        revision=revision_of_item(item),
    )


def group_deeds(foreseen: Iterable[ForeseenDeed]) -> list[DeedGroup]:
    """Those that are not refused; the largest group first."""
    alike: dict[DeedGroup, list[str]] = {}
    for one in foreseen:
        if one.why is None:
            deletes = one.deed is DeedKind.DELETE
            key = DeedGroup(
                deed=one.deed,
                owners=one.owners if deletes else (),
                rotator=None if deletes else one.rotator,
                target=None if deletes else one.target,
                items=(),
            )
            alike.setdefault(key, []).append(one.name)
    groups = [
        DeedGroup(
            deed=key.deed, owners=key.owners, rotator=key.rotator, target=key.target, items=tuple(sorted(names))
        )
        for key, names in alike.items()
    ]
    return sorted(groups, key=lambda one: (-len(one.items), one.items[0]))
