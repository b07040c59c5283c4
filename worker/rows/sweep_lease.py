"""The lease on the resume sweep: a row among the sweeps, under no scheduled time. It commits nothing.

It is taken anew where the sweep before has ended, where its time is over, and where that lies further ahead
than any lease of ours: then a clock was set back. `counts` says whether anybody was refused it.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from vaultcore.upserts import upsert_for
from worker.rows.lease_clock import given_times, lease_times
from worker.rows.tables import sweeps

SWEEP_JOB: Final = "resume"
_SLOT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_THIS: Final = and_(sweeps.c.job == SWEEP_JOB, sweeps.c.slot == _SLOT)
_REFUSED: Final = {"refused": 1}
_MINE: Final = and_(_THIS, sweeps.c.lease_until == bindparam("held"), sweeps.c.done_at.is_(None))
"""It is held until then, and was not given back."""
_REFUSE: Final = update(sweeps).where(_THIS).values(counts=_REFUSED)
_LOCK: Final = select(sweeps.c.counts).where(_MINE).with_for_update()
_GIVE_UP: Final = update(sweeps).where(_MINE).values(done_at=bindparam("at"))
_GIVE_BACK: Final = _GIVE_UP.values(counts={})


def take(connection: Connection, *, now: datetime, lease: timedelta) -> datetime | None:
    """Until when it is held, by which its holder is known; None: somebody else has it. That another sweep was
    refused meanwhile is told to who gives it back.
    """
    taken = connection.execute(_take(connection.dialect.name), given_times(connection, now, lease)).first()
    if taken is None:
        connection.execute(_REFUSE)
        return None
    until: datetime = taken.lease_until
    return until


def give_back(connection: Connection, held: datetime, *, now: datetime) -> bool:
    """Whether another sweep was refused, and nobody has been told of it yet. Who has let it lapse gives back
    nothing: whoever took it then is told.
    """
    found = connection.execute(_LOCK, {"held": held}).one_or_none()
    if found is None:
        return False
    connection.execute(_GIVE_BACK, {"held": held, "at": now})
    return bool(found.counts)


def give_up(connection: Connection, held: datetime, *, now: datetime) -> None:
    """By who has failed: others need not wait, and who was refused is told to the next."""
    connection.execute(_GIVE_UP, {"held": held, "at": now})


@cache
def _take(dialect: str) -> Any:  # noqa: ANN401  # two dialects, one API
    """What was refused before is left there: who takes it may have looked at the rows already."""
    times = lease_times(dialect)
    row = sweeps.c
    held = {"lease_until": times.end, "started_at": times.now}
    return (
        upsert_for(dialect, sweeps)
        .values(job=SWEEP_JOB, slot=_SLOT, counts={}, **held)
        .on_conflict_do_update(
            index_elements=["job", "slot"],
            set_={**held, "done_at": None},
            where=or_(row.done_at.is_not(None), row.lease_until <= times.now, row.lease_until > times.end),
        )
        .returning(row.lease_until)
    )
