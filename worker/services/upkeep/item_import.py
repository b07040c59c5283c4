"""Items come in from elsewhere, with their values or without, and nothing is rotated by that.

A page is one transaction, so that who is cut off does the rest the next time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.enrolment import EnrolledItem, Enrolment
from vaultcore.errors import NotFoundError
from vaultcore.model import UNCHANGED, Policy, Twin, Unchanged
from vaultcore.owners import Owners
from vaultcore.rules import check_expiry, show_duration
from vaultcore.secret import Secret
from vaultcore.twins import find_holders, likenesses_of
from vaultcore.versions import Versions
from worker.domain.incoming import (
    Arrival,
    IncomingItem,
    JudgedEntry,
    explain_difference,
    judge,
)
from worker.domain.policies import PolicyChange, change_policy
from worker.domain.proposals import Plan, find_expiry, propose
from worker.domain.sharing import explain_second_entry
from worker.rows import comparisons as comparison_rows
from worker.rows import pickups as pickup_rows

_PAGE = 200


class ItemImport:
    def __init__(
        self,
        *,
        database: Database,
        enrolment: Enrolment,
        versions: Versions,
        owners: Owners,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._enrolment = enrolment
        self._versions = versions
        self._owners = owners
        self._audit = audit
        self._clock = clock

    def find_strangers(self, entries: Sequence[IncomingItem]) -> set[str]:
        """The owners that the file names, and that there are not."""
        with self._database.read() as connection:
            return {name for entry in entries for name in entry.owners} - self._known_owners(
                connection, entries
            )

    def take_in(
        self,
        entries: Sequence[IncomingItem],
        *,
        owners: Sequence[str],
        expires_at: datetime | Unchanged | None = UNCHANGED,
        actor: str,
        dry_run: bool = False,
    ) -> Iterator[JudgedEntry]:
        """What becomes of each entry, told when its page is stored; `dry_run`: what would. Entries were sorted
        out before (`worker.domain.incoming`).

        What comes in has the mode `notify` and no rotator, so that no night rotates it. One without a value
        waits for it. `owners` answer for what the file names no owner of, and `expires_at` is the expiry of a
        value for which neither the file nor the value says one; not given, it is proposed.
        """
        with self._database.read() as connection:
            self._check_owners(connection, owners)
        if isinstance(expires_at, datetime):
            check_expiry(expires_at, name="what says none", now=self._clock())
        values: dict[bytes, Twin] = {}
        for start in range(0, len(entries), _PAGE):
            page = entries[start : start + _PAGE]
            if dry_run:
                with self._database.read() as connection:
                    judged = self._judge(connection, page, values, owners, expires_at)
            else:
                with self._database.write() as connection:
                    self._audit.take_turn(connection)
                    judged = self._judge(connection, page, values, owners, expires_at)
                    judged = self._store(connection, judged, actor)
            yield from judged

    def _judge(
        self,
        connection: Connection,
        page: Sequence[IncomingItem],
        values: dict[bytes, Twin],
        owners: Sequence[str],
        expires_at: datetime | Unchanged | None,
    ) -> list[JudgedEntry]:
        """`values`: by their likeness, those of the entries before."""
        known = self._enrolment.look_up(
            connection,
            names=[entry.name for entry in page],
            ids=[entry.item_id for entry in page if entry.item_id is not None],
        )
        judged = self._compare(connection, [judge(entry, known) for entry in page], values)
        known_owners = self._known_owners(connection, page)
        return [
            replace(one, plan=self._plan(one.entry, known_owners, owners, expires_at))
            if one.arrival is Arrival.NEW
            else one
            for one in judged
        ]

    def _compare(
        self, connection: Connection, judged: Sequence[JudgedEntry], values: dict[bytes, Twin]
    ) -> list[JudgedEntry]:
        """A value that another item holds is not stored a second time; one that differs from what is there
        under its name is told, and left alone.
        """
        likenesses = [self._likeness(one.entry.value) for one in judged]
        there = [one.item_id for one in judged if one.arrival is Arrival.THERE and one.item_id is not None]
        stored = likenesses_of(connection, there) if there else {}
        wanted = {one for one in likenesses if one is not None}
        holders = find_holders(connection, wanted) if wanted else {}
        found = []
        for one, likeness in zip(judged, likenesses, strict=True):
            if likeness is not None and one.arrival is Arrival.THERE:
                found.append(replace(one, why=one.why or explain_difference(one, stored, likeness)))
                continue
            twin = None
            if likeness is not None and one.arrival is Arrival.NEW:
                twin = holders.get(likeness) or values.get(likeness)
                values.setdefault(likeness, Twin(item_id="", item=one.entry.name, name=None))
            why = None if twin is None else explain_second_entry(twin, one.entry.name)
            found.append(one if why is None else replace(one, arrival=Arrival.LEFT_OUT, why=why))
        return found

    def _likeness(self, value: Secret | None) -> bytes | None:
        return None if value is None else self._versions.likeness(value)

    def _plan(
        self,
        entry: IncomingItem,
        known: set[str],
        owners: Sequence[str],
        expires_at: datetime | Unchanged | None,
    ) -> Plan:
        now = self._clock()
        policy = Policy()
        if entry.lifetime is not None:
            parts = {"lifetime": show_duration(entry.lifetime)}
            policy = change_policy(None, PolicyChange(parts=parts))
        sort = propose(entry.name, entry.hints, entry.value)
        when, source = find_expiry(
            entry.name,
            value=entry.value,
            given=entry.expires_at,
            lapses=entry.lapses,
            said=expires_at,
            policy=policy,
            sort=sort,
            now=now,
        )
        named = tuple(name for name in entry.owners if name in known)
        return Plan(
            policy=policy,
            owners=named or tuple(owners),
            expires_at=when,
            source=source,
            sort=sort,
            lapsed=when is not None and when <= now,
        )

    def _store(self, connection: Connection, judged: Sequence[JudgedEntry], actor: str) -> list[JudgedEntry]:
        coming = [(one, one.plan) for one in judged if one.plan is not None]
        named = {name for _, plan in coming for name in plan.owners}
        ids = {name: self._owners.get(connection, name).id for name in named}
        made = self._enrolment.add(
            connection,
            [
                EnrolledItem(
                    name=one.entry.name,
                    value=one.entry.value,
                    item_id=one.item_id,
                    created_at=one.entry.created_at,
                    expires_at=plan.expires_at,
                    owner_ids=frozenset(ids[name] for name in plan.owners),
                    policy=plan.policy,
                    labels=one.entry.labels,
                )
                for one, plan in coming
            ],
            actor=actor,
        )
        self._end_what_was_before(connection, [one.item_id for one, _ in coming if one.item_id is not None])
        by_name = {one.entry.name: item_id for (one, _), item_id in zip(coming, made, strict=True)}
        return [replace(one, item_id=by_name.get(one.entry.name, one.item_id)) for one in judged]

    def _end_what_was_before(self, connection: Connection, ids: Sequence[str]) -> None:
        """An item that was deleted may have had such an id. Whoever was to collect a key of that gets none of
        this one, and what a restore wanted to know of that is not asked of this one.
        """
        if ids:
            pickup_rows.end_all_of(connection, ids, at=self._clock())
            comparison_rows.forget(connection, *ids)

    def _known_owners(self, connection: Connection, entries: Sequence[IncomingItem]) -> set[str]:
        named = {name for entry in entries for name in entry.owners}
        return {name for name in named if self._is_owner(connection, name)}

    def _is_owner(self, connection: Connection, name: str) -> bool:
        if not name.isprintable():
            return False
        try:
            return self._owners.get(connection, name) is not None
        except NotFoundError:
            return False

    def _check_owners(self, connection: Connection, names: Sequence[str]) -> None:
        for name in names:
            self._owners.get(connection, name)
