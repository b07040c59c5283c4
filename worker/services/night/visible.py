"""Which problems are shown to whom: who sees their own items alone is told of those, and of the whole."""

from collections.abc import Callable, Collection

from sqlalchemy import Connection

from vaultcore.access import Action, Principal, whose
from vaultcore.database import Database
from vaultcore.owners import Owners
from worker.domain.problems import is_of_an_owner, is_of_the_whole
from worker.rows import attention as attention_rows

Sees = Callable[[str, str], bool]
"""Of a problem's subject and kind, whether it is shown."""


def find_seen_owners(
    connection: Connection, owners: Owners, principal: Principal, action: Action
) -> list[str] | None:
    """The ids of the owners to whose things the principal may do this; None: everybody's."""
    names = whose(principal, action)
    return None if names is None else [owners.get(connection, name).id for name in sorted(names)]


class VisibleProblems:
    def __init__(self, *, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def find(self, principal: Principal, subjects: Collection[str]) -> Sees:
        """For problems with these subjects."""
        with self._database.read() as connection:
            return self.read(connection, principal, subjects)

    def read(self, connection: Connection, principal: Principal, subjects: Collection[str]) -> Sees:
        owner_ids = find_seen_owners(connection, self._owners, principal, Action.ITEM_SEE)
        if owner_ids is None:
            return lambda *_: True
        mine = attention_rows.find_seen_names(connection, subjects, seen_by=owner_ids)

        def sees(subject: str, kind: str) -> bool:
            if is_of_an_owner(kind):
                return subject in principal.owners
            return is_of_the_whole(kind) or subject in mine

        return sees
