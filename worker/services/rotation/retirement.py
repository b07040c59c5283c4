"""Versions that an owner replaced by hand: taken away once nobody needs them, like a rotation's."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, select

from vaultcore.database import Database
from vaultcore.errors import NightkeyError, RefusedError, UnreadableError
from vaultcore.model import Item, Mode, Stage
from vaultcore.paging import select_page, walk_pages
from vaultcore.stored import Unread, check_row, do_apart
from vaultcore.tables import items, versions
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.findings import Finding, find_unreadable
from worker.domain.proof import Overlap, judge
from worker.domain.saga import State
from worker.rotators.catalog import load_rotator
from worker.rows.consumers import consumers_of
from worker.rows.tables import rotations
from worker.services.rotation.comparison import Comparison
from worker.services.rotation.lost_uses import find_lost_uses
from worker.services.rotation.opening import Opening


class Retirement:
    """Takes away what is previous, out of its overlap, and held by no open rotation or reference."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        opening: Opening,
        versions: Versions,
        comparison: Comparison,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._opening = opening
        self._versions = versions
        self._comparison = comparison
        self._clock = clock

    def retire_replaced(self, *, actor: str, page_size: int) -> tuple[int, list[Finding]]:
        """Goes through the candidates in pages, a transaction each. How many nobody needs any more, and what
        cannot be read.

        What the other side had issued is revoked there first, by a rotation that has that step alone.
        """
        retired, unreadable = 0, list[Finding]()

        def retire_page(last: tuple[str, int] | None) -> Sequence[Row[*tuple[Any, ...]]]:
            nonlocal retired
            with self._database.write() as connection:
                keys = (versions.c.item_id, versions.c.number)
                page = connection.execute(select_page(_candidates(), keys, last, size=page_size)).all()
                for row in page:
                    done = do_apart(connection, row, lambda one: self._retire(connection, one, actor))
                    if isinstance(done, Unread):
                        unreadable.append(_find(done))
                    else:
                        retired += done
            return page

        for _ in walk_pages(retire_page, lambda row: (row.item_id, row.number), size=page_size):
            pass
        if retired:
            self._database.scrub()
        return retired, unreadable

    def _retire(self, connection: Connection, row: Row[*tuple[Any, ...]], actor: str) -> bool:
        check_row(row, f"version {row.number} of {row.name}")
        now = self._clock()
        ends = row.superseded_at + timedelta(seconds=row.overlap_seconds)
        if self._comparison.is_open(connection, row.item_id):
            return False
        try:
            item = self._vault.get(connection, row.item_id)
            unread = self._vault.is_unread(connection, item, active=False)
            overlap = Overlap(number=row.current, ends=ends, opens=now, canary_id=None, unread=unread)
            if judge(overlap, consumers_of(connection, row.item_id), now=now).state is not State.RETIRING:
                return False
            lost = find_lost_uses(connection, item)
            if lost:
                raise UnreadableError(f"what uses {item.name}", f"it is kept for {lost[0]}")
            if _is_outside(item):
                self._opening.open_retirement(connection, item, number=row.number, asked_by=actor)
                return True
        except RefusedError:  # another of its versions goes first
            return False
        self._versions.destroy(connection, row.item_id, row.number, actor=actor, reason="replaced")
        return True


def _find(unread: Unread[bool]) -> Finding:
    row = unread.row
    return find_unreadable(
        f"versions {row.item_id} {row.number}",
        unread.problem,
        item_id=row.item_id,
        item=str(row.name),
        what=f"version {row.number} of it",
    )


def _is_outside(item: Item) -> bool:
    """Whether the other side issues its values, and we may take them away there."""
    if item.policy.rotator is None or item.policy.mode is Mode.NOTIFY:
        return False
    try:
        return load_rotator(item.policy.rotator).issues
    except NightkeyError:  # it is not installed: the rotation will say so, and keep the version
        return True


def _candidates() -> Select[*tuple[Any, ...]]:
    current = versions.alias("current")
    busy = exists().where(rotations.c.item_id == versions.c.item_id, rotations.c.finished_at.is_(None))
    return (
        select(
            versions.c.item_id,
            versions.c.number,
            versions.c.superseded_at,
            items.c.name,
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
        )
    )
