"""The vault: items, and who may be broken by changing one.

Every method works in the caller's transaction: a change, its audit row and whatever the caller
adds commit together or not at all. The values themselves are `vaultcore.versions`' business.
"""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, update

from vaultcore import rules
from vaultcore.audit import AuditLog
from vaultcore.beside_items import find_beside
from vaultcore.consumers import References
from vaultcore.crypto import apikeys
from vaultcore.errors import ConflictError, NotFoundError, RefusedError, UnreadableError
from vaultcore.ids import ITEM_PREFIX, find_prefix, find_whole, new_id
from vaultcore.item_parts import ITEM, KnownItem, item_as_known
from vaultcore.item_writing import ItemEdit, ItemWriter
from vaultcore.known_items import find_known, keep_known, knows
from vaultcore.label_rows import Labelled, find_labels, set_labels
from vaultcore.labels import join_labels, show_label, sort_labels
from vaultcore.model import UNCHANGED, ConsumerKind, Item, Kind, Label, Policy, Unchanged
from vaultcore.names import spellings
from vaultcore.namesakes import refuse_namesake
from vaultcore.paging import walk_keyset
from vaultcore.row_macs import find_edited
from vaultcore.rows import (
    derived_columns,
    item_from_row,
    owner_columns,
    owners_of,
    select_items,
)
from vaultcore.secret import Secret
from vaultcore.stored import Unread, read_apart
from vaultcore.tables import items, versions
from vaultcore.twins import copies_of, record_accounts
from vaultcore.unit_of_work import remember
from vaultcore.versions import Versions


@dataclass(frozen=True, kw_only=True)
class Created:
    """The answer to creating an item. `key` is there for `api-key:` items, this once."""

    item: Item
    key: Secret | None


_ONE = select_items().where(items.c.id == bindparam("item"))
_HOLD: Final = update(items).where(items.c.id == bindparam("item")).values(hold_until=bindparam("until"))
_OF_ITEM: Final = ("items", "item_owners", "owners", "item_labels")
"""The tables that an item is read from."""


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
        self._writer = ItemWriter(versions=versions, audit=audit, references=references, clock=clock)

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
                labelled=join_labels(labels),
                **owner_columns(connection, owner_ids),
                **derived_columns(
                    item_id, name, kind, owned=bool(owner_ids), policy=policy, expires_at=expires_at
                ),
            )
        )
        self._writer.set_owners(connection, {item_id: owner_ids})
        set_labels(connection, {item_id: labels})
        self._writer.insert_first(connection, item_id, kind, first, expires_at=expires_at, now=now)
        self._references.link(connection, item_id=item_id, name=name, idle_at=now + policy.idle_after)
        self._writer.record_rotator_uses(connection, item_id, name, policy)
        record_accounts(connection, {item_id: accounts})
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
        if lock:
            return self._get(connection, name_or_id, lock=True)
        if knows(connection) and rules.is_item_id(name_or_id):
            known = find_known(connection, name_or_id, ITEM) or self._know(connection, name_or_id)
            if known is not None:
                return known.item
        return remember(
            connection, ("item", name_or_id), _OF_ITEM, lambda: self._get(connection, name_or_id, lock=False)
        )

    def _know(self, connection: Connection, item_id: str) -> KnownItem | None:
        """None: there is no item of that very id."""
        row = connection.execute(_ONE, {"item": item_id}).one_or_none()
        if row is None:
            return None
        (read,) = _read(connection, [row]).values()
        if isinstance(read, UnreadableError):
            raise read
        keep_known(connection, item_id, ITEM, item_as_known(read))
        return read

    def _get(self, connection: Connection, name_or_id: str, *, lock: bool) -> Item:
        query = _select_meant(by_id=rules.is_item_id(name_or_id), lock=lock)
        rows = connection.execute(query, {"spellings": list(spellings(name_or_id))}).all()
        row = min(rows, key=lambda row: row.name != name_or_id, default=None)
        if row is None and find_prefix(name_or_id) == ITEM_PREFIX:
            whole = find_whole(connection, items.c.id, name_or_id)
            if whole != name_or_id:
                return self.get(connection, whole, lock=lock)
        if row is None:
            raise _missing(name_or_id)
        read = _read(connection, [row])[row.id]
        if isinstance(read, UnreadableError):
            raise read
        return read.item

    def get_all(
        self, connection: Connection, item_ids: Collection[str], *, lock: bool = False
    ) -> dict[str, Item | NotFoundError | UnreadableError]:
        """As `get`, of some hundred items by their ids, locked in the order of these; in the place of one that
        there is not, or that cannot be read, the error that says so.
        """
        query = select_items().where(items.c.id.in_(list(item_ids))).order_by(items.c.id)
        read = _read(connection, connection.execute(query.with_for_update(of=items) if lock else query).all())
        found = {
            one: known if isinstance(known, UnreadableError) else known.item for one, known in read.items()
        }
        return {one: found.get(one, _missing(one)) for one in item_ids}

    def is_unread(self, connection: Connection, item: Item, *, active: bool = True) -> bool:
        """Whether a new value that we make would be lost on everybody: nothing (active) here uses the item,
        and its policy does not say that nothing needs to.
        """
        needed = rules.needs_consumer(item.policy, item.kind)
        return needed and not self._references.is_read(connection, item.id, active=active)

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
        item = self.get(connection, name_or_id, lock=True)
        edit = ItemEdit(
            item=item,
            name=name,
            value=value,
            expires_at=expires_at,
            owner_ids=owner_ids,
            policy=policy,
            accounts=accounts,
            labels=labels,
            beside_pending=beside_pending,
        )
        self._writer.write(connection, [edit], actor=actor)
        return self.get(connection, item.id)

    def update_all(self, connection: Connection, edits: Sequence[ItemEdit], *, actor: str) -> dict[str, Item]:
        """As `update`, of some hundred items that the caller has read and locked; by id as they are now."""
        if not edits:
            return {}
        self._writer.write(connection, edits, actor=actor)
        return take(self.get_all(connection, [edit.item.id for edit in edits]))

    def expiry_of_next(self, item: Item, policy: Policy) -> datetime | None:
        """When a new value of the item lapses by that policy unless somebody says; None: nothing says it."""
        return self._writer.expiry_of_next(item, policy)

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
        self._writer.insert_first(connection, item.id, item.kind, key, expires_at=expiry, now=now)
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
        record_accounts(connection, {item.id: ()})
        connection.execute(delete(versions).where(versions.c.item_id == item.id))
        self._writer.set_owners(connection, {item.id: ()})
        set_labels(connection, {item.id: ()})
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
        connection.execute(_HOLD, {"item": item_id, "until": until})

    def _first_value(self, kind: Kind, value: Secret | None, *, name: str) -> Secret:
        """The value that was given, checked; or the key that an `api-key:` item generates."""
        rules.check_given(name, is_given=value is not None)
        if kind is Kind.API_KEY or value is None:
            return apikeys.generate()
        rules.check_value(value.expose(), name=name)
        return value

    def _note(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        **details: str | int | bool | list[str] | None,
    ) -> None:
        self._audit.append(connection, at=self._clock(), actor=actor, action=action, subject=subject, **details)


