"""Who uses what: the stored references, and the proof that runs leave on them.

Every method works in the caller's transaction.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Update, and_, bindparam, delete, insert, or_, select, update

from vaultcore.current_numbers import find_current_number
from vaultcore.errors import NotFoundError
from vaultcore.item_parts import USERS, USES, KnownReferences, references_as_known
from vaultcore.known_items import KnownPart, know
from vaultcore.model import ConsumerKind, NodeReference, Reference, Stage
from vaultcore.names import normalise, spellings
from vaultcore.row_macs import is_ours
from vaultcore.rows import reference_from_row, select_references
from vaultcore.stored import Unread, read_apart, unreadable_fields
from vaultcore.tables import items, references, versions

ROTATOR_NODE: Final = "rotator"
"""Stands for the node where the rotator of an item is the consumer."""
_AT_ONCE: Final = 400
"""Names in one query."""
_NO_PIN: Final = MappingProxyType({"pinned": None, "held_by": None})


_OF_ITEM = select_references().where(references.c.item_id == bindparam("of"))
_OF_CONSUMER = select_references().where(references.c.consumer_id == bindparam("of"))
_LINKED = select(references).where(references.c.consumer_id == bindparam("of"))
_IDLE_OF = (
    select(items.c.id, items.c.idle_seconds)
    .join(references, references.c.item_id == items.c.id)
    .where(references.c.consumer_id == bindparam("of"))
    .distinct()
)
_OF_BOTH = update(references).where(
    references.c.consumer_id == bindparam("of"), references.c.item_id == bindparam("item")
)
_PROVE = _OF_BOTH.where(
    or_(
        references.c.proven_version.is_(None),
        references.c.proven_version <= bindparam("number"),
        references.c.proven_at <= bindparam("began"),
    )
).values(proven_version=bindparam("number"), proven_at=bindparam("at"))


@cache
def _note_run(names: tuple[str, ...]) -> Update:
    """Sets these columns of the references of a consumer (`of`) to an `item`."""
    return _OF_BOTH.values({name: bindparam(f"new_{name}") for name in names})


class References:
    """Records, reads and proves references."""

    def record(
        self,
        connection: Connection,
        *,
        consumer: ConsumerKind,
        consumer_id: str,
        consumer_name: str,
        active: bool,
        elsewhere: bool = False,
        found: Iterable[NodeReference],
        now: datetime,
    ) -> None:
        """Makes the consumer's references those that were found; what stays keeps its proof, and the consumer
        its pin to an item that it uses; what only mentions one has none, nor has what another engine runs.
        """
        stored = {(r.node_id, r.written): r for r in self.of_consumer(connection, consumer_id)}
        wanted = {(f.node_id, f.name or f.item_id or ""): f for f in found}
        named = self.find_items(connection, {written for _, written in wanted})
        kept = {
            key
            for key, was in stored.items()
            if key in wanted
            and wanted[key].mentioned == was.mentioned
            and (was.item_id is not None or key[1] not in named)
        }
        as_before = all(
            (was.consumer_name, was.active, was.elsewhere) == (consumer_name, active, elsewhere)
            and not (elsewhere and was.pinned is not None)
            for was in stored.values()
        )
        if stored.keys() == kept == wanted.keys() and as_before:
            return
        self._remove(connection, consumer_id, stored.keys() - kept)
        pins = {
            was.item_id: {"pinned": was.pinned, "held_by": was.held_by}
            for was in stored.values()
            if was.pinned is not None and not was.mentioned
        }
        rows = []
        for node_id, written in sorted(wanted.keys() - kept):
            item = named.get(written)
            mentioned = wanted[node_id, written].mentioned
            pin = _NO_PIN if item is None or mentioned else pins.get(item.id, _NO_PIN)
            rows.append(
                {
                    "consumer": consumer.value,
                    "consumer_id": consumer_id,
                    "consumer_name": consumer_name,
                    "active": active,
                    "node_id": node_id,
                    "written": written,
                    "mentioned": mentioned,
                    "item_id": None if item is None else item.id,
                    "current_version": None if item is None else item.number,
                    "idle_at": None if item is None else now + timedelta(seconds=item.idle_seconds),
                    **pin,
                }
            )
        if rows:
            connection.execute(insert(references), rows)
        unpinned = _NO_PIN if elsewhere else {}
        connection.execute(
            update(references)
            .where(references.c.consumer_id == consumer_id)
            .values(consumer_name=consumer_name, active=active, elsewhere=elsewhere, **unpinned)
        )

    def _remove(self, connection: Connection, consumer_id: str, keys: Iterable[tuple[str, str]]) -> None:
        gone = [{"node": node_id, "was": written} for node_id, written in keys]
        if gone:
            connection.execute(
                delete(references).where(
                    references.c.consumer_id == consumer_id,
                    references.c.node_id == bindparam("node"),
                    references.c.written == bindparam("was"),
                ),
                gone,
            )

    def find_items(self, connection: Connection, written: Iterable[str]) -> dict[str, Row[*tuple[Any, ...]]]:
        """The item that each of these names or ids means, where there is one."""
        found: dict[str, Row[*tuple[Any, ...]]] = {}
        every = sorted(written)
        for start in range(0, len(every), _AT_ONCE):
            some = every[start : start + _AT_ONCE]
            wanted = {spelling for text in some for spelling in spellings(text)}
            rows = connection.execute(
                select(items.c.id, items.c.name, items.c.idle_seconds, versions.c.number)
                .outerjoin(
                    versions, and_(versions.c.item_id == items.c.id, versions.c.stage == Stage.CURRENT.value)
                )
                .where(items.c.name.in_(wanted) | items.c.id.in_(some))
            ).all()
            by_name, by_id = {row.name: row for row in rows}, {row.id: row for row in rows}
            for text in some:
                meant = [by_name[each] for each in spellings(text) if each in by_name]
                if meant or text in by_id:
                    found[text] = meant[0] if meant else by_id[text]
        return found

    def link(self, connection: Connection, *, item_id: str, name: str, idle_at: datetime) -> None:
        """A new item: references that named it before it existed, or had its id, now lead to it."""
        if not name.isascii():  # which may be written in several ways
            self.link_all(connection, {item_id: name}, idle_at=idle_at)
            return
        connection.execute(
            update(references)
            .where(references.c.item_id.is_(None), references.c.written.in_([name, item_id]))
            .values(item_id=item_id, current_version=find_current_number(connection, item_id), idle_at=idle_at)
        )

    def unlink(self, connection: Connection, item_id: str, *, name: str | None = None) -> None:
        """The item goes, or has that name no more: what only mentions it names something that is not there."""
        named = [] if name is None else [references.c.written.in_(spellings(name))]
        connection.execute(
            update(references)
            .where(references.c.item_id == item_id, references.c.mentioned, *named)
            .values(item_id=None, current_version=None, idle_at=None, pinned=None, held_by=None)
        )

    def link_all(self, connection: Connection, names: Mapping[str, str], *, idle_at: datetime) -> int:
        """As `link`, for many new items: their names by id. How many references lead to them now."""
        ids = {name: item_id for item_id, name in names.items()}
        waiting = select(references.c.written).where(references.c.item_id.is_(None)).distinct()
        linked = 0
        for row in connection.execute(waiting).all():
            if unreadable_fields(row):  # the scan makes a finding of it
                continue
            written = row.written
            item_id = written if written in names else ids.get(written) or ids.get(normalise(written))
            if item_id is not None:
                number = find_current_number(connection, item_id)
                linked += connection.execute(
                    update(references)
                    .where(references.c.item_id.is_(None), references.c.written == written)
                    .values(item_id=item_id, current_version=number, idle_at=idle_at)
                ).rowcount
        return linked

    def forget(self, connection: Connection, consumer_id: str) -> None:
        connection.execute(delete(references).where(references.c.consumer_id == consumer_id))

    def of_item(self, connection: Connection, item_id: str) -> list[Reference]:
        return know_users(connection, item_id).references

    def of_consumer(self, connection: Connection, consumer_id: str) -> list[Reference]:
        return know(
            connection, consumer_id, USES, lambda: _read(connection, _OF_CONSUMER, consumer_id)
        ).references

    def items_of(self, connection: Connection, consumer_ids: Iterable[str]) -> set[str]:
        """The ids of the items that these use: nothing is decided by it but who is to look again."""
        query = select(references.c.item_id).where(
            references.c.consumer_id.in_(sorted(consumer_ids)), references.c.item_id.is_not(None)
        )
        return {str(item_id) for item_id in connection.execute(query.where(~references.c.mentioned)).scalars()}

    def is_read(self, connection: Connection, item_id: str, *, active: bool = True) -> bool:
        """Whether a workflow that runs here, or the rotator of another item, uses the item; an `active` one, or
        any. Another engine is given no value by us.
        """
        return bool(self.read_among(connection, [item_id], active=active))

    def read_among(self, connection: Connection, item_ids: Collection[str], *, active: bool = True) -> set[str]:
        """Those of these items of which that is so."""
        others = [
            references.c.item_id.in_(item_ids),
            references.c.consumer_id != references.c.item_id,
            ~references.c.mentioned,
            ~references.c.elsewhere,
        ]
        if active:
            others.append(references.c.active.is_(True))
        rows = connection.execute(select(references.c.item_id).where(*others).distinct())
        return {str(item_id) for item_id in rows.scalars()}

    def using_among(self, connection: Connection, consumer_ids: Collection[str]) -> set[str]:
        """Those of these of which it is stored that they use something."""
        query = select(references.c.consumer_id).where(references.c.consumer_id.in_(consumer_ids)).distinct()
        return set(connection.execute(query).scalars())

    def is_awaited(self, connection: Connection, name: str) -> bool:
        """Whether something active names an item that there is not, yet."""
        named = (
            references.c.written == name,
            references.c.item_id.is_(None),
            references.c.active.is_(True),
            ~references.c.mentioned,
            ~references.c.elsewhere,
        )
        return connection.execute(select(references.c.node_id).where(*named).limit(1)).first() is not None

    def is_waited_for(self, connection: Connection, name: str) -> bool:
        """Whether anything, active or not, would use an item as soon as it had this name."""
        waiting = select(references.c.written).where(references.c.item_id.is_(None), ~references.c.mentioned)
        rows = connection.execute(waiting.distinct()).all()
        wanted = normalise(name)
        return any(not unreadable_fields(row) and normalise(row.written) == wanted for row in rows)

    def written_by(self, connection: Connection, consumer_id: str) -> list[str]:
        """The names and ids that stand in the consumer's nodes."""
        query = select(references.c.written).where(references.c.consumer_id == consumer_id).distinct()
        return sorted(str(written) for written in connection.execute(query).scalars())

    def note_run(
        self,
        connection: Connection,
        *,
        workflow_id: str,
        used: Mapping[str, int],
        good: bool,
        began_at: datetime,
        at: datetime,
    ) -> None:
        """A production run ended at `at`, having used these versions (item id: number).

        A good run proves the workflow on every version that one of its nodes really used; a
        branch that was not taken proves nothing. What was proven on a newer version stays so if the
        run had begun before that: a long one on the version before may end later.
        """
        for row in connection.execute(_IDLE_OF, {"of": workflow_id}).all():
            item_id = row.id
            idle_at = read_apart(row, lambda one: at + timedelta(seconds=one.idle_seconds))
            values: dict[str, object] = {"last_run_at": at}
            if not isinstance(idle_at, Unread):  # else it stays what it was, as the scan will say
                values["idle_at"] = idle_at
            if item_id in used:
                values["last_version"] = used[item_id]
            of_both = {"of": workflow_id, "item": item_id}
            note = _note_run(tuple(sorted(values)))
            connection.execute(note, of_both | {f"new_{name}": value for name, value in values.items()})
            if good and item_id in used:
                connection.execute(_PROVE, of_both | {"number": used[item_id], "began": began_at, "at": at})

    def pin(self, connection: Connection, *, workflow_id: str, item_id: str, number: int | None) -> None:
        """The workflow uses this version of the item until it is unpinned (None); what only mentions it has no
        version to stay on.
        """
        pinned = connection.execute(
            update(references)
            .where(
                references.c.consumer_id == workflow_id,
                references.c.item_id == item_id,
                ~references.c.mentioned,
            )
            .values(pinned=number, held_by=None)
        )
        if pinned.rowcount == 0:
            raise NotFoundError("that workflow does not use that item: nothing to pin")


def know_users(connection: Connection, item_id: str) -> KnownReferences:
    """Who uses the item."""
    return know(connection, item_id, USERS, lambda: _read(connection, _OF_ITEM, item_id))


def _read(connection: Connection, query: Select[*tuple[Any, ...]], of: str) -> KnownPart[KnownReferences]:
    rows = connection.execute(query, {"of": of}).all()
    return references_as_known(KnownReferences([reference_from_row(connection, row) for row in rows], rows))


def find_linked(connection: Connection, consumer_id: str) -> set[tuple[str, str]]:
    """Node and written name of those of the consumer's references that one of us wrote, and that lead to an
    item: also where that is another which had this name before.
    """
    rows = connection.execute(_LINKED, {"of": consumer_id}).all()
    return {
        (row.node_id, row.written)
        for row in rows
        if is_ours(connection, references, row) and row.item_id is not None
    }
