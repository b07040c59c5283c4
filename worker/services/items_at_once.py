"""Several items at once: which they are, what a change would do to each, and the change, of a page or none."""

from collections.abc import Mapping, Sequence

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.errors import (
    InvalidInputError,
    LockedError,
    NotAllowedError,
    NotFoundError,
    RefusedError,
    UnreadableError,
)
from vaultcore.model import Item
from worker.domain.at_once import PAGE, SELECTED_MAX, ItemOutcome, choose, is_pattern
from worker.domain.changes import ItemChange
from worker.domain.item_states import ItemFilter
from worker.domain.paging import PageRequest
from worker.domain.revisions import Expected, revision_of_item
from worker.services.items import Items, Updated
from worker.services.lists import Lists
from worker.services.principals import PrincipalAccess, refuse_ones_own

OF_ONE = (InvalidInputError, NotFoundError, RefusedError, UnreadableError)
"""What is an answer for one item; anything else has failed for all."""


class StoppedError(RefusedError):
    """Something came up at one item of a page, of which therefore nothing was changed."""


class ItemsAtOnce:
    """For command line, interface and console, as the principal who asks. Rights and refusals are those of a
    change of one item.
    """

    def __init__(self, *, database: Database, items: Items, lists: Lists, principals: PrincipalAccess) -> None:
        self._database = database
        self._items = items
        self._lists = lists
        self._principals = principals

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
        return [self._foresee(principal, item_id, change) for item_id in ids]

    def change(
        self, principal: Principal, seen: Mapping[str, Expected | None], change: ItemChange
    ) -> list[ItemOutcome]:
        """Changes items, by their ids, as they were seen: all of them, in one transaction, or none.
        `StoppedError` says at which one something came up.
        """
        if len(seen) > PAGE:
            raise InvalidInputError(f"{len(seen):,} items at once: {PAGE} at most are changed together")
        found = {item_id: self._principals.find_item(principal, item_id, Action.ITEM_SEE) for item_id in seen}
        for item in found.values():
            self._check(principal, item, change, noted=True)
        at = ""
        updated: list[Updated] = []
        problem = ""
        try:
            with self._principals.without_names(principal), self._database.write() as connection:
                for held in self._items.hold(connection, sorted(found), change):
                    at = held.item.name
                    refuse_ones_own(principal, held.item, change)
                    updated.append(
                        self._items.change(
                            connection,
                            held,
                            change,
                            expected=seen[held.item.id],
                            allowed=self._principals.allowed(principal, found[held.item.id]),
                            actor=principal.actor,
                        )
                    )
                at = ""
        except NotAllowedError as error:
            self._principals.note_refusal(principal, error)
            problem = str(error)
        except LockedError:
            raise
        except OF_ONE as error:
            problem = str(error)
        if problem:
            raise StoppedError(name_first(at, problem))
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

    def _check(self, principal: Principal, item: Item, change: ItemChange, *, noted: bool) -> None:
        """Whether the principal, who sees the item, may change that of it."""
        access = self._principals
        access.check(principal, Action.ITEM_UPDATE, owners=item.owners, noted=noted)
        access.check_token(principal, item.id, Action.ITEM_UPDATE, noted=noted)
        if change.policy.redirects:
            access.check(principal, Action.ITEM_REDIRECT, owners=item.owners, noted=noted)

    def _foresee(self, principal: Principal, item_id: str, change: ItemChange) -> ItemOutcome:
        """Whatever stands in the way of one: the others have theirs."""
        name = item_id
        try:
            item = self._principals.find_item(principal, item_id, Action.ITEM_SEE)
            name = item.name
            self._check(principal, item, change, noted=False)
            changes = self._principals.preview_item(principal, item, change)
        except LockedError:
            raise
        except OF_ONE as error:
            return ItemOutcome(id=item_id, name=name, why=str(error))
        return ItemOutcome(id=item.id, name=name, changes=changes, revision=revision_of_item(item))


def _by_name(found: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def name_first(item: str, problem: str) -> str:
    return problem if not item or problem.startswith(item) else f"{item}: {problem}"
