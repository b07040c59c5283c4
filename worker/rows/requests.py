"""What somebody asked for under a key of their own, so that it is begun once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select, update

from vaultcore.crypto.envelope import Sealed
from vaultcore.stored import check_row
from vaultcore.upserts import upsert_into
from worker.domain.clocks import SKEW
from worker.rows.tables import requests

ASKED_ONCE: Final = timedelta(days=1)
"""For how long the same key is the same request."""


@dataclass(frozen=True, kw_only=True)
class AskedBefore:
    """`answer` None: it is under way, or nobody knows what came of it."""

    digest: str
    asked_at: datetime
    answer: Sealed | None


def take(connection: Connection, actor: str, key: str, digest: str, *, at: datetime) -> AskedBefore | None:
    """None: the request is this caller's to do. Otherwise what was asked for under this key before."""
    taken = connection.execute(
        upsert_into(connection, requests)
        .values(actor=actor, key=key, digest=digest, asked_at=at)
        .on_conflict_do_nothing(index_elements=["actor", "key"])
        .returning(requests.c.key)
    ).first()
    if taken is not None:
        return None
    row = connection.execute(select(requests).where(_is(actor, key))).one()
    check_row(row, "a request that was made before")
    answer = None
    if row.record is not None:
        answer = Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)
    return AskedBefore(digest=row.digest, asked_at=row.asked_at, answer=answer)


def answer(connection: Connection, actor: str, key: str, sealed: Sealed) -> None:
    connection.execute(update(requests).where(_is(actor, key)).values(vars(sealed)))


def give_up(connection: Connection, actor: str, key: str) -> None:
    """It came to nothing: whoever asks again may."""
    connection.execute(delete(requests).where(_is(actor, key), requests.c.record.is_(None)))


def forget_old(connection: Connection, *, before: datetime, now: datetime) -> int:
    """Those asked before then, and those of a clock that was ahead: how many."""
    over = or_(requests.c.asked_at < before, requests.c.asked_at > now + SKEW)
    return connection.execute(delete(requests).where(over)).rowcount


def _is(actor: str, key: str) -> ColumnElement[bool]:
    return and_(requests.c.actor == actor, requests.c.key == key)
