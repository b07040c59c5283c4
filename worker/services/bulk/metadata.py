"""A vault's metadata as files have it: what there is for them, what they would change, and that change.

Each step goes by the service that people's own commands call, and only where what it changes is as it was when
the plan was shown. Changes of items go in pages, each in one transaction; other steps have one each.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from sqlalchemy import Connection

from vaultcore.access import Action, Principal
from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import (
    ConflictError,
    InvalidInputError,
    NightkeyError,
    NotFoundError,
    RefusedError,
    UnreadableError,
    sort_out,
)
from vaultcore.model import Item, NamedPolicy, Unchanged
from vaultcore.named_policies import NamedPolicies, check_policy_name
from vaultcore.names import judge
from vaultcore.owners import OWNER_NAME_MAX, Owners
from vaultcore.principals import find_token_items
from vaultcore.rules import check_name
from vaultcore.vault import Vault, take
from worker.domain.at_once import PAGE
from worker.domain.changes import ItemChange
from worker.domain.metadata import Document, Fault, OwnerEntry, PolicyEntry, Subject, find_fault
from worker.domain.metadata_plan import MetadataPlan, MetadataStep, StepDeed, VaultState, plan_metadata
from worker.domain.metadata_reading import read_metadata
from worker.domain.metadata_writing import write_document
from worker.domain.policies import OF_TARGET
from worker.domain.revisions import Expected, check_revision, revision_of_item, revision_of_policy
from worker.services.access.principals import PrincipalAccess
from worker.services.bulk.page_changes import PageChanges, WantedUpdate
from worker.services.items.room import ItemsRoom
from worker.services.notices.address_book import AddressBook

T = TypeVar("T")
_DONE: Final = (StepDeed.CREATE, StepDeed.CHANGE, StepDeed.DELETE)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """`errors`: for what could not be read, and is not among it."""

    document: Document
    errors: tuple[NightkeyError, ...]


@dataclass(frozen=True, kw_only=True)
class AppliedPlan:
    """`done`: how many of its steps. `problem`: why the next one could not be, where there is one left."""

    plan: MetadataPlan
    done: int
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class PolicyView:
    """A named policy, and the items that follow it, by name."""

    policy: NamedPolicy
    followers: tuple[str, ...]


class MetadataExchange:
    """It tells of all items, so it takes who may see them all."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        owners: Owners,
        policies: NamedPolicies,
        audit: AuditLog,
        items: ItemsRoom,
        address_book: AddressBook,
        principals: PrincipalAccess,
        page_changes: PageChanges,
    ) -> None:
        self._database = database
        self._vault = vault
        self._owners = owners
        self._policies = policies
        self._audit = audit
        self._items = items
        self._address_book = address_book
        self._principals = principals
        self._page_changes = page_changes

    def export(self, principal: Principal) -> Exported:
        self._principals.check(principal, Action.METADATA_SEE)
        with self._database.read() as connection:
            standing, errors = self._look(connection)
        document = write_document(
            owners=standing.owners.values(),
            policies=standing.policies.values(),
            items=standing.items.values(),
        )
        return Exported(document=document, errors=tuple(errors))

    def list_policies(self) -> list[tuple[NamedPolicy, int] | UnreadableError]:
        """By name, each with the number of items that follow it."""
        with self._database.read() as connection:
            followers = self._policies.count_followers(connection)
            return [
                one if isinstance(one, UnreadableError) else (one, followers.get(one.name, 0))
                for one in self._policies.walk(connection)
            ]

    def get_policy(self, name: str) -> PolicyView:
        with self._database.read() as connection:
            policy = self._policies.get(connection, name)
            return PolicyView(policy=policy, followers=tuple(self._policies.followers(connection, policy.name)))

    def plan(self, document: Document, *, prune: bool, principal: Principal) -> MetadataPlan:
        """What would be done; nothing is written. Everything that stands in its way is told at once."""
        return self._compare(document, prune=prune, principal=principal)[0]

    def _compare(
        self, document: Document, *, prune: bool, principal: Principal
    ) -> tuple[MetadataPlan, VaultState]:
        self._principals.check(principal, Action.METADATA_SEE)
        wanted, faults = read_metadata(document)
        with self._database.read() as connection:
            standing, errors = self._look(connection)
            plan = plan_metadata(wanted, standing, prune=prune)
            faults += plan.faults
            faults += _find_bad_names(plan)
            faults += self._find_unread(connection, plan, errors, prune=prune)
        done = plan.of(*_DONE)
        for start in range(0, len(done), PAGE):
            faults += self._find_problems(principal, done[start : start + PAGE], standing)
        return replace(plan, faults=tuple(sorted(faults, key=lambda one: one.key))), standing

    def apply(
        self,
        document: Document,
        *,
        prune: bool,
        skip_missing: bool,
        seen: str,
        principal: Principal,
        tell: Callable[[MetadataStep], None] = lambda _: None,
    ) -> AppliedPlan:
        """Does what was shown under the mark `seen`, and nothing else: `ConflictError` where it would be
        another thing by now. `skip_missing`: items that there are not stop nothing.
        """
        plan, standing = self._compare(document, prune=prune, principal=principal)
        for step in plan.of(*_DONE):
            self._check(principal, step, standing)
        if plan.faults:
            more = f" (and {len(plan.faults) - 1} more)" if len(plan.faults) > 1 else ""
            raise InvalidInputError(f"{plan.faults[0].key}: {plan.faults[0].says}{more}")
        if plan.mark != seen:
            raise ConflictError(
                "the vault is not as it was when the differences were shown: nothing was changed; look at them "
                "again, then decide"
            )
        missing = plan.of(StepDeed.ADD)
        if missing and not skip_missing:
            raise RefusedError(
                f"{missing[0].name} is not in the vault{_and_more(len(missing) - 1)}: add what is missing, or "
                "say --skip-missing"
            )
        done = 0
        try:
            for step in self._in_order(plan, standing, principal):
                tell(step)
                done += 1
        except NightkeyError as error:
            problem = str(error)
        else:
            return AppliedPlan(plan=plan, done=done, problem=None)
        return AppliedPlan(plan=plan, done=done, problem=problem)

    def _in_order(
        self, plan: MetadataPlan, standing: VaultState, principal: Principal
    ) -> Iterator[MetadataStep]:
        """Each step, once it is done."""
        made: list[tuple[MetadataStep, OwnerEntry]] = []
        for some in _in_pages(plan.of(*_DONE)):
            step = some[0]
            if step.subject is Subject.OWNERS and step.deed is StepDeed.CREATE:
                assert isinstance(step.wanted, OwnerEntry)  # noqa: S101  # the plan has put it there
                self._create_owner(step.wanted, principal.actor)
                made.append((step, step.wanted))
                continue
            for one, owner in made:  # a deputy may be one of them
                self._set_deputy(owner, principal.actor)
                yield one
            made = []
            if len(some) == 1 or not self._change_together(some, standing, principal):
                for one in some:
                    self._do(one, principal)
                    yield one
            else:
                yield from some
        for one, owner in made:
            self._set_deputy(owner, principal.actor)
            yield one

    def _change_together(
        self, steps: Sequence[MetadataStep], standing: VaultState, principal: Principal
    ) -> bool:
        """Items, in one transaction; not, where something comes up at one of them: it comes up again, and is
        told, when they are changed one by one.
        """
        wanted = {
            standing.items[step.name].id: WantedUpdate(change=step.wanted, expected=_expected(step))
            for step in steps
            if isinstance(step.wanted, ItemChange)
        }
        try:
            self._page_changes.change(principal, wanted, noted=False)
        except NightkeyError:
            return False
        return True

    def _create_owner(self, owner: OwnerEntry, actor: str) -> None:
        self._address_book.create(
            owner.name,
            zone="UTC" if isinstance(owner.zone, Unchanged) else owner.zone,
            quiet=None if isinstance(owner.quiet, Unchanged) else owner.quiet,
            actor=actor,
        )

    def _set_deputy(self, owner: OwnerEntry, actor: str) -> None:
        if isinstance(owner.deputy, str):
            self._address_book.update(owner.name, deputy=owner.deputy, actor=actor)

    def _do(self, step: MetadataStep, principal: Principal) -> None:
        expected = _expected(step)
        if isinstance(step.wanted, OwnerEntry):
            owner = step.wanted
            self._address_book.update(
                owner.name,
                zone=owner.zone,
                quiet=owner.quiet,
                deputy=owner.deputy,
                expected=expected,
                actor=principal.actor,
            )
        elif step.subject is Subject.POLICIES:
            self._change_policy(step, principal.actor)
        elif isinstance(step.wanted, ItemChange):
            item = self._principals.find_item(principal, step.name, Action.ITEM_UPDATE)
            self._principals.update_item(principal, item, step.wanted, expected=expected)
        else:
            item = self._principals.find_item(principal, step.name, Action.ITEM_DELETE)
            self._items.deletion.delete(item.id, expected=expected, actor=principal.actor)

    def _change_policy(self, step: MetadataStep, actor: str) -> None:
        with self._database.write() as connection:
            self._audit.take_turn(connection)
            if isinstance(step.wanted, PolicyEntry) and step.deed is StepDeed.CREATE:
                self._policies.create(connection, step.name, step.wanted.parts, actor=actor)
                return
            found = self._policies.get(connection, step.name)
            check_revision(frozenset({step.revision or ""}), revision_of_policy(found), f"policy {found.name}")
            if isinstance(step.wanted, PolicyEntry):
                self._policies.update(connection, step.name, step.wanted.parts, actor=actor)
            else:
                self._policies.delete(connection, step.name, actor=actor)

    def _look(self, connection: Connection) -> tuple[VaultState, list[NightkeyError]]:
        owners, unread_owners = sort_out(self._owners.walk(connection))
        policies, unread_policies = sort_out(self._policies.walk(connection))
        found, unread_items = sort_out(self._vault.walk(connection))
        names = {one.id: one.name for one in found}
        standing = VaultState(
            owners={one.name: one for one in owners},
            policies={one.name: one for one in policies},
            items={one.name: _name_original(one, names) for one in found},
            revisions={one.name: revision_of_item(one) for one in found},
            tokens={names[one] for one in find_token_items(connection) if one in names},
        )
        return standing, [*unread_owners, *unread_policies, *unread_items]

    def _find_unread(
        self, connection: Connection, plan: MetadataPlan, errors: Sequence[NightkeyError], *, prune: bool
    ) -> Iterator[Fault]:
        """What cannot be read is not told to be missing, and nothing is pruned beside it."""
        if prune and errors:
            yield Fault(
                subject=None, name="", key="--prune", says=f"{errors[0]}: nothing is pruned before that"
            )
        gets: dict[Subject, Callable[[Connection, str], object]] = {
            Subject.OWNERS: self._owners.get,
            Subject.POLICIES: self._policies.get,
            Subject.ITEMS: self._vault.get,
        }
        for step in plan.of(StepDeed.CREATE, StepDeed.ADD) if errors else ():
            try:
                gets[step.subject](connection, step.name)
            except NotFoundError:
                continue
            except NightkeyError as error:
                problem = str(error)
            else:
                continue
            yield _fault_of(step, problem)

    def _find_problems(
        self, principal: Principal, steps: Sequence[MetadataStep], standing: VaultState
    ) -> list[Fault]:
        """Why they could not be done, so far as that is known before."""
        faults = []
        ids = {one.name: standing.items[one.name].id for one in steps if isinstance(one.wanted, ItemChange)}
        with self._database.read() as connection:
            found = self._vault.get_all(connection, list(ids.values()))
            page = self._items.updates.look_at(
                connection, [one for one in found.values() if isinstance(one, Item)]
            )
            for step in steps:
                try:
                    action, owners = _needs(step, standing)
                    self._principals.check(principal, action, owners=owners, noted=False)
                    if isinstance(step.wanted, ItemChange):
                        change = _with_known_owners(step.wanted, standing)
                        item = take({step.name: found[ids[step.name]]})[step.name]
                        self._principals.preview_item(principal, item, change, page=page)
                    elif step.subject is Subject.ITEMS and step.deed is StepDeed.DELETE:
                        self._items.deletion.check_delete(step.name)
                except NightkeyError as error:
                    faults.append(_fault_of(step, str(error)))
        return faults

    def _check(self, principal: Principal, step: MetadataStep, standing: VaultState) -> None:
        """As it was found before; a refusal stands in the record."""
        action, owners = _needs(step, standing)
        self._principals.check(principal, action, owners=owners)
        if step.subject is Subject.ITEMS and step.name in standing.tokens:
            self._principals.check_token(principal, standing.items[step.name].id, action)


