"""Rows that were written while the wall clock was ahead, put right for the clock as it is now.

One function for each table that puts something off; each says how many rows it has put right.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, func, or_, select, update

from vaultcore.damage import is_whole
from vaultcore.mac_writing import update_apart
from vaultcore.row_macs import columns_of, is_kept, is_ours
from worker.domain.clocks import SKEW, at_the_latest, end_of_lease, put_off_again
from worker.domain.states import BeatState, DeliveryState
from worker.rows.tables import (
    deliveries,
    findings,
    heartbeats,
    notices,
    pickups,
    rotations,
    run_states,
    runs,
    sweeps,
    tellings,
    workflows,
)
from worker.workflows.schedule import next_run

_LATE = timedelta(minutes=10)
_NIGHTS = (
    (rotations, "night"),
    (rotations, "told_night"),
    (notices, "night"),
    (tellings, "night"),
    (heartbeats, "slot"),
)
"""What names a night by its slot, beside its sweep."""


def mend_rotations(connection: Connection, now: datetime, lease: timedelta) -> int:
    """Their leases, their next step, and what is counted since when."""
    ahead = now + SKEW
    touched = func.coalesce(rotations.c.touched_at, rotations.c.created_at)
    rows = connection.execute(
        select(rotations).where(
            rotations.c.finished_at.is_(None),
            or_(rotations.c.lease_until > ahead + lease, touched > ahead),
            is_whole(connection, rotations),
        )
    ).all()
    for row in rows:
        if not is_ours(connection, rotations, row):  # nothing is done by it, now or later
            continue
        since = row.touched_at or row.created_at
        activated_at = row.activated_at
        connection.execute(
            update(rotations)
            .where(rotations.c.id == row.id, rotations.c.fence == row.fence)
            .values(
                lease_until=end_of_lease(row.lease_until, lease, now),
                next_at=put_off_again(row.next_at, since, now),
                touched_at=at_the_latest(since, now),
                failing_since=at_the_latest(row.failing_since, now),
                propagating_since=at_the_latest(row.propagating_since, now),
                late_until=end_of_lease(row.late_until, _LATE, now),
                activated_at=at_the_latest(activated_at, now),
                widened_at=at_the_latest(row.widened_at, now),
                overlap_until=row.overlap_until
                if activated_at is None
                else put_off_again(row.overlap_until, activated_at, now),
            )
        )
    return len(rows)


def mend_deliveries(connection: Connection, now: datetime) -> int:
    """What is to be sent again, or for the first time when quiet hours end."""
    since = func.coalesce(deliveries.c.tried_at, notices.c.created_at)
    rows = connection.execute(
        select(
            deliveries.c.notice_id,
            deliveries.c.route_id,
            deliveries.c.recipient,
            deliveries.c.next_at,
            since.label("since"),
        )
        .join(notices, notices.c.id == deliveries.c.notice_id)
        .where(
            deliveries.c.state == DeliveryState.WAITING.value,
            since > now + SKEW,
            is_whole(connection, deliveries),
            is_whole(connection, notices),
        )
    ).all()
    for row in rows:
        connection.execute(
            update(deliveries)
            .where(
                deliveries.c.notice_id == row.notice_id,
                deliveries.c.route_id == row.route_id,
                deliveries.c.recipient == row.recipient,
                deliveries.c.state == DeliveryState.WAITING.value,
            )
            .values(tried_at=now, next_at=put_off_again(row.next_at, row.since, now))
        )
    return len(rows)


def mend_heartbeats(connection: Connection, now: datetime, pause: timedelta) -> int:
    late = or_(heartbeats.c.posted_at > now + SKEW, heartbeats.c.next_at > now + pause + SKEW)
    return _set(
        connection,
        heartbeats,
        and_(heartbeats.c.state == BeatState.WAITING.value, late),
        next_at=now,
        posted_at=now,
    )


def mend_workflows(connection: Connection, now: datetime) -> int:
    """A workflow runs no later than its schedule says from now on."""
    rows = connection.execute(
        select(
            workflows.c.id, workflows.c.schedule_type, workflows.c.schedule_value, workflows.c.next_run_at
        ).where(workflows.c.next_run_at > now + SKEW)
    ).all()
    late = [(row.id, following) for row in rows if (following := _earlier_run(row, now)) is not None]
    for workflow_id, following in late:
        connection.execute(update(workflows).where(workflows.c.id == workflow_id).values(next_run_at=following))
    return len(late)


def mend_runs(connection: Connection, now: datetime) -> int:
    """Those under way or not begun yet: one that died is found in its time."""
    ahead, unfinished = now + SKEW, runs.c.completed_at.is_(None)
    begun = _set(connection, runs, and_(unfinished, runs.c.started_at > ahead), started_at=now)
    return begun + _set(connection, runs, and_(unfinished, runs.c.created_at > ahead), created_at=now)


def mend_run_states(connection: Connection, now: datetime) -> int:
    """A run that waits goes on after its delay, counted from now."""
    rows = connection.execute(
        select(run_states.c.run_id, run_states.c.kept_at, run_states.c.resume_at).where(
            run_states.c.kept_at > now + SKEW, is_whole(connection, run_states)
        )
    ).all()
    for row in rows:
        connection.execute(
            update(run_states)
            .where(run_states.c.run_id == row.run_id, run_states.c.kept_at == row.kept_at)
            .values(kept_at=now, resume_at=put_off_again(row.resume_at, row.kept_at, now))
        )
    return len(rows)


def mend_nights(connection: Connection, now: datetime, lease: timedelta) -> int:
    """A scan that was cut off is over when its lease can be; a night that is over has its slot now, and not in
    a time that is still to come, whose own night would be taken for done.
    """
    ahead = sweeps.c.slot > now + SKEW
    held = and_(sweeps.c.scanned_at.is_(None), sweeps.c.lease_until > now + lease + SKEW)
    mended = _set(connection, sweeps, and_(ahead, held), scanned_at=now, started_at=now, lease_until=now)
    mended += _set(connection, sweeps, held, lease_until=now + lease)
    over = connection.execute(
        select(sweeps.c.job, sweeps.c.slot)
        .where(ahead, sweeps.c.done_at.is_not(None), is_whole(connection, sweeps))
        .order_by(sweeps.c.slot)
    ).all()
    for number, row in enumerate(over):
        slot = now + timedelta(microseconds=number)
        _set(
            connection,
            sweeps,
            and_(sweeps.c.job == row.job, sweeps.c.slot == row.slot),
            slot=slot,
            started_at=now,
            scanned_at=now,
            done_at=now,
        )
        for table, column in _NIGHTS:
            _set(connection, table, table.c[column] == row.slot, **{column: slot})
    return mended + len(over)


def mend_pickups(connection: Connection, now: datetime) -> int:
    """A key waits to be collected for as long as it was to, from now."""
    rows = connection.execute(
        select(pickups).where(
            pickups.c.arrived_at.is_(None), pickups.c.created_at > now + SKEW, is_whole(connection, pickups)
        )
    ).all()
    ours = [row for row in rows if is_ours(connection, pickups, row)]
    for row in ours:
        connection.execute(
            update(pickups)
            .where(pickups.c.id == row.id)
            .values(created_at=now, expires_at=put_off_again(row.expires_at, row.created_at, now))
        )
    return len(ours)


def mend_findings(connection: Connection, now: datetime) -> int:
    """One that is seen no more is resolved by the next scan, and not when its time has come."""
    ahead = and_(findings.c.resolved_at.is_(None), findings.c.seen_at > now + SKEW)
    told = _set(connection, tellings, tellings.c.at > now + SKEW, at=now)
    return told + _set(connection, findings, ahead, seen_at=now)


def _earlier_run(row: Row[*tuple[Any, ...]], now: datetime) -> datetime | None:
    """When it runs by its schedule, if that is clearly before what is stored."""
    try:
        following = next_run(row.schedule_type, row.schedule_value, now)
    except Exception:  # noqa: BLE001  # a schedule that cannot be read is not mended here
        return None
    return following if following is not None and row.next_run_at - following > SKEW else None


def _set(connection: Connection, table: Table, which: Any, **values: Any) -> int:  # noqa: ANN401  # columns
    """Only rows that can be read: to a database a word may be later than any time, and a scan must find it. One
    that none of us wrote so stops nothing here, and does not become ours.
    """
    which = and_(which, is_whole(connection, table))
    if is_kept(table) and not values.keys().isdisjoint(columns_of(table)):
        return len(update_apart(connection, table, which, values))
    return connection.execute(update(table).where(which).values(**values)).rowcount
