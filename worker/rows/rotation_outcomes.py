"""What rotations came to, as rows: of a night, and of an item. It decides nothing."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    bindparam,
    exists,
    func,
    or_,
    select,
)

from vaultcore.stored import Unread, read_all, read_apart
from vaultcore.tables import UtcDateTime
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import rotations

_COUNT_NIGHT: Final = (
    select(func.count())
    .select_from(rotations)
    .where(
        rotations.c.night == bindparam("night"),
        rotations.c.state.in_(bindparam("states", expanding=True)),
    )
)


def count_night(connection: Connection, night: datetime, states: Collection[State]) -> int:
    """How many rotations of the night are in one of these states."""
    given = {"night": night, "states": [state.value for state in states]}
    return connection.execute(_COUNT_NIGHT, given).scalar_one()


def first_before(
    connection: Connection, rotation: Rotation, *, states: Collection[State], unless: Collection[State]
) -> Rotation | None:
    """Of those of the same night and target that were opened before it, the first in one of the `states`; None
    where there is none, or one of them is in a state of `unless`.
    """
    if rotation.night is None or rotation.target is None:
        return None
    rows = connection.execute(
        _select_before(),
        {
            "night": rotation.night,
            "target": rotation.target,
            "id": rotation.id,
            "states": [state.value for state in states],
            "unless": [state.value for state in unless],
        },
    )
    read = (read_apart(row, rotation_from_row) for row in rows)
    return next((one for one in read if not isinstance(one, Unread)), None)


@cache
def _select_before() -> Select[*tuple[Any, ...]]:
    def before(table: FromClause) -> tuple[ColumnElement[bool], ...]:
        night, target = bindparam("night", type_=UtcDateTime), bindparam("target", type_=String)
        return (
            table.c.night == night,
            table.c.target == target,
            table.c.id < bindparam("id", type_=String),
        )

    def stands_in(table: FromClause, states: str) -> ColumnElement[bool]:
        return table.c.state.in_(bindparam(states, type_=String, expanding=True))

    others = rotations.alias("others")
    return (
        select(rotations)
        .where(
            *before(rotations),
            stands_in(rotations, "states"),
            ~exists().where(*before(others), stands_in(others, "unless")),
        )
        .order_by(rotations.c.id)
    )


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
