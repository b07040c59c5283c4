"""Places outside that asked not to be called for a while, as rows: by the digest of a place's name."""

from datetime import datetime
from functools import cache

from sqlalchemy import Connection, Select, bindparam, delete, select

from vaultcore.damage import is_whole_for
from vaultcore.upserts import upsert_into
from worker.rows.tables import held_places


def find_hold(connection: Connection, digest: str, *, after: datetime, not_beyond: datetime) -> datetime | None:
    """Until when the place is held, if that is after the one time and not beyond the other. A row that none of
    us wrote so holds nothing.
    """
    given = {"digest": digest, "after": after, "not_beyond": not_beyond}
    return connection.execute(_hold_of(connection.dialect.name), given).scalar_one_or_none()


@cache
def _hold_of(dialect: str) -> Select[datetime]:
    return select(held_places.c.until).where(
        held_places.c.place == bindparam("digest"),
        held_places.c.until > bindparam("after"),
        held_places.c.until <= bindparam("not_beyond"),
        is_whole_for(dialect, held_places),
    )


def hold(connection: Connection, digest: str, *, until: datetime, now: datetime) -> None:
    """By the place's last word. What is over is forgotten."""
    row = {"place": digest, "asked_at": now, "until": until}
    connection.execute(delete(held_places).where(held_places.c.until <= now))
    connection.execute(
        upsert_into(connection, held_places)
        .values(**row)
        .on_conflict_do_update(index_elements=[held_places.c.place], set_=row)
    )
