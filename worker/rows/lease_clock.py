"""The clock of leases: one for all who share the database."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Interval, bindparam, func, select

from vaultcore.tables import UtcDateTime


def lease_clock(connection: Connection, now: datetime) -> datetime:
    """What leases go by: where several machines may share the database, its clock and not theirs."""
    if connection.dialect.name != "postgresql":
        return now
    server: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return server


def lease_now(connection: Connection, now: datetime) -> Any:  # noqa: ANN401  # a time, or what the database reads
    """As `lease_clock`, for a statement: its own part of that, where the database has the clock."""
    return func.clock_timestamp() if connection.dialect.name == "postgresql" else now


class LeaseTimes(NamedTuple):
    """Now, and when a lease that begins now ends, as parts of a statement that is made once."""

    now: ColumnElement[datetime]
    end: ColumnElement[datetime]


@cache
def lease_times(dialect: str) -> LeaseTimes:
    """Their parameters are those of `given_times`."""
    if dialect == "postgresql":
        now = func.clock_timestamp()
        return LeaseTimes(now, now + bindparam("lease", type_=Interval))
    return LeaseTimes(bindparam("lease_now", type_=UtcDateTime), bindparam("lease_end", type_=UtcDateTime))


def given_times(connection: Connection, now: datetime, lease: timedelta | None = None) -> dict[str, Any]:
    """For `LeaseTimes.now`, and with a lease also for `end`."""
    if connection.dialect.name == "postgresql":
        return {} if lease is None else {"lease": lease}
    return {"lease_now": now} | ({} if lease is None else {"lease_end": now + lease})
