"""Which checks were shown able to fail, as rows. It decides nothing and commits nothing."""

from datetime import datetime

from sqlalchemy import Connection, select

from vaultcore.damage import is_whole
from vaultcore.row_macs import MAC, is_ours
from vaultcore.upserts import upsert_into
from worker.domain.checks import Known
from worker.rows.tables import checks


def find(connection: Connection, digest: str) -> Known | None:
    """What is known of it; nothing of a row that is damaged, or that none of us wrote so: it is asked again."""
    row = connection.execute(
        select(checks).where(checks.c.digest == digest, is_whole(connection, checks))
    ).one_or_none()
    if row is None or not is_ours(connection, checks, row):
        return None
    return Known(tells_apart=row.tells_apart, asked_at=row.asked_at)


def record(connection: Connection, digest: str, *, subject: str, tells_apart: bool, at: datetime) -> None:
    values = {"subject": subject, "tells_apart": tells_apart, "asked_at": at}
    made = upsert_into(connection, checks).values(digest=digest, **values)
    connection.execute(
        made.on_conflict_do_update(index_elements=[checks.c.digest], set_=values | {MAC: made.excluded[MAC]})
    )
