"""The clock of leases: one for all who share the database."""

from datetime import datetime, timedelta
from typing import Any

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


# For statements that are made once, since making them takes longer than what they do


def moment_in(dialect: str) -> ColumnElement[datetime]:
    """As `lease_clock`: of the database, or the parameter that `fill_moments` gives."""
    return func.clock_timestamp() if dialect == "postgresql" else bindparam("moment", type_=UtcDateTime())


def later_in(dialect: str, name: str) -> ColumnElement[datetime]:
    """So long after it as `fill_moments` is told by that name."""
    if dialect == "postgresql":
        return func.clock_timestamp() + bindparam(name, type_=Interval())
    return bindparam(name, type_=UtcDateTime())


def fill_moments(dialect: str, now: datetime, **after: timedelta) -> dict[str, datetime | timedelta]:
    """The parameters of a statement with a moment in it, and with those that come later."""
    if dialect == "postgresql":
        return {**after}
    return {"moment": now, **{name: now + duration for name, duration in after.items()}}
