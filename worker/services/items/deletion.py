"""Deleting an item, and what would stand in the way of that."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.model import Item
from vaultcore.principals import is_token
from vaultcore.vault import Vault
from worker.domain.revisions import Expected, check_revision, revision_of_item
from worker.rows import credential_checks as check_rows
from worker.rows import findings as finding_rows
from worker.rows import rotations as rotation_rows
from worker.services.rotation.opening import Opening


class ItemDeletion:
    def __init__(
        self, *, database: Database, vault: Vault, opening: Opening, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._vault = vault
        self._opening = opening
        self._clock = clock

    def delete(self, name: str, *, expected: Expected | None = None, actor: str) -> Item:
        """The item and every value of it are gone, and what was found of it is resolved. Refused while anything
        uses it, or a rotation of it is open; `ChangedError` if it is not as `expected`.
        """
        with self._database.write() as connection:
            item = self.delete_within(connection, name, expected=expected, actor=actor)
        self._database.scrub()
        return item

    def delete_within(
        self, connection: Connection, name: str, *, expected: Expected | None, actor: str
    ) -> Item:
        """The same in the caller's transaction, after which the database is to be scrubbed. Its rotation is
        held before the item, as by whoever else works on both.
        """
        rotation_rows.find_open_rotation(connection, self._vault.get(connection, name).id, lock=True)
        seen = self._vault.get(connection, name, lock=True)
        check_revision(expected, revision_of_item(seen), seen.name)
        self._opening.check_at_rest(connection, self._vault.get(connection, name))
        item = self._vault.delete(connection, name, actor=actor)
        finding_rows.resolve_item(connection, item.id, self._clock())
        check_rows.forget(connection, item.id)
        return item

    def hold_all(self, connection: Connection, ids: Iterable[str]) -> None:
        """Nobody else changes these before this transaction ends."""
        wanted = sorted(ids)
        rotation_rows.find_open_rotations(connection, wanted, lock=True)
        for item_id in wanted:
            self._vault.get(connection, item_id, lock=True)

    def check_delete(self, name: str, *, besides: Collection[str] = ()) -> Item:
        """The item; an error as of `delete` where it could not be deleted, were those `besides` it, by their
        ids, gone already.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            self._opening.check_at_rest(connection, item, lock=False)
            self._vault.check_unused(connection, item, besides=besides)
            if is_token(connection, item.id):
                raise RefusedError(f"{item.name} is a principal's token: `nightkey principal revoke` ends it")
            return item
