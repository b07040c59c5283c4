"""Principals: people and services, their roles, and which items are their tokens.

Every method works in the caller's transaction.
"""

import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from vaultcore.access import Action, Principal, Role
from vaultcore.audit import AuditLog
from vaultcore.errors import ConflictError, InvalidInputError, NotFoundError, UnreadableError
from vaultcore.ids import new_id
from vaultcore.model import Item, PrincipalKind
from vaultcore.names import judge, skeleton, spellings
from vaultcore.namesakes import refuse_namesake
from vaultcore.owners import Owners
from vaultcore.row_macs import check_mac, find_edited
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import items, owners, principals, tokens

NAME_MAX = 90
"""With its kind before it, as the record has it, a name still fits where it is kept: 100 characters."""


@dataclass(frozen=True, kw_only=True)
class StoredPrincipal:
    """`owners`: for whom it answers with the role `owner`, by name. `subject`: who it is at an identity
    provider. `disabled_at`: not let in since then.
    """

    id: str
    name: str
    kind: PrincipalKind
    roles: tuple[Role, ...]
    owner_ids: tuple[str, ...]
    owners: tuple[str, ...]
    created_at: datetime
    disabled_at: datetime | None
    subject: str | None

    def as_asker(self) -> Principal:
        return Principal(
            actor=f"{self.kind}:{self.name}", roles=frozenset(self.roles), owners=frozenset(self.owners)
        )


