"""The clock of leases: one for all who share the database."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Interval, bindparam, func, literal, select

from vaultcore.tables import UtcDateTime

_LONGEST: Final = timedelta(days=1)
"""No lease of ours is as long: one that is was written by somebody else, and keeps nobody out."""


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
    """Now, when a lease that begins now ends, and when the longest would, as parts of a statement that is made
    once.
    """

    now: ColumnElement[datetime]
    end: ColumnElement[datetime]
    longest: ColumnElement[datetime]


@cache
def lease_times(dialect: str) -> LeaseTimes:
    """Their parameters are those of `given_times`, and of `given_longest`."""
    if dialect == "postgresql":
        now = func.clock_timestamp()
        return LeaseTimes(now, now + bindparam("lease", type_=Interval), now + literal(_LONGEST))
    return LeaseTimes(*(bindparam(f"lease_{name}", type_=UtcDateTime) for name in LeaseTimes._fields))


def given_times(connection: Connection, now: datetime, lease: timedelta | None = None) -> dict[str, Any]:
    """For `LeaseTimes.now`, and with a lease also for `end`."""
    if connection.dialect.name == "postgresql":
        return {} if lease is None else {"lease": lease}
    return {"lease_now": now} | ({} if lease is None else {"lease_end": now + lease})


def given_longest(connection: Connection, now: datetime) -> dict[str, datetime]:
    """For `LeaseTimes.longest`."""
    return {} if connection.dialect.name == "postgresql" else {"lease_longest": now + _LONGEST}
