"""Lists of rotations: filtered, sorted and paged by the database."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, or_, select

from worker.domain.paging import Page, PageRequest
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.item_lists import owned_by
from worker.rows.listing import Listing, read_page, read_rows
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import rotations

ROTATIONS: Final = Listing(
    name="rotations",
    id=rotations.c.id,
    sorts={"created_at": rotations.c.created_at, "item": rotations.c.item},
    usual="-created_at",
)


@dataclass(frozen=True, kw_only=True)
class RotationFilter:
    """`item`: its name or id, also of one that is gone. `owners`: names. `open`: those that have not ended, or
    those that have.
    """

    states: Collection[State] = frozenset()
    item: str | None = None
    owners: Collection[str] = frozenset()
    open: bool | None = None
    opened_after: datetime | None = None
    opened_before: datetime | None = None


def page_rotations(
    connection: Connection,
    wanted: RotationFilter,
    request: PageRequest,
    *,
    owner_ids: Collection[str],
    seen_by: Collection[str] | None,
) -> Page[Rotation]:
    """`owner_ids` are those of the filter; `seen_by` those whose items the reader may see, None: all."""
    c = rotations.c
    where: list[ColumnElement[bool]] = []
    if wanted.states:
        where.append(c.state.in_(sorted(state.value for state in wanted.states)))
    if wanted.item is not None:
        where.append(or_(c.item == wanted.item, c.item_id == wanted.item))
    if wanted.open is not None:
        where.append(c.finished_at.is_(None) if wanted.open else c.finished_at.is_not(None))
    if wanted.opened_after is not None:
        where.append(c.created_at >= wanted.opened_after)
    if wanted.opened_before is not None:
        where.append(c.created_at < wanted.opened_before)
    if wanted.owners:
        where.append(c.item_id.in_(owned_by(owner_ids)))
    if seen_by is not None:
        where.append(c.item_id.in_(owned_by(seen_by)))
    asked = {**vars(wanted), "seen_by": None if seen_by is None else sorted(seen_by)}
    found = read_page(connection, ROTATIONS, select(c.id).where(*where), request, asked=asked)
    return read_rows(connection, rotations, found, rotation_from_row, what="rotation")
