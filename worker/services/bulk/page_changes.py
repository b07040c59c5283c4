"""Items of a page, each changed as somebody wants it: all of them, in one transaction, or none."""

from collections.abc import Mapping
from dataclasses import dataclass

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
from vaultcore.principals import tokens_among
from vaultcore.vault import take
from worker.domain.changes import ItemChange
from worker.domain.revisions import Expected
from worker.services.access.principals import PrincipalAccess, refuse_ones_own
from worker.services.items.page_update import Updated
from worker.services.items.room import ItemsRoom

OF_ONE = (InvalidInputError, NotFoundError, RefusedError, UnreadableError)
"""What is an answer for one item; anything else has failed for all."""


class StoppedError(RefusedError):
    """Something came up at one item of a page, of which therefore nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class WantedUpdate:
    change: ItemChange
    expected: Expected | None


class PageChanges:
    """As the principal who asks. Rights and refusals are those of a change of one item."""

    def __init__(self, *, database: Database, items: ItemsRoom, principals: PrincipalAccess) -> None:
        self._database = database
        self._items = items
        self._principals = principals

    def change(
        self, principal: Principal, wanted: Mapping[str, WantedUpdate], *, noted: bool = True
    ) -> list[Updated]:
        """By their ids some hundred at most, in this order. `StoppedError` says at which one something came up.
        `noted`: what is refused stands in the record.
        """
        with self._database.read() as connection:
            found = take(self._principals.find_items(connection, principal, wanted))
            tokens = tokens_among(connection, list(found))
        for item in found.values():
            change = wanted[item.id].change
            self.check(principal, item, change, is_token=item.id in tokens, noted=noted)
        at = problem = ""
        updated: list[Updated] = []
        try:
            with self._principals.without_names(principal), self._database.write() as connection:
                changes = {item_id: one.change for item_id, one in wanted.items()}
                page = self._items.updates.begin(connection, changes, actor=principal.actor)
                for held in page.held:
                    at, one = held.item.name, wanted[held.item.id]
                    refuse_ones_own(principal, held.item, one.change)
                    allowed = self._principals.allowed(principal, found[held.item.id])
                    page.change(held, one.change, expected=one.expected, allowed=allowed)
                at = ""
                updated = page.finish()
        except NotAllowedError as error:
            if noted:
                self._principals.note_refusal(principal, error)
            problem = str(error)
        except LockedError:
            raise
        except OF_ONE as error:
            problem = str(error)
        if problem:
            raise StoppedError(name_first(at, problem))
        return updated

    def check(
        self, principal: Principal, item: Item, change: ItemChange, *, is_token: bool, noted: bool
    ) -> None:
        """Whether the principal, who sees the item, may change that of it."""
        access = self._principals
        access.check(principal, Action.ITEM_UPDATE, owners=item.owners, noted=noted)
        if is_token:
            access.check_token(principal, item.id, Action.ITEM_UPDATE, noted=noted)
        if change.policy.redirects:
            access.check(principal, Action.ITEM_REDIRECT, owners=item.owners, noted=noted)


def name_first(item: str, problem: str) -> str:
    return problem if not item or problem.startswith(item) else f"{item}: {problem}"
