"""Versions of an item's value: staged, activated, revealed, destroyed.

Every method works in the caller's transaction. Values come in as `Secret`, are sealed before they
are bound to a statement, and come out in one place: `reveal`.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from vaultcore import rules
from vaultcore.audit import AuditLog
from vaultcore.crypto import apikeys
from vaultcore.crypto.envelope import Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import Keyring
from vaultcore.current_numbers import note_current_number
from vaultcore.errors import ConflictError, RefusedError, SealError, UnreadableError
from vaultcore.known_items import knows
from vaultcore.model import Stage, Version
from vaultcore.row_macs import check_mac
from vaultcore.rows import select_versions, version_from_row
from vaultcore.secret import Secret
from vaultcore.tables import items, versions
from vaultcore.unit_of_work import remember
from vaultcore.version_rows import (
    BESIDE,
    IS_KEY,
    WAS,
    change_version,
    insert_version,
    know_versions,
    learn_versions,
    missing_version,
    read_sealed,
    renew_item,
)

_VALUE_PURPOSE = "item-value"
_SEALED: Final = ("key_id", "wrapped_key", "record")


class Purpose(StrEnum):
    """Why a value is revealed. The audit log records it."""

    RUN = "run"
    TEST = "test"
    CHECK = "check"
    """Whether the other side still accepts it."""
    ROTATION = "rotation"
    PICKUP = "pickup"
    PUBLISH = "publish"
    """Its public half is shown to others."""


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
        return [known.version for known in know_versions(connection, item_id).values()]

    def learn(self, connection: Connection, item_ids: Collection[str]) -> None:
        """In a unit of work, those of these items are read together, before each is asked for."""
        learn_versions(connection, item_ids)

    def of_items(self, connection: Connection, item_ids: Collection[str]) -> dict[str, list[Version]]:
        """Of all of these at once, by item; of some hundred at most."""
        found: dict[str, list[Version]] = {one: [] for one in item_ids}
        rows = connection.execute(
            select_versions()
            .where(versions.c.item_id.in_(sorted(item_ids)))
            .order_by(versions.c.item_id, versions.c.number)
        )
        for row in rows:
            found[row.item_id].append(version_from_row(connection, row))
        return found

    def get(self, connection: Connection, item_id: str, number: int) -> Version:
        if knows(connection):
            known = know_versions(connection, item_id).get(number)
            if known is None:
                raise missing_version(item_id, number)
            return known.version
        row = connection.execute(
            select_versions().where(versions.c.item_id == item_id, versions.c.number == number)
        ).one_or_none()
        if row is None:
            raise missing_version(item_id, number)
        return version_from_row(connection, row)

    def current_of(
        self, connection: Connection, item_ids: Collection[str]
    ) -> dict[str, Version | UnreadableError]:
        """The current version of each of these items that has one; in the place of one that cannot be read, the
        error that says so.
        """
        rows = connection.execute(
            select_versions().where(versions.c.item_id.in_(item_ids), versions.c.stage == Stage.CURRENT.value)
        )
        found: dict[str, Version | UnreadableError] = {}
        for row in rows:
            try:
                found[row.item_id] = version_from_row(connection, row)
            except UnreadableError as error:
                found[row.item_id] = error
        return found

    def of_rotator(self, connection: Connection, name_or_id: str, *, rotator: str) -> list[Version]:
        """All versions of the item, if it rotates by that rotator: none otherwise, and none of what does not
        exist, by the same one query. `TamperedError` if none of us wrote the item so.
        """
        rows = connection.execute(
            select_versions()
            .add_columns(*(column.label(f"{BESIDE}{column.name}") for column in items.columns))
            .join(items, items.c.id == versions.c.item_id)
            .where(
                (items.c.name == name_or_id) | (items.c.id == name_or_id),
                items.c.policy["rotator"].as_string() == rotator,
            )
            .order_by(versions.c.number)
        ).all()
        for row in rows[:1]:
            check_mac(connection, items, row, f"item {name_or_id}", prefix=BESIDE)
        return [version_from_row(connection, row) for row in rows]

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

    def next_number(self, connection: Connection, item_id: str) -> int:
        return max((version.number for version in self.of_item(connection, item_id)), default=0) + 1

    def begin_pending(self, connection: Connection, item_id: str, *, actor: str) -> int:
        """Reserves the next version, still empty: the intent, stored before anybody is asked."""
        self._refuse_second_pending(connection, item_id)
        number = self.next_number(connection, item_id)
        self.insert(connection, item_id, number=number, stage=Stage.PENDING, now=self._clock())
        self._note(connection, actor, "version.begin", item_id, version=number)
        return number

    def add_pending(
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
        """The next version with its value, of what was made here: nobody was asked for it. It is audited as
        begun and filled, as any other, though it is both at once.
        """
        self._refuse_second_pending(connection, item_id)
        rules.check_value(value.expose(), name=item_id)
        row = _make_row(number, Stage.PENDING, self._clock())
        row |= self._fill(item_id, number, value, expires_at=expires_at, external=external, is_issued=True)
        insert_version(connection, item_id, row)
        for action in ("version.begin", "version.fill"):
            self._note(connection, actor, action, item_id, version=number)

    def _refuse_second_pending(self, connection: Connection, item_id: str) -> None:
        if any(version.stage is Stage.PENDING for version in self.of_item(connection, item_id)):
            raise ConflictError(f"item {item_id} has a pending version already")

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
        change_version(connection, item_id, number, {"expires_at": end})
        self._note(connection, actor, "version.end-nearer", item_id, version=number, expires_at=end.isoformat())

    def activate(self, connection: Connection, item_id: str, *, new: int, old: int, actor: str) -> None:
        """In one compare-and-swap: `old` was current and becomes previous, `new` becomes current."""
        record = self.swap(connection, item_id, new=new, old=old, new_was=Stage.PENDING)
        self._note(
            connection,
            actor,
            "version.activate",
            item_id,
            version=new,
            previous=old,
            record=None if record is None else self._keyring.fingerprint(record),
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
        gone: dict[str, Any] = dict.fromkeys((*_SEALED, "digest", "likeness"))
        gone |= {"stage": Stage.DESTROYED.value, "destroyed_at": self._clock()}
        change_version(connection, item_id, number, gone)
        self._note(connection, actor, "version.destroy", item_id, version=number, reason=reason)

    def reveal(
        self, connection: Connection, item_id: str, number: int, *, purpose: Purpose, actor: str
    ) -> Secret:
        """The one place that decrypts. Audited in the caller's transaction: commit, then use it.
        `TamperedError` if none of us wrote the version or its item so.

        A lapsed version opens for a rotation alone, which may have to revoke it.
        """
        return remember(
            connection,
            ("value", item_id, number, purpose, actor),
            (versions.name, items.name),
            lambda: self._reveal(connection, item_id, number, purpose=purpose, actor=actor),
        )

    def _reveal(
        self, connection: Connection, item_id: str, number: int, *, purpose: Purpose, actor: str
    ) -> Secret:
        name, row = read_sealed(connection, item_id, number)
        if row.key_id is None or row.wrapped_key is None or row.record is None:
            raise RefusedError(
                f"version {number} of {name} holds no value"
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
                f"{name} lapsed at {row.expires_at:%Y-%m-%d %H:%M} UTC and can no longer be used: replace it"
            )
        sealed = Sealed(key_id=row.key_id, wrapped_key=row.wrapped_key, record=row.record)
        value = self._open(sealed, item_id, number)
        if value is None:
            raise SealError(f"version {number} of {name}")
        if row.likeness is None and row.digest is None:  # from before there was one
            change_version(connection, item_id, number, {"likeness": self.likeness(value)})
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
        change_version(connection, item_id, number, dict.fromkeys(_SEALED), change=IS_KEY)
        self._note(connection, actor, "version.forget-value", item_id, version=number, reason=reason)

    # Shared with `Vault`, which makes an item's first version and takes an owner's new value

    def insert(self, connection: Connection, item_id: str, *, number: int, stage: Stage, now: datetime) -> None:
        insert_version(connection, item_id, _make_row(number, stage, now))

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
        stored = self._fill(
            item_id,
            number,
            value,
            expires_at=expires_at,
            external=external,
            keep_value=keep_value,
            is_issued=is_issued,
        )
        change_version(connection, item_id, number, stored)

    def _fill(
        self,
        item_id: str,
        number: int,
        value: Secret,
        *,
        expires_at: datetime | None,
        external: Mapping[str, Any] | None,
        keep_value: bool = True,
        is_issued: bool,
    ) -> dict[str, Any]:
        """The columns of `fill`."""
        stored: dict[str, Any] = {"expires_at": expires_at, "external": dict(external or {})}
        if is_issued:
            stored["issued_at"] = self._clock()
        return stored | self._seal(item_id, number, value, keep_value=keep_value)

    def insert_first(
        self,
        connection: Connection,
        given: Mapping[str, tuple[Secret, datetime | None]],
        *,
        now: datetime,
        keep_value: bool = True,
    ) -> None:
        """The first version of each of these items, by id, with its value and its expiry: current at once."""
        empty = dict.fromkeys((*_SEALED, "digest", "likeness"))
        rows = [
            {
                "item_id": item_id,
                **_make_row(1, Stage.CURRENT, now),
                "expires_at": expires_at,
                **empty,
                **self._seal(item_id, 1, value, keep_value=keep_value),
            }
            for item_id, (value, expires_at) in given.items()
        ]
        if rows:
            connection.execute(insert(versions), rows)

    def _seal(self, item_id: str, number: int, value: Secret, *, keep_value: bool) -> dict[str, Any]:
        """The columns that follow from a value."""
        stored: dict[str, Any] = {}
        if keep_value:
            stored |= vars(seal(value, key=self._keyring.active, binding=self._binding(item_id, number)))
        if apikeys.looks_real(value.expose()):
            stored["digest"] = apikeys.digest(value, self._keyring.pepper)
        else:
            stored["likeness"] = self.likeness(value)
        return stored

    def swap(self, connection: Connection, item_id: str, *, new: int, old: int, new_was: Stage) -> bytes | None:
        """The sealed record of the new one, whose digest in the audit log shows a row that was put back."""
        rules.check_move(Stage.CURRENT, Stage.PREVIOUS)
        rules.check_move(new_was, Stage.CURRENT)
        now = self._clock()
        for number, was, becomes, stamps in (
            (old, Stage.CURRENT, Stage.PREVIOUS, {"superseded_at": now}),
            (new, new_was, Stage.CURRENT, {"activated_at": now, "superseded_at": None}),
        ):
            moved = change_version(
                connection, item_id, number, {"stage": becomes.value, **stamps}, change=WAS[was]
            )
            if moved is None:
                raise ConflictError(f"version {number} of item {item_id} is not {was} any more: look again")
            became = moved
        note_current_number(connection, item_id, new)
        renew_item(connection, item_id, now=now, current=became)
        record: bytes | None = became.record
        return record

    def pending(self, connection: Connection, item_id: str) -> int | None:
        return connection.execute(
            select(versions.c.number).where(
                versions.c.item_id == item_id, versions.c.stage == Stage.PENDING.value
            )
        ).scalar_one_or_none()

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


def _make_row(number: int, stage: Stage, now: datetime) -> dict[str, Any]:
    """An empty version that begins now."""
    return {
        "number": number,
        "stage": stage.value,
        "created_at": now,
        "external": {},
        "activated_at": now if stage is Stage.CURRENT else None,
    }
