"""Items whose values are elsewhere: taken in as metadata, many at once. Each waits for its value.

Every method works in the caller's transaction.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, or_, select

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.ids import new_id
from vaultcore.model import KnownNames, Policy, WaitingItem
from vaultcore.names import normalise, skeleton
from vaultcore.rows import derived_columns, owner_columns
from vaultcore.rules import kind_of
from vaultcore.stored import unreadable_fields
from vaultcore.tables import item_owners, items


class Enrolling:
    def __init__(self, *, audit: AuditLog, references: References, clock: Callable[[], datetime]) -> None:
        self._audit = audit
        self._references = references
        self._clock = clock

    def look_up(self, connection: Connection, *, names: Collection[str], ids: Collection[str]) -> KnownNames:
        """The items that have one of these names or ids, or look like one of the names. One whose own name
        cannot be read has none.
        """
        looks = {skeleton(name) for name in names}
        rows = connection.execute(
            select(items.c.id, items.c.name, items.c.skeleton).where(
                or_(items.c.name.in_(names), items.c.skeleton.in_(looks), items.c.id.in_(ids))
            )
        ).all()
        readable = [row for row in rows if not unreadable_fields(row)]
        return KnownNames(
            by_id={row.id: "" for row in rows} | {row.id: normalise(row.name) for row in readable},
            by_name={normalise(row.name): row.id for row in readable},
            by_look={skeleton(row.name): row.name for row in readable},
        )

    def add(
        self,
        connection: Connection,
        waiting: Sequence[WaitingItem],
        *,
        owner_ids: Collection[str],
        policy: Policy,
        actor: str,
    ) -> list[str]:
        """Their ids, in the same order. References that name one of them, or its id, lead to it from now on."""
        now = self._clock()
        ids = [one.item_id or new_id("vlt", now) for one in waiting]
        if not waiting:
            return ids
        owned_by = owner_columns(connection, owner_ids)
        rows = [
            {
                "id": item_id,
                "name": one.name,
                "kind": kind_of(one.name).value,
                "created_at": one.created_at or now,
                "updated_at": now,
                "hold_until": None,
                **owned_by,
                **derived_columns(
                    item_id,
                    one.name,
                    kind_of(one.name),
                    owned=bool(owner_ids),
                    policy=policy,
                    expires_at=one.expires_at,
                    waits=True,
                ),
            }
            for item_id, one in zip(ids, waiting, strict=True)
        ]
        connection.execute(insert(items), rows)
        owned = [
            {"item_id": item_id, "owner_id": owner_id} for item_id in ids for owner_id in sorted(set(owner_ids))
        ]
        if owned:
            connection.execute(insert(item_owners), owned)
        names = {item_id: one.name for item_id, one in zip(ids, waiting, strict=True)}
        self._references.link_all(connection, names, idle_at=now + policy.idle_after)
        self._audit.append_all(
            connection,
            at=now,
            actor=actor,
            action="item.import",
            subjects={item_id: {"name": name} for item_id, name in names.items()},
        )
        return ids
