"""Restores and comparisons as rows. It decides nothing and commits nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from vaultcore.damage import is_sound
from vaultcore.errors import TamperedError
from vaultcore.known_items import ItemPart, KnownPart, know, list_digests
from vaultcore.mac_writing import update_apart
from vaultcore.paging import walk_pages, without_index
from vaultcore.row_macs import check_mac, find_edited
from vaultcore.tables import items, versions
from worker.domain.drift import DIFFERS, RESOLVED, Judgement, Result
from worker.domain.reasons import Code, Reason, show_reason, store_reason
from worker.rows.tables import comparisons, restorations

_PAGE = 500
COMPARISON: "ItemPart[StoredComparison | None]" = ItemPart(
    tables=frozenset({comparisons.name}),
    digests=lambda item_id: list_digests(comparisons, comparisons.c.mac, comparisons.c.item_id == item_id),
)
_OF_ITEM = select(comparisons).where(comparisons.c.item_id == bindparam("item"))
_NOT_ASKED_YET = store_reason(Reason.of(Code.NOT_ASKED_YET))


@dataclass(frozen=True, kw_only=True)
class StoredComparison:
    """Of one item. `result`: as it is stored, which may be no word of ours."""

    item_id: str
    result: str
    detail: Reason
    compared_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None


@dataclass(frozen=True, kw_only=True)
class NamedComparison(StoredComparison):
    """`item`: the item's name."""

    item: str


class Restoration(NamedTuple):
    """`made_at`: when the copy that was put back was made; None: nobody can say."""

    id: str
    at: datetime
    made_at: datetime | None


def mark(
    connection: Connection,
    restoration_id: str,
    *,
    how: str,
    at: datetime,
    made_at: datetime | None,
    seq: int,
    by: str,
) -> None:
    """The database was put back: every item in it is to be compared, whatever came of a comparison before.

    One that waits for its value has nothing to compare.
    """
    connection.execute(delete(comparisons))
    connection.execute(
        insert(restorations).values(id=restoration_id, how=how, at=at, made_at=made_at, seq=seq, by=by)
    )
    waiting = {
        "restoration_id": restoration_id,
        "result": Result.WAITING.value,
        "detail": _NOT_ASKED_YET,
        "next_at": at,
    }
    sound = is_sound(items.c.id, connection.dialect.name)
    ids = select(items.c.id).where(exists().where(versions.c.item_id == items.c.id), sound)
    ordered = ids.order_by(items.c.id).limit(_PAGE)
    for page in walk_pages(
        lambda last: connection.execute(ordered if last is None else ordered.where(items.c.id > last[0])).all(),
        lambda row: (row.id,),
        size=_PAGE,
    ):
        connection.execute(insert(comparisons), [{"item_id": row.id, **waiting} for row in page])


def is_due(connection: Connection, now: datetime) -> bool:
    return connection.execute(_due(now).limit(1)).first() is not None


def lease_next(connection: Connection, now: datetime, *, pause: timedelta) -> str | None:
    """The next item to be compared, for this process alone as long as the pause lasts."""
    found = connection.execute(_due(now).limit(1).with_for_update(skip_locked=True)).scalar_one_or_none()
    if found is not None:
        _update(connection, found, next_at=now + pause)
    return found


def find_open(connection: Connection, item_id: str) -> StoredComparison | None:
    """The comparison of the item that is not resolved; None: nothing stands in the way of its rotation.

    `TamperedError`, here and in `find`, where none of us wrote it so, resolved or not.
    """
    found = find(connection, item_id)
    return None if found is None or found.resolved_at is not None else found


def find(connection: Connection, item_id: str) -> StoredComparison | None:
    return know(connection, item_id, COMPARISON, lambda: _find(connection, item_id))


def _find(connection: Connection, item_id: str) -> KnownPart[StoredComparison | None]:
    row = connection.execute(_OF_ITEM, {"item": item_id}).one_or_none()
    if row is None:
        return KnownPart(None, ())
    check_mac(connection, comparisons, row, _name_it(item_id))
    return KnownPart(StoredComparison(**_columns(row)), (row.mac,))


