"""How many are at a target system just now, over all workers, and whether another one may begin. It commits
nothing.

Who works there holds a lease: of a rotation, or the turn of a check. So capacity is a condition on leases, and
what a killed worker held is free with them. Statements are made once: their parameters are those of
`given_capacity`.
"""

from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    func,
    or_,
    select,
)

from vaultcore.damage import is_whole_for
from worker.rows.lease_clock import given_longest, given_times, lease_times
from worker.rows.tables import check_turns, rotations

_OTHERS: Final = rotations.alias("others")
_SPACE: Final = 1_853_450_099
"""Of PostgreSQL's advisory locks: ours."""


def lock_target(connection: Connection, target: str) -> None:
    """Until this transaction ends nobody else looks whether it has capacity. Where writers take turns,
    nobody can be in between.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"target": target})


def lock_target_of(connection: Connection, rotation_id: str) -> None:
    """The same at the target of a rotation, if it has one."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_OF, {"rotation_id": rotation_id})


def has_capacity(dialect: str) -> ColumnElement[bool]:
    """Of a rotation's row: it has no target, or fewer than so many others are at it. One whose value somebody
    else knows does not wait for that.
    """
    at_target = _OTHERS.c.target == rotations.c.target
    working = _count_working(dialect, at_target, _OTHERS.c.id != rotations.c.id)
    asking = _count_asking(dialect, rotations.c.target)
    return or_(rotations.c.target.is_(None), rotations.c.emergency, working + asking < bindparam("at_once"))


def has_capacity_in_turn(dialect: str, due: Any) -> ColumnElement[bool]:  # noqa: ANN401  # columns by their names
    """The same of one that nobody holds; `place`: its own among those that are leased at its target with it."""
    at_target = _count_working(dialect, _OTHERS.c.target == due.target) + _count_asking(dialect, due.target)
    return or_(due.target.is_(None), due.emergency, at_target + due.place <= bindparam("at_once"))


def given_capacity(connection: Connection, *, at_once: int, now: datetime) -> dict[str, Any]:
    """The parameters of a statement with `has_capacity` in it."""
    return {"at_once": at_once, **_given_moments(connection, now)}


def count_left(connection: Connection, target: str, *, at_once: int, now: datetime) -> int:
    """For how many more a target has capacity, which may be that of no rotation."""
    given = {"target": target, **_given_moments(connection, now)}
    found: int = connection.execute(_count_at(connection.dialect.name), given).scalar_one()
    return max(at_once - found, 0)


def list_full(connection: Connection, *, at_once: int, now: datetime) -> set[str]:
    """Targets at which so many rotations are worked on that no check begins there."""
    found = connection.execute(
        _list_full(connection.dialect.name), given_capacity(connection, at_once=at_once, now=now)
    )
    return {str(target) for target in found.scalars()}


def find_next(connection: Connection, target: str, *, most: int, now: datetime) -> list[str]:
    """Rotations that are due there and that nobody holds, the longest due first."""
    given = {"target": target, "now": now, "most": most, **given_times(connection, now)}
    return list(connection.execute(_find_next(connection.dialect.name), given).scalars())


def try_lock(target: ColumnElement[Any]) -> ColumnElement[bool]:
    """As `lock_target`, on PostgreSQL and without waiting: false where somebody else has it."""
    return func.pg_try_advisory_xact_lock(_SPACE, func.hashtext(target), type_=Boolean)


def _lock(target: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.pg_advisory_xact_lock(_SPACE, func.hashtext(target))


_LOCK: Final = select(_lock(bindparam("target", type_=String)))
_LOCK_OF: Final = select(_lock(rotations.c.target)).where(
    rotations.c.id == bindparam("rotation_id"), rotations.c.target.is_not(None)
)


@cache
def _count_at(dialect: str) -> Select[int]:
    target: ColumnElement[Any] = bindparam("target", type_=String)
    return select(_count_working(dialect, _OTHERS.c.target == target) + _count_asking(dialect, target))


@cache
def _find_next(dialect: str) -> Select[str]:
    return (
        select(rotations.c.id)
        .where(
            rotations.c.target == bindparam("target"),
            rotations.c.finished_at.is_(None),
            rotations.c.next_at <= bindparam("now"),
            or_(rotations.c.lease_until.is_(None), rotations.c.lease_until < lease_times(dialect).now),
            is_whole_for(dialect, rotations),
        )
        .order_by(rotations.c.next_at)
        .limit(bindparam("most", type_=Integer))
    )


@cache
def _list_full(dialect: str) -> Select[str | None]:
    held = _is_held(dialect, _OTHERS.c.lease_until)
    full = select(_OTHERS.c.target).where(_OTHERS.c.target.is_not(None), held)
    return full.group_by(_OTHERS.c.target).having(func.count() >= bindparam("at_once"))


def _count_working(dialect: str, *which: ColumnElement[bool]) -> ColumnElement[int]:
    held = _is_held(dialect, _OTHERS.c.lease_until)
    return select(func.count()).select_from(_OTHERS).where(*which, held).scalar_subquery()


def _count_asking(dialect: str, target: ColumnElement[Any]) -> ColumnElement[int]:
    held = _is_held(dialect, check_turns.c.lease_until)
    turns = select(func.count()).select_from(check_turns).where(check_turns.c.target == target, held)
    return turns.scalar_subquery()


def _is_held(dialect: str, lease_until: ColumnElement[Any]) -> ColumnElement[bool]:
    times = lease_times(dialect)
    return and_(lease_until.is_not(None), lease_until >= times.now, lease_until <= times.longest)


def _given_moments(connection: Connection, now: datetime) -> dict[str, Any]:
    return given_times(connection, now) | given_longest(connection, now)
