"""`INSERT` of what may be there already, in the dialect of each database."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

from vaultcore.row_macs import MAC


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


@cache
def upsert_given(dialect: str, table: Table, names: tuple[str, ...]) -> Any:  # noqa: ANN401  # as above
    """A row with a digest whose columns are given as parameters, by these `names`: one with its primary key
    that is there already becomes as this is.
    """
    made, keys = upsert_for(dialect, table), list(table.primary_key)
    becomes = {name: made.excluded[name] for name in (*names, MAC) if table.c[name] not in keys}
    return made.on_conflict_do_update(index_elements=keys, set_=becomes)