def _expected(step: MetadataStep) -> Expected | None:
    return None if step.revision is None else frozenset({step.revision})


def _in_pages(steps: Iterable[MetadataStep]) -> Iterator[list[MetadataStep]]:
    """Changes of items that follow on one another, of which none concerns another item: many together. Anything
    else alone.
    """
    some: list[MetadataStep] = []
    for step in steps:
        alone = not isinstance(step.wanted, ItemChange) or any(one.field == "copy_of" for one in step.changes)
        if some and (alone or len(some) == PAGE):
            yield some
            some = []
        if alone:
            yield [step]
        else:
            some.append(step)
    if some:
        yield some


def _with_known_owners(change: ItemChange, standing: VaultState) -> ItemChange:
    """Without those who may be about to be created."""
    if isinstance(change.owners, Unchanged):
        return change
    return replace(change, owners=[one for one in change.owners if one in standing.owners])


def _needs(step: MetadataStep, standing: VaultState) -> tuple[Action, Sequence[str]]:
    """What it takes, and of what these owners answer for; of none: of everything."""
    if step.subject is Subject.OWNERS:
        return (
            (Action.OWNER_MANAGE, ()) if step.deed is StepDeed.CREATE else (Action.OWNER_UPDATE, (step.name,))
        )
    if step.subject is Subject.POLICIES:
        return Action.ITEM_UPDATE, ()
    owners = standing.items[step.name].owners
    if step.deed is StepDeed.DELETE:
        return Action.ITEM_DELETE, owners
    redirects = any(one.field.partition(".")[0] in OF_TARGET for one in step.changes)
    return (Action.ITEM_REDIRECT if redirects else Action.ITEM_UPDATE), owners


def _find_bad_names(plan: MetadataPlan) -> Iterator[Fault]:
    """Of what is to be made, and of what has to be."""
    for step in plan.of(StepDeed.CREATE, StepDeed.ADD):
        try:
            if step.subject is Subject.OWNERS:
                judge(step.name, what="owner", least=1, most=OWNER_NAME_MAX, example="platform")
            elif step.subject is Subject.POLICIES:
                check_policy_name(step.name)
            else:
                check_name(step.name)
        except InvalidInputError as error:
            problem = str(error)
        else:
            continue
        yield _fault_of(step, problem)


def _fault_of(step: MetadataStep, says: str) -> Fault:
    return find_fault(step.subject, step.name, says)


def _and_more(number: int) -> str:
    return f", and {number} more are not" if number else ""


def _name_original(item: Item, names: dict[str, str]) -> Item:
    of = item.policy.copy_of
    if of is None or of not in names:
        return item
    return replace(item, policy=replace(item.policy, copy_of=names[of]))