def record(
    connection: Connection, item_id: str, judged: Judgement, *, now: datetime, next_at: datetime
) -> None:
    """What came of a comparison; a person who has resolved it meanwhile has the last word.

    One that none of us wrote so takes it too, and resolves nothing: whoever asks for it is refused.
    """
    update_apart(
        connection,
        comparisons,
        and_(comparisons.c.item_id == item_id, comparisons.c.resolved_at.is_(None)),
        {
            "result": judged.result.value,
            "detail": store_reason(judged.detail),
            "compared_at": now,
            "next_at": next_at,
            "resolved_at": now if judged.result in RESOLVED else None,
        },
    )


def resolve(connection: Connection, item_id: str, *, at: datetime, by: str) -> None:
    _update(connection, item_id, resolved_at=at, resolved_by=by)


def forget(connection: Connection, *item_ids: str) -> None:
    """The items are gone."""
    connection.execute(delete(comparisons).where(comparisons.c.item_id.in_(item_ids)))


def differs(item_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the item was compared and waits for a person, as a column."""
    return exists(comparisons.c.item_id).where(comparisons.c.item_id == item_id, _waits_for_a_person())


def is_open(item_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the item's comparison is not resolved, as a column."""
    return exists(comparisons.c.item_id).where(
        comparisons.c.item_id == item_id, comparisons.c.resolved_at.is_(None)
    )


def list_all(connection: Connection) -> list[NamedComparison | TamperedError]:
    """With the item's name, what is not resolved first; the error in the place of what was edited."""
    rows = connection.execute(_named().order_by(comparisons.c.resolved_at.is_not(None), items.c.name))
    return [
        find_edited(connection, comparisons, row, _name_it(row.item))
        or NamedComparison(item=row.item, **_columns(row))
        for row in rows
    ]


def list_open(connection: Connection) -> Sequence[str]:
    """The items whose comparison is not resolved, by id."""
    query = select(comparisons.c.item_id).where(comparisons.c.resolved_at.is_(None))
    return connection.execute(query.order_by(comparisons.c.item_id)).scalars().all()


def list_differing(connection: Connection) -> list[NamedComparison]:
    """Compared, and waiting for a person."""
    name: ColumnElement[str] = items.c.name
    if connection.dialect.name == "sqlite":  # which would go through all items in the order of their names
        name = without_index(name)
    rows = connection.execute(_named().where(_waits_for_a_person()).order_by(name))
    return [NamedComparison(item=row.item, **_columns(row)) for row in rows]


def count_all(connection: Connection) -> int:
    """How many the last restore asks for."""
    return connection.execute(select(func.count()).select_from(comparisons)).scalar_one()


def count_waiting(connection: Connection) -> int:
    """How many are not compared yet, or could not be."""
    waits = comparisons.c.result.in_([Result.WAITING.value, Result.UNREACHABLE.value])
    return connection.execute(
        select(func.count()).select_from(comparisons).where(comparisons.c.resolved_at.is_(None), waits)
    ).scalar_one()


def last_restoration(connection: Connection) -> Restoration | None:
    row = connection.execute(
        select(restorations).order_by(restorations.c.at.desc(), restorations.c.id.desc()).limit(1)
    ).one_or_none()
    return None if row is None else Restoration(row.id, row.at, row.made_at)


def _name_it(item: str) -> str:
    return f"what came of the comparison of {item}"


def _waits_for_a_person() -> ColumnElement[bool]:
    """Without IN: that would be written anew for each execution of a statement that is kept."""
    result = or_(*(comparisons.c.result == one.value for one in sorted(DIFFERS)))
    return and_(comparisons.c.resolved_at.is_(None), result)


def _due(now: datetime) -> Select[str]:
    return (
        select(comparisons.c.item_id)
        .where(comparisons.c.resolved_at.is_(None), comparisons.c.next_at <= now)
        .order_by(comparisons.c.next_at, comparisons.c.item_id)
    )


def _named() -> Select[*tuple[Any, ...]]:
    return select(comparisons, items.c.name.label("item")).join(items, items.c.id == comparisons.c.item_id)


def _columns(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    read = {name: row._mapping[name] for name in StoredComparison.__dataclass_fields__}  # noqa: SLF001  # SQLAlchemy's public way
    return {**read, "detail": show_reason(read["detail"])}


def _update(connection: Connection, item_id: str, **values: Any) -> None:  # noqa: ANN401  # columns
    connection.execute(update(comparisons).where(comparisons.c.item_id == item_id).values(**values))
