"""What runs have kept to go on with, or to begin with: sealed rows, each taken away once."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from vaultcore.crypto.envelope import Sealed
from vaultcore.damage import is_whole
from vaultcore.stored import check_row
from worker.rows.tables import run_states, runs

_AT_ONCE = 500
_FORGET: Final = delete(run_states).where(run_states.c.run_id.in_(bindparam("runs", expanding=True)))


def keep(connection: Connection, run_id: str, sealed: Sealed, *, at: datetime, resume_at: datetime) -> None:
    connection.execute(
        insert(run_states).values(run_id=run_id, kept_at=at, resume_at=resume_at, **vars(sealed))
    )


def take(connection: Connection, run_id: str, *, due_by: datetime | None) -> Sealed | None:
    """What the run has kept, which whoever takes it has alone; None: nothing, it is not due, or somebody has
    taken it. `UnreadableError` for a row that is damaged.
    """
    query = delete(run_states).where(run_states.c.run_id == run_id)
    if due_by is not None:
        query = query.where(run_states.c.resume_at <= due_by)
    row = connection.execute(query.returning(*run_states.columns)).one_or_none()
    if row is None:
        return None
    check_row(row, f"what run {run_id} has kept")
    return Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)


def due(connection: Connection, now: datetime, *, limit: int = 500) -> list[str]:
    """Runs that can be gone on with, or begun, the longest due first. One of which a row is damaged is
    nobody's: the scan makes a finding of it.
    """
    return list(
        connection.execute(
            select(run_states.c.run_id)
            .join(runs, runs.c.id == run_states.c.run_id)
            .where(
                run_states.c.resume_at <= now,
                runs.c.completed_at.is_(None),
                is_whole(connection, run_states),
                is_whole(connection, runs),
            )
            .order_by(run_states.c.resume_at)
            .limit(limit)
        ).scalars()
    )


def forget(connection: Connection, run_ids: Iterable[str]) -> None:
    ids = list(run_ids)
    for start in range(0, len(ids), _AT_ONCE):
        connection.execute(_FORGET, {"runs": ids[start : start + _AT_ONCE]})
