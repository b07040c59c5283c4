"""Many due rotations leased together, as `rotation_leases` leases one. It commits nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from vaultcore.damage import is_whole_for
from vaultcore.errors import UnreadableError
from worker.domain.rotation import STEADY_CUT_OFFS, Rotation
from worker.rows import target_capacity
from worker.rows.lease_clock import given_times
from worker.rows.rotation_leases import is_due, is_free, lease_those
from worker.rows.rotations import read_whole
from worker.rows.tables import rotations


@dataclass(frozen=True, kw_only=True)
class DueLeases:
    """`leased`: in the order in which they are due. `refused`: by id, what is wrong with others that are due,
    which cannot be read or are not as one of us wrote them. Those are not leased.
    """

    leased: list[Rotation]
    refused: dict[str, UnreadableError]


def lease_due(
    connection: Connection,
    ids: Collection[str] | None,
    *,
    most: int,
    now: datetime,
    lease: timedelta,
    at_once: int,
    steady: bool = False,
) -> DueLeases:
    """Takes up to `most` rotations that are due, of these or of any, each as `lease_rotation` takes one.
    `steady`: none whose present step was cut off more than once.

    Where it takes none, there are none to be had; where it takes some, there may be more: those that are looked
    at first may be of one target. It waits for nobody: where others hold a row, or lease at a target, in this
    moment, those are left to them.

    Where writers take turns it is one statement. On PostgreSQL another one locks rows and targets before it:
    what is held at a target can be counted only by a statement that begins after that. Rows that are refused
    take nobody's place: as long as there are some, it looks again.
    """
    leased: list[Rotation] = []
    refused: dict[str, UnreadableError] = {}
    given = {
        "now": now,
        **given_times(connection, now, lease),
        **target_capacity.given_capacity(connection, at_once=at_once, now=now),
    }
    goes_on = True
    while goes_on and len(leased) < most:
        asked = {**given, "most": most - len(leased), "besides": list(refused)}
        taken = _take_some(connection, ids, asked, steady)
        found = {row.id: _read_or_refuse(connection, row) for row in taken}
        leased += [one for one in found.values() if isinstance(one, Rotation)]
        wrong = {key: one for key, one in found.items() if isinstance(one, UnreadableError)}
        goes_on = bool(wrong)
        if wrong:
            connection.execute(_GIVE_BACK, {"ids": list(wrong)})
            refused |= wrong
    return DueLeases(leased=sorted(leased, key=_due_order), refused=refused)


def _take_some(
    connection: Connection, ids: Collection[str] | None, given: Mapping[str, Any], steady: bool
) -> Sequence[Row[*tuple[Any, ...]]]:
    dialect, of_ids = connection.dialect.name, ids is not None
    among = {} if ids is None else {"ids": list(ids)}
    if dialect != "postgresql":
        return connection.execute(_take_due_of(dialect, of_ids, steady), {**given, **among}).all()
    while locked := connection.execute(_lock_due(of_ids, steady), {**given, **among}).scalars().all():
        taken = connection.execute(_take_due_of(dialect, True, steady), {**given, "ids": locked}).all()
        if taken:  # else somebody took the last capacity there, and gave its lock back, just before
            return taken
    return []


def _read_or_refuse(connection: Connection, row: Row[*tuple[Any, ...]]) -> Rotation | UnreadableError:
    try:
        return read_whole(connection, row)
    except UnreadableError as error:
        return error


@cache
def _lock_due(of_ids: bool, steady: bool) -> Select[str]:
    """The first that may be leased, with their targets: rows and targets that others have locked are passed by.

    No target is locked for a row that is not taken: a CASE decides in its order, and few rows are looked at, as
    they come by the index of what is due.
    """
    free = or_(
        rotations.c.target.is_(None), rotations.c.emergency, target_capacity.try_lock(rotations.c.target)
    )
    may_be = case((and_(*_may_be_leased("postgresql")), free), else_=false())
    first = (
        select(rotations.c.id)
        .where(*is_due(), *_is_among(of_ids, steady), may_be)
        .order_by(rotations.c.next_at)
    )
    return first.limit(bindparam("most")).with_for_update(skip_locked=True)


@cache
def _take_due_of(dialect: str, of_ids: bool, steady: bool) -> ReturningUpdate[*tuple[Any, ...]]:
    """The first that may be leased, as far as its target has capacity after those before it.

    They come as they lie in the index of what is due: a night opens thousands for one moment, and no more of
    these are looked at than are taken.
    """
    due = (
        select(rotations.c.id, rotations.c.target, rotations.c.emergency, rotations.c.next_at)
        .where(*is_due(), *_is_among(of_ids, steady), *_may_be_leased(dialect))
        .order_by(rotations.c.next_at)
        .limit(bindparam("most"))
        .subquery()
    )
    place = func.row_number().over(partition_by=due.c.target, order_by=(due.c.next_at, due.c.id))
    placed = select(due, place.label("place")).subquery()
    with_capacity = select(placed.c.id).where(target_capacity.has_capacity_in_turn(dialect, placed.c))
    return lease_those(dialect, rotations.c.id.in_(with_capacity))


def _is_among(of_ids: bool, steady: bool) -> list[ColumnElement[bool]]:
    among: list[ColumnElement[bool]] = [rotations.c.id.in_(bindparam("ids", expanding=True))] if of_ids else []
    began = rotations.c.attempts - rotations.c.outages - rotations.c.polls
    among += [began <= STEADY_CUT_OFFS] if steady else []
    return [*among, rotations.c.id.not_in(bindparam("besides", expanding=True))]


def _may_be_leased(dialect: str) -> tuple[ColumnElement[bool], ...]:
    return is_free(dialect), is_whole_for(dialect, rotations), target_capacity.has_capacity(dialect)


_GIVE_BACK: Final = (
    update(rotations)
    .where(rotations.c.id.in_(bindparam("ids", expanding=True)))
    .values(lease_until=None, attempts=rotations.c.attempts - 1)
)


def _due_order(rotation: Rotation) -> tuple[datetime | None, str]:
    return rotation.next_at, rotation.id
