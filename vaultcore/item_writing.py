"""What is written of items: one of them, or many with as few statements as one.

Every method works in the caller's transaction. What was read of an item is handed in, and not read again.
"""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from vaultcore import rules
from vaultcore.audit import AuditLog
from vaultcore.consumers import ROTATOR_NODE as ROTATOR_NODE  # noqa: PLC0414  # it is named with who writes it
from vaultcore.consumers import References
from vaultcore.current_numbers import note_current_number
from vaultcore.errors import ConflictError, RefusedError, UnreadableError
from vaultcore.label_rows import Labelled, find_labels, set_labels
from vaultcore.labels import change_labels, compare_labels, join_labels, show_label
from vaultcore.mac_writing import update_each
from vaultcore.model import UNCHANGED, ConsumerKind, Item, Kind, Label, NodeReference, Policy, Stage, Unchanged
from vaultcore.namesakes import refuse_namesake
from vaultcore.rows import derived_columns, owner_columns
from vaultcore.secret import Secret
from vaultcore.tables import item_owners, items, versions
from vaultcore.twins import record_accounts
from vaultcore.versions import Versions


@dataclass(frozen=True, kw_only=True)
class ItemEdit:
    """What becomes of an item, which is as it was read when it was locked. What is not given stays; `owner_ids`
    take the place of those that were, and of `labels` those are set that have a value, and those taken away
    that have none. A new value is a new version, current at once; refused where there is a pending one, unless
    it may go `beside_pending`.
    """

    item: Item
    name: str | None = None
    value: Secret | None = None
    expires_at: datetime | Unchanged | None = UNCHANGED
    owner_ids: Collection[str] | Unchanged = UNCHANGED
    policy: Policy | None = None
    accounts: Collection[str] | Unchanged = UNCHANGED
    labels: Mapping[str, str | None] = field(default_factory=dict)
    beside_pending: bool = False


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """An edit that is allowed. `new`: the item under its new name and policy; `labels`: before and after, where
    they change.
    """

    edit: ItemEdit
    new: Item
    expires_at: datetime | None
    labels: tuple[tuple[Label, ...], tuple[Label, ...]] | None

    @property
    def item(self) -> Item:
        return self.edit.item

    @property
    def renewed(self) -> bool:
        return self.edit.value is not None

    @property
    def owned(self) -> bool:
        owner_ids = self.edit.owner_ids
        return bool(self.item.owners if isinstance(owner_ids, Unchanged) else owner_ids)


