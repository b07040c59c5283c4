"""Heartbeats as rows: one call for each night and kind. It decides nothing and commits nothing."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from vaultcore.damage import is_whole
from vaultcore.errors import TamperedError
from vaultcore.mac_writing import update_apart
from vaultcore.row_macs import find_edited
from vaultcore.upserts import upsert_into
from worker.domain.states import BeatState
from worker.rows.tables import heartbeats


class HeartbeatKey(NamedTuple):
    """Which heartbeat: its night and kind."""

    slot: datetime
    beat: str


class LeasedHeartbeat(NamedTuple):
    """`attempts`: this one included. `edited`: what to say of one that none of us wrote so."""

    text: str
    posted_at: datetime
    attempts: int
    edited: TamperedError | None


def add(connection: Connection, key: HeartbeatKey, text: str, *, at: datetime) -> None:
    """Once for each key."""
    connection.execute(
        upsert_into(connection, heartbeats)
        .values(**key._asdict(), text=text, state=BeatState.WAITING.value, attempts=0, next_at=at, posted_at=at)
        .on_conflict_do_nothing()
    )


def list_due(connection: Connection, now: datetime) -> list[HeartbeatKey]:
    """In the order in which they happened."""
    rows = connection.execute(
        select(heartbeats.c.slot, heartbeats.c.beat)
        .where(
            heartbeats.c.state == BeatState.WAITING.value,
            heartbeats.c.next_at <= now,
            is_whole(connection, heartbeats),
        )
        .order_by(heartbeats.c.posted_at)
    )
    return [HeartbeatKey(row.slot, row.beat) for row in rows]


def lease(
    connection: Connection, key: HeartbeatKey, now: datetime, *, lease: timedelta
) -> LeasedHeartbeat | None:
    """None: it is not due any more, or somebody else has it."""
    row = connection.execute(
        update(heartbeats)
        .where(_is_waiting(key), heartbeats.c.next_at <= now)
        .values(next_at=now + lease, attempts=heartbeats.c.attempts + 1)
        .returning(heartbeats)
    ).one_or_none()
    if row is None:
        return None
    edited = find_edited(connection, heartbeats, row, f"the heartbeat of {key.slot:%Y-%m-%d}")
    return LeasedHeartbeat(row.text, row.posted_at, row.attempts, edited)


def put_off(connection: Connection, key: HeartbeatKey, *, until: datetime, problem: str | None) -> None:
    _change(connection, _is_waiting(key), next_at=until, last_error=problem)


def end(connection: Connection, key: HeartbeatKey, *, problem: str | None) -> None:
    """It arrived, or is given up with its `problem`."""
    state = BeatState.SENT.value if problem is None else BeatState.FAILED.value
    _change(connection, _is_waiting(key), state=state, next_at=None, last_error=problem)


def refuse(connection: Connection, key: HeartbeatKey, problem: str) -> None:
    """It failed, whatever it is said to be now."""
    _change(connection, _is(key), state=BeatState.FAILED.value, next_at=None, last_error=problem)


def outdate(connection: Connection, key: HeartbeatKey) -> None:
    """What has not left is not said any more."""
    _change(connection, _is_waiting(key), state=BeatState.OUTDATED.value, next_at=None)


def outdate_earlier(connection: Connection, slot: datetime, *, beat: str, posted_before: datetime) -> None:
    """Of that night: those of that kind, and those that were posted before."""
    before = or_(heartbeats.c.beat == beat, heartbeats.c.posted_at < posted_before)
    late = and_(heartbeats.c.slot == slot, heartbeats.c.state == BeatState.WAITING.value, before)
    _change(connection, late, state=BeatState.OUTDATED.value, next_at=None)


def _is(key: HeartbeatKey) -> ColumnElement[bool]:
    return and_(heartbeats.c.slot == key.slot, heartbeats.c.beat == key.beat)


def _is_waiting(key: HeartbeatKey) -> ColumnElement[bool]:
    return and_(_is(key), heartbeats.c.state == BeatState.WAITING.value)


def _change(connection: Connection, which: ColumnElement[bool], **values: Any) -> None:  # noqa: ANN401  # columns
    update_apart(connection, heartbeats, which, values)
