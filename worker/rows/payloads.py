"""What runs began with, and what their nodes gave: sealed rows, each for a time."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, or_, select

from vaultcore.crypto.envelope import Sealed
from vaultcore.stored import check_row
from worker.domain.clocks import SKEW
from worker.rows.tables import run_payloads

_KEEP: Final = insert(run_payloads)


def keep(connection: Connection, run_id: str, sealed: Sealed, *, at: datetime, ends_at: datetime) -> None:
    connection.execute(_KEEP, {"run_id": run_id, "kept_at": at, "ends_at": ends_at, **vars(sealed)})


def find(connection: Connection, run_id: str, now: datetime) -> Sealed | None:
    """None: nothing was kept, or its time is over. `UnreadableError` for a row that is damaged."""
    row = connection.execute(select(run_payloads).where(run_payloads.c.run_id == run_id)).one_or_none()
    if row is None:
        return None
    check_row(row, f"what run {run_id} began with")
    if row.ends_at <= now:
        return None
    return Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)


def forget_old(connection: Connection, now: datetime, *, ahead: bool) -> int:
    """Those whose time is over: how many. `ahead`: also those of a clock that was ahead, without an index."""
    over = run_payloads.c.ends_at <= now
    if ahead:
        over = or_(over, run_payloads.c.kept_at > now + SKEW)
    return connection.execute(delete(run_payloads).where(over)).rowcount
