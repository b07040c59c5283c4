"""The use cases of principals: who may ask for what, and the tokens by which they are known.

A token is an `api-key:` item: it is kept as a digest, lapses, is rotated and collected as any other key.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vaultcore.access import RULES, Action, Principal, Role, check, covers, find_gains, may
from vaultcore.database import Database
from vaultcore.errors import AmbiguousError, NotAllowedError, NotFoundError, RefusedError, UnreadableError
from vaultcore.model import Consumers, Item, Kind, Mode, PrincipalKind, Unchanged
from vaultcore.principals import Principals, StoredPrincipal
from vaultcore.rules import API_KEY_PREFIX, NAME_MAX, make_nameable
from vaultcore.secret import Secret
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.changes import Change, ItemChange
from worker.domain.policies import PolicyChange
from worker.domain.revisions import Expected, check_revision, revision_of_principal
from worker.domain.sharing import SharedError
from worker.services.items.page import ItemPage
from worker.services.items.page_update import Updated
from worker.services.items.room import ItemsRoom
from worker.services.rotation.pickups import Collected
from worker.services.runs.caller_keys import CallerKeys

LIFETIME = "90d"
"""Of each token, unless its maker says another."""
_NOBODYS: Final = "-"
"""No item has this id."""
_CHANGES: Final = frozenset({Action.ITEM_UPDATE, Action.ITEM_REPLACE, Action.ITEM_REDIRECT, Action.ITEM_DELETE})
"""What decides how long a token opens, and who is given the next one."""
_ONES_OWN: Final = "by this change you would answer for the item yourself: let somebody else give it to you"


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """`last_used_at`: of any of its versions."""

    item: Item
    last_used_at: datetime | None


class PrincipalAccess:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        principals: Principals,
        items: ItemsRoom,
        caller_keys: CallerKeys,
        operators: str,
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._principals = principals
        self._items = items
        self._caller_keys = caller_keys
        self._operators = operators

    def create(
        self, name: str, *, kind: PrincipalKind, roles: Collection[Role], owners: Collection[str], actor: str
    ) -> StoredPrincipal:
        with self._database.write() as connection:
            return self._principals.create(
                connection, name, kind=kind, roles=roles, owners_named=owners, actor=actor
            )

    def list_all(self) -> list[tuple[StoredPrincipal, list[TokenView]] | UnreadableError]:
        """By name, each with its tokens."""
        with self._database.read() as connection:
            return list(self._walk(connection))

    def view(self, name: str) -> tuple[StoredPrincipal, list[TokenView]]:
        """One of them, with its tokens."""
        with self._database.read() as connection:
            found = self._principals.get(connection, name)
            names = self._principals.tokens_of(connection, found)
            return found, [self._view(connection, one) for one in names]

    def change_roles(
        self,
        name: str,
        *,
        give: Collection[Role] = (),
        take: Collection[Role] = (),
        owners: Collection[str] | None = None,
        expected: Expected | None = None,
        actor: str,
    ) -> StoredPrincipal:
        """Roles that it has from now on, or no more; `owners` take the place of those that were. `ChangedError`
        if the principal is not as `expected`.
        """
        with self._database.write() as connection:
            found = self._principals.get(connection, name, lock=True)
            check_revision(expected, find_revision(found), found.name)
            return self._principals.update(
                connection,
                name,
                roles=(set(found.roles) | set(give)) - set(take),
                owners_named=found.owners if owners is None else owners,
                actor=actor,
            )

    def issue_token(self, name: str, *, lifetime: str = LIFETIME, actor: str) -> tuple[Item, Collected | None]:
        """A new token, whose value is there this once. It is replaced before it lapses: the next one waits to
        be collected by the principal's owners, or else by the operators.
        """
        with self._database.read() as connection:
            found = self._principals.get(connection, name)
            wanted = self._find_name(connection, found.name)
        if found.disabled_at is not None:
            raise RefusedError(f"principal {found.name} is let in no more: create another")
        return self._items.creation.create(
            wanted,
            read_value=None,
            owners=found.owners or (self._operators,),
            expires_at=None,
            policy=PolicyChange(
                parts={"mode": Mode.AUTO.value, "lifetime": lifetime, "consumers": Consumers.NONE.value}
            ),
            actor=actor,
            beside=lambda connection, item: self._principals.add_token(connection, found, item, actor=actor),
        )

    def revoke(self, name: str, *, actor: str) -> StoredPrincipal:
        """Lets the principal in no more, at once, by whatever token."""
        with self._database.write() as connection:
            return self._principals.disable(connection, name, actor=actor)

    def revoke_token(self, name: str, token: str, *, actor: str) -> Item:
        """One token opens nothing any more, at once; its item goes, unless a rotation of it is open."""
        with self._database.write() as connection:
            item = self._vault.get(connection, token)
            found = self._principals.get(connection, name, lock=True)
            self._principals.remove_token(connection, found, item, actor=actor)
        with suppress(RefusedError):
            self._items.deletion.delete(item.id, actor=actor)
        return item

    def authenticate(self, token: Secret) -> Principal | None:
        """Who presents this; None: nobody who is let in. That it was used is noted where it lets somebody in.

        A key that opens nothing, and a caller's that is no token, take the same steps: so nobody learns by time
        whether a key is one.
        """
        with self._database.read() as connection:
            judged = self._caller_keys.judge(connection, token)
            bearer = self._principals.find_bearer(connection, judged.item_id if judged.opens else _NOBODYS)
        if bearer is None:
            return None
        self._caller_keys.note((judged.item_id, judged.number))
        return bearer.as_asker()

    def check_key(self, principal: Principal, key: Secret) -> tuple[Item, int] | None:
        """Whose key somebody has presented, and which version; None: it opens nothing, or nothing that the
        principal may know of. It counts as a use of it.
        """
        found = self._caller_keys.find(key)
        item = None if found is None else self._find(found[0])
        if found is None or item is None or not may(principal, Action.KEY_CHECK, owners=item.owners):
            return None
        self._caller_keys.note(found)
        return item, found[1]

    def check_ever(self, principal: Principal, action: Action) -> None:
        """`NotAllowedError` where there is nothing that the principal may do this to."""
        self.check(principal, action, owners=principal.owners)

    def check(
        self, principal: Principal, action: Action, *, owners: Collection[str] = (), noted: bool = True
    ) -> None:
        """As `vaultcore.access.check`, and every refusal stands in the record, unless it is only asked what
        would be refused.
        """
        try:
            check(principal, action, owners=owners)
        except NotAllowedError as error:
            if noted:
                self.note_refusal(principal, error)
            raise

    def may(self, principal: Principal, action: Action, *, owners: Collection[str]) -> bool:
        """Whether the principal may do this to what these owners answer for; nothing is recorded."""
        return may(principal, action, owners=owners)

    def sees(self, principal: Principal, owners: Collection[str]) -> bool:
        """Whether what these owners answer for is shown to the principal."""
        return may(principal, Action.ITEM_SEE, owners=owners)

    def find_item(self, principal: Principal, name_or_id: str, action: Action) -> Item:
        """The item, if the principal may do this to it. `NotFoundError` with the same words for one that there
        is not, and for one that the principal may not even see.
        """
        try:
            found = self._find(name_or_id)
        except AmbiguousError:
            if principal.sees_all:
                raise
            found = None
        if found is None or not self.sees(principal, found.owners):
            raise _unseen(name_or_id)
        self.check(principal, action, owners=found.owners)
        self.check_token(principal, found.id, action)
        return found

    def find_items(
        self, connection: Connection, principal: Principal, item_ids: Collection[str]
    ) -> dict[str, Item | NotFoundError | UnreadableError]:
        """Some hundred items, by their ids; in the place of one that there is not, that the principal may not
        see, or that cannot be read, the error of `find_item` that says so.
        """
        found = self._vault.get_all(connection, item_ids)
        return {
            item_id: _unseen(item_id)
            if isinstance(one, NotFoundError)
            or (isinstance(one, Item) and not self.sees(principal, one.owners))
            else one
            for item_id, one in found.items()
        }

    def check_token(self, principal: Principal, item_id: str, action: Action, *, noted: bool = True) -> None:
        """Where the item is a principal's token: changing it takes who manages principals; its next key goes to
        that principal, and to whom it gives nothing that they may not do already.
        """
        if action not in _CHANGES and action is not Action.PICKUP_COLLECT:
            return
        with self._database.read() as connection:
            holder = self._principals.find_holder(connection, item_id)
        if holder is None:
            return
        bearer = holder.as_asker()
        is_own = bearer.actor == principal.actor
        if action is Action.PICKUP_COLLECT and (is_own or covers(principal, bearer)):
            return
        self.check(principal, Action.PRINCIPAL_MANAGE, noted=noted)

    @contextmanager
    def without_names(self, principal: Principal) -> Iterator[None]:
        """What is refused for an item that the principal may not see is refused without its name."""
        try:
            yield
        except SharedError as error:
            other = self._find(error.item_id)
            if other is not None and self.sees(principal, other.owners):
                raise
        else:
            return
        raise RefusedError(
            "another item, which you may not see, has the same credential: when one of them is replaced the "
            "other is dead. Ask an operator which one it is"
        )

    def update_item(
        self,
        principal: Principal,
        item: Item,
        change: ItemChange,
        *,
        value: Secret | None = None,
        expected: Expected | None = None,
    ) -> Updated:
        """`ItemUpdates.update` of what `find_item` gave, as the principal: a refusal stands in the record."""
        try:
            refuse_ones_own(principal, item, change)
            with self.without_names(principal):
                return self._items.updates.update(
                    item.id,
                    change,
                    value=value,
                    expected=expected,
                    allowed=self.allowed(principal, item),
                    actor=principal.actor,
                )
        except NotAllowedError as error:
            self.note_refusal(principal, error)
            raise

    def note_refusal(self, principal: Principal, error: NotAllowedError) -> None:
        """In the record, what was refused within a transaction that came to nothing."""
        with self._database.write() as connection:
            self._principals.note_refusal(connection, principal, Action(error.action))

    def preview_item(
        self, principal: Principal, item: Item, change: ItemChange, *, page: ItemPage
    ) -> tuple[Change, ...]:
        """What `update_item` would change of an item of the page; nothing is written, and no refusal either."""
        refuse_ones_own(principal, item, change)
        with self.without_names(principal):
            return self._items.updates.preview_in(page, item.id, change, allowed=self.allowed(principal, item))

    def allowed(self, principal: Principal, item: Item) -> Callable[[Action], bool]:
        """What else the principal may do to the item."""
        return lambda action: may(principal, action, owners=item.owners)

    def check_about(self, principal: Principal, item_id: str | None, action: Action) -> None:
        """As `check`, of something that is about an item; what is about none, or about one that is gone, is
        nobody's own. `NotFoundError` where the principal may not even see the item.
        """
        item = None if item_id is None else self._find(item_id)
        if item is not None and not self.sees(principal, item.owners):
            raise NotFoundError("there is nothing of that id that you may see")
        self.check(principal, action, owners=() if item is None else item.owners)

    def _find(self, name_or_id: str) -> Item | None:
        with suppress(NotFoundError), self._database.read() as connection:
            return self._vault.get(connection, name_or_id)
        return None

    def _walk(
        self, connection: Connection
    ) -> Iterator[tuple[StoredPrincipal, list[TokenView]] | UnreadableError]:
        for one in self._principals.walk(connection):
            if isinstance(one, UnreadableError):
                yield one
            else:
                names = self._principals.tokens_of(connection, one)
                yield one, [self._view(connection, name) for name in names]

    def _view(self, connection: Connection, name: str) -> TokenView:
        item = self._vault.get(connection, name)
        used = [one.last_used_at for one in self._versions.of_item(connection, item.id) if one.last_used_at]
        return TokenView(item=item, last_used_at=max(used, default=None))

    def _find_name(self, connection: Connection, principal: str) -> str:
        """A name for the token that no item has: as the principal's, as far as items may be called so."""
        number, principal = 1, make_nameable(principal)
        while True:
            ending = "" if number == 1 else f"-{number}"
            name = API_KEY_PREFIX + principal[: NAME_MAX - len(API_KEY_PREFIX) - len(ending)] + ending
            try:
                self._vault.get(connection, name)
            except NotFoundError:
                return name
            number += 1


def _unseen(name_or_id: str) -> NotFoundError:
    return NotFoundError(f"there is no item {name_or_id[:60]!r} that you may see")


def refuse_ones_own(principal: Principal, item: Item, change: ItemChange) -> None:
    """Nobody gives themselves, with an item, what they may not do to it: its owner approves its rotations, and
    collects its keys.
    """
    if isinstance(change.owners, Unchanged):
        return
    gained = [
        one
        for one in find_gains(principal, item.owners, change.owners)
        if one is not Action.PICKUP_COLLECT or item.kind is Kind.API_KEY
    ]
    if gained:
        raise NotAllowedError(gained[0], sorted(RULES[gained[0]].anywhere), why=_ONES_OWN)


def find_revision(principal: StoredPrincipal) -> str:
    """Of what can be changed of it; its tokens are items of their own."""
    return revision_of_principal(
        id=principal.id,
        name=principal.name,
        roles=principal.roles,
        owners=principal.owners,
        is_let_in=principal.disabled_at is None,
    )
