"""What is counted for who watches Nightkey from outside, as rows have it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, select, text

from vaultcore.tables import items
from worker.domain.states import NightOutcome
from worker.rows.nights import NIGHT_JOB
from worker.rows.tables import findings, rotations, sweeps


def count_by_days_left(connection: Connection, now: datetime, days: Sequence[int]) -> dict[str, int]:
    """Items that have lapsed, those that lapse within so many days and not within fewer, the others, and those
    that never lapse. By the index on the expiry.
    """
    ends = [now + timedelta(days=one) for one in days]
    found = {"lapsed": _count(connection, items.c.expires_at <= now)}
    for name, after, until in zip(map(str, days), [now, *ends], ends, strict=False):
        found[name] = _count(connection, (items.c.expires_at > after) & (items.c.expires_at <= until))
    found["more"] = _count(connection, items.c.expires_at > ends[-1])
    found["never"] = _count(connection, items.c.expires_at.is_(None))
    return found


def count_findings(connection: Connection) -> dict[str, int]:
    """Open ones, by kind."""
    rows = connection.execute(
        select(findings.c.kind, func.count()).where(findings.c.resolved_at.is_(None)).group_by(findings.c.kind)
    )
    return {str(kind): number for kind, number in rows}


def count_leases_lost(connection: Connection) -> int:
    """Since the vault was made; by an index of the rotations that have lost any."""
    lost_any = select(func.sum(rotations.c.leases_lost)).where(text("rotations.leases_lost > 0"))
    lost = connection.execute(lost_any).scalar_one()
    return int(lost or 0)


def last_good_night(connection: Connection) -> datetime | None:
    """When the last night ended that ended well; None: none has."""
    return connection.execute(
        select(func.max(sweeps.c.done_at)).where(
            sweeps.c.job == NIGHT_JOB, sweeps.c.outcome == NightOutcome.GOOD.value
        )
    ).scalar_one()


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(items).where(condition)).scalar_one()
