"""Signs of life as rows: one for each process of a worker or of beat, ever since it began."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, select

from vaultcore.errors import UnreadableError
from vaultcore.stored import check_row
from vaultcore.upserts import upsert_into
from worker.domain.clocks import SKEW
from worker.domain.pulses import PulseKind
from worker.domain.signs import SignOfLife
from worker.rows.tables import signs_of_life


def save(connection: Connection, sign: SignOfLife) -> None:
    """Its row is as it says, also where it was forgotten meanwhile."""
    seen = {"started_at": sign.started_at, "seen_at": sign.seen_at}
    connection.execute(
        upsert_into(connection, signs_of_life)
        .values(
            id=sign.id,
            kind=sign.kind.value,
            host=sign.host,
            pid=sign.pid,
            every_seconds=round(sign.every.total_seconds()),
            **seen,
        )
        .on_conflict_do_update(index_elements=["id"], set_=seen)
    )


def list_signs(connection: Connection) -> list[SignOfLife]:
    """The latest first. A row that cannot be read is no sign of anybody."""
    ids = connection.execute(select(signs_of_life.c.id)).scalars().all()
    found = [sign for sign_id in ids if (sign := _read(connection, sign_id)) is not None]
    return sorted(found, key=lambda sign: sign.seen_at, reverse=True)


def _read(connection: Connection, sign_id: str) -> SignOfLife | None:
    try:
        row = connection.execute(select(signs_of_life).where(signs_of_life.c.id == sign_id)).one()
        check_row(row, f"the sign of life {sign_id}")
        return SignOfLife(
            id=row.id,
            kind=PulseKind(row.kind),
            host=row.host,
            pid=row.pid,
            started_at=row.started_at,
            seen_at=row.seen_at,
            every=timedelta(seconds=row.every_seconds),
        )
    except (ValueError, TypeError, OverflowError, UnreadableError):
        return None


def forget(connection: Connection, *, before: datetime, now: datetime) -> None:
    """Those last seen before then, and those seen in a future of `now`: who lives is written down again."""
    connection.execute(
        delete(signs_of_life).where(
            or_(signs_of_life.c.seen_at < before, signs_of_life.c.seen_at > now + SKEW),
        )
    )
