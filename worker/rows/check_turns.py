"""Whose turn it is at a target, as rows: one asks there at a time. It commits nothing.

A turn is a lease with a holder of its own. Who lets it lapse may find another at it, and commits nothing then.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    or_,
    select,
    update,
)

from vaultcore.upserts import upsert_for
from worker.rows import target_capacity
from worker.rows.lease_clock import given_longest, given_times, lease_times
from worker.rows.tables import check_turns

_T = check_turns.c
_MINE: Final = and_(_T.target == bindparam("its_target"), _T.holder == bindparam("its_holder"))
_GIVE_BACK: Final = delete(check_turns).where(_MINE)


def take(
    connection: Connection,
    target: str,
    *,
    item_id: str,
    holder: str,
    now: datetime,
    lease: timedelta,
    at_once: int,
) -> bool:
    """Whether it is the holder's turn from now on; False: somebody else asks there, or so many rotations are at
    that target that there is no room.
    """
    target_capacity.lock_target(connection, target)
    if not target_capacity.count_left(connection, target, at_once=at_once, now=now):
        return False
    turn = {"target": target, "item_id": item_id, "holder": holder}
    given = given_times(connection, now, lease) | given_longest(connection, now)
    return connection.execute(_take(connection.dialect.name), turn | given).first() is not None


def is_held(connection: Connection, target: str, holder: str, *, now: datetime, lock: bool = False) -> bool:
    found = connection.execute(
        _find_held(connection.dialect.name, lock=lock), _mine(target, holder) | given_times(connection, now)
    )
    return found.first() is not None


def renew(connection: Connection, target: str, holder: str, *, now: datetime, lease: timedelta) -> bool:
    """Holds on to it; False for who lost it, or let it lapse."""
    renewed = connection.execute(
        _renew(connection.dialect.name), _mine(target, holder) | given_times(connection, now, lease)
    )
    return renewed.rowcount == 1


def give_back(connection: Connection, target: str, holder: str) -> None:
    """Who lost it already gives back nothing."""
    connection.execute(_GIVE_BACK, _mine(target, holder))


def list_busy(connection: Connection, targets: Collection[str], *, now: datetime) -> set[str]:
    """Which of these somebody asks now."""
    given = given_times(connection, now) | given_longest(connection, now)
    busy = connection.execute(_list_busy(connection.dialect.name), given).scalars()
    return {target for target in busy if target in targets}


def _mine(target: str, holder: str) -> dict[str, str]:
    return {"its_target": target, "its_holder": holder}


@cache
def _take(dialect: str) -> Any:  # noqa: ANN401  # two dialects, one API
    """It is free, or its lease has lapsed, or is none of ours."""
    times, until = lease_times(dialect), _T.lease_until
    made = upsert_for(dialect, check_turns).values(lease_until=times.end)
    return made.on_conflict_do_update(
        index_elements=[_T.target],
        set_={name: made.excluded[name] for name in ("item_id", "holder", "lease_until")},
        where=or_(until < times.now, until > times.longest),
    ).returning(_T.holder)


@cache
def _find_held(dialect: str, *, lock: bool) -> Select[str]:
    query = select(_T.holder).where(_MINE, _T.lease_until >= lease_times(dialect).now)
    return query.with_for_update() if lock else query


@cache
def _renew(dialect: str) -> Update:
    times = lease_times(dialect)
    return update(check_turns).where(_MINE, _T.lease_until >= times.now).values(lease_until=times.end)


@cache
def _list_busy(dialect: str) -> Select[str]:
    times = lease_times(dialect)
    return select(_T.target).where(_T.lease_until >= times.now, _T.lease_until <= times.longest)
