"""Policies under a name, and which items follow one. Every method works in the caller's transaction."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from vaultcore.audit import AuditLog
from vaultcore.errors import NotFoundError, RefusedError, UnreadableError
from vaultcore.ids import new_id
from vaultcore.model import NamedPolicy
from vaultcore.names import judge, skeleton, spellings
from vaultcore.namesakes import refuse_namesake
from vaultcore.row_macs import check_mac, find_edited
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import items, named_policies

NAME_MAX: Final = 50
_FOLLOWS: Final = items.c.policy["named"].as_string()


def check_policy_name(name: str) -> str:
    """The name as it is kept."""
    return judge(name, what="policy", least=1, most=NAME_MAX, example="monthly")


class NamedPolicies:
    """Whether the parts can be meant is checked by who gives them."""

    def __init__(self, *, audit: AuditLog, clock: Callable[[], datetime]) -> None:
        self._audit = audit
        self._clock = clock

    def create(self, connection: Connection, name: str, parts: Mapping[str, Any], *, actor: str) -> NamedPolicy:
        """A new one; `RefusedError` for a name that is taken."""
        name = check_policy_name(name)
        refuse_namesake(connection, named_policies, name, what="policy")
        now = self._clock()
        made = {"id": new_id("pol", now), "name": name, "skeleton": skeleton(name), "parts": dict(parts)}
        connection.execute(insert(named_policies).values(**made, created_at=now, updated_at=now))
        self._note(connection, actor, "policy.create", str(made["id"]), name)
        return self.get(connection, name)

    def get(self, connection: Connection, name: str) -> NamedPolicy:
        """`NotFoundError` if there is none of that name, `TamperedError` if none of us wrote it so."""
        rows = connection.execute(
            select(named_policies).where(named_policies.c.name.in_(spellings(name)))
        ).all()
        row = min(rows, key=lambda row: row.name != name, default=None)
        if row is None:
            raise NotFoundError(
                f"no named policy {name[:NAME_MAX]!r}: `nightkey policy list` shows which there are"
            )
        found = _read(row)
        check_mac(connection, named_policies, row, f"policy {row.name}")
        return found

    def walk(self, connection: Connection) -> Iterator[NamedPolicy | UnreadableError]:
        """By name; in the place of one that cannot be read, or was edited, the error that says so."""
        for row in connection.execute(select(named_policies).order_by(named_policies.c.name)).all():
            found, what = read_apart(row, _read), f"policy {row.name} ({row.id})"
            if isinstance(found, Unread):
                yield found.explain(what)
            else:
                yield find_edited(connection, named_policies, row, what) or found

    def update(self, connection: Connection, name: str, parts: Mapping[str, Any], *, actor: str) -> NamedPolicy:
        """Other parts; the items that follow it are changed by who gives them."""
        found = self.get(connection, name)
        connection.execute(
            update(named_policies)
            .where(named_policies.c.id == found.id)
            .values(parts=dict(parts), updated_at=self._clock())
        )
        self._note(connection, actor, "policy.update", found.id, found.name)
        return self.get(connection, name)

    def delete(self, connection: Connection, name: str, *, actor: str) -> NamedPolicy:
        """Refused while an item follows it."""
        found = self.get(connection, name)
        followers = self.followers(connection, found.name)
        if followers:
            more = f" and {len(followers) - 5:,} more" if len(followers) > 5 else ""
            raise RefusedError(
                f"policy {found.name} is followed by {', '.join(followers[:5])}{more}: give those another first"
            )
        connection.execute(delete(named_policies).where(named_policies.c.id == found.id))
        self._note(connection, actor, "policy.delete", found.id, found.name)
        return found

    def followers(self, connection: Connection, name: str) -> list[str]:
        """The items that follow it, by name."""
        query = select(items.c.name).where(name == _FOLLOWS).order_by(items.c.name)
        return list(connection.execute(query).scalars())

    def count_followers(self, connection: Connection) -> dict[str, int]:
        """How many items follow each, by its name."""
        query = select(_FOLLOWS, func.count()).where(_FOLLOWS.is_not(None)).group_by(_FOLLOWS)
        return {str(name): number for name, number in connection.execute(query).all()}

    def _note(self, connection: Connection, actor: str, action: str, policy_id: str, name: str) -> None:
        self._audit.append(
            connection, at=self._clock(), actor=actor, action=action, subject=policy_id, name=name
        )


def _read(row: Row[*tuple[Any, ...]]) -> NamedPolicy:
    check_row(row, f"policy {row.name}")
    return NamedPolicy(
        id=row.id, name=row.name, parts=row.parts, created_at=row.created_at, updated_at=row.updated_at
    )
