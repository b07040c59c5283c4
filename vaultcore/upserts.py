"""`INSERT` of what may be there already, in the dialect of each database."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def upsert_into(connection: Connection, table: Table) -> Any:  # noqa: ANN401  # two dialects, one API
    """`INSERT` with `on_conflict_do_…`, in the dialect of the connection.

    Tell what happened by `returning()`: an insert's `rowcount` means nothing on PostgreSQL.
    """
    return upsert_for(connection.dialect.name, table)


def upsert_for(dialect: str, table: Table) -> Any:  # noqa: ANN401  # as above
    """The same for who keeps it: the statement of a dialect."""
    if dialect != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  # on SQLite nobody waits for it

    return postgresql.insert(table)
