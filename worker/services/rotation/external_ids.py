"""What the other sides call the versions that are in use: asked of the vault when it matters."""

from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cache, partial

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.external_ids import pick_in_use
from vaultcore.model import Item, Policy
from worker.rotators.catalog import find_target

Counts = Callable[[Connection, str], bool]
"""Whether the ids of that item are of the service that is asked."""


class IdsInUse(AbstractSet[str]):
    """A set that is never held: a vault may have a million ids, and what is swept are few.

    So it can be asked what is in it (`in`, `&`), and not what it is.
    """

    def __init__(
        self,
        database: Database,
        *,
        beside: tuple[str, int] | None,
        counts: Counts = lambda *_: True,
    ) -> None:
        """`beside`: the version, as (item, number), that is the asker's own to take away."""
        self._database = database
        self._beside = beside
        self._counts = counts

    def pick(self, ids: Collection[str]) -> frozenset[str]:
        if not ids:
            return frozenset()
        with self._database.read() as connection:
            counts = cache(partial(self._counts, connection))
            return pick_in_use(connection, ids, beside=self._beside, counts=counts)

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


def share_ids(one: Item, other: Item) -> bool:
    """Whether an id means the same for both: at one target, by the name that a policy gives it or by the
    rotator's own. One that is not known may be any.
    """
    if one.id == other.id:
        return True
    ours, theirs = (_find_sides(item.policy) for item in (one, other))
    return None in ours | theirs or bool(ours & theirs)


def _find_sides(policy: Policy) -> frozenset[str | None]:
    sides = (find_target(policy), find_target(replace(policy, target=None)))
    return frozenset(None if side is None else side.lower() for side in sides)
