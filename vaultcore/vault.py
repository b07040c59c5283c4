"""The vault: items, and who may be broken by changing one.

Every method works in the caller's transaction: a change, its audit row and whatever the caller
adds commit together or not at all. The values themselves are `vaultcore.versions`' business.
"""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, update

from vaultcore import rules
from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.crypto import apikeys
from vaultcore.errors import ConflictError, NotFoundError, RefusedError, UnreadableError
from vaultcore.ids import ITEM_PREFIX, find_prefix, find_whole, new_id
from vaultcore.label_rows import Labelled, find_labels, labels_of, set_labels
from vaultcore.labels import change_labels, compare_labels, show_label, sort_labels
from vaultcore.model import UNCHANGED, ConsumerKind, Item, Kind, Label, NodeReference, Policy, Stage, Unchanged
from vaultcore.names import spellings
from vaultcore.namesakes import refuse_namesake
from vaultcore.paging import select_page, walk_keyset
from vaultcore.references import find_uses, texts_in
from vaultcore.row_macs import check_mac, find_edited
from vaultcore.rows import derived_columns, item_from_row, owner_columns, owners_of, select_items
from vaultcore.secret import Secret
from vaultcore.stored import Unread, read_apart
from vaultcore.tables import item_owners, items, versions
from vaultcore.twins import copies_of, record_accounts
from vaultcore.versions import Versions

ROTATOR_NODE = "rotator"


@dataclass(frozen=True, kw_only=True)
class Created:
    """The answer to creating an item. `key` is there for `api-key:` items, this once."""

    item: Item
    key: Secret | None