@cache
def _select_meant(*, by_id: bool, lock: bool) -> Select[*tuple[Any, ...]]:
    """The items whose name, or id, is one of the `spellings` that are given."""
    column = items.c.id if by_id else items.c.name
    query = select_items().where(column.in_(bindparam("spellings", expanding=True)))
    return query.with_for_update(of=items) if lock else query


def take(found: Mapping[str, Item | NotFoundError | UnreadableError]) -> dict[str, Item]:
    """Where each is there, and can be read: otherwise the first error."""
    read: dict[str, Item] = {}
    for item_id, item in found.items():
        if not isinstance(item, Item):
            raise item
        read[item_id] = item
    return read


def _missing(name_or_id: str) -> NotFoundError:
    return NotFoundError(f"no item {name_or_id[:60]!r}: `nightkey item list` shows them all")


def _read(
    connection: Connection, rows: Sequence[Row[*tuple[Any, ...]]]
) -> dict[str, KnownItem | UnreadableError]:
    """By id; in the place of one that none of us wrote so, or made somebody its owner, the error that says so.
    Of its labels each has those that are ours.
    """
    ids = [row.id for row in rows]
    beside = find_beside(connection, ids)
    found: dict[str, KnownItem | UnreadableError] = {}
    for row in rows:
        answering, labelled = beside.owners[row.id], beside.labels[row.id]
        if answering.edited is not None:
            found[row.id] = answering.edited
            continue
        try:
            item = item_from_row(row, answering.names, labelled.labels)
        except UnreadableError as error:
            found[row.id] = error
        else:
            digests = (*answering.digests, *labelled.digests)
            edited = find_edited(connection, items, row, f"item {row.name}")
            found[row.id] = edited or KnownItem(item=item, row=row, beside=digests)
    return found
