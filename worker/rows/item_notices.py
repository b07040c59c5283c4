"""Notices that tell of an item: of its rotations and keys by one of their own, of findings in a digest."""

from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from vaultcore.paging import without_index
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import digest_key
from worker.rows.notices import Notice, deliveries_of, notice_from_rows
from worker.rows.tables import findings, notices, pickups, rotations, tellings

_ROTATIONS: Final = 10
"""So many of its last rotations are asked after."""
_PICKUPS: Final = 10
_TELLINGS: Final = 20
_LAST: Final = "\U0010ffff"


def find_notices_of_item(connection: Connection, item_id: str, *, limit: int) -> list[Notice]:
    """The newest first."""
    keys = [f"rotation:{one}:" for one in _ids_of(connection, item_id)]
    keys += [f"claim:{one}" for one in _pickups_of(connection, item_id)]
    digests = _digests_of(connection, item_id)
    if not keys and not digests:
        return []
    is_own = notices.c.kind != NoticeKind.DIGEST.value
    of_its_own = [and_(is_own, _begins(connection, key)) for key in keys]
    query = select(notices).where(or_(notices.c.dedupe_key.in_(digests), *of_its_own))
    its_id: ColumnElement[str] = notices.c.id
    if connection.dialect.name == "sqlite":  # which may go back through all that there are
        its_id = without_index(its_id)
    rows = connection.execute(query.order_by(its_id.desc()).limit(limit)).all()
    tried = deliveries_of(connection, [row.id for row in rows])
    return [notice_from_rows(row, tried[row.id]) for row in rows]


def _begins(connection: Connection, key: str) -> ColumnElement[bool]:
    """Whether the notice was written under a key that begins so. SQLite has no index for a pattern, and sorts
    by characters: there these are what lies between that beginning and the next.
    """
    its = notices.c.dedupe_key
    if connection.dialect.name == "sqlite":
        return and_(its >= key, its < f"{key}{_LAST}")
    return its.startswith(key, autoescape=True)


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
