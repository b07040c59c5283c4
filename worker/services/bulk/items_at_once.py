"""Several items at once: which they are, what a change would do to each, and the change, of a page or none."""

from collections.abc import Mapping, Sequence

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.errors import (
    InvalidInputError,
    LockedError,
    NotFoundError,
    UnreadableError,
)
from vaultcore.model import Item
from worker.domain.at_once import PAGE, SELECTED_MAX, ItemOutcome, choose, is_pattern
from worker.domain.changes import ItemChange
from worker.domain.item_states import ItemFilter
from worker.domain.paging import PageRequest
from worker.domain.revisions import Expected, revision_of_item
from worker.services.access.principals import PrincipalAccess
from worker.services.bulk.page_changes import OF_ONE, PageChanges, StoppedError, WantedUpdate
from worker.services.items.page import ItemPage
from worker.services.items.room import ItemsRoom
from worker.services.lookup.lists import Lists

__all__ = ["ItemsAtOnce", "StoppedError"]


class ItemsAtOnce:
    """For command line, interface and console, as the principal who asks. Rights and refusals are those of a
    change of one item.
    """

    def __init__(
        self,
        *,
        database: Database,
        items: ItemsRoom,
        lists: Lists,
        principals: PrincipalAccess,
        page_changes: PageChanges,
    ) -> None:
        self._database = database
        self._items = items
        self._lists = lists
        self._principals = principals
        self._page_changes = page_changes

    def select(
        self, principal: Principal, names: Sequence[str], wanted: ItemFilter
    ) -> tuple[dict[str, str], list[UnreadableError]]:
        """The items that are meant, with their names by their ids, in the order of the names; and what among
        them cannot be read. `names`: names, ids or patterns; without any, all that are `wanted`.
        `NotFoundError` for a name or a pattern that means none.
        """
        if not names and wanted == ItemFilter():
            raise InvalidInputError(
                "say which items are meant: by names, by a pattern such as 'prod-*', or by --where-… options"
            )
        patterns = [name for name in names if is_pattern(name)]
        named = [
            self._principals.find_item(principal, name, Action.ITEM_SEE)
            for name in names
            if not is_pattern(name)
        ]
        if named and not patterns and wanted == ItemFilter():
            return _by_name({item.id: item.name for item in named}), []
        page = self._lists.list_items(wanted, PageRequest(), seen_by=principal, most=SELECTED_MAX + 1)
        if len(page.rows) > SELECTED_MAX:
            raise InvalidInputError(
                f"these are more than {SELECTED_MAX:,} items: say more closely which ones are meant"
            )
        unread = [one for one in page.rows if isinstance(one, UnreadableError)]
        found = {one.item.id: one.item.name for one in page.rows if not isinstance(one, UnreadableError)}
        if names:
            chosen = choose(found, patterns)
            missed = next((pattern for pattern, ids in chosen.items() if not ids), None)
            if missed is not None and wanted == ItemFilter():
                raise NotFoundError(f"no item is called like {missed[:60]!r}: `nightkey item list` shows them")
            meant = {item.id for item in named} | {one for ids in chosen.values() for one in ids}
            found = {item_id: name for item_id, name in found.items() if item_id in meant}
        return found, unread

    def foresee(self, principal: Principal, ids: Sequence[str], change: ItemChange) -> list[ItemOutcome]:
        """What `change` would do to each of them; nothing is written."""
        return [
            outcome
            for start in range(0, len(ids), PAGE)
            for outcome in self._foresee(principal, ids[start : start + PAGE], change)
        ]

    def change(
        self, principal: Principal, seen: Mapping[str, Expected | None], change: ItemChange
    ) -> list[ItemOutcome]:
        """Changes items, by their ids, as they were seen: all of them, in one transaction, or none.
        `StoppedError` says at which one something came up.
        """
        if len(seen) > PAGE:
            raise InvalidInputError(f"{len(seen):,} items at once: {PAGE} at most are changed together")
        updated = self._page_changes.change(
            principal, {item_id: WantedUpdate(change=change, expected=one) for item_id, one in seen.items()}
        )
        outcomes = {
            one.item.id: ItemOutcome(
                id=one.item.id,
                name=one.item.name,
                changes=one.changes,
                revision=revision_of_item(one.item),
            )
            for one in updated
        }
        return [outcomes[item_id] for item_id in seen]

    def _foresee(self, principal: Principal, ids: Sequence[str], change: ItemChange) -> list[ItemOutcome]:
        with self._database.read() as connection:
            found = self._principals.find_items(connection, principal, ids)
            page = self._items.updates.look_at(
                connection, [one for one in found.values() if isinstance(one, Item)]
            )
            return [
                self._foresee_one(principal, page, item, change)
                if isinstance(item, Item)
                else ItemOutcome(id=item_id, name=item_id, why=str(item))
                for item_id, item in found.items()
            ]

    def _foresee_one(self, principal: Principal, page: ItemPage, item: Item, change: ItemChange) -> ItemOutcome:
        """Whatever stands in the way of one: the others have theirs."""
        try:
            self._page_changes.check(principal, item, change, is_token=page.is_token(item), noted=False)
            changes = self._principals.preview_item(principal, item, change, page=page)
        except LockedError:
            raise
        except OF_ONE as error:
            return ItemOutcome(id=item.id, name=item.name, why=str(error))
        return ItemOutcome(id=item.id, name=item.name, changes=changes, revision=revision_of_item(item))


def _by_name(found: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(found.items(), key=lambda pair: pair[1]))
