"""What rotations came to, as rows: of a night, and of an item. It decides nothing."""

from datetime import datetime

from sqlalchemy import Connection, func, or_, select

from vaultcore.stored import read_all
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import rotations


def count_night(connection: Connection, night: datetime) -> dict[State, int]:
    """How many rotations of the night are in which state."""
    rows = connection.execute(
        select(rotations.c.state, func.count()).where(rotations.c.night == night).group_by(rotations.c.state)
    )
    return {State(state): number for state, number in rows}


def rotations_before(connection: Connection, rotation: Rotation) -> list[Rotation]:
    """Those of the same night and target that were opened before it, in that order."""
    if rotation.night is None or rotation.target is None:
        return []
    rows = connection.execute(
        select(rotations)
        .where(
            rotations.c.night == rotation.night,
            rotations.c.target == rotation.target,
            rotations.c.id < rotation.id,
        )
        .order_by(rotations.c.id)
    )
    return read_all(rows, rotation_from_row)[0]


def failures_of_night(connection: Connection, night: datetime) -> list[Rotation]:
    """Those in which something failed, in the order in which they were opened."""
    rows = connection.execute(
        select(rotations)
        .where(rotations.c.night == night, rotations.c.last_error.is_not(None))
        .order_by(rotations.c.id)
    )
    return read_all(rows, rotation_from_row)[0]


def count_failures(connection: Connection, item_id: str) -> int:
    """Rotations of the item that were rolled back since one succeeded."""
    last_done = (
        select(func.max(rotations.c.id))
        .where(rotations.c.item_id == item_id, rotations.c.state == State.DONE.value)
        .scalar_subquery()
    )
    return connection.execute(
        select(func.count()).where(
            rotations.c.item_id == item_id,
            rotations.c.state == State.ROLLED_BACK.value,
            or_(last_done.is_(None), rotations.c.id > last_done),
        )
    ).scalar_one()


def last_failure(connection: Connection, item_id: str, *, since: datetime) -> Rotation | None:
    """The last rotation of the item that was rolled back or cancelled since then; None: none was."""
    row = connection.execute(
        select(rotations)
        .where(
            rotations.c.item_id == item_id,
            rotations.c.state.in_([State.ROLLED_BACK.value, State.CANCELLED.value]),
            rotations.c.finished_at >= since,
        )
        .order_by(rotations.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else rotation_from_row(row)
