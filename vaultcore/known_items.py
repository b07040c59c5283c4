"""What a unit of work knows of items, a part at a time: read and checked once, and taken over into its next
transaction where the rows still have the digests that they had.

A part says which tables it is read from, and how the digests of its rows are asked for. One look tells of many
parts that there are no rows. Whoever writes rows of an item through `changing` leaves what is known of others
alone, and may put what they have become in its place; any other write to a table ends what is known of it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    ScalarSelect,
    Select,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import String

T = TypeVar("T")
ItemId = BindParameter[str]
_INFO: Final = "known items"
_CHANGING: Final = "nightkey_changes_item"


@dataclass(frozen=True, eq=False)
class ItemPart(Generic[T]):
    """`digests`: of the rows of an item that it is read from, as `list_digests` lists them, or any text if
    there are rows. `none`: what is known where there are none. `of_others`: they are rows of other items.
    """

    tables: frozenset[str]
    digests: Callable[[ItemId], ScalarSelect[str]]
    none: T | None = None
    of_others: bool = False


@dataclass(frozen=True)
class KnownPart(Generic[T]):
    """`digests`: those of the rows that it was read from. One that is none makes that nothing is known of it in
    the next transaction.
    """

    value: T
    digests: Sequence[object]


_Key = tuple[str, ItemPart[Any]]
"""The id of an item, and a part of what can be known of it."""


class KnownItems:
    """Of one transaction. `before`: what its unit knew at the end of the one before; `looked_for`: what it has
    looked for so far.
    """

    def __init__(self, before: Mapping[_Key, KnownPart[Any]], looked_for: Collection[_Key]) -> None:
        self._known: dict[_Key, KnownPart[Any]] = {}
        self._before = dict(before)
        self._looked_for = set(looked_for)

    def find(self, connection: Connection, item_id: str, part: ItemPart[T]) -> KnownPart[T] | None:
        if (item_id, part) in self._before:
            self._look_again(connection)
        return self._known.get((item_id, part))

    def learn_absent(self, connection: Connection, wanted: Sequence[_Key]) -> None:
        """Once for each in a unit: of which there are rows, those are read where they are needed."""
        unknown = [key for key in wanted if key not in self._looked_for and self.find(connection, *key) is None]
        if unknown:
            self._looked_for.update(unknown)
            for key, digests in zip(unknown, _ask(connection, unknown), strict=True):
                if digests is None:
                    self._known[key] = KnownPart(key[1].none, ())

    def keep(self, item_id: str, part: ItemPart[T], known: KnownPart[T]) -> None:
        self._known[item_id, part] = known

    def forget(self, table: str, item_id: str | None) -> None:
        """What was read from the table; of that item, or of all."""
        for found in (self._known, self._before):
            for key in [key for key in found if table in key[1].tables and _may_change(key, item_id)]:
                del found[key]

    def make_next(self) -> "KnownItems":
        """Of the next transaction of the unit."""
        found = self._before | self._known
        return KnownItems(
            {key: known for key, known in found.items() if _are_digests(known.digests)}, self._looked_for
        )

    def _look_again(self, connection: Connection) -> None:
        """All that was known before, by one look at the digests of its rows."""
        before, self._before = self._before, {}
        for (key, known), digests in zip(before.items(), _ask(connection, before), strict=True):
            if sorted((digests or "").lower().split()) == sorted(map(_show, known.digests)):
                self._known.setdefault(key, known)


def begin_knowing(info: dict[Any, Any], before: KnownItems | None) -> None:
    """From now on the transaction of the connection with this `info` knows what it reads."""
    info[_INFO] = KnownItems({}, ()) if before is None else before.make_next()


def end_knowing(info: dict[Any, Any]) -> KnownItems | None:
    """The transaction is over. What it knew, if it stands."""
    known: KnownItems | None = info.pop(_INFO, None)
    return known


def find_known(connection: Connection, item_id: str, part: ItemPart[T]) -> T | None:
    """None: nothing is known of it."""
    of_transaction = _of(connection)
    found = None if of_transaction is None else of_transaction.find(connection, item_id, part)
    return None if found is None else found.value


def knows(connection: Connection) -> bool:
    """Whether what is read here is known to whoever reads it next."""
    return _of(connection) is not None


def is_absent(connection: Connection, item_id: str, part: ItemPart[Any]) -> bool:
    """Whether it is known that there are no rows of it."""
    of_transaction = _of(connection)
    found = None if of_transaction is None else of_transaction.find(connection, item_id, part)
    return found is not None and not found.digests


def know(connection: Connection, item_id: str, part: ItemPart[T], read: Callable[[], KnownPart[T]]) -> T:
    """What is known of it, read if it is not."""
    of_transaction = _of(connection)
    if of_transaction is None:
        return read().value
    found = of_transaction.find(connection, item_id, part)
    if found is None:
        found = read()
        of_transaction.keep(item_id, part, found)
    return found.value


def learn_absent(connection: Connection, wanted: Sequence[tuple[str, ItemPart[Any]]]) -> None:
    """By one look at all of these: where there are no rows, that is known from now on."""
    of_transaction = _of(connection)
    if of_transaction is not None:
        of_transaction.learn_absent(connection, wanted)


def keep_known(connection: Connection, item_id: str, part: ItemPart[T], known: KnownPart[T]) -> None:
    """After rows were written through `changing`: what they have become."""
    of_transaction = _of(connection)
    if of_transaction is not None:
        of_transaction.keep(item_id, part, known)


def changing(item_id: str) -> dict[str, str]:
    """Execution options of a statement that changes rows of this item alone."""
    return {_CHANGING: item_id}


def forget_changed(connection: Connection, table: str, options: Mapping[str, Any]) -> None:
    """A statement with these options is about to write to the table."""
    of_transaction = _of(connection)
    if of_transaction is not None:
        of_transaction.forget(table, options.get(_CHANGING))


def list_digests(
    source: FromClause, digest: ColumnElement[Any], where: ColumnElement[bool]
) -> ScalarSelect[str]:
    """The digests of rows, as one text, and a word for a row that has none; null: there is no row."""
    shown = func.aggregate_strings(func.coalesce(_as_hex(digest), "none"), " ")
    return cast("ScalarSelect[str]", select(shown).select_from(source).where(where).scalar_subquery())


def tell_some(where: ColumnElement[bool]) -> ScalarSelect[str]:
    """For rows without digests, or too many of them: a text if there are any."""
    return select(literal("some")).where(where).limit(1).scalar_subquery()


def _ask(connection: Connection, keys: Collection[_Key]) -> Sequence[str | None]:
    """For the digests of the rows of each."""
    numbers = {item_id: number for number, item_id in enumerate(sorted({one for one, _ in keys}))}
    asked = tuple((numbers[item_id], part) for item_id, part in keys)
    given = {_name(number): item_id for item_id, number in numbers.items()}
    return connection.execute(_select_digests(asked), given).one()


@lru_cache(maxsize=256)
def _select_digests(asked: tuple[tuple[int, ItemPart[Any]], ...]) -> Select[*tuple[Any, ...]]:
    return select(*(part.digests(bindparam(_name(number), type_=String)) for number, part in asked))


def _may_change(key: _Key, changing: str | None) -> bool:
    """What is known of it, by a write of rows of that item alone; None: of any."""
    item_id, part = key
    return changing is None or (item_id == changing) is not part.of_others


def _are_digests(digests: Sequence[object]) -> bool:
    return all(isinstance(digest, bytes) for digest in digests)


def _show(digest: object) -> str:
    return digest.hex() if isinstance(digest, bytes) else ""


def _name(number: int) -> str:
    return f"item_{number}"


def _of(connection: Connection) -> KnownItems | None:
    known: KnownItems | None = connection.info.get(_INFO)
    return known


class _as_hex(GenericFunction[str]):  # noqa: N801  # a function of SQL
    """Bytes as hexadecimal digits, in letters of either case."""

    type = String()
    inherit_cache = True


@compiles(_as_hex, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **kwargs: Any) -> str:  # noqa: ANN401  # the library's
    return f"hex({compiler.process(element.clauses, **kwargs)})"


@compiles(_as_hex, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:  # noqa: ANN401  # as above
    return f"encode({compiler.process(element.clauses, **kwargs)}, 'hex')"
