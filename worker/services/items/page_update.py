"""Items of a page that are changed together: each is judged by itself, and all are written with few statements.

What was read of an item when it was locked is handed on from here to what is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.access import Action
from vaultcore.audit import AuditLog
from vaultcore.errors import InvalidInputError
from vaultcore.item_writing import ItemEdit
from vaultcore.labels import change_labels
from vaultcore.model import UNCHANGED, Item, Label, Policy, Unchanged
from vaultcore.secret import Secret
from vaultcore.twins import unlike_copies
from vaultcore.vault import Vault
from worker.domain.changes import Change, ItemChange, compare
from worker.domain.commands import explain_missing_expiry
from worker.domain.findings import FindingKind
from worker.domain.revisions import Expected, check_revision, revision_of_item
from worker.domain.rotation import Rotation
from worker.rows import credential_checks as check_rows
from worker.rows import findings as finding_rows
from worker.services.items.copies import Copies
from worker.services.items.given_values import find_expiry_of
from worker.services.items.page import ItemPage
from worker.services.items.update_checks import UpdateChecks
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
    copies: Sequence[Item]


class PageUpdate:
    """In the caller's transaction. `change` judges, `finish` says what has become of the items: in between, not
    all of it needs to be written.
    """

    def __init__(
        self,
        held: Sequence[Held],
        *,
        page: ItemPage,
        vault: Vault,
        checks: UpdateChecks,
        copies: Copies,
        supersession: Supersession,
        audit: AuditLog,
        clock: Callable[[], datetime],
        actor: str,
    ) -> None:
        self.held = held
        self._page = page
        self._vault = vault
        self._checks = checks
        self._copies = copies
        self._supersession = supersession
        self._audit = audit
        self._clock = clock
        self._actor = actor
        self._waiting: list[tuple[Held, ItemEdit]] = []
        self._updated: dict[str, Updated] = {}
        self._has_turn = False

    @property
    def _connection(self) -> Connection:
        return self._page.connection

    def change(
        self,
        held: Held,
        change: ItemChange,
        *,
        value: Secret | None = None,
        expected: Expected | None = None,
        allowed: Callable[[Action], bool] = lambda _: True,
    ) -> None:
        """One of those that are held, as by `ItemUpdates.update`; what stands in its way is told here."""
        item, page = held.item, self._page
        check_revision(expected, revision_of_item(item), item.name)
        if not allowed(Action.ITEM_REDIRECT):
            self._checks.refuse_redirecting(self._connection, item, change)
        policy = self._checks.find_policy(page, item, change, allowed, lock=True)
        if value is not None and lacks_expiry(self._vault, item, change, policy):
            raise InvalidInputError(explain_missing_expiry(item.name))
        owner_ids = UNCHANGED if isinstance(change.owners, Unchanged) else page.owner_ids(change.owners)
        labels = labels_after(page, item, change)
        self._updated[item.id] = Updated(item=item, changes=())
        if value is None and not _differs(item, change, policy, labels):
            return
        if value is not None or policy != item.policy:
            self._take_turn()
        accounts = self._checks.find_accounts(page, item, policy, value, before_others=self._write)
        expires_at = change.expires_at
        if value is not None:
            says = self._vault.expiry_of_next(item, policy)
            said = says if isinstance(expires_at, Unchanged) else expires_at
            expires_at = find_expiry_of(value, said, name=item.name, now=self._clock())
        edit = ItemEdit(
            item=item,
            name=change.name,
            value=value,
            beside_pending=value is not None
            and self._supersession.check_value(self._connection, item, held.rotation),
            expires_at=expires_at,
            owner_ids=owner_ids,
            policy=None if policy == item.policy else policy,
            accounts=accounts,
            labels={} if labels == item.labels else change.labels,
        )
        self._waiting.append((held, edit))
        if held.copies or policy.copy_of != item.policy.copy_of:
            self._write()

    def finish(self) -> list[Updated]:
        """What has become of each that was changed, in that order."""
        self._write()
        return list(self._updated.values())

    def _take_turn(self) -> None:
        if not self._has_turn:
            self._audit.take_turn(self._connection)
            self._has_turn = True

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        became = self._vault.update_all(self._connection, [edit for _, edit in waiting], actor=self._actor)
        for held, edit in waiting:
            self._updated[held.item.id] = self._conclude(held, edit, became[held.item.id])

    def _conclude(self, held: Held, edit: ItemEdit, after: Item) -> Updated:
        connection, item = self._connection, held.item
        if item.version is None and after.version is not None:
            finding_rows.resolve(connection, FindingKind.NO_VALUE, item.id, after.updated_at)
        ends = None
        if edit.value is not None:
            finding_rows.resolve(connection, FindingKind.REFUSED, item.id, after.updated_at)
            check_rows.wake(connection, item.id, after.updated_at)
        if edit.policy is not None:
            self._supersession.look_again(connection, held.rotation)
        if edit.value is not None:
            ends = self._supersession.end(connection, held.rotation, after)
        copy_of = after.policy.copy_of
        joins = copy_of if copy_of != item.policy.copy_of else None
        follow = self._copies.move(connection, held.copies, after.policy, self._actor) if joins else ()
        moved = [after.id, *(copy.id for copy in held.copies)]
        return Updated(
            item=after,
            changes=compare(self._page.name_original(item), self._page.name_original(after)),
            ends=ends,
            follow=follow,
            unlike=tuple(unlike_copies(connection, joins, moved)) if joins else (),
        )


def labels_after(page: ItemPage, item: Item, change: ItemChange) -> tuple[Label, ...]:
    """`TamperedError` where they are to be changed, and none of us wrote one of them so."""
    return change_labels(page.labels_of(item), change.labels) if change.labels else item.labels


def lacks_expiry(vault: Vault, item: Item, change: ItemChange, policy: Policy) -> bool:
    """Whether nothing says when a new value would lapse: neither the change, nor the policy after it."""
    return isinstance(change.expires_at, Unchanged) and vault.expiry_of_next(item, policy) is None


def _differs(item: Item, change: ItemChange, policy: Policy, labels: tuple[Label, ...]) -> bool:
    return (
        change.name not in (None, item.name)
        or not (isinstance(change.expires_at, Unchanged) or change.expires_at == item.expires_at)
        or not (isinstance(change.owners, Unchanged) or set(change.owners) == set(item.owners))
        or policy != item.policy
        or labels != item.labels
    )
