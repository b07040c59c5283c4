"""Items whose `due_at` has come, as rows: by index, earliest first, so that the time follows what is due."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    select,
    type_coerce,
)

from vaultcore.damage import is_sound
from vaultcore.given_rows import GivenColumns, as_given
from vaultcore.paging import bind_page, name_last, walk_pages
from vaultcore.stored import Unread, fetch_sound, read_apart
from vaultcore.tables import UtcDateTime, items, read_written, references
from worker.rows.comparisons import differs
from worker.rows.tables import rotations
from worker.rows.unread import UnreadItem

T = TypeVar("T")


class DueRow(NamedTuple):
    """A due item as it is stored, with its open rotation.

    `policy`: as it is stored, so that who reads many decodes each once. `hygiene`: what it lacks, by words.
    `life_seconds`: from when its current version was issued to its expiry, if that is known. `is_read`: an
    active workflow here reads it, or another's rotator. `differs`: from its target, since a restore.
    """

    item_id: str
    name: str
    policy: str
    hygiene: str
    expires_at: datetime
    life_seconds: int | None
    hold_until: datetime | None
    is_read: bool
    rotation_id: str | None
    rotation_state: str | None
    differs: bool


_IS_READ = (
    exists()
    .where(
        references.c.item_id == items.c.id,
        references.c.consumer_id != items.c.id,
        references.c.active.is_(True),
        ~references.c.mentioned,
        ~references.c.elsewhere,
    )
    .label("is_read")
)


def _text_of(column: ColumnElement[Any], dialect: str) -> ColumnElement[str]:
    """JSON as it is stored."""
    return type_coerce(column, Text()) if dialect == "sqlite" else cast(column, Text())


_COUNT: Final = select(func.count()).where(items.c.due_at <= bindparam("now", type_=UtcDateTime))


def count_due(connection: Connection, now: datetime) -> int:
    return connection.execute(_COUNT, {"now": now}).scalar_one()


def walk_due_items(
    connection: Connection, now: datetime, make: Callable[[DueRow], T], *, page_size: int
) -> Iterator[list[T | UnreadItem]]:
    """In pages, what `make` makes of each; one that cannot be read has its place among the others."""
    dialect = connection.dialect
    columns, key = GivenColumns(_columns(dialect.name), dialect), GivenColumns(_KEY, dialect)
    read_alike = _read_alike if dialect.name == "sqlite" else lambda _: None

    def read_page(last: tuple[Any, ...] | None) -> Sequence[Row[*tuple[Any, ...]]]:
        query = _select_page(dialect.name, last is not None)
        asked = {"now": now, "size": page_size, **({} if last is None else name_last(last))}
        return fetch_sound(connection, lambda: connection.execute(query, asked).all())

    def make_each(rows: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[T | UnreadItem]:
        for given in rows:
            row = read_alike(given)
            try:
                made = _make_checked(given, columns, make) if row is None else make(row)
            except Exception:  # noqa: BLE001  # it is read anew, and what is wrong with it is told
                made = _make_checked(given, columns, make)
            yield made

    for rows in walk_pages(read_page, lambda row: key.read((row.due_at, row.id)), size=page_size):
        yield list(make_each(rows))


def _make_checked(
    given: Row[*tuple[Any, ...]], columns: GivenColumns, make: Callable[[DueRow], T]
) -> T | UnreadItem:
    row = DueRow._make(columns.read(given[:-1]))

    def make_of_sound(row: DueRow) -> T:
        columns.check(row, f"item {row.name}")
        return make(row)

    made = read_apart(row, make_of_sound)
    if isinstance(made, Unread):
        return UnreadItem(item_id=row.item_id, name=row.name, problem=made.problem)
    return made


_KEY: Final = (items.c.due_at, items.c.id)


@cache
def _columns(dialect: str) -> tuple[ColumnElement[Any], ...]:
    """Those of `DueRow`, in the same order."""
    return (
        items.c.id,
        items.c.name,
        _text_of(items.c.policy, dialect).label("policy"),
        items.c.hygiene,
        items.c.expires_at,
        items.c.life_seconds,
        items.c.hold_until,
        _IS_READ,
        rotations.c.id.label("rotation_id"),
        rotations.c.state.label("rotation_state"),
        differs(items.c.id).label("differs"),
    )


@cache
def _select_page(dialect: str, goes_on: bool) -> Select[*tuple[Any, ...]]:
    """Made once: that takes longer than the answer."""
    query = (
        select(*as_given([*_columns(dialect), items.c.due_at]))
        .select_from(items)
        .outerjoin(
            rotations,
            and_(rotations.c.item_id == items.c.id, rotations.c.finished_at.is_(None)),
        )
        .where(
            items.c.due_at.is_not(None),
            items.c.due_at <= bindparam("now", type_=UtcDateTime),
            is_sound(items.c.due_at, dialect),  # the walk goes by it; `walk_damage` tells the others
        )
    )
    return bind_page(query, _KEY, goes_on=goes_on)


def _read_alike(given: Row[*tuple[Any, ...]]) -> DueRow | None:
    """A row of SQLite as most of them are: nothing is held, and no rotation open. None: it is not, or its
    columns are to be asked what can be read of it.
    """
    item_id, name, policy, hygiene, expires_at, life, hold_until, is_read, rotation, state, differs, _ = given
    if not (
        type(item_id) is type(name) is type(policy) is type(hygiene) is str
        and hold_until is rotation is state is None
        and (life is None or type(life) is int)
    ):
        return None
    time = read_written(expires_at)
    if time is None:
        return None
    values = (item_id, name, policy, hygiene, time, life, None, bool(is_read), None, None, bool(differs))
    return tuple.__new__(DueRow, values)  # as fast again as by its own `__new__`
