"""Changing an item: what would change, whether that may be, and the change in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.access import RULES, Action
from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotAllowedError, RefusedError
from vaultcore.label_rows import labels_of
from vaultcore.labels import change_labels
from vaultcore.model import UNCHANGED, Item, Label, Policy, Unchanged
from vaultcore.named_policies import NamedPolicies
from vaultcore.owners import Owners
from vaultcore.principals import is_token
from vaultcore.rules import check_policy, needs_consumer
from vaultcore.secret import Secret
from vaultcore.twins import accounts_of, find_twins, likeness_of, unlike_copies
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.changes import Change, ItemChange, compare
from worker.domain.commands import explain_missing_expiry
from worker.domain.consumption import explain_unread_plan
from worker.domain.findings import FindingKind
from worker.domain.revisions import Expected, check_revision, revision_of_item
from worker.domain.rotation import Rotation
from worker.domain.sharing import refuse_to_part, refuse_twins
from worker.rotators.catalog import find_accounts
from worker.rows import credential_checks as check_rows
from worker.rows import findings as finding_rows
from worker.services.items.copies import Copies
from worker.services.items.given_values import find_expiry_of
from worker.services.items.policies import build_policy_after, refuse_loosening
from worker.services.rotation.supersession import Supersession


@dataclass(frozen=True, kw_only=True)
class Updated:
    """`ends`: the open rotation, by its id, that ends on the value that was given. `follow`: the items that
    were copies of this one, and are of its original now. `unlike`: which of them, or the item itself, has
    another value than that original.
    """

    item: Item
    changes: tuple[Change, ...]
    ends: str | None = None
    follow: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Held:
    """An item that is to be changed, and nobody else changes before this transaction ends: its open rotation,
    and the copies that move with it.
    """

    item: Item
    rotation: Rotation | None
    copies: list[Item]


class ItemUpdates:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        owners: Owners,
        references: References,
        named_policies: NamedPolicies,
        copies: Copies,
        audit: AuditLog,
        supersession: Supersession,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._owners = owners
        self._references = references
        self._named_policies = named_policies
        self._copies = copies
        self._audit = audit
        self._supersession = supersession
        self._clock = clock

    def preview(
        self, name: str, change: ItemChange, *, allowed: Callable[[Action], bool] = lambda _: True
    ) -> tuple[Change, ...]:
        """What `update` would change, with the errors that are known of before; nothing is written."""
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            policy = self._policy_that_may_follow(connection, item, change, allowed)
            self._find_new_accounts(connection, item, policy, None)
            if not isinstance(change.owners, Unchanged):
                self._owners.ids_of(connection, change.owners)
            after = replace(
                item,
                name=change.name or item.name,
                owners=item.owners
                if isinstance(change.owners, Unchanged)
                else tuple(sorted(set(change.owners))),
                expires_at=item.expires_at if isinstance(change.expires_at, Unchanged) else change.expires_at,
                policy=policy,
                labels=_labels_after(connection, item, change),
            )
            return self._compare(connection, item, after)

    def lacks_expiry(self, name: str, change: ItemChange) -> bool:
        """Whether nothing says when a new value would lapse: neither the change, nor the policy after it.

        The expiry that the item has is its present value's, or what it came in with while it waits for one.
        One that never had any is asked for, too: that a value never lapses is somebody's word, and not a guess.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
        return self._lacks_expiry(item, change, build_policy_after(item, change.policy))

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
            (held,) = self.hold(connection, [name], change)
            return self.change(
                connection, held, change, value=value, expected=expected, allowed=allowed, actor=actor
            )

    def hold(self, connection: Connection, names: Sequence[str], change: ItemChange) -> list[Held]:
        """These items, for `change` in this transaction. Rotations are taken before items, and all items in the
        order of their ids: as by whoever else works on them.
        """
        found = sorted((self._vault.get(connection, name) for name in names), key=lambda one: one.id)
        rotations = [self._supersession.find(connection, item) for item in found]
        families = [self._lock_family(connection, item, change) for item in found]
        return [
            Held(item=self._vault.get(connection, item.id, lock=True), rotation=rotation, copies=copies)
            for item, rotation, copies in zip(found, rotations, families, strict=True)
        ]

    def change(
        self,
        connection: Connection,
        held: Held,
        change: ItemChange,
        *,
        value: Secret | None = None,
        expected: Expected | None = None,
        allowed: Callable[[Action], bool] = lambda _: True,
        actor: str,
    ) -> Updated:
        """As `update`, in the caller's transaction, of an item that `hold` has given."""
        item, rotation = held.item, held.rotation
        check_revision(expected, revision_of_item(item), item.name)
        if not allowed(Action.ITEM_REDIRECT):
            self._refuse_redirecting(connection, item, change)
        policy = self._policy_that_may_follow(connection, item, change, allowed, lock=True)
        if value is not None and self._lacks_expiry(item, change, policy):
            raise InvalidInputError(explain_missing_expiry(item.name))
        owner_ids = (
            UNCHANGED
            if isinstance(change.owners, Unchanged)
            else self._owners.ids_of(connection, change.owners)
        )
        labels = _labels_after(connection, item, change)
        if value is None and not _differs(item, change, policy, labels):
            return Updated(item=item, changes=())
        if value is not None or policy != item.policy:
            self._audit.take_turn(connection)
        accounts = self._find_new_accounts(connection, item, policy, value)
        expires_at = change.expires_at
        if value is not None:
            says = self._vault.expiry_of_next(item, policy)
            said = says if isinstance(expires_at, Unchanged) else expires_at
            expires_at = find_expiry_of(value, said, name=item.name, now=self._clock())
        beside = value is not None and self._supersession.check_value(connection, item, rotation)
        after = self._vault.update(
            connection,
            item.id,
            name=change.name,
            value=value,
            beside_pending=beside,
            expires_at=expires_at,
            owner_ids=owner_ids,
            policy=None if policy == item.policy else policy,
            accounts=accounts,
            labels={} if labels == item.labels else change.labels,
            actor=actor,
        )
        changes = self._compare(connection, item, after)
        if item.version is None and after.version is not None:
            finding_rows.resolve(connection, FindingKind.NO_VALUE, item.id, after.updated_at)
        if value is not None:
            finding_rows.resolve(connection, FindingKind.REFUSED, item.id, after.updated_at)
            check_rows.wake(connection, item.id, after.updated_at)
        if policy != item.policy:
            self._supersession.look_again(connection, rotation)
        ends = None if value is None else self._supersession.end(connection, rotation, after)
        joins = policy.copy_of if policy.copy_of != item.policy.copy_of else None
        follow = self._copies.move(connection, held.copies, policy, actor) if joins else ()
        moved = [after.id, *(copy.id for copy in held.copies)]
        unlike = tuple(unlike_copies(connection, joins, moved)) if joins else ()
        return Updated(item=after, changes=changes, ends=ends, follow=follow, unlike=unlike)

    def _lock_family(self, connection: Connection, item: Item, change: ItemChange) -> list[Item]:
        return self._copies.lock_family(connection, item, build_policy_after(item, change.policy).copy_of)

    def _policy_that_may_follow(
        self,
        connection: Connection,
        item: Item,
        change: ItemChange,
        allowed: Callable[[Action], bool],
        *,
        lock: bool = False,
    ) -> Policy:
        """What its policy is to be, where nothing is in the way of that, nor of an item that never lapses."""
        if change.expires_at is None and is_token(connection, item.id):
            raise InvalidInputError(f"{item.name} is a principal's token, which always lapses: say when")
        policy = self._copies.resolve(connection, build_policy_after(item, change.policy), item, lock=lock)
        if lock and policy.named is not None and policy.named != item.policy.named:
            self._audit.take_turn(connection)  # it is not deleted meanwhile
            self._named_policies.get(connection, policy.named)
        check_policy(policy, name=item.name, kind=item.kind)
        refuse_loosening(item.policy, policy, allowed)
        self._check_read(connection, item, policy)
        return policy

    def _compare(self, connection: Connection, before: Item, after: Item) -> tuple[Change, ...]:
        return compare(
            self._copies.name_original(connection, before), self._copies.name_original(connection, after)
        )

    def _refuse_redirecting(self, connection: Connection, item: Item, change: ItemChange) -> None:
        """By a name that somebody waits for, they are sent the value of the item that gets it. A new item is
        another matter: who creates it knows its value.
        """
        if change.name in (None, item.name) or not self._references.is_waited_for(
            connection, change.name or ""
        ):
            return
        raise NotAllowedError(Action.ITEM_REDIRECT, sorted(RULES[Action.ITEM_REDIRECT].anywhere))

    def _find_new_accounts(
        self, connection: Connection, item: Item, policy: Policy, value: Secret | None
    ) -> frozenset[str] | Unchanged:
        """What it changes on the other side from now on, refused where that, or its value, is another item's;
        what was so before is a finding, and stands in nobody's way.
        """
        if value is None and policy == item.policy:
            return UNCHANGED
        accounts = find_accounts(policy)
        leaves = item.policy.copy_of is not None and policy.copy_of != item.policy.copy_of
        new = accounts if leaves else accounts - accounts_of(connection, item.id)
        likeness = None if value is None else self._versions.likeness(value)
        if likeness is None and leaves:
            likeness = likeness_of(connection, item.id)
        found = find_twins(connection, item_id=item.id, copy_of=policy.copy_of, accounts=new, likeness=likeness)
        if leaves and policy.copy_of is None and value is None:
            refuse_to_part(found, item.name)
        refuse_twins(found, item.name)
        return accounts

    def _check_read(self, connection: Connection, item: Item, policy: Policy) -> None:
        """It is not made one that we replace and nothing reads; one that is so already stays a finding."""
        was = needs_consumer(item.policy, item.kind)
        if not was and self._vault.is_unread(connection, replace(item, policy=policy)):
            raise RefusedError(explain_unread_plan(item.name))

    def _lacks_expiry(self, item: Item, change: ItemChange, policy: Policy) -> bool:
        return isinstance(change.expires_at, Unchanged) and self._vault.expiry_of_next(item, policy) is None


def _labels_after(connection: Connection, item: Item, change: ItemChange) -> tuple[Label, ...]:
    """`TamperedError` where they are to be changed, and one of them is none of ours."""
    return change_labels(labels_of(connection, item.id), change.labels) if change.labels else item.labels


def _differs(item: Item, change: ItemChange, policy: Policy, labels: tuple[Label, ...]) -> bool:
    return (
        change.name not in (None, item.name)
        or not (isinstance(change.expires_at, Unchanged) or change.expires_at == item.expires_at)
        or not (isinstance(change.owners, Unchanged) or set(change.owners) == set(item.owners))
        or policy != item.policy
        or labels != item.labels
    )