class ItemWriter:
    def __init__(
        self,
        *,
        versions: Versions,
        audit: AuditLog,
        references: References,
        clock: Callable[[], datetime],
    ) -> None:
        self._versions = versions
        self._audit = audit
        self._references = references
        self._clock = clock

    def write(self, connection: Connection, edits: Sequence[ItemEdit], *, actor: str) -> None:
        """Some hundred at most, each of another item; a row in the record for each, in this order."""
        now = self._clock()
        labelled = find_labels(connection, [edit.item.id for edit in edits if edit.labels])
        wanted = [self._check(connection, edit, labelled.get(edit.item.id), now) for edit in edits]
        numbers = {
            one.item.id: self._replace_value(
                connection,
                one.item,
                one.edit.value,
                one.expires_at,
                now,
                beside_pending=one.edit.beside_pending,
            )
            for one in wanted
            if one.edit.value is not None
        }
        self._write_expiries(connection, wanted)
        self._write_items(connection, wanted, now)
        self._write_uses(connection, wanted, now)
        owners, accounts, labels = _gather(wanted)
        if owners:
            self.set_owners(connection, owners)
        if accounts:
            record_accounts(connection, accounts)
        if labels:
            set_labels(connection, labels)
        self._audit.append_all(
            connection,
            at=self._clock(),
            actor=actor,
            action="item.update",
            subjects={
                one.item.id: {
                    "name": one.new.name,
                    "version": numbers.get(one.item.id, one.item.version),
                    "new_value": one.renewed,
                    "policy_changed": one.edit.policy is not None,
                    **_show_labels(one.labels),
                }
                for one in wanted
            },
        )

    def _check(
        self, connection: Connection, edit: ItemEdit, labelled: Labelled | None, now: datetime
    ) -> _Outcome:
        item = edit.item
        new = replace(
            item,
            name=item.name if edit.name is None else rules.check_name(edit.name),
            policy=item.policy if edit.policy is None else edit.policy,
        )
        rules.check_policy(new.policy, name=new.name, kind=item.kind)
        if new.name != item.name:
            self._check_rename(connection, item, new.name)
        expires_at = item.expires_at
        if not isinstance(edit.expires_at, Unchanged):
            rules.check_expiry(edit.expires_at, name=new.name, now=now)
            expires_at = edit.expires_at
        elif edit.value is not None:
            expires_at = self.expiry_of_next(item, new.policy)
        labels = None
        if labelled is not None:
            if labelled.edited is not None:  # none of those that stay is signed anew
                raise labelled.edited
            labels = labelled.labels, change_labels(labelled.labels, edit.labels)
        return _Outcome(edit=edit, new=new, expires_at=expires_at, labels=labels)

    def expiry_of_next(self, item: Item, policy: Policy) -> datetime | None:
        """When a new value of the item lapses by that policy unless somebody says; None: nothing says it."""
        awaited = item.expires_at if item.version is None else None
        return rules.expiry_of_next(policy, self._clock(), awaited=awaited)

    def _write_expiries(self, connection: Connection, wanted: Sequence[_Outcome]) -> None:
        """Of present values. What a person says is no life that a value was given."""
        alike: dict[datetime | None, list[str]] = {}
        for one in wanted:
            if not one.renewed and one.expires_at != one.item.expires_at:
                alike.setdefault(one.expires_at, []).append(one.item.id)
        for expires_at, ids in alike.items():
            connection.execute(
                update(versions)
                .where(versions.c.item_id.in_(ids), versions.c.stage == Stage.CURRENT.value)
                .values(expires_at=expires_at, issued_at=None)
            )

    def _write_items(self, connection: Connection, wanted: Sequence[_Outcome], now: datetime) -> None:
        present = self._versions.current_of(
            connection, [one.item.id for one in wanted if not one.renewed and one.item.version is not None]
        )
        answering: dict[frozenset[str], dict[str, str | None]] = {}
        rows: dict[str, dict[str, Any]] = {}
        for one in wanted:
            item, edit, version = one.item, one.edit, present.get(one.item.id)
            if isinstance(version, UnreadableError):
                raise version
            row = derived_columns(
                item.id,
                one.new.name,
                item.kind,
                owned=one.owned,
                policy=one.new.policy,
                expires_at=one.expires_at,
                waits=item.version is None and not one.renewed,
                issued_at=None if version is None else version.issued_at,
            )
            held = not one.renewed and edit.policy is None
            row |= {"name": one.new.name, "updated_at": now, "hold_until": item.hold_until if held else None}
            if not isinstance(edit.owner_ids, Unchanged):
                ids = frozenset(edit.owner_ids)
                if ids not in answering:
                    answering[ids] = owner_columns(connection, ids)
                row |= answering[ids]
            if one.labels is not None:
                row["labelled"] = join_labels(one.labels[1])
            rows[item.id] = row
        update_each(connection, items, rows)

    def _write_uses(self, connection: Connection, wanted: Sequence[_Outcome], now: datetime) -> None:
        """Who names items by their new names, and whom their settings name."""
        links: dict[datetime, dict[str, str]] = {}
        for one in wanted:
            if one.new.name != one.item.name:
                self._references.unlink(connection, one.item.id, name=one.item.name)
            links.setdefault(now + one.new.policy.idle_after, {})[one.item.id] = one.new.name
        for idle_at, names in links.items():
            self._references.link_all(connection, names, idle_at=idle_at)
        using = self._references.using_among(connection, [one.item.id for one in wanted])
        for one in wanted:
            if one.item.id in using or find_named(one.new.policy):
                self.record_rotator_uses(connection, one.item.id, one.new.name, one.new.policy)

    def record_rotator_uses(self, connection: Connection, item_id: str, name: str, policy: Policy) -> None:
        """What the rotator's settings name is used by it, and so may not be deleted."""
        self._references.record(
            connection,
            consumer=ConsumerKind.ROTATOR,
            consumer_id=item_id,
            consumer_name=name,
            active=True,
            found=[
                NodeReference(node_id=ROTATOR_NODE, name=used_name, item_id=used_id)
                for used_name, used_id in sorted(find_named(policy), key=str)
            ],
            now=self._clock(),
        )

    def set_owners(self, connection: Connection, wanted: Mapping[str, Collection[str]]) -> None:
        """By the ids of items, who answers for them from now on. The columns of the item that follow from it
        are written with the item.
        """
        connection.execute(delete(item_owners).where(item_owners.c.item_id.in_(list(wanted))))
        rows = [
            {"item_id": item_id, "owner_id": owner_id}
            for item_id, owner_ids in wanted.items()
            for owner_id in sorted(set(owner_ids))
        ]
        if rows:
            connection.execute(insert(item_owners), rows)

    def _replace_value(
        self,
        connection: Connection,
        item: Item,
        value: Secret,
        expiry: datetime | None,
        now: datetime,
        *,
        beside_pending: bool,
    ) -> int:
        """The number of the version that is current from now on."""
        if item.kind is Kind.API_KEY:
            raise RefusedError(
                f"{item.name} generates its own value: "
                f"`nightkey item rotate {shlex.quote(item.name)}` makes a new one"
            )
        rules.check_value(value.expose(), name=item.name)
        pending = self._versions.pending(connection, item.id)
        if pending is not None and not beside_pending:
            raise RefusedError(f"{item.name} is being rotated: wait for that, then update it")
        highest = max((v.number for v in self._versions.of_item(connection, item.id)), default=0)
        if highest == 0:
            self.insert_first(connection, item.id, item.kind, value, expires_at=expiry, now=now)
            return 1
        stage = Stage.PENDING if pending is None else Stage.PREVIOUS  # of pending ones there is one at most
        self._versions.insert(connection, item.id, number=highest + 1, stage=stage, now=now)
        self._versions.fill(connection, item.id, highest + 1, value, expires_at=expiry)
        if item.version is None:
            raise ConflictError(f"{item.name} has no current version")
        self._versions.swap(connection, item.id, new=highest + 1, old=item.version, new_was=stage)
        return highest + 1

    def insert_first(
        self,
        connection: Connection,
        item_id: str,
        kind: Kind,
        value: Secret,
        *,
        expires_at: datetime | None,
        now: datetime,
    ) -> None:
        """The first version, current at once. A key for callers of ours is kept as its digest alone."""
        self._versions.insert_first(
            connection, {item_id: (value, expires_at)}, now=now, keep_value=kind is Kind.SECRET
        )
        note_current_number(connection, item_id, 1)

    def _check_rename(self, connection: Connection, item: Item, name: str) -> None:
        if rules.kind_of(name) is not item.kind:
            raise RefusedError(
                f"{item.name} cannot become {name}: the prefix {rules.API_KEY_PREFIX} decides the "
                "kind of an item, which never changes"
            )
        refuse_namesake(connection, items, name, what="item", but=item.id)
        users = sorted(
            {
                r.consumer_name
                for r in self._references.of_item(connection, item.id)
                if not rules.is_item_id(r.written) and not r.mentioned
            }
        )
        if users:
            raise RefusedError(
                f"{item.name} is named in {', '.join(users)}: a rename would break those, so change them first"
            )


