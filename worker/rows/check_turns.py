"""Whose turn it is at a target, as rows: one asks there at a time. It commits nothing.

A turn is a lease with a holder of its own. Who lets it lapse may find another at it, and commits nothing then.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select, update

from vaultcore.upserts import upsert_into
from worker.rows import target_capacity
from worker.rows.lease_clock import lease_clock
from worker.rows.tables import check_turns

_T = check_turns.c
_LONGEST = timedelta(days=1)
"""No lease of ours is as long: one that is was written by somebody else, and holds nothing."""


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
    lease_now = lease_clock(connection, now)
    values = {"item_id": item_id, "holder": holder, "lease_until": lease_now + lease}
    taken = connection.execute(
        upsert_into(connection, check_turns)
        .values(target=target, **values)
        .on_conflict_do_update(
            index_elements=[_T.target],
            set_=values,
            where=or_(_T.lease_until < lease_now, _T.lease_until > lease_now + _LONGEST),
        )
        .returning(_T.holder)
    ).first()
    return taken is not None


def is_held(connection: Connection, target: str, holder: str, *, now: datetime, lock: bool = False) -> bool:
    query = select(_T.holder).where(_is_held(target, holder, lease_clock(connection, now)))
    return connection.execute(query.with_for_update() if lock else query).first() is not None


def renew(connection: Connection, target: str, holder: str, *, now: datetime, lease: timedelta) -> bool:
    """Holds on to it; False for who lost it, or let it lapse."""
    lease_now = lease_clock(connection, now)
    renewed = connection.execute(
        update(check_turns).where(_is_held(target, holder, lease_now)).values(lease_until=lease_now + lease)
    )
    return renewed.rowcount == 1


def give_back(connection: Connection, target: str, holder: str) -> None:
    """Who lost it already gives back nothing."""
    connection.execute(delete(check_turns).where(_T.target == target, _T.holder == holder))


def list_busy(connection: Connection, targets: Collection[str], *, now: datetime) -> set[str]:
    """Which of these somebody asks now."""
    lease_now = lease_clock(connection, now)
    query = select(_T.target).where(_T.lease_until >= lease_now, _T.lease_until <= lease_now + _LONGEST)
    return {target for target in connection.execute(query).scalars() if target in targets}


def _is_held(target: str, holder: str, lease_now: datetime) -> ColumnElement[bool]:
    return and_(_T.target == target, _T.holder == holder, _T.lease_until >= lease_now)
