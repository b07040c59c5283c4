"""Changing items: what would change, whether that may be, and the change in one transaction."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.access import Action
from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.model import Item, Unchanged
from vaultcore.owners import Owners
from vaultcore.rules import is_item_id
from vaultcore.secret import Secret
from vaultcore.vault import Vault, take
from worker.domain.changes import Change, ItemChange, compare
from worker.domain.revisions import Expected
from worker.services.items.copies import Copies
from worker.services.items.page import ItemPage
from worker.services.items.page_update import Held, PageUpdate, Updated, labels_after, lacks_expiry
from worker.services.items.policies import build_policy_after
from worker.services.items.update_checks import UpdateChecks
from worker.services.rotation.supersession import Supersession


class ItemUpdates:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        owners: Owners,
        references: References,
        copies: Copies,
        checks: UpdateChecks,
        audit: AuditLog,
        supersession: Supersession,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._owners = owners
        self._references = references
        self._copies = copies
        self._checks = checks
        self._audit = audit
        self._supersession = supersession
        self._clock = clock

    def look_at(self, connection: Connection, items: Iterable[Item]) -> ItemPage:
        """Some hundred items at most, of which `preview_in` may be asked."""
        return ItemPage(
            connection, items, owners=self._owners, references=self._references, copies=self._copies
        )

    def preview(
        self, name: str, change: ItemChange, *, allowed: Callable[[Action], bool] = lambda _: True
    ) -> tuple[Change, ...]:
        """What `update` would change, with the errors that are known of before; nothing is written."""
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            return self.preview_in(self.look_at(connection, [item]), item.id, change, allowed=allowed)

    def preview_in(
        self,
        page: ItemPage,
        item_id: str,
        change: ItemChange,
        *,
        allowed: Callable[[Action], bool] = lambda _: True,
    ) -> tuple[Change, ...]:
        """The same of one of several that are looked at."""
        item = page.items[item_id]
        policy = self._checks.find_policy(page, item, change, allowed)
        self._checks.find_accounts(page, item, policy, None)
        owners = item.owners
        if not isinstance(change.owners, Unchanged):
            page.owner_ids(change.owners)
            owners = tuple(sorted(set(change.owners)))
        after = replace(
            item,
            name=change.name or item.name,
            owners=owners,
            expires_at=item.expires_at if isinstance(change.expires_at, Unchanged) else change.expires_at,
            policy=policy,
            labels=labels_after(page, item, change),
        )
        return compare(page.name_original(item), page.name_original(after))

    def lacks_expiry(self, name: str, change: ItemChange) -> bool:
        """Whether nothing says when a new value would lapse: neither the change, nor the policy after it.

        The expiry that the item has is its present value's, or what it came in with while it waits for one.
        One that never had any is asked for, too: that a value never lapses is somebody's word, and not a guess.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
        return lacks_expiry(self._vault, item, change, build_policy_after(item, change.policy))

    def update(
        self,
        name: str,
        change: ItemChange,
        *,
        value: Secret | None = None,
        expected: Expected | None = None,
        allowed: Callable[[Action], bool] = lambda _: True,
        actor: str,
    ) -> Updated:
        """Changes what is wanted, against the item as it is in that moment; nothing to change: nothing is
        written. A new value is a new version, current at once, and refused without a word on its expiry.
        `ChangedError` if the item is not as `expected`. `allowed` says what else may be done to the item:
        `NotAllowedError` where a new name would have its value sent to who waits for that name, or where
        nobody is asked any more before it is replaced.
        """
        with self._database.write() as connection:
            item_id = name if is_item_id(name) else self._vault.get(connection, name).id
            update = self.begin(connection, {item_id: change}, actor=actor)
            (held,) = update.held
            update.change(held, change, value=value, expected=expected, allowed=allowed)
            (updated,) = update.finish()
            return updated

    def begin(self, connection: Connection, changes: Mapping[str, ItemChange], *, actor: str) -> PageUpdate:
        """Holds some hundred items, by their ids, each for a change in this transaction. Rotations are taken
        before items, and all items in the order of their ids: as by whoever else works on them.
        """
        rotations = self._supersession.find_all(connection, list(changes))
        families = self._lock_families(connection, changes)
        found = take(self._vault.get_all(connection, list(changes), lock=True))
        return PageUpdate(
            [
                Held(item=item, rotation=rotations.get(item.id), copies=families.get(item.id, ()))
                for item in found.values()
            ],
            page=self.look_at(connection, found.values()),
            vault=self._vault,
            checks=self._checks,
            copies=self._copies,
            supersession=self._supersession,
            audit=self._audit,
            clock=self._clock,
            actor=actor,
        )

    def _lock_families(
        self, connection: Connection, changes: Mapping[str, ItemChange]
    ) -> dict[str, list[Item]]:
        """The copies that move with each of these items whose change says of what it is a copy."""
        joining = sorted(one for one, change in changes.items() if "copy_of" in change.policy.parts)
        items = take(self._vault.get_all(connection, joining)) if joining else {}
        return {
            item_id: self._copies.lock_family(
                connection, item, build_policy_after(item, changes[item_id].policy).copy_of
            )
            for item_id, item in items.items()
        }
