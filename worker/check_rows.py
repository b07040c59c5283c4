"""Which checks were shown able to fail, as rows. It decides nothing and commits nothing."""

from datetime import datetime

from sqlalchemy import Connection, select

from vaultcore.damage import is_whole
from vaultcore.database import upsert_into
from worker.domain.checks import Known
from worker.tables import checks


def find(connection: Connection, digest: str) -> Known | None:
    """What is known of it; nothing of a row that is damaged."""
    row = connection.execute(
        select(checks).where(checks.c.digest == digest, is_whole(connection, checks))
    ).one_or_none()
    return None if row is None else Known(tells_apart=row.tells_apart, asked_at=row.asked_at)


def record(connection: Connection, digest: str, *, subject: str, tells_apart: bool, at: datetime) -> None:
    values = {"subject": subject, "tells_apart": tells_apart, "asked_at": at}
    connection.execute(
        upsert_into(connection, checks)
        .values(digest=digest, **values)
        .on_conflict_do_update(index_elements=[checks.c.digest], set_=values)
    )
