"""Copies: items that are declared to hold the same credential as another, their original."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import Connection

from vaultcore.errors import NotFoundError, RefusedError
from vaultcore.model import Item, Kind, Policy
from vaultcore.twins import copies_of
from vaultcore.vault import Vault


class Copies:
    def __init__(self, *, vault: Vault) -> None:
        self._vault = vault

    def resolve(
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

    def name_of(self, connection: Connection, original_id: str) -> str:
        """The name of an original, or its id where it is gone."""
        with suppress(NotFoundError):
            return self._vault.get(connection, original_id).name
        return original_id

    def lock_family(self, connection: Connection, item: Item, copy_of: str | None) -> list[Item]:
        """The copies of an item that becomes a copy of `copy_of`, which are that one's from now on.

        With the item and that other they are locked in the order of their ids, and before the audit trail: as
        by whoever changes one of them.
        """
        if copy_of is None or copy_of == item.policy.copy_of:
            return []
        names = [copy_of, *copies_of(connection, item.id)]
        wanted = {item.id, *(self._vault.get(connection, name).id for name in names)}
        locked: dict[str, Item] = {}
        while wanted:  # one that became a copy before the item was locked comes in the next round
            locked |= {one: self._vault.get(connection, one, lock=True) for one in sorted(wanted)}
            names = copies_of(connection, item.id)
            wanted = {self._vault.get(connection, name).id for name in names} - locked.keys()
        return sorted(
            (one for one in locked.values() if one.policy.copy_of == item.id), key=lambda one: one.name
        )

    def move(
        self, connection: Connection, copies: Sequence[Item], policy: Policy, actor: str
    ) -> tuple[str, ...]:
        """The copies are of this policy's original from now on; their names."""
        for copy in copies:
            follows = replace(copy.policy, copy_of=policy.copy_of)
            self._vault.update(connection, copy.id, policy=follows, actor=actor)
        return tuple(copy.name for copy in copies)
