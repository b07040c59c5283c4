"""Lists of items: filtered, sorted and paged by the database, and by what the reader may see.

Every order has an index that holds what is filtered by, so that a page costs a walk along that index at worst.
What stands in other tables (owners, labels, uses, open rotations) is asked for first where that are few items:
these are then sorted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, any_, false, func, not_, or_, select

from vaultcore.errors import TamperedError, UnreadableError
from vaultcore.label_rows import Labelled, find_labels
from vaultcore.labels import join_labels, text_of
from vaultcore.model import ConsumerKind, Hygiene, Item, LabelMatch, Mode
from vaultcore.names import fold
from vaultcore.paging import without_index
from vaultcore.row_macs import find_edited
from vaultcore.rows import item_from_row, join_owners, select_items
from vaultcore.stored import Unread, read_apart
from vaultcore.tables import LISTED, item_labels, item_owners, items, owners, references
from worker.domain.item_states import (
    GOES_BACK,
    WAITS_FOR_A_PERSON,
    ItemFilter,
    ItemState,
    OpenRotation,
    states_of,
)
from worker.domain.paging import Page, PageRequest
from worker.domain.saga import State
from worker.rows.listing import Sortable, read_page
from worker.rows.tables import rotations

ITEMS: Final = Sortable(
    name="items",
    id=items.c.id,
    sorts={
        "name": items.c.sought,
        "expires_at": items.c.expires_at,
        "created_at": items.c.created_at,
        "updated_at": items.c.updated_at,
        "owner": items.c.first_owner,
    },
    usual="name",
)
Columns = Mapping[str, ColumnElement[Any]]
_FEW: Final = 5_000
"""So many items are sorted faster than they are met on a walk along the order."""
_LAST: Final = "\U0010ffff"


@dataclass(frozen=True, kw_only=True)
class ListedItem:
    item: Item
    states: tuple[ItemState, ...]


def page_items(
    connection: Connection,
    wanted: ItemFilter,
    request: PageRequest,
    *,
    now: datetime,
    owner_ids: Collection[str],
    user_id: str | None,
    seen_by: Collection[str] | None,
) -> Page[ListedItem]:
    """`owner_ids` and `user_id` are those of the filter. `seen_by`: the ids of the owners whose items the
    reader may see; None: all.
    """
    query, few = select_wanted(
        connection, wanted, request.sort, now=now, owner_ids=owner_ids, user_id=user_id, seen_by=seen_by
    )
    asked = {**vars(wanted), "seen_by": None if seen_by is None else sorted(seen_by)}
    found = read_page(connection, ITEMS, query, request, asked=asked, apart=few)
    return Page(rows=tuple(_read(connection, found.ids, now)), next=found.next, total=found.total)


def select_wanted(
    connection: Connection,
    wanted: ItemFilter,
    sort: str | None,
    *,
    now: datetime,
    owner_ids: Collection[str],
    user_id: str | None,
    seen_by: Collection[str] | None,
) -> tuple[Select[*tuple[Any, ...]], bool]:
    """The items that the filter lets through, and whether they are few enough to be sorted."""
    columns = _columns(connection, (sort or ITEMS.usual).removeprefix("-"))
    where = _here(wanted, columns, now)
    few = False
    for ids, is_one in _elsewhere(connection, wanted, owner_ids, user_id, seen_by):
        are_few = _are_few(connection, ids)
        few = few or are_few
        where.append(_is_among(connection, ids) if are_few else is_one)
    return select(items.c.id).where(*where), few


def _is_among(connection: Connection, ids: Select[*tuple[Any, ...]]) -> ColumnElement[bool]:
    """Whether an item is one of these few. PostgreSQL would read all items rather than look for some thousands
    by their ids, unless these are an array to it.
    """
    if connection.dialect.name == "sqlite":
        return items.c.id.in_(ids)
    return items.c.id == any_(func.array(ids.scalar_subquery()))


def has_items_of(connection: Connection, rotator: str) -> bool:
    """Whether any item, seen or not, is replaced by it."""
    return connection.execute(select(items.c.id).where(items.c.rotator == rotator).limit(1)).first() is not None


def find_open_rotations(connection: Connection, item_ids: Sequence[str]) -> dict[str, OpenRotation]:
    """The open rotations of these items."""
    rows = connection.execute(
        select(rotations.c.item_id, rotations.c.state, rotations.c.failing_since).where(
            rotations.c.item_id.in_(item_ids), rotations.c.finished_at.is_(None)
        )
    )
    return {
        row.item_id: OpenRotation(state=State(row.state), failing=row.failing_since is not None)
        for row in rows
        if row.state in frozenset(State)
    }


# The filter


def _columns(connection: Connection, sort: str) -> Columns:
    """The columns that are filtered by. SQLite, which counts nothing beforehand, is told to walk along the
    order, and to look for no other index.
    """
    plain = {name: items.c[name] for name in LISTED}
    if connection.dialect.name != "sqlite":
        return plain
    key = ITEMS.sorts.get(sort)
    return {name: column if column is key else without_index(column) for name, column in plain.items()}


def _here(wanted: ItemFilter, c: Columns, now: datetime) -> list[ColumnElement[bool]]:
    """What the item's own row says: what is compared at once comes first."""
    where: list[ColumnElement[bool]] = []
    if wanted.modes:
        where.append(c["mode"].in_(sorted(mode.value for mode in wanted.modes)))
    if wanted.rotator is not None:
        where.append(c["rotator"] == wanted.rotator if wanted.rotator else c["rotator"].is_(None))
    least, most = wanted.days_left
    after = [wanted.expires_after, None if least is None else _add_days(now, least)]
    before = [wanted.expires_before, None if most is None else _add_days(now, most + 1)]
    where += [c["expires_at"] >= time for time in after if time is not None]
    where += [c["expires_at"] < time for time in before if time is not None]
    if wanted.begins:
        begins = fold(wanted.begins)
        where += [c["sought"] >= begins, c["sought"] < begins + _LAST]
    if wanted.states and not _is_of_rotations(wanted.states):
        where.append(or_(*(_stands(state, c, now) for state in sorted(wanted.states))))
    if wanted.search:
        where.append(c["sought"].contains(fold(wanted.search), autoescape=True))
    return where


