"""What the database is, as it says itself."""

from datetime import datetime

from sqlalchemy import Connection, text

from vaultcore.engines import is_pooled
from worker.domain.diagnosis import DatabaseFacts

_FULL = 2
"""Of SQLite's degrees of `synchronous`, the first that keeps each commit."""
_KEEPING = ("fsync", "full_page_writes", "synchronous_commit")


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
    names = (*_KEEPING, "server_version", "max_connections", "superuser_reserved_connections")
    told = {name: str(connection.execute(text(f"SHOW {name}")).scalar_one()) for name in names}
    return DatabaseFacts(
        name="PostgreSQL",
        version=told["server_version"].split()[0],
        revision=revision,
        settings={name: told[name] for name in _KEEPING},
        ahead=server - now,
        most=int(told["max_connections"]) - int(told["superuser_reserved_connections"]),
        pooled=is_pooled(connection),
    )
