"""The clock of leases: one for all who share the database."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select


def lease_clock(connection: Connection, now: datetime) -> datetime:
    """What leases go by: where several machines may share the database, its clock and not theirs."""
    if connection.dialect.name != "postgresql":
        return now
    server: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return server


def lease_now(connection: Connection, now: datetime) -> Any:  # noqa: ANN401  # a time, or what the database reads
    """As `lease_clock`, for a statement: its own part of that, where the database has the clock."""
    return func.clock_timestamp() if connection.dialect.name == "postgresql" else now
