"""Lists of notices: filtered, sorted and paged by the database."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, false, not_, or_, select

from worker.domain.paging import Page, PageRequest
from worker.domain.states import DeliveryState
from worker.rows.listing import Listing, read_page, read_rows
from worker.rows.notices import UNROUTED, WORST_FIRST, Notice, deliveries_of, notice_from_rows
from worker.rows.tables import deliveries, notices

NOTICES: Final = Listing(
    name="notices", id=notices.c.id, sorts={"created_at": notices.c.created_at}, usual="-created_at"
)


@dataclass(frozen=True, kw_only=True)
class NoticeFilter:
    """`states` as `Notice` has them. `owners`: names."""

    states: Collection[str] = frozenset()
    owners: Collection[str] = frozenset()


def page_notices(
    connection: Connection,
    wanted: NoticeFilter,
    request: PageRequest,
    *,
    owner_ids: Collection[str],
    seen_by: Collection[str] | None,
) -> Page[Notice]:
    """`owner_ids` are those of the filter; `seen_by` those whose notices the reader may see, None: all."""
    c = notices.c
    where: list[ColumnElement[bool]] = []
    if wanted.states:
        where.append(or_(false(), *(_is(state) for state in sorted(wanted.states))))
    if wanted.owners:
        where.append(c.owner_id.in_(sorted(owner_ids)))
    if seen_by is not None:
        where.append(c.owner_id.in_(sorted(seen_by)))
    asked = {**vars(wanted), "seen_by": None if seen_by is None else sorted(seen_by)}
    found = read_page(connection, NOTICES, select(c.id).where(*where), request, asked=asked)
    tried = deliveries_of(connection, found.ids)
    return read_rows(
        connection, notices, found, lambda row: notice_from_rows(row, tried[row.id]), what="notice"
    )


def _is(state: str) -> ColumnElement[bool]:
    """As `notice_from_rows` has it: the worst that one of its deliveries is."""
    number = WORST_FIRST.index(state) if state in WORST_FIRST else len(WORST_FIRST)
    worse = [not_(_has(one)) for one in WORST_FIRST[:number]]
    if state in WORST_FIRST:
        return and_(_has(state), *worse)
    routed = notices.c.routed if state == DeliveryState.WITHDRAWN.value else not_(notices.c.routed)
    return and_(routed, *worse) if state in (DeliveryState.WITHDRAWN.value, UNROUTED) else false()


def _has(state: str) -> ColumnElement[bool]:
    of_state: Select[*tuple[Any, ...]] = select(deliveries.c.notice_id).where(deliveries.c.state == state)
    if state in (DeliveryState.FAILED.value, DeliveryState.WAITING.value):
        return notices.c.id.in_(of_state)  # few, each with an index of its own
    return of_state.where(deliveries.c.notice_id == notices.c.id).exists()
