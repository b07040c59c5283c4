"""Items that lapse or fall due in spans of time: counted and listed by that index, all spans at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    column,
    func,
    literal,
    select,
    union_all,
    values,
)

from vaultcore.errors import UnreadableError
from vaultcore.model import Item
from vaultcore.tables import UtcDateTime, items
from worker.rows.item_lists import is_owned
from worker.rows.whole_items import read_items


class Event(StrEnum):
    """What happens to an item."""

    LAPSES = "lapses"
    DUE = "due"
    """Its replacement begins, or is asked for."""


_WHEN: Final = {Event.LAPSES: items.c.expires_at, Event.DUE: items.c.due_at}
_BEGINNING: Final = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Span:
    """Behind one moment, or from the beginning, up to another."""

    event: Event
    after: datetime | None
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Part:
    """Those of a span that are listed, as they come."""

    span: Span
    offset: int
    limit: int


def count_each(
    connection: Connection, spans: Sequence[Span], *, seen_by: Collection[str] | None
) -> dict[Span, int]:
    """How many items each has; `seen_by`: items of these owners, by id."""
    counts: dict[Span, int] = {}
    for event in Event:
        asked = [one for one in spans if one.event is event]
        if not asked:
            continue
        given = (
            values(
                column("place", Integer),
                column("after", UtcDateTime),
                column("until", UtcDateTime),
                name="given",
            )
            .data([(place, one.after or _BEGINNING, one.until) for place, one in enumerate(asked)])
            .cte("given")
        )
        within = [_WHEN[event] > given.c.after, _WHEN[event] <= given.c.until, *_seen(connection, seen_by)]
        number = select(func.count()).select_from(items).where(*within).correlate(given).scalar_subquery()
        for place, found in connection.execute(select(given.c.place, number)):
            counts[asked[place]] = found
    return counts


def list_each(
    connection: Connection, parts: Sequence[Part], *, seen_by: Collection[str] | None
) -> list[list[Item | UnreadableError]]:
    """Of each part its items; for one that cannot be read, or was edited, the error that says so."""
    places: list[list[str]] = [[] for _ in parts]
    if parts:
        for place, item_id, _ in connection.execute(_select_places(connection, parts, seen_by)):
            places[place].append(item_id)
    read = read_items(connection, sorted({one for ids in places for one in ids}))
    return [[read[one] for one in ids if one in read] for ids in places]


def _select_places(
    connection: Connection, parts: Sequence[Part], seen_by: Collection[str] | None
) -> CompoundSelect[*tuple[Any, ...]]:
    each = []
    for place, part in enumerate(parts):
        span, when = part.span, _WHEN[part.span.event]
        within = [when > (span.after or _BEGINNING), when <= span.until, *_seen(connection, seen_by)]
        some = select(items.c.id, when.label("moment")).where(*within).order_by(when, items.c.id)
        listed = some.limit(part.limit).offset(part.offset).subquery()
        each.append(select(literal(place, Integer).label("place"), listed.c.id, listed.c.moment))
    found = union_all(*each)
    return found.order_by(
        found.selected_columns.place, found.selected_columns.moment, found.selected_columns.id
    )


def _seen(connection: Connection, seen_by: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if seen_by is None else [is_owned(connection, seen_by)]
