"""What the database is, as it says itself."""

from datetime import datetime

from sqlalchemy import Connection, text

from vaultcore.engines import is_pooled
from worker.domain.diagnosis import DatabaseFacts, Limit

_FULL = 2
"""Of SQLite's degrees of `synchronous`, the first that keeps each commit."""
_KEEPING = ("fsync", "full_page_writes", "synchronous_commit")

_ALLOWED = """
    SELECT current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS server,
           rolconnlimit AS role, datconnlimit AS database, rolsuper AS is_superuser
      FROM pg_roles, pg_database
     WHERE rolname = session_user AND datname = current_database()
"""
"""Since PostgreSQL 16 some are kept for roles of which this one is taken to be none."""


def read_facts(connection: Connection, *, revision: str, now: datetime) -> DatabaseFacts:
    """`now`: this machine's, as near to the moment of asking as may be."""
    if connection.dialect.name == "sqlite":
        version = connection.execute(text("SELECT sqlite_version()")).scalar_one()
        synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()
        return DatabaseFacts(
            name="SQLite",
            version=str(version),
            revision=revision,
            settings={"synchronous": "on" if synchronous >= _FULL else "off"},
        )
    server: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    names = (*_KEEPING, "server_version")
    told = {name: str(connection.execute(text(f"SHOW {name}")).scalar_one()) for name in names}
    return DatabaseFacts(
        name="PostgreSQL",
        version=told["server_version"].split()[0],
        revision=revision,
        settings={name: told[name] for name in _KEEPING},
        ahead=server - now,
        allowed=_read_allowed(connection),
        pooled=is_pooled(connection),
    )


def _read_allowed(connection: Connection) -> dict[Limit, int]:
    """What superusers are not held to is left out for them; -1 in a row is no limit."""
    told = connection.execute(text(_ALLOWED)).one()
    limits = {Limit.SERVER: told.server}
    if not told.is_superuser:
        limits |= {Limit.ROLE: told.role, Limit.DATABASE: told.database}
    return {limit: int(number) for limit, number in limits.items() if number >= 0}