def find_named(policy: Policy) -> set[tuple[str | None, str | None]]:
    """The items that the settings of its rotator name, by name or by id."""
    from vaultcore.references import find_uses, texts_in  # noqa: PLC0415  # who only reads waits for no Liquid

    return {
        (use.name, use.item_id) for text in texts_in(policy.settings) for use in find_uses(text, header=True)
    }


def _gather(
    wanted: Sequence[_Outcome],
) -> tuple[dict[str, Collection[str]], dict[str, Collection[str]], dict[str, tuple[Label, ...]]]:
    """By item, the owners, accounts and labels that are others from now on."""
    owners: dict[str, Collection[str]] = {}
    accounts: dict[str, Collection[str]] = {}
    for one in wanted:
        if not isinstance(one.edit.owner_ids, Unchanged):
            owners[one.item.id] = one.edit.owner_ids
        if not isinstance(one.edit.accounts, Unchanged):
            accounts[one.item.id] = one.edit.accounts
    return owners, accounts, {one.item.id: one.labels[1] for one in wanted if one.labels is not None}


def _show_labels(labels: tuple[tuple[Label, ...], tuple[Label, ...]] | None) -> dict[str, list[str]]:
    """What the record says of it: which labels were set, and which taken away."""
    if labels is None:
        return {}
    before, after = labels
    changed = compare_labels(before, after)
    shown = {
        "labels_set": [show_label(one) for one in after if changed.get(one.key) is not None],
        "labels_taken": [key for key, value in changed.items() if value is None],
    }
    return {name: keys for name, keys in shown.items() if keys}
