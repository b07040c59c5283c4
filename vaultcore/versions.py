"""Versions of an item's value: staged, activated, revealed, destroyed.

Every method works in the caller's transaction. Values come in as `Secret`, are sealed before they
are bound to a statement, and come out in one place: `reveal`.
"""

import hmac
import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Text, cast, func, insert, or_, select, update

from vaultcore import rules
from vaultcore.audit import AuditLog
from vaultcore.crypto import apikeys
from vaultcore.crypto.envelope import Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import ConflictError, NotFoundError, RefusedError, SealError
from vaultcore.model import Stage, Version
from vaultcore.row_macs import MAC, check_mac, is_ours
from vaultcore.rows import (
    derived_columns,
    item_from_row,
    owners_of,
    select_items,
    select_versions,
    version_from_row,
)
from vaultcore.secret import Secret
from vaultcore.tables import items, versions

_VALUE_PURPOSE = "item-value"
_ITEM: Final = "item:"
"""Stands before the columns of an item that are read beside a version's."""
_USE_GRAIN = timedelta(minutes=1)
"""How often it is noted at most that a key is still presented."""

_SOUGHT_MAX = 20
"""Ids that one statement looks for by name; more of them are picked out of all that there are."""


class Purpose(StrEnum):
    """Why a value is revealed. The audit log records it."""

    RUN = "run"
    TEST = "test"
    ROTATION = "rotation"
    CLAIM = "claim"
    PUBLISH = "publish"
    """Its public half is shown to others."""


class Use(StrEnum):
    """What is noted of a key that a caller presents."""

    FIRST = "first"
    AGAIN = "again"
    """It is an older one, and still needed."""


class _Known(NamedTuple):
    """A version, as a key that is presented is held against it."""

    item_id: str
    number: int
    stage: str
    expires_at: datetime | None
    digest: bytes


class Judged(NamedTuple):
    """A version that a presented key was held against."""

    item_id: str
    number: int
    opens: bool


_NOBODYS: Final = _Known(item_id="", number=0, stage=Stage.DESTROYED.value, expires_at=None, digest=bytes(32))
"""Stands in where no version has a digest: it opens nothing."""
_NOBODYS_ROW: Final[Mapping[str, Any]] = {
    **dict.fromkeys(versions.columns.keys()),
    "item_id": f"vlt_{'0' * 26}",
    "number": 1,
    "stage": Stage.CURRENT.value,
    "external": {},
    "record": bytes(500),
    "digest": bytes(32),
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    MAC: bytes(32),
}
"""As large as a key's row, so that to check its keyed digest takes as long; it does not hold."""