class Principals:
    """Creates, changes, finds and lists principals."""

    def __init__(self, *, owners: Owners, audit: AuditLog, clock: Callable[[], datetime]) -> None:
        self._owners = owners
        self._audit = audit
        self._clock = clock

    def create(
        self,
        connection: Connection,
        name: str,
        *,
        kind: PrincipalKind,
        roles: Collection[Role],
        owners_named: Collection[str] = (),
        subject: str | None = None,
        actor: str,
    ) -> StoredPrincipal:
        """A new one; `RefusedError` for a name that is taken. `subject`: who it is at an identity provider."""
        name = judge(name, what="principal", least=1, most=NAME_MAX, example="deploy-bot")
        refuse_namesake(connection, principals, name, what="principal")
        now = self._clock()
        principal_id = new_id("prn", now)
        held = self._check(connection, roles, owners_named)
        connection.execute(
            insert(principals).values(
                id=principal_id,
                name=name,
                skeleton=skeleton(name),
                kind=kind.value,
                created_at=now,
                subject=subject,
                **held,
            )
        )
        self._note(connection, actor, "principal.create", principal_id, name=name, **held)
        return self.get(connection, name)

    def update(
        self,
        connection: Connection,
        name: str,
        *,
        roles: Collection[Role],
        owners_named: Collection[str],
        actor: str,
    ) -> StoredPrincipal:
        """Its roles, and the owners for whom it answers, from now on."""
        found = self.get(connection, name, lock=True)
        held = self._check(connection, roles, owners_named)
        connection.execute(update(principals).where(principals.c.id == found.id).values(**held))
        self._note(connection, actor, "principal.update", found.id, name=found.name, **held)
        return self.get(connection, name)

    def disable(self, connection: Connection, name: str, *, actor: str) -> StoredPrincipal:
        """It is let in no more, by whatever token; at once."""
        found = self.get(connection, name, lock=True)
        if found.disabled_at is not None:
            raise ConflictError(f"principal {found.name} is let in no more since {found.disabled_at:%Y-%m-%d}")
        connection.execute(
            update(principals).where(principals.c.id == found.id).values(disabled_at=self._clock())
        )
        self._note(connection, actor, "principal.revoke", found.id, name=found.name)
        return self.get(connection, name)

    def get(self, connection: Connection, name: str, *, lock: bool = False) -> StoredPrincipal:
        """`NotFoundError` if there is none of that name, `TamperedError` if none of us wrote it so."""
        query = select(principals).where(principals.c.name.in_(spellings(name)))
        row = connection.execute(query.with_for_update() if lock else query).first()
        if row is None:
            shown = name[:NAME_MAX]
            raise NotFoundError(
                f"no principal {shown!r}: `nightkey principal create {shlex.quote(shown)}` makes one"
            )
        check_mac(connection, principals, row, f"principal {row.name}")
        return self._read(connection, row)

    def find_by_id(self, connection: Connection, principal_id: str) -> StoredPrincipal | None:
        """`TamperedError` if none of us wrote it so."""
        return self._find(connection, principals.c.id == principal_id)

    def find_by_subject(self, connection: Connection, subject: str) -> StoredPrincipal | None:
        """Who this is of an identity provider; `TamperedError` if none of us wrote it so."""
        return self._find(connection, principals.c.subject == subject)

    def walk(self, connection: Connection) -> Iterator[StoredPrincipal | UnreadableError]:
        """By name; in the place of one that cannot be read, or was edited, the error that says so."""
        for row in connection.execute(select(principals).order_by(principals.c.name)).all():
            found = read_apart(row, lambda one: self._read(connection, one))
            what = f"principal {row.name} ({row.id})"
            if isinstance(found, Unread):
                yield found.explain(what)
            else:
                yield find_edited(connection, principals, row, what) or found

    def add_token(self, connection: Connection, principal: StoredPrincipal, item: Item, *, actor: str) -> None:
        """From now on the item's keys let their bearer in as the principal."""
        connection.execute(
            insert(tokens).values(item_id=item.id, principal_id=principal.id, created_at=self._clock())
        )
        self._note(connection, actor, "principal.token", principal.id, name=principal.name, item=item.id)

    def remove_token(
        self, connection: Connection, principal: StoredPrincipal, item: Item, *, actor: str
    ) -> None:
        """The item's keys let nobody in any more, at once; `NotFoundError` if they did not let this one in."""
        gone = connection.execute(
            delete(tokens).where(tokens.c.item_id == item.id, tokens.c.principal_id == principal.id)
        )
        if gone.rowcount != 1:
            raise NotFoundError(f"{item.name} is no token of {principal.name}: `nightkey principal list`")
        self._note(connection, actor, "principal.revoke", principal.id, name=principal.name, item=item.id)

    def tokens_of(self, connection: Connection, principal: StoredPrincipal) -> list[str]:
        """The names of the items that are its tokens."""
        query = (
            select(items.c.name)
            .join(tokens, tokens.c.item_id == items.c.id)
            .where(tokens.c.principal_id == principal.id)
            .order_by(items.c.name)
        )
        return [str(name) for name in connection.execute(query).scalars()]

    def find_bearer(self, connection: Connection, item_id: str) -> StoredPrincipal | None:
        """As whom a key of this item lets its bearer in; None: it is no token, or nobody's any more.

        `TamperedError` if none of us wrote the token or the principal so.
        """
        token = connection.execute(select(tokens).where(tokens.c.item_id == item_id)).one_or_none()
        if token is None:
            return None
        check_mac(connection, tokens, token, f"the token {item_id}")
        found = self.find_by_id(connection, token.principal_id)
        return found if found is not None and found.disabled_at is None else None

    def find_holder(self, connection: Connection, item_id: str) -> StoredPrincipal | None:
        """Whose token the item is, let in or not; None: it is no token. `TamperedError` as of `find_bearer`."""
        token = connection.execute(select(tokens).where(tokens.c.item_id == item_id)).one_or_none()
        if token is None:
            return None
        check_mac(connection, tokens, token, f"the token {item_id}")
        return self.find_by_id(connection, token.principal_id)

    def note_refusal(self, connection: Connection, principal: Principal, action: Action) -> None:
        self._audit.append(
            connection, at=self._clock(), actor=principal.actor, action="access.refuse", subject=action.value
        )

    def _find(self, connection: Connection, condition: ColumnElement[bool]) -> StoredPrincipal | None:
        row = connection.execute(select(principals).where(condition)).one_or_none()
        if row is None:
            return None
        check_mac(connection, principals, row, f"principal {row.name}")
        return self._read(connection, row)

    def _check(
        self, connection: Connection, roles: Collection[Role], owners_named: Collection[str]
    ) -> dict[str, list[str]]:
        """What is stored of them. The role `owner` and the owners for whom it is go together."""
        if (Role.OWNER in roles) != bool(owners_named):
            raise InvalidInputError("the role owner is for owners that are named: give both, or neither")
        ids = sorted({self._owners.get(connection, name).id for name in owners_named})
        return {"roles": sorted({role.value for role in roles}), "owner_ids": ids}

    def _read(self, connection: Connection, row: Row[*tuple[Any, ...]]) -> StoredPrincipal:
        check_row(row, f"principal {row.name}")
        named = select(owners.c.name).where(owners.c.id.in_(row.owner_ids)).order_by(owners.c.name)
        return StoredPrincipal(
            id=row.id,
            name=row.name,
            kind=PrincipalKind(row.kind),
            roles=tuple(Role(role) for role in row.roles),
            owner_ids=tuple(row.owner_ids),
            owners=tuple(connection.execute(named).scalars()),
            created_at=row.created_at,
            disabled_at=row.disabled_at,
            subject=row.subject,
        )

    def _note(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        **details: str | list[str],
    ) -> None:
        self._audit.append(connection, at=self._clock(), actor=actor, action=action, subject=subject, **details)


def find_token_items(connection: Connection) -> set[str]:
    """The ids of the items whose keys let a principal in."""
    return set(connection.execute(select(tokens.c.item_id)).scalars())


def tokens_among(connection: Connection, item_ids: Collection[str]) -> set[str]:
    """Those of these items whose keys let a principal in."""
    found = connection.execute(select(tokens.c.item_id).where(tokens.c.item_id.in_(item_ids)))
    return set(found.scalars())


def is_token(connection: Connection, item_id: str) -> bool:
    """Whether the item's keys let a principal in."""
    return bool(tokens_among(connection, [item_id]))
