"""An item as it is shown, and what may not be meant of it."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import NotFoundError, UnreadableError
from vaultcore.label_rows import labels_of
from vaultcore.model import Item, NamedPolicy, Reference, Version
from vaultcore.named_policies import NamedPolicies
from vaultcore.rules import MASKED_MIN
from vaultcore.secret import Secret
from vaultcore.twins import copies_of
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.findings import FindingKind
from worker.domain.proof import CANARY_AUTO
from worker.rotators import catalog
from worker.rows import consumers as consumer_rows
from worker.rows import credential_checks as check_rows
from worker.rows import findings as finding_rows
from worker.rows import rotations as rotation_rows
from worker.rows.credential_checks import LastCheck
from worker.services.items.copies import Copies


@dataclass(frozen=True, kw_only=True)
class ItemView:
    """An item with its versions and who uses it. `original`: of which it is a copy, by name, or by id where
    that is gone. `overlap`: what is known of the old value beside the new one. `checked`: what the other side
    said last when it was asked whether a value still works; `way_back`: the command that helps, where it
    refuses the current one. `follows`: the named policy that it follows.
    """

    item: Item
    follows: NamedPolicy | None
    versions: tuple[Version, ...]
    references: tuple[Reference, ...]
    original: str | None
    copies: tuple[str, ...]
    overlap: str | None
    checked: LastCheck | None
    way_back: str | None


@dataclass(frozen=True, kw_only=True)
class Warnings:
    """What is taken, and may not be meant.

    `canary`: the workflow that is to go first and does not use it, with those that do. `missing`: items that
    its settings name and that there are not. `first`: why its next rotation could not come to its end.
    `shorter`: its value has fewer characters than this, so that it cannot be masked by itself.
    """

    canary: tuple[str, tuple[str, ...]] | None
    missing: tuple[str, ...]
    first: str | None
    shorter: int | None


class ItemViews:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        references: References,
        named_policies: NamedPolicies,
        copies: Copies,
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._references = references
        self._named_policies = named_policies
        self._copies = copies

    def view(self, name: str) -> ItemView:
        """All that there is to show of an item; no value is among it."""
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            copy_of = item.policy.copy_of
            return ItemView(
                item=replace(item, labels=labels_of(connection, item.id)),
                follows=self._find_followed(connection, item),
                versions=tuple(self._versions.of_item(connection, item.id)),
                references=tuple(self._references.of_item(connection, item.id)),
                original=None if copy_of is None else self._copies.name_of(connection, copy_of),
                copies=tuple(copies_of(connection, item.id)),
                overlap=self._explain_overlap(connection, item),
                checked=check_rows.find(connection, item.id),
                way_back=finding_rows.find_command(connection, FindingKind.REFUSED, item.id),
            )

    def warn(self, item: Item, given: Iterable[Secret]) -> Warnings:
        """What may not be meant, of an item that was just made or changed, and of the values `given` to it."""
        with self._database.read() as connection:
            named = self._references.of_consumer(connection, item.id)
            users = tuple(one.name for one in consumer_rows.consumers_of(connection, item.id))
            first = self._explain_first(connection, item)
        wanted = item.policy.canary
        unused = wanted is not None and wanted != CANARY_AUTO and wanted not in users
        return Warnings(
            canary=(wanted, users) if unused and wanted is not None else None,
            missing=tuple(sorted({one.written for one in named if one.item_id is None})),
            first=first,
            shorter=MASKED_MIN if any(len(one) < MASKED_MIN for one in given) else None,
        )

    def _find_followed(self, connection: Connection, item: Item) -> NamedPolicy | None:
        """None, too, where it cannot be read: the item has all of its policy."""
        if item.policy.named is not None:
            with suppress(NotFoundError, UnreadableError):
                return self._named_policies.get(connection, item.policy.named)
        return None

    def _explain_overlap(self, connection: Connection, item: Item) -> str | None:
        says = catalog.explain_overlap(item.policy)
        if says is None or not catalog.works_beside(item.policy, item.policy.rotator or ""):
            return says
        one_way = rotation_rows.saw_one_way(connection, item.id, item.policy.rotator or "")
        return (
            "the old value stops working when a new one is issued, as was seen the last time"
            if one_way
            else says
        )

    def _explain_first(self, connection: Connection, item: Item) -> str | None:
        found = self._versions.of_item(connection, item.id)
        present = next((one for one in found if one.number == item.version), None)
        is_given = present is None or not present.external
        return catalog.explain_first(item.policy) if is_given else None
