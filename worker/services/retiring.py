"""Versions that an owner replaced by hand: taken away once nobody needs them, like a rotation's."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, exists, select

from vaultcore.database import Database
from vaultcore.model import Stage
from vaultcore.tables import items, versions
from vaultcore.versions import Versions
from worker.consumers import consumers_of
from worker.domain.proof import Watch, watch
from worker.domain.saga import State
from worker.tables import rotations


class Retiring:
    """Destroys what is previous, out of its overlap, and held by no open rotation or reference."""

    def __init__(
        self,
        *,
        database: Database,
        versions: Versions,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._versions = versions
        self._clock = clock

    def retire_replaced(self, *, actor: str, page_size: int) -> int:
        """Goes through the candidates in pages, a transaction each. How many were destroyed."""
        destroyed, last = 0, ("", 0)
        while True:
            with self._database.write() as connection:
                page = connection.execute(_candidates(last, page_size)).all()
                for row in page:
                    now = self._clock()
                    ends = row.superseded_at + timedelta(seconds=row.overlap_seconds)
                    watched = watch(
                        Watch(number=row.current, ends=ends, opens=now, canary_id=None),
                        consumers_of(connection, row.item_id),
                        now=now,
                    )
                    if watched.state is State.RETIRING:
                        self._versions.destroy(
                            connection, row.item_id, row.number, actor=actor, reason="replaced"
                        )
                        destroyed += 1
            if len(page) < page_size:
                break
            last = (page[-1].item_id, page[-1].number)
        if destroyed:
            self._database.scrub()
        return destroyed


def _candidates(last: tuple[str, int], limit: int) -> Select[*tuple[Any, ...]]:
    current = versions.alias("current")
    busy = exists().where(rotations.c.item_id == versions.c.item_id, rotations.c.finished_at.is_(None))
    item_id, number = last
    return (
        select(
            versions.c.item_id,
            versions.c.number,
            versions.c.superseded_at,
            items.c.overlap_seconds,
            current.c.number.label("current"),
        )
        .join(items, items.c.id == versions.c.item_id)
        .join(
            current,
            and_(current.c.item_id == versions.c.item_id, current.c.stage == Stage.CURRENT.value),
        )
        .where(
            versions.c.stage == Stage.PREVIOUS.value,
            ~busy,
            (versions.c.item_id > item_id) | and_(versions.c.item_id == item_id, versions.c.number > number),
        )
        .order_by(versions.c.item_id, versions.c.number)
        .limit(limit)
    )
