"""What was set aside at the broker, as rows: one a day among the sweeps, with how many had which fault."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from vaultcore.damage import is_whole
from vaultcore.upserts import upsert_into
from worker.domain.messages import MessageFault
from worker.domain.states import NightOutcome
from worker.rows.tables import sweeps

FOLDER = "broker/aside"
"""Where it lies, in the data folder of whichever worker found it."""
_JOB = "messages"


@dataclass(frozen=True, kw_only=True)
class SetAside:
    counts: Counter[str]
    last_at: datetime


def add(connection: Connection, counts: Mapping[MessageFault, int], *, now: datetime) -> datetime:
    """Counts these, too; the day that they were counted for."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    this = (sweeps.c.job == _JOB) & (sweeps.c.slot == day)
    connection.execute(
        upsert_into(connection, sweeps)
        .values(job=_JOB, slot=day, lease_until=now, started_at=now, scanned_at=now, counts={})
        .on_conflict_do_nothing()
    )
    before = connection.execute(select(sweeps.c.counts).where(this).with_for_update()).scalar_one()
    added = _read(before) + Counter({fault.value: number for fault, number in counts.items()})
    connection.execute(
        update(sweeps).where(this).values(counts=dict(added), done_at=now, outcome=NightOutcome.FAILED.value)
    )
    return day


def read_set_aside(connection: Connection, *, since: datetime) -> SetAside | None:
    """What was counted of the days that have seen any since then; None: nothing."""
    rows = connection.execute(
        select(sweeps.c.counts, sweeps.c.done_at)
        .where(sweeps.c.job == _JOB, sweeps.c.done_at >= since, is_whole(connection, sweeps))
        .order_by(sweeps.c.slot)
    ).all()
    if not rows:
        return None
    counted = sum((_read(row.counts) for row in rows), Counter())
    return SetAside(counts=counted, last_at=max(row.done_at for row in rows))


def count_by_fault(connection: Connection) -> Counter[str]:
    """How many had which fault, since the vault was made."""
    days = connection.execute(
        select(sweeps.c.counts).where(sweeps.c.job == _JOB, is_whole(connection, sweeps))
    ).scalars()
    return sum(map(_read, days), Counter())


def _read(stored: object) -> Counter[str]:
    """Of a damaged row, what can be told."""
    known = stored.items() if isinstance(stored, dict) else ()
    return Counter({fault: number for fault, number in known if isinstance(number, int) and number > 0})
