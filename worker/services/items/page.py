"""Items of which something is asked before they are changed: each question is one statement for all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.errors import TamperedError
from vaultcore.label_rows import Labelled, find_labels
from vaultcore.model import Item, Label
from vaultcore.owners import Owners
from vaultcore.principals import tokens_among
from vaultcore.twins import accounts_of
from worker.services.items.copies import Copies


class ItemPage:
    """Within one transaction. A question is asked of the database when it first comes up, and once: of what is
    answered each item's own change is the only one that the transaction makes.
    """

    def __init__(
        self,
        connection: Connection,
        items: Iterable[Item],
        *,
        owners: Owners,
        references: References,
        copies: Copies,
    ) -> None:
        self.connection = connection
        self.items = {item.id: item for item in items}
        self._owners = owners
        self._references = references
        self._copies = copies
        self._owner_ids: dict[tuple[str, ...], list[str]] = {}
        self._originals: dict[str, str] = {}

    def is_token(self, item: Item) -> bool:
        return item.id in self._tokens

    def is_read(self, item: Item) -> bool:
        """As `References.is_read`, by somebody active."""
        return item.id in self._read

    def labels_of(self, item: Item) -> tuple[Label, ...]:
        """`TamperedError` where none of us wrote one of them."""
        found = self._labels[item.id]
        if found.edited is not None:
            raise found.edited
        return found.labels

    def accounts_of(self, item: Item) -> frozenset[str]:
        """What it changes on the other side. `TamperedError` where none of us wrote one of them."""
        found = self._accounts[item.id]
        if isinstance(found, TamperedError):
            raise found
        return found

    def owner_ids(self, names: Sequence[str]) -> list[str]:
        """`NotFoundError` where there is no such owner."""
        key = tuple(names)
        if key not in self._owner_ids:
            self._owner_ids[key] = self._owners.ids_of(self.connection, names)
        return self._owner_ids[key]

    def name_original(self, item: Item) -> Item:
        """With the name of its original in the place of its id, for what is shown."""
        of = item.policy.copy_of
        if of is None:
            return item
        if of not in self._originals:
            self._originals[of] = self._copies.name_of(self.connection, of)
        return replace(item, policy=replace(item.policy, copy_of=self._originals[of]))

    @cached_property
    def _tokens(self) -> set[str]:
        return tokens_among(self.connection, list(self.items))

    @cached_property
    def _read(self) -> set[str]:
        return self._references.read_among(self.connection, list(self.items))

    @cached_property
    def _labels(self) -> dict[str, Labelled]:
        return find_labels(self.connection, list(self.items))

    @cached_property
    def _accounts(self) -> dict[str, frozenset[str] | TamperedError]:
        return accounts_of(self.connection, list(self.items))
