"""What came of a night: its rotations, counted and listed, and who is told of it. By index."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from vaultcore.errors import UnreadableError
from vaultcore.row_macs import find_edited
from vaultcore.stored import Unread, read_apart
from worker.domain.rotation import Rotation
from worker.rows.item_lists import owned_by
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import rotations, tellings


def count_by_state(
    connection: Connection, nights: Collection[datetime], *, seen_by: Collection[str] | None
) -> dict[datetime, dict[str, int]]:
    """The rotations of each; `seen_by`: of these owners' items, by id; None: all."""
    counted: dict[datetime, dict[str, int]] = {night: {} for night in nights}
    c = rotations.c
    rows = connection.execute(
        select(c.night, c.state, func.count()).where(*_of_nights(nights, seen_by)).group_by(c.night, c.state)
    )
    for night, state, number in rows:
        if night is not None:
            counted[night][state] = number
    return counted


def list_first(
    connection: Connection, night: datetime, *, limit: int, seen_by: Collection[str] | None
) -> list[Rotation | UnreadableError]:
    """In the order in which they were opened; in the place of one that cannot be read, or was edited, the error
    that says so.
    """
    rows = connection.execute(
        select(rotations).where(*_of_nights([night], seen_by)).order_by(rotations.c.id).limit(limit)
    ).all()
    found = [(row, read_apart(row, rotation_from_row)) for row in rows]
    return [
        one.explain(f"rotation {row.id}")
        if isinstance(one, Unread)
        else find_edited(connection, rotations, row, f"rotation {row.id}") or one
        for row, one in found
    ]


def count_told(
    connection: Connection, nights: Collection[datetime], *, seen_by: Collection[str] | None
) -> dict[datetime, int]:
    """Owners whom the digest of each tells of something; `seen_by`: of these, by id."""
    where = [tellings.c.night.in_(nights)]
    if seen_by is not None:
        where.append(tellings.c.owner_id.in_(sorted(seen_by)))
    told = select(tellings.c.night, func.count(func.distinct(tellings.c.owner_id)))
    counted = dict.fromkeys(nights, 0)
    for night, number in connection.execute(told.where(*where).group_by(tellings.c.night)):
        if night is not None:
            counted[night] = number
    return counted


def _of_nights(nights: Collection[datetime], seen_by: Collection[str] | None) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [rotations.c.night.in_(nights)]
    if seen_by is not None:
        where.append(rotations.c.item_id.in_(owned_by(seen_by)))
    return where
