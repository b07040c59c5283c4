"""Which checks were shown able to fail, as rows. It decides nothing and commits nothing."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from vaultcore.damage import is_whole_for
from vaultcore.row_macs import is_ours
from vaultcore.upserts import upsert_given
from worker.domain.checks import Known
from worker.rows.tables import checks


def find(connection: Connection, digest: str) -> Known | None:
    """What is known of it; nothing of a row that is damaged, or that none of us wrote so: it is asked again."""
    row = connection.execute(_find(connection.dialect.name), {"wanted": digest}).one_or_none()
    if row is None or not is_ours(connection, checks, row):
        return None
    return Known(tells_apart=row.tells_apart, asked_at=row.asked_at)


def record(connection: Connection, digest: str, *, subject: str, tells_apart: bool, at: datetime) -> None:
    values = {"digest": digest, "subject": subject, "tells_apart": tells_apart, "asked_at": at}
    connection.execute(upsert_given(connection.dialect.name, checks, tuple(values)), values)


@cache
def _find(dialect: str) -> Select[*tuple[Any, ...]]:
    return select(checks).where(checks.c.digest == bindparam("wanted"), is_whole_for(dialect, checks))
