"""What the other sides call the versions that are in use, of any item: asked of the vault when it matters."""

from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet

from vaultcore.database import Database
from vaultcore.versions import Versions


class IdsInUse(AbstractSet[str]):
    """A set that is never held: a vault may have a million ids, and what is swept are few.

    So it can be asked what is in it (`in`, `&`), and not what it is.
    """

    def __init__(self, database: Database, versions: Versions, *, beside: tuple[str, int] | None) -> None:
        """`beside`: the version, as (item, number), that is the asker's own to take away."""
        self._database = database
        self._versions = versions
        self._beside = beside

    def pick(self, ids: Collection[str]) -> frozenset[str]:
        if not ids:
            return frozenset()
        with self._database.read() as connection:
            return self._versions.pick_in_use(connection, ids, beside=self._beside)

    def __contains__(self, external_id: object) -> bool:
        return isinstance(external_id, str) and bool(self.pick([external_id]))

    def __and__(self, others: Iterable[object]) -> frozenset[str]:
        return self.pick([each for each in others if isinstance(each, str)])

    __rand__ = __and__
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[str]:
        raise TypeError("ask whether an id is in use: nobody lists them all")

    def __len__(self) -> int:
        raise TypeError("ask whether an id is in use: nobody counts them")

    def __repr__(self) -> str:
        return "<ids in use>"
