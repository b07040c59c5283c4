"""Notices that tell of an item: of its rotations and keys by one of their own, of findings in a digest."""

from typing import Final

from sqlalchemy import Connection, and_, false, or_, select

from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import digest_key
from worker.rows.notices import Notice, deliveries_of, notice_from_rows
from worker.rows.tables import findings, notices, pickups, rotations, tellings

_ROTATIONS: Final = 10
"""So many of its last rotations are asked after."""
_PICKUPS: Final = 10
_TELLINGS: Final = 20


def find_notices_of_item(connection: Connection, item_id: str, *, limit: int) -> list[Notice]:
    """The newest first."""
    keys = [f"rotation:{one}:" for one in _ids_of(connection, item_id)]
    keys += [f"claim:{one}" for one in _pickups_of(connection, item_id)]
    digests = _digests_of(connection, item_id)
    if not keys and not digests:
        return []
    of_its_own = and_(
        notices.c.kind != NoticeKind.DIGEST.value,
        or_(false(), *(notices.c.dedupe_key.startswith(key, autoescape=True) for key in keys)),
    )
    query = select(notices).where(or_(notices.c.dedupe_key.in_(digests), of_its_own))
    rows = connection.execute(query.order_by(notices.c.id.desc()).limit(limit)).all()
    tried = deliveries_of(connection, [row.id for row in rows])
    return [notice_from_rows(row, tried[row.id]) for row in rows]


def _ids_of(connection: Connection, item_id: str) -> list[str]:
    query = select(rotations.c.id).where(rotations.c.item_id == item_id)
    return list(connection.execute(query.order_by(rotations.c.id.desc()).limit(_ROTATIONS)).scalars())


def _pickups_of(connection: Connection, item_id: str) -> list[str]:
    query = select(pickups.c.id).where(pickups.c.item_id == item_id)
    return list(connection.execute(query.order_by(pickups.c.id.desc()).limit(_PICKUPS)).scalars())


def _digests_of(connection: Connection, item_id: str) -> list[str]:
    """By the key under which each was written."""
    rows = connection.execute(
        select(tellings.c.owner_id, tellings.c.night)
        .join(findings, findings.c.topic == tellings.c.topic)
        .where(findings.c.item_id == item_id, tellings.c.night.is_not(None))
        .distinct()
        .order_by(tellings.c.night.desc())
        .limit(_TELLINGS)
    )
    return [digest_key(row.owner_id, row.night) for row in rows]