def _add_days(now: datetime, days: int) -> datetime | None:
    """None: no calendar goes so far."""
    try:
        return now + timedelta(days=days)
    except OverflowError:
        return None


def _elsewhere(
    connection: Connection,
    wanted: ItemFilter,
    owner_ids: Collection[str],
    user_id: str | None,
    seen_by: Collection[str] | None,
) -> list[tuple[Select[*tuple[Any, ...]], ColumnElement[bool]]]:
    """What other tables say: for each part of the filter, the ids of the items that it lets through, and
    whether an item is one of them.
    """
    sets: list[tuple[Select[*tuple[Any, ...]], ColumnElement[bool]]] = []
    if seen_by is not None:
        sets.append((owned_by(seen_by), is_owned(connection, seen_by)))
    if wanted.owners:
        sets.append((owned_by(owner_ids), is_owned(connection, owner_ids)))
    sets += [(_labelled(match), _is_labelled(connection, match)) for match in wanted.labels]
    if wanted.used_by is not None:
        used = select(references.c.item_id).where(
            references.c.consumer_id == user_id,
            references.c.consumer == ConsumerKind.WORKFLOW.value,
            references.c.mentioned.is_(False),
            references.c.item_id.is_not(None),
        )
        sets.append((used, used.where(references.c.item_id == items.c.id).correlate(items).exists()))
    if wanted.states and _is_of_rotations(wanted.states):
        ids = _rotating() if ItemState.ROTATING in wanted.states else _rotating(_is_failing())
        sets.append((ids, ids.where(rotations.c.item_id == items.c.id).correlate(items).exists()))
    return sets


def owned_by(owner_ids: Collection[str]) -> Select[*tuple[Any, ...]]:
    """The ids of the items for which one of these owners answers."""
    return select(item_owners.c.item_id).where(item_owners.c.owner_id.in_(sorted(owner_ids)))


def is_owned(connection: Connection, owner_ids: Collection[str]) -> ColumnElement[bool]:
    """As the item's own row says: it has the ids of its owners, unless they are too many."""
    many = owned_by(owner_ids).where(item_owners.c.item_id == items.c.id).correlate(items).exists()
    some = [_holds(connection, items.c.owned_by, owner_id) for owner_id in sorted(owner_ids)]
    return or_(false(), *some, and_(items.c.owned_by.is_(None), many))


def _labelled(match: LabelMatch) -> Select[*tuple[Any, ...]]:
    """The ids of the items that have such a label."""
    c = item_labels.c
    return select(c.item_id).where(
        c.key == match.key, *([] if match.value is None else [c.value == match.value])
    )


def _is_labelled(connection: Connection, match: LabelMatch) -> ColumnElement[bool]:
    """As the item's own row says, unless its labels are too long for an index."""
    long = _labelled(match).where(item_labels.c.item_id == items.c.id).correlate(items).exists()
    return or_(_holds(connection, items.c.labelled, text_of(match)), and_(items.c.labelled.is_(None), long))


