"""Who holds a rotation, as rows: conditional leases and fences. It commits nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Update, bindparam, case, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from vaultcore.errors import ConflictError, RefusedError
from vaultcore.mac_writing import RowChange, update_known
from vaultcore.row_macs import columns_of, digested
from vaultcore.tables import UtcDateTime
from worker.domain.rotation import Rotation
from worker.domain.tracks import NewStep
from worker.rows import target_capacity
from worker.rows.lease_clock import given_times, lease_now, lease_times
from worker.rows.rotation_changes import find_changes, read_columns
from worker.rows.rotation_steps import add_steps, add_steps_to, given_steps
from worker.rows.rotations import get_rotation, read_whole
from worker.rows.tables import checks, rotations, runs

_COUNT_LOST = rotations.c.leases_lost + case((rotations.c.lease_until.is_(None), 0), else_=1)
"""Who takes one that has a lease finds that it lapsed: whoever held it gave nothing back."""

ADDED: Final = frozenset({checks.name, runs.name})
"""To these a rotation adds rows before it is locked: runs that nobody knows yet, and what its checks told, for
which nobody waits who holds it.
"""


def lease_rotation(
    connection: Connection, rotation_id: str, *, now: datetime, lease: timedelta, at_once: int
) -> Rotation | None:
    """Takes the rotation, if a step is due, nobody holds it, and fewer than `at_once` are at its target.

    Raises its fence, so that who held it before cannot commit, and counts the try, so that a step
    that kills its worker is not tried for ever. `TamperedError` for one that none of us wrote as it is.
    """
    target_capacity.lock_target_of(connection, rotation_id)
    given = {
        "rotation": rotation_id,
        "now": now,
        **given_times(connection, now, lease),
        **target_capacity.given_capacity(connection, at_once=at_once, now=now),
    }
    row = connection.execute(_take_due(connection.dialect.name), given).one_or_none()
    return None if row is None else read_whole(connection, row)


@cache
def _take_due(dialect: str) -> ReturningUpdate[*tuple[Any, ...]]:
    capacity = target_capacity.has_capacity(dialect)
    return lease_those(dialect, rotations.c.id == bindparam("rotation"), *is_due(), is_free(dialect), capacity)


def lease_those(dialect: str, *which: ColumnElement[bool]) -> ReturningUpdate[*tuple[Any, ...]]:
    """Whose parameters are `now` and those of `given_times`, with a lease."""
    return (
        update(rotations)
        .where(*which)
        .values(
            lease_until=lease_times(dialect).end,
            fence=rotations.c.fence + 1,
            leases_lost=_COUNT_LOST,
            attempts=rotations.c.attempts + 1,
            touched_at=bindparam("now", type_=UtcDateTime),
        )
        .returning(*rotations.c)
    )


def is_due() -> tuple[ColumnElement[bool], ...]:
    """It is open, and its next step is due `now`."""
    now = bindparam("now", type_=UtcDateTime)
    return rotations.c.finished_at.is_(None), rotations.c.next_at <= now


def is_free(dialect: str) -> ColumnElement[bool]:
    """Nobody holds it."""
    return or_(rotations.c.lease_until.is_(None), rotations.c.lease_until < lease_times(dialect).now)


def take_rotation(connection: Connection, rotation_id: str, *, now: datetime) -> Rotation:
    """Takes the rotation for a person's decision, in one transaction with it; whether a step is due or not.

    `ConflictError` while a worker is at it, `RefusedError` once it has ended.
    """
    row = connection.execute(
        update(rotations)
        .where(
            rotations.c.id == rotation_id,
            rotations.c.finished_at.is_(None),
            or_(
                rotations.c.lease_until.is_(None),
                rotations.c.lease_until < lease_now(connection, now),
            ),
        )
        .values(fence=rotations.c.fence + 1, leases_lost=_COUNT_LOST, lease_until=None)
        .returning(rotations)
    ).one_or_none()
    if row is not None:
        return read_whole(connection, row)
    found = get_rotation(connection, rotation_id)
    if found.finished_at is not None:
        raise RefusedError(f"{found.id} of {found.item} is over: it is {found.state}")
    raise ConflictError(f"a worker is at {found.id} right now: try again in a moment")


def take_as_seen(connection: Connection, seen: Rotation, *, now: datetime) -> Rotation:
    """The same for who has decided already, by what they saw without a lock: `ConflictError` where it has gone
    on since.
    """
    taken = take_rotation(connection, seen.id, now=now)
    if taken.state is not seen.state:
        raise ConflictError(f"{seen.id} of {seen.item} has just gone on, and is {taken.state}: try again")
    return taken


def renew_lease(connection: Connection, leased: Rotation, *, now: datetime, lease: timedelta) -> bool:
    """Holds on to the rotation; False for who lost it, or let its lease lapse."""
    given = {"rotation": leased.id, **_held_by(leased), **given_times(connection, now, lease)}
    return connection.execute(_renew_held(connection.dialect.name), given).rowcount == 1


def is_held(connection: Connection, leased: Rotation, *, now: datetime) -> bool:
    given = {"rotation": leased.id, **_held_by(leased), **given_times(connection, now)}
    return connection.execute(_select_held(connection.dialect.name), given).first() is not None


def store_rotation(
    connection: Connection,
    leased: Rotation,
    after: Rotation,
    steps: Sequence[NewStep],
    *,
    now: datetime,
    lease: timedelta | None,
) -> None:
    """Writes what became of it by these steps, and renews its lease; None: gives it back. `ConflictError` for
    who lost it or let it lapse.
    """
    dialect = connection.dialect.name
    together = bool(steps) and dialect == "postgresql"
    changes = find_changes(leased, after)
    if lease is None:
        changes["lease_until"] = None
    written = update_known(
        connection,
        rotations,
        digested(connection, rotations, read_columns(leased, columns_of(rotations))),
        changes,
        _step_by_holder(dialect, renews=lease is not None, adds=together),
        given={
            **_held_by(leased),
            **given_times(connection, now, lease),
            **(given_steps(steps) if together else {}),
        },
    )
    if written is None and not _store_checked(connection, leased, changes, now=now, lease=lease):
        raise ConflictError(f"rotation {leased.id} was taken over by another worker")
    if written is None or not together:
        add_steps(connection, leased.id, steps)


def _store_checked(
    connection: Connection,
    leased: Rotation,
    changes: Mapping[str, Any],
    *,
    now: datetime,
    lease: timedelta | None,
) -> bool:
    """The same of a row that is not quite what was read of it: a time in it was mended since, or a reason is of
    another release. It is read and checked once more.
    """
    renewed = {} if lease is None else {"lease_until": lease_now(connection, now) + lease}
    held = (
        rotations.c.id == leased.id,
        rotations.c.fence == leased.fence,
        rotations.c.lease_until >= lease_now(connection, now),
    )
    return connection.execute(update(rotations).where(*held).values(**changes, **renewed)).rowcount == 1


def lock_held(connection: Connection, leased: Rotation, *, now: datetime) -> None:
    """Before what is written for it: who decides about it waits until this transaction ends. `ConflictError`
    for who lost it. Where writers take turns, nobody can be in between.
    """
    if connection.dialect.name == "sqlite":
        return
    given = {"rotation": leased.id, **_held_by(leased), **given_times(connection, now)}
    if connection.execute(_select_held(connection.dialect.name, lock=True), given).first() is None:
        raise ConflictError(f"rotation {leased.id} was taken over by another worker")


def release_lease(connection: Connection, leased: Rotation) -> None:
    """Gives the lease back after a step that changed nothing; who lost it already gives back nothing."""
    connection.execute(
        update(rotations)
        .where(rotations.c.id == leased.id, rotations.c.fence == leased.fence)
        .values(lease_until=None)
    )


@cache
def _still_held(dialect: str) -> tuple[ColumnElement[bool], ...]:
    """By whoever has the fence."""
    return (rotations.c.fence == bindparam("held"), rotations.c.lease_until >= lease_times(dialect).now)


def _held_by(leased: Rotation) -> dict[str, Any]:
    return {"held": leased.fence}


@cache
def _step_by_holder(dialect: str, *, renews: bool, adds: bool) -> RowChange:
    """`adds`: steps, by the same statement."""
    also = (("lease_until", lease_times(dialect).end),) if renews else ()
    return RowChange(where=_still_held(dialect), also=also, then=add_steps_to if adds else None)


@cache
def _renew_held(dialect: str) -> Update:
    its = rotations.c.id == bindparam("rotation")
    return update(rotations).where(its, *_still_held(dialect)).values(lease_until=lease_times(dialect).end)


@cache
def _select_held(dialect: str, *, lock: bool = False) -> Select[str]:
    query = select(rotations.c.id).where(rotations.c.id == bindparam("rotation"), *_still_held(dialect))
    return query.with_for_update() if lock else query
