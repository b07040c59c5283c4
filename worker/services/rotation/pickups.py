"""Pickups: who may collects a key that was generated while nobody looked, and the answer may be lost.

The key is kept sealed until it has arrived for sure. Who began to collect it is written down before they see
it; that it arrived, after it was written; and until its first use, or for an hour, it may be repeated.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.ids import new_id
from vaultcore.paging import walk_pages
from vaultcore.secret import Secret
from vaultcore.vault import Created
from vaultcore.versions import Purpose, Versions
from worker.domain.commands import quote_word
from worker.domain.notices import PICKUP_COMMAND
from worker.domain.pickups import REPEATS_FOR, Pickup, Refusal, judge_pickup
from worker.domain.saga import WATCHED
from worker.rows import pickups as pickup_rows
from worker.rows import rotations as rotation_rows
from worker.services.notices.outbox import Outbox
from worker.services.notices.pickup_token import pickup_token

_UNKNOWN = "no key waits for that token: it was taken back after its time, or mistyped"
_GONE = {
    Refusal.USED: "its use has shown that it arrived",
    Refusal.STORED: "it is kept here no longer",
}
_PAGE = 200


@dataclass(frozen=True, kw_only=True)
class Collected:
    """A key on its way to who collects it."""

    pickup_id: str
    item_id: str
    item: str
    version: int
    key: Secret


class Pickups:
    """Opens a pickup with the version it is for, and honours its token for one person."""

    def __init__(
        self,
        *,
        database: Database,
        versions: Versions,
        audit: AuditLog,
        keyring: Keyring,
        outbox: Outbox,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._versions = versions
        self._audit = audit
        self._keyring = keyring
        self._outbox = outbox
        self._clock = clock

    def open(
        self,
        connection: Connection,
        *,
        item_id: str,
        number: int,
        rotation_id: str | None,
        expires_at: datetime | None,
        taken_by: str | None = None,
    ) -> str:
        """`expires_at` None: it waits for ever, since there is no key before it that goes on working.

        `taken_by`: who is about to be shown the key, and collects it alone.
        """
        now = self._clock()
        pickup_id = new_id("clm", now)
        pickup_rows.add(
            connection,
            pickup_id,
            item_id=item_id,
            number=number,
            rotation_id=rotation_id,
            created_at=now,
            expires_at=expires_at,
            taken_by=taken_by,
            taken_at=None if taken_by is None else now,
        )
        return pickup_id

    def keep_first(self, connection: Connection, created: Created, *, actor: str) -> Collected | None:
        """The key of an item that is being created, for its creator to be shown; None: it has none.

        It is sealed in the same transaction, so that the item never stands with a key that nobody has.
        """
        if created.key is None or created.item.version is None:
            return None
        item, number = created.item, created.item.version
        self._versions.keep_value(connection, item.id, number, created.key)
        pickup_id = self.open(
            connection, item_id=item.id, number=number, rotation_id=None, expires_at=None, taken_by=actor
        )
        return Collected(pickup_id=pickup_id, item_id=item.id, item=item.name, version=number, key=created.key)

    def check_first(self, connection: Connection, name: str, *, actor: str) -> None:
        """Before an item is created: `RefusedError` with the way to its key, where this person did so already
        and the key may have been lost on its way.
        """
        found = pickup_rows.of_first_key(connection, name)
        if found is not None and judge_pickup(found, actor=actor, now=self._clock()) is None:
            raise RefusedError(
                f"you created {name} already: `{PICKUP_COMMAND}` shows its key again, "
                f"with the token {self.token(found.id)}"
            )

    def repeat_first(self, name: str, *, actor: str) -> Collected | None:
        """An item's first key once more, for who was shown it and has not said that they stored it; None: there
        is none for them.
        """
        with self._database.read() as connection:
            found = pickup_rows.of_first_key(connection, name)
        if found is None or found.taken_by != actor or judge_pickup(found, actor=actor, now=self._clock()):
            return None
        return self.collect(self.token(found.id), actor=actor, show=lambda _: None)

    def find_item(self, token: str) -> str:
        """The id of the item whose key the token is for; `RefusedError` for a token that none of us made."""
        with self._database.read() as connection:
            pickup = pickup_rows.find(connection, self._read(token))
        if pickup is None:
            raise RefusedError(_UNKNOWN)
        return pickup.item_id

    def collect(self, token: str, *, actor: str, show: Callable[[Collected], None]) -> Collected:
        """Shows the key to this person, the first time or again; see `deliver`. Each time is audited.

        `RefusedError` for everybody else, and once it was used or is kept no longer: by whom it was collected,
        when, and what to do.
        """
        pickup_id = self._read(token)
        refusal = ""
        with self._database.write() as connection:
            pickup = pickup_rows.find(connection, pickup_id)
            if pickup is None:
                raise RefusedError(_UNKNOWN)
            why = judge_pickup(pickup, actor=actor, now=self._clock())
            if why is None and not pickup_rows.take(connection, pickup_id, by=actor, at=self._clock()):
                why = Refusal.OTHERS
                pickup = pickup_rows.find(connection, pickup_id) or pickup
            if why is not None:
                refusal = self._explain(connection, pickup, why)
                self._note(connection, "pickup.refuse", actor, pickup, why=why.value)
            else:
                key = self._versions.reveal(
                    connection, pickup.item_id, pickup.number, purpose=Purpose.PICKUP, actor=actor
                )
        if refusal:
            raise RefusedError(refusal)
        collected = Collected(
            pickup_id=pickup_id,
            item_id=pickup.item_id,
            item=pickup.item or pickup.item_id,
            version=pickup.number,
            key=key,
        )
        self.deliver(collected, actor=actor, show=show)
        return collected

    def deliver(self, collected: Collected, *, actor: str, show: Callable[[Collected], None]) -> None:
        """Shows a key that is kept for this person, and notes that it arrived only then.

        What `show` raises, or a process that dies meanwhile, leaves it as it was: still to be collected.
        """
        show(collected)
        now = self._clock()
        with self._database.write() as connection:
            rotation_rows.wake_watching(connection, [collected.item_id], now)  # rotations before the audit head
            arrived = pickup_rows.arrive(connection, collected.pickup_id, at=now)
            pickup = pickup_rows.find(connection, collected.pickup_id)
            if arrived and pickup is not None:
                self._outbox.withdraw(connection, pickup.id)
                self._note(connection, "pickup.arrive", actor, pickup)
        if pickup is None or pickup.arrived_at is None:
            raise RefusedError(
                f"the key of {collected.item} was taken back at the same moment: it opens nothing"
            )

    def end_stored(self, pickup_id: str, *, actor: str) -> str:
        """Whoever was shown the key has stored it: it arrived, and is kept here no longer. The id of its item.

        Said again, it changes nothing. `RefusedError` for everybody else, and where it was not shown yet.
        """
        now = self._clock()
        with self._database.write() as connection:
            pickup = pickup_rows.find(connection, pickup_id)
            if pickup is None or pickup.taken_by != actor or not pickup.is_key:
                raise RefusedError(_UNKNOWN)
            if pickup.ended_at is not None:
                return pickup.item_id
            rotation_rows.wake_watching(connection, [pickup.item_id], now)  # rotations before the audit head
            pickup_rows.end_used(connection, pickup.item_id, pickup.number, at=now)
            self._outbox.withdraw(connection, pickup.id)
            self._note(connection, "pickup.store", actor, pickup)
            self._versions.forget_value(
                connection, pickup.item_id, pickup.number, actor=actor, reason="its collector has stored it"
            )
        self._database.scrub()
        return pickup.item_id

    def end_used(self, connection: Connection, item_id: str, number: int, *, actor: str) -> bool:
        """A caller presented the key, so somebody has it. Whether a value went: then scrub."""
        ended = pickup_rows.end_used(connection, item_id, number, at=self._clock())
        for pickup_id in ended:
            self._outbox.withdraw(connection, pickup_id)
        if ended:
            self._versions.forget_value(connection, item_id, number, actor=actor, reason="it was used")
        return bool(ended)

    def end_arrived(self, *, actor: str) -> int:
        """Keys that arrived an hour ago are kept as their digest alone from now on. How many."""
        total, arrived_by = 0, self._clock() - REPEATS_FOR
        with self._database.read() as connection:
            if not pickup_rows.is_kept_since(connection, arrived_by):
                return 0

        def end_page(last: tuple[str] | None) -> Sequence[tuple[str]]:
            nonlocal total
            with self._database.write() as connection:
                page = pickup_rows.find_arrived(
                    connection, arrived_by=arrived_by, after=last[0] if last else "", limit=_PAGE
                )
                ended = pickup_rows.end_arrived(connection, page, at=self._clock())
                for one in ended:
                    self._versions.forget_value(
                        connection, one.item_id, one.number, actor=actor, reason="it arrived an hour ago"
                    )
            total += len(ended)
            return page

        for _ in walk_pages(end_page, lambda pickup: pickup, size=_PAGE):
            pass
        if total:
            self._database.scrub()
        return total

    def wait_on(self, connection: Connection, rotation_id: str) -> None:
        """The key from before goes: the rotation's own, if nobody has collected it yet, waits for ever."""
        pickup_rows.wait_on(connection, rotation_id)

    def withdraw(self, connection: Connection, rotation_id: str) -> None:
        """The rotation was taken back: its key is not there to be collected any more."""
        for pickup_id in pickup_rows.take_back(connection, rotation_id, at=self._clock()):
            self._outbox.withdraw(connection, pickup_id)

    def token(self, pickup_id: str) -> str:
        return pickup_token(self._keyring, pickup_id)

    # Inside

    def _read(self, token: str) -> str:
        """The id of the pickup that the token is for; what is not text at all is no token either."""
        given = token.strip()
        pickup_id, _, _ = given.rpartition("_")
        if not given.isascii() or not hmac.compare_digest(self.token(pickup_id).encode(), given.encode()):
            raise RefusedError(_UNKNOWN)
        return pickup_id

    def _explain(self, connection: Connection, pickup: Pickup, why: Refusal) -> str:
        """In one line: what became of the key, and what to type."""
        if why is Refusal.GONE or pickup.item is None:
            return _UNKNOWN
        if why is Refusal.NO_KEY:
            return (
                f"the pickup {pickup.id} names version {pickup.number} of {pickup.item}, which is no key that "
                "callers present to us: its row was changed behind the vault's back, and nothing is shown"
            )
        when = pickup.taken_at or pickup.created_at
        collected = f"the key of {pickup.item} was collected already, at {when:%Y-%m-%d %H:%M} UTC"
        rotate = f"nightkey item rotate {quote_word(pickup.item)}"
        if why is Refusal.OTHERS:
            by = f" by {pickup.taken_by}" if pickup.taken_by else ""
            return f"{collected}{by}: if that should not have been, `{rotate} --compromised` replaces it"
        gone = _GONE.get(why, "it was kept for an hour after it")
        again = f"`{rotate}` makes another"
        rotation = rotation_rows.find_open_rotation(connection, pickup.item_id)
        if rotation is not None and rotation.id == pickup.rotation_id and rotation.state in WATCHED:
            again = f"`nightkey rotation rollback {rotation.id}` takes it back, then {again}"
        return f"{collected} by you, and {gone}: if it is lost, {again}"

    def _note(self, connection: Connection, action: str, actor: str, pickup: Pickup, **details: str) -> None:
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action=action,
            subject=pickup.id,
            item=pickup.item_id,
            version=pickup.number,
            **details,
        )