def _holds(connection: Connection, column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    find = func.instr if connection.dialect.name == "sqlite" else func.strpos
    return find(column, part) > 0


def _is_of_rotations(states: Collection[ItemState]) -> bool:
    return set(states) <= {ItemState.ROTATING, ItemState.FAILING}


def _rotating(*which: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return select(rotations.c.item_id).where(rotations.c.finished_at.is_(None), *which)


def _is_failing() -> ColumnElement[bool]:
    return or_(rotations.c.state.in_(_values(GOES_BACK)), rotations.c.failing_since.is_not(None))


def _values(states: Collection[State]) -> list[str]:
    return sorted(state.value for state in states)


def _stands(state: ItemState, c: Columns, now: datetime) -> ColumnElement[bool]:  # noqa: PLR0911  # a table
    """As `states_of` has it, asked of the database; never null."""
    lapsed = and_(c["expires_at"].is_not(None), c["expires_at"] <= now)
    due = and_(not_(lapsed), c["due_at"].is_not(None), c["due_at"] <= now)
    held = and_(c["hold_until"].is_not(None), c["hold_until"] > now)
    valueless = c["hygiene"].contains(Hygiene.NO_VALUE.value)
    failing = items.c.id.in_(_rotating(_is_failing()))
    waits = items.c.id.in_(_rotating(rotations.c.state.in_(_values(WAITS_FOR_A_PERSON))))
    owners_turn = and_(or_(lapsed, and_(due, c["mode"] == Mode.NOTIFY.value)), items.c.id.not_in(_rotating()))
    needed = or_(valueless, owners_turn, waits)
    match state:
        case ItemState.WELL:
            return not_(or_(lapsed, due, held, failing, needed))
        case ItemState.DUE:
            return due
        case ItemState.LAPSED:
            return lapsed
        case ItemState.NEVER_EXPIRES:
            return c["expires_at"].is_(None)
        case ItemState.ON_HOLD:
            return held
        case ItemState.NO_VALUE:
            return valueless
        case ItemState.ROTATING:
            return items.c.id.in_(_rotating())
        case ItemState.FAILING:
            return failing
        case ItemState.NEEDS_SOMEBODY:
            return needed


def _are_few(connection: Connection, ids: Select[*tuple[Any, ...]]) -> bool:
    """No more of them are looked at than that takes."""
    some = ids.limit(_FEW + 1).subquery()
    number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return number <= _FEW


# The rows of a page


@dataclass
class _Owned:
    """Who answers for an item. `edited`: somebody was made its owner by none of us."""

    names: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    edited: TamperedError | None = None


def _read(connection: Connection, ids: Sequence[str], now: datetime) -> list[ListedItem | UnreadableError]:
    """In this order. In the place of an item that cannot be read, or of which a row was edited, the error."""
    rows = {row.id: row for row in connection.execute(select_items().where(items.c.id.in_(ids)))}
    owned, labelled = _owners_of(connection, ids), find_labels(connection, ids)
    open_rotations = find_open_rotations(connection, ids)
    found: list[ListedItem | UnreadableError] = []
    for item_id in ids:
        row = rows[item_id]
        what = f"item {row.name} ({row.id})"
        item = read_apart(row, partial(_item, owned=owned[item_id], labelled=labelled[item_id]))
        if isinstance(item, Unread):
            found.append(item.explain(what))
            continue
        edited = find_edited(connection, items, row, what) or owned[item_id].edited or labelled[item_id].edited
        edited = edited or _find_unlike(row, item, owned[item_id])
        found.append(edited or _list(item, open_rotations.get(item_id), now))
    return found


def _item(row: Row[*tuple[Any, ...]], *, owned: _Owned, labelled: Labelled) -> Item:
    return item_from_row(row, tuple(owned.names), labelled.labels)


def _list(item: Item, rotation: OpenRotation | None, now: datetime) -> ListedItem:
    states = states_of(
        mode=item.policy.mode,
        has_value=item.version is not None,
        expires_at=item.expires_at,
        due_at=item.due_at,
        hold_until=item.hold_until,
        rotation=rotation,
        now=now,
    )
    return ListedItem(item=item, states=states)


def _find_unlike(row: Row[*tuple[Any, ...]], item: Item, owned: _Owned) -> TamperedError | None:
    """What stands beside an item for lists is not what the item says: it was put where it does not belong."""
    joined = join_owners(owned.ids), join_labels(item.labels)
    says = (fold(item.name), item.policy.mode.value, item.policy.rotator, *joined)
    if (row.sought, row.mode, row.rotator, row.owned_by, row.labelled) == says:
        return None
    return TamperedError(f"item {item.name} ({item.id})", table=items.name, key=item.id)


def _owners_of(connection: Connection, ids: Sequence[str]) -> dict[str, _Owned]:
    found = {item_id: _Owned() for item_id in ids}
    rows = connection.execute(
        select(item_owners, owners.c.name)
        .join(owners, owners.c.id == item_owners.c.owner_id)
        .where(item_owners.c.item_id.in_(ids))
        .order_by(owners.c.name)
    )
    for row in rows:
        owned = found[row.item_id]
        owned.names.append(row.name)
        owned.ids.append(row.owner_id)
        edited = find_edited(connection, item_owners, row, f"owner {row.name} of item {row.item_id}")
        owned.edited = owned.edited or edited
    return found