class Vault:
    """Creates, lists, shows, updates and deletes items."""

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

    def create(
        self,
        connection: Connection,
        *,
        name: str,
        value: Secret | None,
        owner_ids: Collection[str] = (),
        expires_at: datetime | None = None,
        policy: Policy,
        accounts: Collection[str] = (),
        labels: Sequence[Label] = (),
        actor: str,
    ) -> Created:
        """A new item with its first version, current at once. Enrolling an item never rotates it. `accounts`
        are what its rotator changes on the other side, where that can be told.

        Without `expires_at` the policy's lifetime gives one. `api-key:` items take no value: the
        key is generated, answered once, and kept as a digest alone.
        """
        now = self._clock()
        kind = rules.kind_of(name)
        rules.check_policy(policy, name=rules.check_name(name), kind=kind)
        labels = sort_labels(labels)
        name = self.check_new_name(connection, name)
        first = self._first_value(kind, value, name=name)
        expires_at = expires_at or rules.expiry_of_next(policy, now)
        rules.check_expiry(expires_at, name=name, now=now)
        item_id = new_id("vlt", now)
        connection.execute(
            insert(items).values(
                id=item_id,
                name=name,
                kind=kind.value,
                created_at=now,
                updated_at=now,
                **derived_columns(
                    item_id, name, kind, owned=bool(owner_ids), policy=policy, expires_at=expires_at
                ),
            )
        )
        self._set_owners(connection, item_id, owner_ids)
        set_labels(connection, item_id, labels)
        self._insert_first(connection, item_id, kind, first, expires_at=expires_at, now=now)
        self._references.link(connection, item_id=item_id, name=name, idle_at=now + policy.idle_after)
        self._record_rotator_uses(connection, item_id, name, policy)
        record_accounts(connection, item_id, accounts)
        shown = {"labels": [show_label(one) for one in labels]} if labels else {}
        self._note(connection, actor, "item.create", item_id, name=name, version=1, **shown)
        return Created(item=self.get(connection, item_id), key=first if kind is Kind.API_KEY else None)

    def check_new_name(self, connection: Connection, name: str) -> str:
        """The name as a new item is kept under it; `InvalidInputError` or `RefusedError` where none may be."""
        name = rules.check_name(name)
        refuse_namesake(connection, items, name, what="item")
        return name

    def get(self, connection: Connection, name_or_id: str, *, lock: bool = False) -> Item:
        """The item of that name or id, or of the only id that begins so; `NotFoundError` if there is none,
        `TamperedError` if none of us wrote it so, or made somebody its owner. `lock`: it is about to be
        changed, by nobody else until this transaction ends. Of its labels it has those that are ours: they
        decide nothing, so another one does not stop it.
        """
        column = items.c.id if rules.is_item_id(name_or_id) else items.c.name
        query = select_items().where(column.in_(spellings(name_or_id)))
        rows = connection.execute(query.with_for_update(of=items) if lock else query).all()
        row = min(rows, key=lambda row: row.name != name_or_id, default=None)
        if row is None and find_prefix(name_or_id) == ITEM_PREFIX:
            whole = find_whole(connection, items.c.id, name_or_id)
            if whole != name_or_id:
                return self.get(connection, whole, lock=lock)
        if row is None:
            raise NotFoundError(f"no item {name_or_id[:60]!r}: `nightkey item list` shows them all")
        names = owners_of(connection, [row.id], check=True)
        item = item_from_row(row, names[row.id], find_labels(connection, [row.id])[row.id].labels)
        check_mac(connection, items, row, f"item {row.name}")
        return item

    def is_unread(self, connection: Connection, item: Item, *, active: bool = True) -> bool:
        """Whether a new value that we make would be lost on everybody: nothing (active) here uses the item,
        and its policy does not say that nothing needs to.
        """
        needed = rules.needs_consumer(item.policy, item.kind)
        return needed and not self._references.is_read(connection, item.id, active=active)

    def page(self, connection: Connection, *, after: str = "", limit: int = 500) -> list[Item]:
        """Items by name, a page at a time: those after `after`."""
        rows = connection.execute(select_page(select_items(), (items.c.name,), (after,), size=limit)).all()
        ids = [row.id for row in rows]
        names, labels = owners_of(connection, ids), find_labels(connection, ids)
        return [item_from_row(row, names[row.id], labels[row.id].labels) for row in rows]

    def walk(self, connection: Connection, *, page_size: int = 500) -> Iterator[Item | UnreadableError]:
        """Items by name, read in pages; in the place of one that cannot be read, or was edited, the error
        that says so.
        """
        for rows in walk_keyset(connection, select_items(), (items.c.name,), size=page_size):
            ids = [row.id for row in rows]
            names, labels = owners_of(connection, ids), find_labels(connection, ids)

            def read(
                row: Row[*tuple[Any, ...]],
                names: Mapping[str, tuple[str, ...]] = names,
                labels: Mapping[str, Labelled] = labels,
            ) -> Item:
                return item_from_row(row, names[row.id], labels[row.id].labels)

            for row in rows:
                item, what = read_apart(row, read), f"item {row.name} ({row.id})"
                if isinstance(item, Unread):
                    yield item.explain(what)
                else:
                    yield find_edited(connection, items, row, what) or labels[row.id].edited or item

    def update(
        self,
        connection: Connection,
        name_or_id: str,
        *,
        name: str | None = None,
        value: Secret | None = None,
        expires_at: datetime | Unchanged | None = UNCHANGED,
        owner_ids: Collection[str] | Unchanged = UNCHANGED,
        policy: Policy | None = None,
        accounts: Collection[str] | Unchanged = UNCHANGED,
        labels: Mapping[str, str | None] = MappingProxyType({}),
        beside_pending: bool = False,
        actor: str,
    ) -> Item:
        """Changes what is given; `owner_ids` takes the place of those that were, and of `labels` those are set
        that have a value, and those taken away that have none. A new value is a new version, current at once;
        refused where there is a pending one, unless it may go `beside_pending`.

        A new value without an expiry gets the policy's lifetime, or none: the old expiry was the
        old value's. The first value of an item that waits for it has the expiry that came with that. A rename
        is refused while templates hold the old name.
        """
        now = self._clock()
        item = self.get(connection, name_or_id, lock=True)
        new = self._check_change(connection, item, name, policy)
        expiry = self._expiry_after(item, new, expires_at, now, renewed=value is not None)
        if value is not None:
            self._replace_value(connection, item, value, expiry, now, beside_pending=beside_pending)
        elif expiry != item.expires_at:
            connection.execute(
                update(versions)
                .where(versions.c.item_id == item.id, versions.c.stage == Stage.CURRENT.value)
                .values(expires_at=expiry, issued_at=None)  # what a person says is no life that it was given
            )
        owned = bool(item.owners)
        if not isinstance(owner_ids, Unchanged):
            self._set_owners(connection, item.id, owner_ids)
            owned = bool(owner_ids)
        held = value is None and policy is None
        self._write(connection, item, new, expiry, now, owned=owned, renewed=value is not None, held=held)
        self._record_uses(connection, item, new, now)
        if not isinstance(accounts, Unchanged):
            record_accounts(connection, item.id, accounts)
        shown = self._change_labels(connection, item, labels)
        changed = self.get(connection, item.id)
        self._note(
            connection,
            actor,
            "item.update",
            item.id,
            name=new.name,
            version=changed.version,
            new_value=value is not None,
            policy_changed=policy is not None,
            **shown,
        )
        return changed

    def _change_labels(
        self, connection: Connection, item: Item, wanted: Mapping[str, str | None]
    ) -> dict[str, list[str]]:
        """What the record says of it: which labels were set, and which taken away. None of those that stay is
        signed anew before it is known to be ours.
        """
        if not wanted:
            return {}
        before = labels_of(connection, item.id)
        after = change_labels(before, wanted)
        set_labels(connection, item.id, after)
        changed = compare_labels(before, after)
        shown = {
            "labels_set": [show_label(one) for one in after if changed.get(one.key) is not None],
            "labels_taken": [key for key, value in changed.items() if value is None],
        }
        return {name: keys for name, keys in shown.items() if keys}

    def _check_change(
        self, connection: Connection, item: Item, name: str | None, policy: Policy | None
    ) -> Item:
        """The item under its new name and policy, if it may have them."""
        new = replace(
            item,
            name=item.name if name is None else rules.check_name(name),
            policy=item.policy if policy is None else policy,
        )
        rules.check_policy(new.policy, name=new.name, kind=item.kind)
        if new.name != item.name:
            self._check_rename(connection, item, new.name)
        return new

    def _expiry_after(
        self, item: Item, new: Item, given: datetime | Unchanged | None, now: datetime, *, renewed: bool
    ) -> datetime | None:
        if not isinstance(given, Unchanged):
            rules.check_expiry(given, name=new.name, now=now)
            return given
        return self.expiry_of_next(item, new.policy) if renewed else item.expires_at

    def _write(
        self,
        connection: Connection,
        item: Item,
        new: Item,
        expiry: datetime | None,
        now: datetime,
        *,
        owned: bool,
        renewed: bool,
        held: bool,
    ) -> None:
        """The item's own row. `renewed`: it has another value now; `held`: what it was held for may last."""
        issued_at = None
        if not renewed and item.version is not None:
            issued_at = self._versions.get(connection, item.id, item.version).issued_at
        derived = derived_columns(
            item.id,
            new.name,
            item.kind,
            owned=owned,
            policy=new.policy,
            expires_at=expiry,
            waits=item.version is None and not renewed,
            issued_at=issued_at,
        )
        hold_until = item.hold_until if held else None
        connection.execute(
            update(items)
            .where(items.c.id == item.id)
            .values(name=new.name, updated_at=now, hold_until=hold_until, **derived)
        )

    def _record_uses(self, connection: Connection, item: Item, new: Item, now: datetime) -> None:
        """Who names the item by its new name, and whom its settings name."""
        if new.name != item.name:
            self._references.unlink(connection, item.id, name=item.name)
        self._references.link(connection, item_id=item.id, name=new.name, idle_at=now + new.policy.idle_after)
        self._record_rotator_uses(connection, item.id, new.name, new.policy)

    def expiry_of_next(self, item: Item, policy: Policy) -> datetime | None:
        """When a new value of the item lapses by that policy unless somebody says; None: nothing says it."""
        awaited = item.expires_at if item.version is None else None
        return rules.expiry_of_next(policy, self._clock(), awaited=awaited)

    def make_first_key(self, connection: Connection, name_or_id: str, *, actor: str) -> Created:
        """The first key of an `api-key:` item that waits for one: generated, answered once, as by `create`.

        Refused where the expiry that the item came in with is over, and its policy has no lifetime.
        """
        now = self._clock()
        item = self.get(connection, name_or_id, lock=True)
        if item.kind is not Kind.API_KEY or item.version is not None:
            raise ConflictError(f"{item.name} waits for no key: look again")
        expiry = self.expiry_of_next(item, item.policy)
        rules.check_expiry(item.expires_at if expiry is None else expiry, name=item.name, now=now)
        key = apikeys.generate()
        self._insert_first(connection, item.id, item.kind, key, expires_at=expiry, now=now)
        connection.execute(
            update(items)
            .where(items.c.id == item.id)
            .values(
                updated_at=now,
                **derived_columns(
                    item.id,
                    item.name,
                    item.kind,
                    owned=bool(item.owners),
                    policy=item.policy,
                    expires_at=expiry,
                ),
            )
        )
        self._note(connection, actor, "item.update", item.id, name=item.name, version=1, new_value=True)
        return Created(item=self.get(connection, item.id), key=key)

    def delete(self, connection: Connection, name_or_id: str, *, actor: str) -> Item:
        """Takes the item and every value of it away; refused while anything uses it."""
        item = self.get(connection, name_or_id, lock=True)
        self.check_unused(connection, item)
        self._references.forget(connection, item.id)
        self._references.unlink(connection, item.id)
        record_accounts(connection, item.id, ())
        connection.execute(delete(versions).where(versions.c.item_id == item.id))
        self._set_owners(connection, item.id, ())
        set_labels(connection, item.id, ())
        connection.execute(delete(items).where(items.c.id == item.id))
        self._note(connection, actor, "item.delete", item.id, name=item.name)
        return item

    def check_unused(self, connection: Connection, item: Item, *, besides: Collection[str] = ()) -> None:
        """`RefusedError` where something uses it, so that it may not be deleted; the items `besides` it, by
        their ids, do not count.
        """
        users = sorted(
            {
                f"{'rotator of ' if r.consumer is ConsumerKind.ROTATOR else ''}{r.consumer_name}"
                for r in self._references.of_item(connection, item.id)
                if r.consumer_id not in {item.id, *besides} and not r.mentioned
            }
        )
        if users:
            raise RefusedError(f"{item.name} is used by {', '.join(users)}: change or remove those first")
        if self._versions.pending(connection, item.id) is not None:
            raise RefusedError(f"{item.name} is being rotated: wait for that, then delete it")
        copies = copies_of(connection, item.id, besides=besides)
        if copies:
            raise RefusedError(
                f"{item.name} is the original of {', '.join(copies)}: delete those first, or give each a value "
                f"of its own: `nightkey item update {shlex.quote(copies[0])} --copy-of none --value`"
            )

    def hold(self, connection: Connection, item_id: str, until: datetime | None) -> None:
        """Nothing is started by itself for this item before `until`."""
        connection.execute(update(items).where(items.c.id == item_id).values(hold_until=until))

    def _set_owners(self, connection: Connection, item_id: str, owner_ids: Collection[str]) -> None:
        connection.execute(delete(item_owners).where(item_owners.c.item_id == item_id))
        rows = [{"item_id": item_id, "owner_id": owner_id} for owner_id in sorted(set(owner_ids))]
        if rows:
            connection.execute(insert(item_owners), rows)
        owned = owner_columns(connection, owner_ids)
        connection.execute(update(items).where(items.c.id == item_id).values(owned))

    def _first_value(self, kind: Kind, value: Secret | None, *, name: str) -> Secret:
        """The value that was given, checked; or the key that an `api-key:` item generates."""
        rules.check_given(name, is_given=value is not None)
        if kind is Kind.API_KEY or value is None:
            return apikeys.generate()
        rules.check_value(value.expose(), name=name)
        return value

    def _replace_value(
        self,
        connection: Connection,
        item: Item,
        value: Secret,
        expiry: datetime | None,
        now: datetime,
        *,
        beside_pending: bool,
    ) -> None:
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
            self._insert_first(connection, item.id, item.kind, value, expires_at=expiry, now=now)
            return
        stage = Stage.PENDING if pending is None else Stage.PREVIOUS  # of pending ones there is one at most
        self._versions.insert(connection, item.id, number=highest + 1, stage=stage, now=now)
        self._versions.fill(connection, item.id, highest + 1, value, expires_at=expiry)
        if item.version is None:
            raise ConflictError(f"{item.name} has no current version")
        self._versions.swap(connection, item.id, new=highest + 1, old=item.version, new_was=stage)

    def _insert_first(
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

    def _record_rotator_uses(self, connection: Connection, item_id: str, name: str, policy: Policy) -> None:
        """What the rotator's settings name is used by it, and so may not be deleted."""
        found = {
            (use.name, use.item_id)
            for text in texts_in(policy.settings)
            for use in find_uses(text, header=True)
        }
        self._references.record(
            connection,
            consumer=ConsumerKind.ROTATOR,
            consumer_id=item_id,
            consumer_name=name,
            active=True,
            found=[
                NodeReference(node_id=ROTATOR_NODE, name=used_name, item_id=used_id)
                for used_name, used_id in sorted(found, key=str)
            ],
            now=self._clock(),
        )

    def _note(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        **details: str | int | bool | list[str] | None,
    ) -> None:
        self._audit.append(connection, at=self._clock(), actor=actor, action=action, subject=subject, **details)
