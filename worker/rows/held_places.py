"""Places outside that asked not to be called for a while, as rows: by the digest of a place's name."""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from vaultcore.damage import is_whole
from vaultcore.upserts import upsert_into
from worker.rows.tables import held_places


def find_hold(connection: Connection, digest: str, *, after: datetime, not_beyond: datetime) -> datetime | None:
    """Until when the place is held, if that is after the one time and not beyond the other. A row that none of
    us wrote so holds nothing.
    """
    return connection.execute(
        select(held_places.c.until).where(
            held_places.c.place == digest,
            held_places.c.until > after,
            held_places.c.until <= not_beyond,
            is_whole(connection, held_places),
        )
    ).scalar_one_or_none()


def hold(connection: Connection, digest: str, *, until: datetime, now: datetime) -> None:
    """By the place's last word. What is over is forgotten."""
    row = {"place": digest, "asked_at": now, "until": until}
    connection.execute(delete(held_places).where(held_places.c.until <= now))
    connection.execute(
        upsert_into(connection, held_places)
        .values(**row)
        .on_conflict_do_update(index_elements=[held_places.c.place], set_=row)
    )