class Versions:
    """The life of a value: `pending → current → previous → destroyed`."""

    def __init__(
        self,
        *,
        deployment_id: str,
        keyring: Keyring,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._deployment_id = deployment_id
        self._keyring = keyring
        self._audit = audit
        self._clock = clock

    def of_item(self, connection: Connection, item_id: str) -> list[Version]:
        rows = connection.execute(
            select_versions().where(versions.c.item_id == item_id).order_by(versions.c.number)
        )
        return [version_from_row(connection, row) for row in rows]

    def get(self, connection: Connection, item_id: str, number: int) -> Version:
        row = connection.execute(
            select_versions().where(versions.c.item_id == item_id, versions.c.number == number)
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"item {item_id} has no version {number}")
        return version_from_row(connection, row)

    def of_rotator(self, connection: Connection, name_or_id: str, *, rotator: str) -> list[Version]:
        """All versions of the item, if it rotates by that rotator: none otherwise, and none of what does not
        exist, by the same one query. `TamperedError` if none of us wrote the item so.
        """
        rows = connection.execute(
            select_versions()
            .add_columns(*(column.label(f"{_ITEM}{column.name}") for column in items.columns))
            .join(items, items.c.id == versions.c.item_id)
            .where(
                (items.c.name == name_or_id) | (items.c.id == name_or_id),
                items.c.policy["rotator"].as_string() == rotator,
            )
            .order_by(versions.c.number)
        ).all()
        for row in rows[:1]:
            check_mac(connection, items, row, f"item {name_or_id}", prefix=_ITEM)
        return [version_from_row(connection, row) for row in rows]

    def pick_in_use(
        self,
        connection: Connection,
        ids: Collection[str],
        *,
        beside: tuple[str, int] | None,
        counts: Callable[[str], bool] = lambda _: True,
    ) -> frozenset[str]:
        """Which of these the other side calls a version that is not destroyed, of any item that `counts` (it is
        given the item's id); without the one version that is `beside`: (item, number).

        One walk, in which the database itself looks into what is stored. A damaged row has no id that could be
        told: it is a finding by itself.
        """
        external = cast(versions.c.external, Text)
        written = [json.dumps(each)[1:-1] for each in ids]
        holds = [external.contains(each, autoescape=True) for each in written]
        rows = connection.execute(
            select(versions.c.item_id, versions.c.number, external).where(
                versions.c.stage != Stage.DESTROYED.value,
                or_(*holds) if len(holds) <= _SOUGHT_MAX else external.contains('"id"'),
            )
        )
        called = [(item_id, _read_id(text)) for item_id, number, text in rows if (item_id, number) != beside]
        wanted = frozenset(ids)
        return frozenset(each for item_id, each in called if each in wanted and counts(item_id))

    def working(self, connection: Connection, item_id: str) -> list[int]:
        """The versions that work now: the current one and those before it that are not retired, nor lapsed."""
        now = self._clock()
        return [
            version.number
            for version in self.of_item(connection, item_id)
            if version.stage in (Stage.CURRENT, Stage.PREVIOUS)
            and version.filled
            and (version.expires_at is None or version.expires_at > now)
        ]

    def begin_pending(self, connection: Connection, item_id: str, *, actor: str) -> int:
        """Reserves the next version, still empty: the intent, stored before anybody is asked."""
        now = self._clock()
        if self.pending(connection, item_id) is not None:
            raise ConflictError(f"item {item_id} has a pending version already")
        highest = connection.execute(
            select(func.max(versions.c.number)).where(versions.c.item_id == item_id)
        ).scalar_one()
        self.insert(connection, item_id, number=highest + 1, stage=Stage.PENDING, now=now)
        self._note(connection, actor, "version.begin", item_id, version=highest + 1)
        return int(highest) + 1

    def fill_pending(
        self,
        connection: Connection,
        item_id: str,
        number: int,
        value: Secret,
        *,
        expires_at: datetime | None,
        external: Mapping[str, Any],
        actor: str,
    ) -> None:
        """Seals the value into the pending version. Only once: it never changes afterwards."""
        version = self.get(connection, item_id, number)
        if version.stage is not Stage.PENDING or version.filled:
            raise ConflictError(f"version {number} of item {item_id} is not an empty pending one")
        rules.check_value(value.expose(), name=item_id)
        self.fill(connection, item_id, number, value, expires_at=expires_at, external=external, is_issued=True)
        self._note(connection, actor, "version.fill", item_id, version=number)

    def bring_end_nearer(
        self, connection: Connection, item_id: str, number: int, end: datetime, *, actor: str
    ) -> None:
        """What the other side says of a pending version's end: where it is the nearer one, it lapses then."""
        version = self.get(connection, item_id, number)
        if version.stage is not Stage.PENDING:
            raise ConflictError(f"version {number} of item {item_id} is not pending any more: look again")
        if version.expires_at is not None and version.expires_at <= end:
            return
        connection.execute(
            update(versions)
            .where(versions.c.item_id == item_id, versions.c.number == number)
            .values(expires_at=end)
        )
        self._note(connection, actor, "version.end-nearer", item_id, version=number, expires_at=end.isoformat())

    def activate(self, connection: Connection, item_id: str, *, new: int, old: int, actor: str) -> None:
        """In one compare-and-swap: `old` was current and becomes previous, `new` becomes current."""
        self.swap(connection, item_id, new=new, old=old, new_was=Stage.PENDING)
        self._note(
            connection,
            actor,
            "version.activate",
            item_id,
            version=new,
            previous=old,
            record=self._fingerprint(connection, item_id, new),
        )

    def reactivate(self, connection: Connection, item_id: str, *, good: int, bad: int, actor: str) -> None:
        """Back: `bad` was current and becomes previous, `good` becomes current again."""
        self.swap(connection, item_id, new=good, old=bad, new_was=Stage.PREVIOUS)
        self._note(connection, actor, "version.reactivate", item_id, version=good, previous=bad)

    def destroy(self, connection: Connection, item_id: str, number: int, *, actor: str, reason: str) -> None:
        """The data key and the record are gone; the row stays. Done already: nothing happens."""
        version = self.get(connection, item_id, number)
        if version.stage is Stage.DESTROYED:
            return
        if version.stage is Stage.CURRENT:
            raise RefusedError(f"version {number} of item {item_id} is current: it is never destroyed")
        rules.check_move(version.stage, Stage.DESTROYED)
        connection.execute(
            update(versions)
            .where(versions.c.item_id == item_id, versions.c.number == number)
            .values(
                stage=Stage.DESTROYED.value,
                destroyed_at=self._clock(),
                key_id=None,
                wrapped_key=None,
                record=None,
                digest=None,
                likeness=None,
            )
        )
        self._note(connection, actor, "version.destroy", item_id, version=number, reason=reason)

    def reveal(
        self, connection: Connection, item_id: str, number: int, *, purpose: Purpose, actor: str
    ) -> Secret:
        """The one place that decrypts. Audited in the caller's transaction: commit, then use it.
        `TamperedError` if none of us wrote the version or its item so.

        A lapsed version opens for a rotation alone, which may have to revoke it.
        """
        row = connection.execute(
            select(versions, items.c.name, *(column.label(f"{_ITEM}{column.name}") for column in items.columns))
            .join(items, items.c.id == versions.c.item_id)
            .where(versions.c.item_id == item_id, versions.c.number == number)
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"item {item_id} has no version {number}")
        check_mac(connection, versions, row, f"version {number} of item {row.name}")
        check_mac(connection, items, row, f"item {row.name}", prefix=_ITEM)
        if row.key_id is None or row.wrapped_key is None or row.record is None:
            raise RefusedError(
                f"version {number} of {row.name} holds no value"
                + (
                    ": it was destroyed"
                    if row.stage == Stage.DESTROYED.value
                    else ": a key that callers present to us is kept as a digest alone"
                    if row.digest is not None
                    else ""
                )
            )
        lapsed = row.expires_at is not None and row.expires_at <= self._clock()
        if lapsed and purpose in (Purpose.RUN, Purpose.TEST):
            raise RefusedError(
                f"{row.name} lapsed at {row.expires_at:%Y-%m-%d %H:%M} UTC and can no longer be used: "
                "replace it"
            )
        sealed = Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)
        value = self._open(sealed, item_id, number)
        if value is None:
            raise SealError(f"version {number} of {row.name}")
        if row.likeness is None and row.digest is None:  # from before there was one
            connection.execute(
                update(versions)
                .where(versions.c.item_id == item_id, versions.c.number == number)
                .values(likeness=self.likeness(value))
            )
        self._note(connection, actor, "version.reveal", item_id, version=number, purpose=purpose.value)
        return value

    def opens(self, row: Row[*tuple[Any, ...]]) -> bool:
        """Whether the record of that row opens, if it has one. What it holds goes nowhere."""
        if row.record is None and row.wrapped_key is None:
            return True
        try:
            sealed = Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)
            return self._open(sealed, row.item_id, row.number) is not None
        except (TypeError, ValueError, AttributeError):  # values that none of us wrote
            return False

    def likeness(self, value: Secret) -> bytes:
        """By which the same value in another item is told; blanks around it make it no other."""
        return self._keyring.likeness(value.expose().strip().encode())

    def _open(self, sealed: Sealed, item_id: str, number: int) -> Secret | None:
        try:
            return open_sealed(
                sealed, key=self._keyring.key(sealed.key_id), binding=self._binding(item_id, number)
            )
        except SealError:
            return None

    def keep_value(self, connection: Connection, item_id: str, number: int, value: Secret) -> None:
        """A key that was just generated is kept sealed beside its digest, until it has arrived."""
        sealed = seal(value, key=self._keyring.active, binding=self._binding(item_id, number))
        connection.execute(
            update(versions)
            .where(
                versions.c.item_id == item_id,
                versions.c.number == number,
                versions.c.digest == apikeys.digest(value, self._keyring.pepper),
            )
            .values(vars(sealed))
        )

    def forget_value(
        self, connection: Connection, item_id: str, number: int, *, actor: str, reason: str
    ) -> None:
        """A generated key has arrived: its value goes, its digest stays and goes on working."""
        connection.execute(
            update(versions)
            .where(
                versions.c.item_id == item_id,
                versions.c.number == number,
                versions.c.digest.is_not(None),
            )
            .values(key_id=None, wrapped_key=None, record=None)
        )
        self._note(connection, actor, "version.forget-value", item_id, version=number, reason=reason)

    def find_news(self, connection: Connection, item_id: str, number: int) -> Use | None:
        """What there is to note of a key that a caller has just presented; None: it is known to be in use."""
        row = connection.execute(
            select(versions.c.stage, versions.c.used_at, versions.c.last_used_at).where(
                versions.c.item_id == item_id, versions.c.number == number
            )
        ).one_or_none()
        if row is None:
            return None
        if row.used_at is None:
            return Use.FIRST
        told = row.last_used_at is not None and abs(self._clock() - row.last_used_at) < _USE_GRAIN
        return Use.AGAIN if row.stage == Stage.PREVIOUS.value and not told else None

    def note_use(self, connection: Connection, item_id: str, number: int) -> bool:
        """A caller presented this key, and it opened: whether it was the first time."""
        now = self._clock()
        here = (versions.c.item_id == item_id, versions.c.number == number)
        first = connection.execute(
            update(versions).where(*here, versions.c.used_at.is_(None)).values(used_at=now, last_used_at=now)
        ).rowcount
        if not first:
            connection.execute(update(versions).where(*here).values(last_used_at=now))
        return bool(first)

    def check_key(
        self,
        connection: Connection,
        key: Secret,
        *,
        stages: tuple[Stage, ...] = (Stage.CURRENT, Stage.PREVIOUS),
    ) -> tuple[str, int] | None:
        """Which item's key this is, by id, and which version; None if it opens nothing (any more)."""
        judged = self.judge_key(connection, key, stages=stages)
        return (judged.item_id, judged.number) if judged.opens else None

    def judge_key(
        self,
        connection: Connection,
        key: Secret,
        *,
        stages: tuple[Stage, ...] = (Stage.CURRENT, Stage.PREVIOUS),
    ) -> Judged:
        """By which version the key was judged, and whether it opens: only then is it that version's.

        In constant time, which means: what is presented is never itself compared with anything. Its HMAC
        under the keyring's pepper is, so that nobody outside can choose what an index or a comparison gets
        to see, and how far it agrees says nothing of a key. Each text, be it right, revoked, unknown,
        malformed or empty, takes one digest, one lookup and one comparison of 32 bytes, and is judged by all
        the rules before any of them decides. One of nobody's is held against the version whose digest comes
        next: a row is read, and its own digest checked, for each.
        """
        presented = apikeys.digest(key, self._keyring.pepper)
        row = connection.execute(select_versions().where(_next_from(presented))).one_or_none()
        known = (
            _NOBODYS
            if row is None
            else _Known(row.item_id, row.number, row.stage, row.expires_at, row.digest or _NOBODYS.digest)
        )
        judged = (
            is_ours(connection, versions, _NOBODYS_ROW if row is None else row),
            hmac.compare_digest(known.digest, presented),
            apikeys.looks_real(key.expose()),
            known.stage in {stage.value for stage in stages},
            _works_at(self._clock(), known.expires_at),
        )
        return Judged(known.item_id, known.number, all(judged))

    # Shared with `Vault`, which makes an item's first version and takes an owner's new value

    def insert(self, connection: Connection, item_id: str, *, number: int, stage: Stage, now: datetime) -> None:
        connection.execute(
            insert(versions).values(
                item_id=item_id,
                number=number,
                stage=stage.value,
                created_at=now,
                external={},
                activated_at=now if stage is Stage.CURRENT else None,
            )
        )

    def fill(
        self,
        connection: Connection,
        item_id: str,
        number: int,
        value: Secret,
        *,
        expires_at: datetime | None,
        external: Mapping[str, Any] | None = None,
        keep_value: bool = True,
        is_issued: bool = False,
    ) -> None:
        """Seals the value into its row. A key of ours gets its digest, and may keep that alone. `is_issued`: it
        was made just now, so that its life is known.
        """
        stored: dict[str, Any] = {"expires_at": expires_at, "external": dict(external or {})}
        if is_issued:
            stored["issued_at"] = self._clock()
        if keep_value:
            sealed = seal(value, key=self._keyring.active, binding=self._binding(item_id, number))
            stored |= vars(sealed)
        if apikeys.looks_real(value.expose()):
            stored["digest"] = apikeys.digest(value, self._keyring.pepper)
        else:
            stored["likeness"] = self.likeness(value)
        connection.execute(
            update(versions).where(versions.c.item_id == item_id, versions.c.number == number).values(stored)
        )

    def swap(self, connection: Connection, item_id: str, *, new: int, old: int, new_was: Stage) -> None:
        rules.check_move(Stage.CURRENT, Stage.PREVIOUS)
        rules.check_move(new_was, Stage.CURRENT)
        now = self._clock()
        for number, was, becomes, stamps in (
            (old, Stage.CURRENT, Stage.PREVIOUS, {"superseded_at": now}),
            (new, new_was, Stage.CURRENT, {"activated_at": now, "superseded_at": None}),
        ):
            moved = connection.execute(
                update(versions)
                .where(
                    versions.c.item_id == item_id,
                    versions.c.number == number,
                    versions.c.stage == was.value,
                    (versions.c.record.is_not(None)) | (versions.c.digest.is_not(None)),
                )
                .values(stage=becomes.value, **stamps)
            )
            if moved.rowcount != 1:
                raise ConflictError(f"version {number} of item {item_id} is not {was} any more: look again")
        row = connection.execute(select_items().where(items.c.id == item_id)).one()
        item = item_from_row(row, owners_of(connection, [item_id])[item_id])
        version = self.get(connection, item_id, new)
        connection.execute(
            update(items)
            .where(items.c.id == item_id)
            .values(
                updated_at=now,
                **derived_columns(
                    item.id,
                    item.name,
                    item.kind,
                    bool(item.owners),
                    item.policy,
                    version.expires_at,
                    issued_at=version.issued_at,
                ),
            )
        )

    def pending(self, connection: Connection, item_id: str) -> int | None:
        return connection.execute(
            select(versions.c.number).where(
                versions.c.item_id == item_id, versions.c.stage == Stage.PENDING.value
            )
        ).scalar_one_or_none()

    def _fingerprint(self, connection: Connection, item_id: str, number: int) -> str | None:
        """A keyed digest of the sealed record: putting back an old row would show."""
        record = connection.execute(
            select(versions.c.record).where(versions.c.item_id == item_id, versions.c.number == number)
        ).scalar_one()
        return None if record is None else self._keyring.fingerprint(record)

    def _binding(self, item_id: str, number: int) -> Binding:
        return Binding(
            deployment_id=self._deployment_id,
            subject_id=item_id,
            version=number,
            purpose=_VALUE_PURPOSE,
        )

    def _note(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        **details: str | int | bool | None,
    ) -> None:
        self._audit.append(connection, at=self._clock(), actor=actor, action=action, subject=subject, **details)


def _works_at(now: datetime, expires_at: object) -> bool:
    """A damaged row may hold no time at all: then no key works by it."""
    return expires_at is None or (isinstance(expires_at, datetime) and expires_at > now)


def _next_from(digest: bytes) -> ColumnElement[bool]:
    """The version with this digest, or else with the one that comes next; after the last comes the first."""
    least = (
        select(versions.c.digest).order_by(versions.c.digest).limit(1)
    )  # PostgreSQL before 18 has no min of bytes
    return versions.c.digest == func.coalesce(
        least.where(versions.c.digest >= digest).scalar_subquery(),
        least.where(versions.c.digest.is_not(None)).scalar_subquery(),
    )


def _read_id(external: object) -> str | None:
    try:
        found = json.loads(str(external)).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return None if found is None else str(found)
