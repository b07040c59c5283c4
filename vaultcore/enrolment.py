"""Items of elsewhere, taken in many at once: with their values, or as metadata that waits for them.

Every method works in the caller's transaction. Taking an item in rotates nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, or_, select

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.ids import new_id
from vaultcore.label_rows import set_labels
from vaultcore.labels import join_labels, show_label
from vaultcore.model import KnownNames, Label, Policy
from vaultcore.names import normalise, skeleton
from vaultcore.rows import derived_columns, owner_columns
from vaultcore.rules import check_value, kind_of
from vaultcore.secret import Secret
from vaultcore.stored import unreadable_fields
from vaultcore.tables import item_owners, items
from vaultcore.versions import Versions


@dataclass(frozen=True, kw_only=True)
class EnrolledItem:
    """An item to be, under a name that was judged. Without a value it waits for that. Without an id of its own,
    or a time at which it was made, it gets them now. Its expiry may be over: that is known of it, not asked
    for. Its policy names no rotator. Its labels were checked.
    """

    name: str
    value: Secret | None
    item_id: str | None
    created_at: datetime | None
    expires_at: datetime | None
    owner_ids: frozenset[str]
    policy: Policy = field(default_factory=Policy)
    labels: tuple[Label, ...] = ()


class Enrolment:
    def __init__(
        self,
        *,
        audit: AuditLog,
        references: References,
        versions: Versions,
        clock: Callable[[], datetime],
    ) -> None:
        self._audit = audit
        self._references = references
        self._versions = versions
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

    def add(self, connection: Connection, coming: Sequence[EnrolledItem], *, actor: str) -> list[str]:
        """Their ids, in the same order. References that name one of them, or its id, lead to it from now on."""
        now = self._clock()
        made = {one.item_id or new_id("vlt", now): one for one in coming}
        if not made:
            return []
        owned_by = {ids: owner_columns(connection, ids) for ids in {one.owner_ids for one in coming}}
        rows = [
            {
                "id": item_id,
                "name": one.name,
                "kind": kind_of(one.name).value,
                "created_at": one.created_at or now,
                "updated_at": now,
                "hold_until": None,
                "labelled": join_labels(one.labels),
                **owned_by[one.owner_ids],
                **derived_columns(
                    item_id,
                    one.name,
                    kind_of(one.name),
                    owned=bool(one.owner_ids),
                    policy=one.policy,
                    expires_at=one.expires_at,
                    waits=one.value is None,
                ),
            }
            for item_id, one in made.items()
        ]
        connection.execute(insert(items), rows)
        owned = [
            {"item_id": item_id, "owner_id": owner_id}
            for item_id, one in made.items()
            for owner_id in sorted(one.owner_ids)
        ]
        if owned:
            connection.execute(insert(item_owners), owned)
        set_labels(connection, {item_id: one.labels for item_id, one in made.items()})
        self._insert_values(connection, made, now)
        self._link(connection, made, now)
        self._audit.append_all(
            connection,
            at=now,
            actor=actor,
            action="item.import",
            subjects={
                item_id: {"name": one.name}
                | ({} if one.value is None else {"version": 1})
                | ({"labels": [show_label(label) for label in one.labels]} if one.labels else {})
                for item_id, one in made.items()
            },
        )
        return list(made)

    def _insert_values(self, connection: Connection, made: Mapping[str, EnrolledItem], now: datetime) -> None:
        for one in made.values():
            if one.value is not None:
                check_value(one.value.expose(), name=one.name)
        firsts = {
            item_id: (one.value, one.expires_at) for item_id, one in made.items() if one.value is not None
        }
        self._versions.insert_first(connection, firsts, now=now)

    def _link(self, connection: Connection, made: Mapping[str, EnrolledItem], now: datetime) -> None:
        """Who names one of them is expected to use it within the time that its policy gives."""
        names = dict[timedelta, dict[str, str]]()
        for item_id, one in made.items():
            names.setdefault(one.policy.idle_after, {})[item_id] = one.name
        for idle_after, named in names.items():
            self._references.link_all(connection, named, idle_at=now + idle_after)
