"""The use cases of items: what is given is composed and checked here, and stored in one transaction."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.access import RULES, Action
from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotAllowedError, NotFoundError, RefusedError, UnreadableError
from vaultcore.label_rows import labels_of
from vaultcore.labels import change_labels, sort_labels
from vaultcore.model import UNCHANGED, Item, Kind, Label, NamedPolicy, Policy, Reference, Unchanged, Version
from vaultcore.named_policies import NamedPolicies
from vaultcore.owners import Owners
from vaultcore.principals import is_token
from vaultcore.rules import (
    MASKED_MIN,
    check_given,
    check_name,
    check_policy,
    expiry_of_next,
    kind_of,
    needs_consumer,
)
from vaultcore.secret import Secret
from vaultcore.twins import accounts_of, copies_of, find_twins, likeness_of, unlike_copies
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.changes import Change, ItemChange, compare
from worker.domain.commands import explain_lapsed_metadata, explain_missing_expiry, explain_waiting
from worker.domain.consumption import explain_unread_plan
from worker.domain.ends import find_nearest, find_own_end
from worker.domain.findings import FindingKind
from worker.domain.loosening import WHY, find_loosened
from worker.domain.policies import PolicyChange, change_policy, find_default_rotator
from worker.domain.proof import CANARY_AUTO
from worker.domain.revisions import Expected, check_revision, revision_of_item
from worker.domain.rotation import Rotation
from worker.domain.sharing import refuse_to_part, refuse_twins
from worker.rotators import catalog
from worker.rotators.catalog import find_accounts, foreign_settings, parse_settings
from worker.rows import consumers as consumer_rows
from worker.rows import credential_checks as check_rows
from worker.rows import findings as finding_rows
from worker.rows import rotations as rotation_rows
from worker.rows.credential_checks import LastCheck
from worker.services.rotation.opening import Opening
from worker.services.rotation.pickups import Collected, Pickups
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


class Items:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        owners: Owners,
        references: References,
        pickups: Pickups,
        named_policies: NamedPolicies,
        audit: AuditLog,
        supersession: Supersession,
        opening: Opening,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._owners = owners
        self._references = references
        self._pickups = pickups
        self._named_policies = named_policies
        self._audit = audit
        self._supersession = supersession
        self._opening = opening
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        read_value: Callable[[], Secret] | None,
        owners: Sequence[str],
        expires_at: datetime | None,
        policy: PolicyChange,
        labels: Sequence[Label] = (),
        actor: str,
        beside: Callable[[Connection, Item], None] = lambda *_: None,
    ) -> tuple[Item, Collected | None]:
        """A new item; `beside` stores what belongs to it in the same transaction. Its value is read once all
        else is in order. An `api-key:` item is given none: it generates its own, kept until its creator has it.

        Refused where Nightkey would replace what nothing here reads: the workflow that names it comes first.
        """
        check_given(name, is_given=read_value is not None)
        built = change_policy(None, policy, default_rotator=find_default_rotator(name))
        _check_settings(built, None, name=name)
        accounts = find_accounts(built)
        check_policy(built, name=check_name(name), kind=kind_of(name))
        labels = sort_labels(labels)
        with self._database.read() as connection:
            self._owner_ids(connection, owners)
            self._pickups.check_first(connection, name, actor=actor)
            self._refuse_waiting(connection, name)
            self._check_awaited(connection, name, built)
            copy_of = self._resolve_copy(connection, built, None).copy_of
            refuse_twins(find_twins(connection, item_id=None, copy_of=copy_of, accounts=accounts), name)
        value = None if read_value is None else read_value()
        if value is not None:
            expires_at = self._bear(value, expires_at or expiry_of_next(built, self._clock()), name=name)
        likeness = None if value is None else self._versions.likeness(value)
        with self._database.write() as connection:
            self._check_awaited(connection, name, built)
            built = self._resolve_copy(connection, built, None, lock=True)  # its value may have taken a while
            self._audit.take_turn(connection)
            refuse_twins(
                find_twins(
                    connection, item_id=None, copy_of=built.copy_of, accounts=accounts, likeness=likeness
                ),
                name,
            )
            created = self._vault.create(
                connection,
                name=name,
                value=value,
                owner_ids=self._owner_ids(connection, owners),
                expires_at=expires_at,
                policy=built,
                accounts=accounts,
                labels=labels,
                actor=actor,
            )
            beside(connection, created.item)
            return created.item, self._pickups.keep_first(connection, created, actor=actor)

    def check_new_name(self, name: str) -> str:
        """The name as a new item would be kept under it; an error as of `create` where none may be."""
        with self._database.read() as connection:
            self._refuse_waiting(connection, name)
            return self._vault.check_new_name(connection, name)

    def preview(
        self, name: str, change: ItemChange, *, allowed: Callable[[Action], bool] = lambda _: True
    ) -> tuple[Change, ...]:
        """What `update` would change, with the errors that are known of before; nothing is written."""
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            policy = self._policy_that_may_follow(connection, item, change, allowed)
            self._find_new_accounts(connection, item, policy, None)
            if not isinstance(change.owners, Unchanged):
                self._owner_ids(connection, change.owners)
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
            return compare(self._name_original(connection, item), self._name_original(connection, after))

    def view(self, name: str) -> ItemView:
        """All that there is to show of an item; no value is among it."""
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            return ItemView(
                item=replace(item, labels=labels_of(connection, item.id)),
                follows=self._find_followed(connection, item),
                versions=tuple(self._versions.of_item(connection, item.id)),
                references=tuple(self._references.of_item(connection, item.id)),
                original=self._name_original(connection, item).policy.copy_of,
                copies=tuple(copies_of(connection, item.id)),
                overlap=self._explain_overlap(connection, item),
                checked=check_rows.find(connection, item.id),
                way_back=finding_rows.find_command(connection, FindingKind.REFUSED, item.id),
            )

    def _find_followed(self, connection: Connection, item: Item) -> NamedPolicy | None:
        """None, too, where it cannot be read: the item has all of its policy."""
        if item.policy.named is not None:
            with suppress(NotFoundError, UnreadableError):
                return self._named_policies.get(connection, item.policy.named)
        return None

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

    def delete(self, name: str, *, expected: Expected | None = None, actor: str) -> Item:
        """The item and every value of it are gone, and what was found of it is resolved. Refused while anything
        uses it, or a rotation of it is open; `ChangedError` if it is not as `expected`.
        """
        with self._database.write() as connection:
            item = self.delete_within(connection, name, expected=expected, actor=actor)
        self._database.scrub()
        return item

    def delete_within(
        self, connection: Connection, name: str, *, expected: Expected | None, actor: str
    ) -> Item:
        """The same in the caller's transaction, after which the database is to be scrubbed."""
        seen = self._vault.get(connection, name, lock=True)
        check_revision(expected, revision_of_item(seen), seen.name)
        self._opening.check_at_rest(connection, self._vault.get(connection, name))
        item = self._vault.delete(connection, name, actor=actor)
        finding_rows.resolve_item(connection, item.id, self._clock())
        check_rows.forget(connection, item.id)
        return item

    def hold_all(self, connection: Connection, ids: Iterable[str]) -> None:
        """Nobody else changes these before this transaction ends."""
        for item_id in sorted(ids):
            self._vault.get(connection, item_id, lock=True)

    def check_delete(self, name: str, *, besides: Collection[str] = ()) -> Item:
        """The item; an error as of `delete` where it could not be deleted, were those `besides` it, by their
        ids, gone already.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            self._opening.check_at_rest(connection, item, lock=False)
            self._vault.check_unused(connection, item, besides=besides)
            if is_token(connection, item.id):
                raise RefusedError(f"{item.name} is a principal's token: `nightkey principal revoke` ends it")
            return item

    def lacks_expiry(self, name: str, change: ItemChange) -> bool:
        """Whether nothing says when a new value would lapse: neither the change, nor the policy after it.

        The expiry that the item has is its present value's, or what it came in with while it waits for one.
        One that never had any is asked for, too: that a value never lapses is somebody's word, and not a guess.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
        return self._lacks_expiry(item, change, self._policy_after(item, change))

    def explain_overlap(self, item: Item) -> str | None:
        """Whether the old value works on beside the new one when it is replaced, as far as that is known: what
        the last rotation saw counts for more than what the policy says.
        """
        with self._database.read() as connection:
            return self._explain_overlap(connection, item)

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

    def explain_first(self, item: Item) -> str | None:
        """Why its next rotation could not come to its end, where its value was given and not issued here."""
        with self._database.read() as connection:
            return self._explain_first(connection, item)

    def _explain_first(self, connection: Connection, item: Item) -> str | None:
        found = self._versions.of_item(connection, item.id)
        present = next((one for one in found if one.number == item.version), None)
        is_given = present is None or not present.external
        return catalog.explain_first(item.policy) if is_given else None

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
            UNCHANGED if isinstance(change.owners, Unchanged) else self._owner_ids(connection, change.owners)
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
            expires_at = self._bear(value, said, name=item.name)
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
        changes = compare(self._name_original(connection, item), self._name_original(connection, after))
        if item.version is None and after.version is not None:
            finding_rows.resolve(connection, FindingKind.NO_VALUE, item.id, after.updated_at)
        if value is not None:
            finding_rows.resolve(connection, FindingKind.REFUSED, item.id, after.updated_at)
            check_rows.wake(connection, item.id, after.updated_at)
        if policy != item.policy:
            self._supersession.look_again(connection, rotation)
        ends = None if value is None else self._supersession.end(connection, rotation, after)
        joins = policy.copy_of if policy.copy_of != item.policy.copy_of else None
        follow = self._move_copies(connection, held.copies, policy, actor) if joins else ()
        moved = [after.id, *(copy.id for copy in held.copies)]
        unlike = tuple(unlike_copies(connection, joins, moved)) if joins else ()
        return Updated(item=after, changes=changes, ends=ends, follow=follow, unlike=unlike)

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
        policy = self._resolve_copy(connection, self._policy_after(item, change), item, lock=lock)
        if lock and policy.named is not None and policy.named != item.policy.named:
            self._audit.take_turn(connection)  # it is not deleted meanwhile
            self._named_policies.get(connection, policy.named)
        check_policy(policy, name=item.name, kind=item.kind)
        _refuse_loosening(item.policy, policy, allowed)
        self._check_read(connection, item, policy)
        return policy

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

    def _lock_family(self, connection: Connection, item: Item, change: ItemChange) -> list[Item]:
        """The copies of an item that becomes another's copy, which are that one's from now on.

        With the item and that other they are locked in the order of their ids, and before the audit trail: as
        by whoever changes one of them.
        """
        copy_of = self._policy_after(item, change).copy_of
        if copy_of in (None, item.policy.copy_of):
            return []
        names = [copy_of or "", *copies_of(connection, item.id)]
        wanted = {item.id, *(self._vault.get(connection, name).id for name in names)}
        locked: dict[str, Item] = {}
        while wanted:  # one that became a copy before the item was locked comes in the next round
            locked |= {one: self._vault.get(connection, one, lock=True) for one in sorted(wanted)}
            names = copies_of(connection, item.id)
            wanted = {self._vault.get(connection, name).id for name in names} - locked.keys()
        return sorted(
            (one for one in locked.values() if one.policy.copy_of == item.id), key=lambda one: one.name
        )

    def _move_copies(
        self, connection: Connection, copies: Sequence[Item], policy: Policy, actor: str
    ) -> tuple[str, ...]:
        """The copies are of this policy's original from now on; their names."""
        for copy in copies:
            follows = replace(copy.policy, copy_of=policy.copy_of)
            self._vault.update(connection, copy.id, policy=follows, actor=actor)
        return tuple(copy.name for copy in copies)

    def _resolve_copy(
        self, connection: Connection, policy: Policy, item: Item | None, *, lock: bool = False
    ) -> Policy:
        """The policy with the id of the original, which somebody named; it is an item of its own. `lock`: it is
        not deleted before this transaction ends.
        """
        if policy.copy_of is None or (item is not None and policy.copy_of == item.policy.copy_of):
            return policy
        original = self._vault.get(connection, policy.copy_of, lock=lock)
        problem = None
        if item is not None and original.id == item.id:
            problem = "an item cannot be a copy of itself: name its original"
        elif original.policy.copy_of is not None:
            of = self._vault.get(connection, original.policy.copy_of).name
            problem = f"{original.name} is a copy itself: name its original, {of}"
        elif original.kind is Kind.API_KEY:
            problem = f"{original.name} is a key for callers of ours: nothing else holds it"
        if problem is not None:
            raise RefusedError(problem)
        return replace(policy, copy_of=original.id)

    def _name_original(self, connection: Connection, item: Item) -> Item:
        """With the name of its original in the place of its id, for what is shown."""
        if item.policy.copy_of is None:
            return item
        with suppress(NotFoundError):
            of = self._vault.get(connection, item.policy.copy_of).name
            return replace(item, policy=replace(item.policy, copy_of=of))
        return item

    def _bear(self, value: Secret, expires_at: datetime | None, *, name: str) -> datetime | None:
        """The expiry of a value that a person gives: the end that it bears in itself, where that is nearer."""
        own = find_own_end(value.expose())
        if own is not None and own <= self._clock():
            raise InvalidInputError(
                f"the value of {name} carries an expiry of its own, {own:%Y-%m-%dT%H:%M:%SZ}, which is over: "
                "give one that works"
            )
        return find_nearest(expires_at, own)

    def _policy_after(self, item: Item, change: ItemChange) -> Policy:
        """Its settings are checked where they, or anything else of it, change: what its rotator no longer takes
        stands in no other owner's way.
        """
        wanted = change.policy
        policy = change_policy(item.policy, wanted, default_rotator=find_default_rotator(item.name))
        if policy != item.policy:
            _check_settings(policy, None if wanted.whole else item.policy, name=item.name)
        return policy

    def make_first_key(self, name: str, *, actor: str) -> tuple[Item, Collected]:
        """The key of an `api-key:` item that came in without one: made, and kept until it has arrived with who
        asked for it, as that of a new item.
        """
        with self._database.write() as connection:
            item = self._vault.get(connection, name, lock=True)
            says = self._vault.expiry_of_next(item, item.policy)
            if item.version is None and item.expires_at is not None and says is None:
                raise InvalidInputError(explain_lapsed_metadata(item, self._clock()))
            created = self._vault.make_first_key(connection, item.id, actor=actor)
            finding_rows.resolve(connection, FindingKind.NO_VALUE, item.id, created.item.updated_at)
            kept = self._pickups.keep_first(connection, created, actor=actor)
        if kept is None:
            raise RefusedError(f"{name} has a key already")
        return created.item, kept

    def _lacks_expiry(self, item: Item, change: ItemChange, policy: Policy) -> bool:
        return isinstance(change.expires_at, Unchanged) and self._vault.expiry_of_next(item, policy) is None

    def _refuse_waiting(self, connection: Connection, name: str) -> None:
        """What came in already is not to be created under another name, but to be given its value."""
        with suppress(NotFoundError):
            item = self._vault.get(connection, name)
            if item.version is None:
                raise RefusedError(explain_waiting(item, self._clock()))

    def _check_awaited(self, connection: Connection, name: str, policy: Policy) -> None:
        if needs_consumer(policy, kind_of(name)) and not self._references.is_awaited(connection, name):
            raise RefusedError(explain_unread_plan(name))

    def _check_read(self, connection: Connection, item: Item, policy: Policy) -> None:
        """It is not made one that we replace and nothing reads; one that is so already stays a finding."""
        was = needs_consumer(item.policy, item.kind)
        if not was and self._vault.is_unread(connection, replace(item, policy=policy)):
            raise RefusedError(explain_unread_plan(item.name))

    def _owner_ids(self, connection: Connection, names: Sequence[str]) -> list[str]:
        return [self._owners.get(connection, one).id for one in names]


def _refuse_loosening(before: Policy, after: Policy, allowed: Callable[[Action], bool]) -> None:
    needed = find_loosened(before, after)
    if needed is not None and not allowed(needed):
        raise NotAllowedError(needed, sorted(RULES[needed].anywhere), why=WHY)


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


def _check_settings(policy: Policy, before: Policy | None, *, name: str) -> None:
    """The rotator's own check, before anything is stored. What another rotator had is not dropped silently."""
    if policy.rotator is None:
        if policy.settings:
            raise InvalidInputError("settings were given, but no rotator: add --rotator NAME")
        return
    if before is not None and before.rotator not in (None, policy.rotator):
        kept = [key for key in foreign_settings(policy.rotator, policy.settings) if key in before.settings]
        if kept:
            raise InvalidInputError(
                f"{name} has settings of {before.rotator} that {policy.rotator} does not know: take them away "
                f"with {' '.join(f'--unset {key}' for key in kept)}"
            )
    parse_settings(policy.rotator, policy.settings)
