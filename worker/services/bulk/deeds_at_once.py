"""Several items rotated or deleted at once: what would be done to each and why not, and deletion by pages.

Which items are meant says `items_at_once`, as for a change of them. Rights and refusals are those of one item.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, LockedError
from vaultcore.model import Item
from worker.domain.at_once import PAGE
from worker.domain.deeds import DeedKind, ForeseenDeed, foresee_deed
from worker.domain.revisions import Expected
from worker.rotators.catalog import find_target
from worker.rows.consumers import users_of
from worker.services.access.principals import PrincipalAccess
from worker.services.bulk.page_changes import OF_ONE, StoppedError, name_first
from worker.services.items.room import ItemsRoom
from worker.services.rotation.opening import Opening


class DeedsAtOnce:
    """For command line and interface, as the principal who asks."""

    def __init__(
        self, *, database: Database, items: ItemsRoom, opening: Opening, principals: PrincipalAccess
    ) -> None:
        self._database = database
        self._items = items
        self._opening = opening
        self._principals = principals

    def foresee_rotations(
        self, principal: Principal, ids: Sequence[str], *, emergency: bool = False, in_freeze: bool = False
    ) -> list[ForeseenDeed]:
        """What asking for a rotation of each would do now; nothing is opened."""
        action = Action.ITEM_EMERGENCY if emergency else Action.ITEM_ROTATE

        def check(item: Item) -> None:
            if emergency:
                self._opening.check_emergency(item.id)
            else:
                self._opening.check_request(item.id, in_freeze=in_freeze)

        return [
            self._foresee(principal, item_id, action, check, DeedKind.REVOKE if emergency else DeedKind.REPLACE)
            for item_id in ids
        ]

    def foresee_deletions(self, principal: Principal, ids: Sequence[str]) -> list[ForeseenDeed]:
        """What deleting all of them would do, in the order in which it can be done: what uses another of them,
        or is its copy, goes first. Those that are refused come last.
        """
        done: list[ForeseenDeed] = []
        left = list(ids)
        refused: list[ForeseenDeed] = []
        while left:
            besides = frozenset(one.id for one in done)

            def check(item: Item, besides: frozenset[str] = besides) -> None:
                self._items.deletion.check_delete(item.id, besides=besides)

            found = [
                self._foresee(principal, item_id, Action.ITEM_DELETE, check, DeedKind.DELETE)
                for item_id in left
            ]
            refused = [one for one in found if one.why is not None]
            if len(refused) == len(left):
                break
            done += [one for one in found if one.why is None]
            left = [one.id for one in refused]
        return [*done, *(refused if left else [])]

    def delete(self, principal: Principal, seen: Mapping[str, Expected | None]) -> list[str]:
        """Deletes items, by their ids, as they were seen and in that order: all of them, in one transaction, or
        none. Their names. `StoppedError` says at which one something came up.
        """
        if len(seen) > PAGE:
            raise InvalidInputError(f"{len(seen):,} items at once: {PAGE} at most are deleted together")
        found = {
            item_id: self._principals.find_item(principal, item_id, Action.ITEM_DELETE) for item_id in seen
        }
        at, problem = "", ""
        try:
            with self._database.write() as connection:
                self._items.deletion.hold_all(connection, found)
                for item_id, item in found.items():
                    at = item.name
                    self._items.deletion.delete_within(
                        connection, item_id, expected=seen[item_id], actor=principal.actor
                    )
                at = ""
        except LockedError:
            raise
        except OF_ONE as error:
            problem = str(error)
        if problem:
            raise StoppedError(name_first(at, problem))
        self._database.scrub()
        return [item.name for item in found.values()]

    def _foresee(
        self, principal: Principal, item_id: str, action: Action, check: Callable[[Item], None], deed: DeedKind
    ) -> ForeseenDeed:
        """Whatever stands in the way of one: the others have theirs."""
        foreseen = ForeseenDeed(id=item_id, name=item_id, deed=deed)
        try:
            item = self._principals.find_item(principal, item_id, Action.ITEM_SEE)
            foreseen = foresee_deed(
                item, _with_four_eyes(deed, item), target=find_target(item.policy), used_by=self._users(item)
            )
            self._principals.check(principal, action, owners=item.owners, noted=False)
            self._principals.check_token(principal, item.id, action, noted=False)
            check(item)
        except LockedError:
            raise
        except OF_ONE as error:
            return replace(foreseen, why=str(error))
        return foreseen

    def _users(self, item: Item) -> list[str]:
        with self._database.read() as connection:
            return users_of(connection, item.id)


def _with_four_eyes(deed: DeedKind, item: Item) -> DeedKind:
    return DeedKind.ASK if item.policy.four_eyes and deed is not DeedKind.DELETE else deed
