"""Whether an item may be changed so: what stands in the way of its next policy, accounts, or name."""

from collections.abc import Callable

from sqlalchemy import Connection

from vaultcore.access import RULES, Action
from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.errors import InvalidInputError, NotAllowedError, RefusedError
from vaultcore.model import UNCHANGED, Item, Policy, Unchanged
from vaultcore.named_policies import NamedPolicies
from vaultcore.rules import check_policy, needs_consumer
from vaultcore.secret import Secret
from vaultcore.twins import find_twins, likeness_of
from vaultcore.versions import Versions
from worker.domain.changes import ItemChange
from worker.domain.consumption import explain_unread_plan
from worker.domain.sharing import refuse_to_part, refuse_twins
from worker.rotators.catalog import find_accounts
from worker.services.items.copies import Copies
from worker.services.items.page import ItemPage
from worker.services.items.policies import build_policy_after, refuse_loosening


class UpdateChecks:
    def __init__(
        self,
        *,
        versions: Versions,
        references: References,
        named_policies: NamedPolicies,
        copies: Copies,
        audit: AuditLog,
    ) -> None:
        self._versions = versions
        self._references = references
        self._named_policies = named_policies
        self._copies = copies
        self._audit = audit

    def find_policy(
        self,
        page: ItemPage,
        item: Item,
        change: ItemChange,
        allowed: Callable[[Action], bool],
        *,
        lock: bool = False,
    ) -> Policy:
        """What its policy is to be, where nothing is in the way of that, nor of an item that never lapses."""
        if change.expires_at is None and page.is_token(item):
            raise InvalidInputError(f"{item.name} is a principal's token, which always lapses: say when")
        policy = build_policy_after(item, change.policy)
        policy = self._copies.resolve(page.connection, policy, item, lock=lock)
        if lock and policy.named is not None and policy.named != item.policy.named:
            self._audit.take_turn(page.connection)  # it is not deleted meanwhile
            self._named_policies.get(page.connection, policy.named)
        check_policy(policy, name=item.name, kind=item.kind)
        refuse_loosening(item.policy, policy, allowed)
        self._refuse_unread(page, item, policy)
        return policy

    def find_accounts(
        self,
        page: ItemPage,
        item: Item,
        policy: Policy,
        value: Secret | None,
        *,
        before_others: Callable[[], None] = lambda: None,
    ) -> frozenset[str] | Unchanged:
        """What it changes on the other side from now on, refused where that, or its value, is another item's;
        what was so before is a finding, and stands in nobody's way. `before_others`: is called before it is
        asked what others have.
        """
        if value is None and policy == item.policy:
            return UNCHANGED
        accounts = find_accounts(policy)
        leaves = item.policy.copy_of is not None and policy.copy_of != item.policy.copy_of
        new = accounts if leaves else accounts - page.accounts_of(item)
        likeness = None if value is None else self._versions.likeness(value)
        if likeness is None and leaves:
            likeness = likeness_of(page.connection, item.id)
        if not new and likeness is None:
            return accounts
        before_others()
        found = find_twins(
            page.connection, item_id=item.id, copy_of=policy.copy_of, accounts=new, likeness=likeness
        )
        if leaves and policy.copy_of is None and value is None:
            refuse_to_part(found, item.name)
        refuse_twins(found, item.name)
        return accounts

    def refuse_redirecting(self, connection: Connection, item: Item, change: ItemChange) -> None:
        """By a name that somebody waits for, they are sent the value of the item that gets it. A new item is
        another matter: who creates it knows its value.
        """
        if change.name in (None, item.name) or not self._references.is_waited_for(
            connection, change.name or ""
        ):
            return
        raise NotAllowedError(Action.ITEM_REDIRECT, sorted(RULES[Action.ITEM_REDIRECT].anywhere))

    def _refuse_unread(self, page: ItemPage, item: Item, policy: Policy) -> None:
        """It is not made one that we replace and nothing reads; one that is so already stays a finding."""
        was, will_be = needs_consumer(item.policy, item.kind), needs_consumer(policy, item.kind)
        if will_be and not was and not page.is_read(item):
            raise RefusedError(explain_unread_plan(item.name))
