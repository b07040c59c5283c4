"""Items come in as metadata: a page is one transaction, so that who is cut off does the rest the next time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.enrolling import Enrolling
from vaultcore.model import Policy, WaitingItem
from vaultcore.owners import Owners
from worker.domain.incoming import Arrival, IncomingItem, JudgedEntry, judge
from worker.rows import comparisons as comparison_rows
from worker.rows import pickups as pickup_rows

_PAGE = 500


class ItemImport:
    def __init__(
        self, *, database: Database, enrolling: Enrolling, owners: Owners, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._enrolling = enrolling
        self._owners = owners
        self._clock = clock

    def take_in(
        self, entries: Sequence[IncomingItem], *, owners: Sequence[str], actor: str, dry_run: bool = False
    ) -> Iterator[JudgedEntry]:
        """What becomes of each entry, told when its page is stored; `dry_run`: what would. Entries were sorted
        out before (`worker.domain.incoming`).

        What comes in has the policy of an item that nobody chose one for, and waits for its value.
        """
        with self._database.read() as connection:
            self._owner_ids(connection, owners)
        for start in range(0, len(entries), _PAGE):
            page = entries[start : start + _PAGE]
            if dry_run:
                with self._database.read() as connection:
                    judged = self._judge(connection, page)
            else:
                with self._database.write() as connection:
                    judged = self._store(connection, page, owners, actor)
            yield from judged

    def _judge(self, connection: Connection, page: Sequence[IncomingItem]) -> list[JudgedEntry]:
        known = self._enrolling.look_up(
            connection,
            names=[entry.name for entry in page],
            ids=[entry.item_id for entry in page if entry.item_id is not None],
        )
        return [judge(entry, known) for entry in page]

    def _store(
        self, connection: Connection, page: Sequence[IncomingItem], owners: Sequence[str], actor: str
    ) -> list[JudgedEntry]:
        owner_ids = self._owner_ids(connection, owners)
        judged = self._judge(connection, page)
        coming = [one for one in judged if one.arrival is Arrival.NEW]
        ids = self._enrolling.add(
            connection,
            [
                WaitingItem(
                    name=one.entry.name,
                    item_id=one.item_id,
                    created_at=one.entry.created_at,
                    expires_at=one.entry.expires_at,
                )
                for one in coming
            ],
            owner_ids=owner_ids,
            policy=Policy(),
            actor=actor,
        )
        self._end_what_was_before(connection, [one.item_id for one in coming if one.item_id is not None])
        made = {one.entry.place: item_id for one, item_id in zip(coming, ids, strict=True)}
        return [replace(one, item_id=made.get(one.entry.place, one.item_id)) for one in judged]

    def _end_what_was_before(self, connection: Connection, ids: Sequence[str]) -> None:
        """An item that was deleted may have had such an id. Whoever was to collect a key of that gets none of
        this one, and what a restore wanted to know of that is not asked of this one.
        """
        if ids:
            pickup_rows.end_all_of(connection, ids, at=self._clock())
            comparison_rows.forget(connection, *ids)

    def _owner_ids(self, connection: Connection, names: Sequence[str]) -> list[str]:
        return [self._owners.get(connection, name).id for name in names]
