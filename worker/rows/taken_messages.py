"""Which messages were taken already."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, delete, or_, select

from vaultcore.upserts import upsert_for
from worker.domain.messages import AGE_MAX, beginning_of_ids
from worker.rows.tables import taken_messages

KEPT: Final[timedelta] = 2 * AGE_MAX
"""Since it was sent: it opens for `AGE_MAX` at most, and the clocks of workers may differ by as much."""

_AT_ONCE: Final = 20_000
"""So many are deleted in one sweep; what is left waits for the next."""


def take(connection: Connection, message_id: str) -> bool:
    """Whether this is the first to take it."""
    taken = connection.execute(_take(connection.dialect.name), {"id": message_id})
    return taken.first() is not None


def forget_old(connection: Connection, now: datetime) -> int:
    """Those that open for nobody any more, and those of a clock that was ahead, so many at once: how many."""
    ids = taken_messages.c.id
    over = or_(ids < beginning_of_ids(now - KEPT), ids > beginning_of_ids(now + KEPT))
    these = select(ids).where(over).limit(_AT_ONCE)
    return connection.execute(delete(taken_messages).where(ids.in_(these))).rowcount


@cache
def _take(dialect: str) -> Any:  # noqa: ANN401  # two dialects, one API
    """Built once: it is asked for each message of each worker."""
    made = upsert_for(dialect, taken_messages)
    return made.on_conflict_do_nothing(index_elements=["id"]).returning(taken_messages.c.id)
