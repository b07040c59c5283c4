"""Somebody leaves: everything that they could read is replaced, item by item, however often interrupted."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from vaultcore.ids import new_id
from vaultcore.model import Item, Kind, Mode, PrincipalKind, Stage, Version
from vaultcore.owners import Owners
from vaultcore.vault import Vault
from vaultcore.versions import Purpose, Versions
from worker.domain.commands import quote_word, value_command
from worker.domain.notice_kinds import NoticeKind
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import is_moving
from worker.rows import addressees as addressee_rows
from worker.rows import departures as departure_rows
from worker.rows import rotation_outcomes as outcome_rows
from worker.rows import rotations as rotation_rows
from worker.rows.departures import LeftRow, StoredDeparture
from worker.services.notices.outbox import Outbox
from worker.services.notices.recipients import Recipients
from worker.services.rotation.opening import Opening
from worker.services.rotation.owner_changes import Handover, OwnerChanges
from worker.wording.reasons import say, say_all

_TOLD_MAX: Final = 50
"""Items that one notice names; others are counted."""

_KINDS: Final = ("user:", *(f"{kind}:" for kind in PrincipalKind))


class Fate(StrEnum):
    """How an item stands, of those that somebody could read."""

    REPLACED = "replaced"
    """What they could read opens nothing any more."""
    OVERLAPS = "overlaps"
    """Replaced; what they could read works until its consumers are proven."""
    UNDER_WAY = "under way"
    TO_DO = "to do"
    BY_HAND = "by hand"
    """Only its owner can replace it."""
    FAILED = "failed"
    REFUSED = "refused"
    """None of us wrote its row of the departure so: which item is meant nobody can say."""
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class LeftItem:
    position: int
    item: str
    item_id: str
    fate: Fate
    why: Reason


@dataclass(frozen=True, kw_only=True)
class Departure:
    id: str
    name: str
    emergency: bool
    began_at: datetime
    finished_at: datetime | None
    items: list[LeftItem]


class Offboarding:
    """Begins a departure once, and goes on with it as often as it is asked."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        owners: Owners,
        audit: AuditLog,
        opening: Opening,
        outbox: Outbox,
        recipients: Recipients,
        owner_changes: OwnerChanges,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._owners = owners
        self._audit = audit
        self._opening = opening
        self._outbox = outbox
        self._recipients = recipients
        self._owner_changes = owner_changes
        self._clock = clock

    def preview(self, name: str, *, to: str | None = None) -> list[Item]:
        """What the owner or login of that name could read: what they own, gave or collected, in the order in
        which it is replaced; `NotFoundError` for a name that nobody has, and whatever else `begin` refuses.
        """
        with self._database.read() as connection:
            readable = self._readable(connection, name)
            self._check(connection, name, to)
            return readable

    def begin(self, name: str, *, emergency: bool, to: str | None = None, actor: str) -> Departure:
        """Stores what is to be replaced; one that is under way for that name goes on.

        Their routes are taken away first: what is told of the new values, and what collects one, goes to their
        deputy or the operators. `to`: the owner who has all that is theirs from now on, and is their deputy.
        """
        now = self._clock()
        with self._database.write() as connection:
            found = departure_rows.find_open(connection, name)
            if found is not None:
                self._check(connection, name, to)
                if to is not None:
                    self._tell_taken(connection, found.id, name, self._hand_over(connection, name, to, actor))
                if emergency and not found.emergency:
                    departure_rows.set_emergency(connection, found.id)
                return self._read(connection, found.id)
            readable = self._readable(connection, name)
            self._check(connection, name, to)
            self._take_routes(connection, name, actor)
            taken = None if to is None else self._hand_over(connection, name, to, actor)
            departure_id = new_id("dpt", now)
            departure_rows.add(connection, departure_id, name=name, asked_by=actor, emergency=emergency, at=now)
            left = [(item.id, item.name, item.version or 0) for item in readable]
            departure_rows.add_items(connection, departure_id, left)
            self._tell(connection, departure_id, name, readable, taken)
            self._audit.append(
                connection,
                at=now,
                actor=actor,
                action="owner.leave",
                subject=departure_id,
                name=name,
                items=len(left),
            )
            return self._read(connection, departure_id)

    def open_next(
        self, departure: Departure, *, after: int, actor: str, in_freeze: bool = False
    ) -> tuple[LeftItem, Rotation] | None:
        """Opens (or takes up) the rotation of the first item after a position that is still to do.

        None: there is none. What cannot be opened is passed over, and says why when it is read again.
        """
        wanted = {Fate.TO_DO, Fate.FAILED, Fate.UNDER_WAY}
        if departure.emergency:
            wanted.add(Fate.OVERLAPS)
        with self._database.read() as connection:
            listed = self._read(connection, departure.id)
        for left in listed.items:
            if left.position <= after or left.fate not in wanted:
                continue
            try:
                if departure.emergency:
                    rotation = self._opening.request_emergency(left.item_id, asked_by=actor)
                else:
                    rotation = self._request(left, actor, in_freeze=in_freeze)
            except (RefusedError, NotFoundError):
                continue
            return left, rotation
        return None

    def read(self, departure_id: str) -> Departure:
        with self._database.read() as connection:
            return self._read(connection, departure_id)

    def finish(self, departure_id: str) -> Departure:
        """Ends it once nothing of it is left: what they could read opens nothing any more."""
        with self._database.write() as connection:
            departure = self._read(connection, departure_id)
            if all(left.fate in (Fate.REPLACED, Fate.GONE) for left in departure.items):
                departure_rows.finish(connection, departure_id, at=self._clock())
            return self._read(connection, departure_id)

    # Inside

    def _check(self, connection: Connection, name: str, to: str | None) -> None:
        """That whoever is named by the settings does not go unheard, and that `to` can have what is theirs."""
        is_owner = addressee_rows.find_owner_id(connection, name) is not None
        if to is not None and not is_owner:
            raise InvalidInputError(f"to: {name} is no owner, and nothing is theirs: leave it out")
        if not is_owner:
            return
        owner = self._owners.get(connection, name)
        if departure_rows.find_open(connection, name) is None:
            self._owner_changes.refuse_operators(owner)
        if to is not None:
            self._owner_changes.refuse_same(owner, self._owners.get(connection, to))

    def _take_routes(self, connection: Connection, name: str, actor: str) -> None:
        if addressee_rows.find_owner_id(connection, name) is None:
            return
        owner = self._owners.get(connection, name)
        for route in owner.routes:
            self._owners.remove_route(connection, owner, route.id, actor=actor)

    def _hand_over(self, connection: Connection, name: str, to: str, actor: str) -> Handover:
        owner, other = self._owners.get(connection, name), self._owners.get(connection, to)
        taken = self._owner_changes.hand_over(connection, owner, other, actor=actor)
        if owner.deputy != other.name:  # what is still told to them goes there
            self._owners.update(connection, name, deputy=other.name, actor=actor)
        return taken

    def _tell_taken(self, connection: Connection, departure_id: str, name: str, taken: Handover) -> None:
        if taken.items:
            self._tell(connection, departure_id, name, (), taken)

    def _tell(
        self,
        connection: Connection,
        departure_id: str,
        name: str,
        readable: Sequence[Item],
        taken: Handover | None,
    ) -> None:
        """One notice for whoever must hear: who has their items now, and who alone can replace what they knew;
        where that is who leaves, the operators.
        """
        by_hand: dict[str, list[dict[str, str]]] = {}
        for item in readable:
            if item.policy.mode is Mode.NOTIFY or item.version is None:
                command = value_command(item, self._clock())
                for owner_id in self._recipients.find_owners(connection, item.id, but=name):
                    by_hand.setdefault(owner_id, []).append({"item": item.name, "command": command})
        heir = None
        if taken is not None and taken.to is not None and (taken.items or taken.stood_in_for):
            heir = addressee_rows.find_owner_id(connection, taken.to)
        for owner_id in dict.fromkeys([*by_hand, *([heir] if heir else [])]):
            mine = owner_id == heir and taken is not None
            self._outbox.post(
                connection,
                owner_id,
                kind=NoticeKind.DEPARTURE,
                dedupe_key=f"departure:{departure_id}:{owner_id}{':taken' if not readable else ''}",
                data={
                    "name": name,
                    "taken": list(taken.items[:_TOLD_MAX]) if mine and taken is not None else [],
                    "taken_more": max(len(taken.items) - _TOLD_MAX, 0) if mine and taken is not None else 0,
                    "by_hand": by_hand.get(owner_id, [])[:_TOLD_MAX],
                    "by_hand_more": max(len(by_hand.get(owner_id, [])) - _TOLD_MAX, 0),
                    "leave": f"nightkey owner leave {quote_word(name)}",
                },
            )

    def _request(self, left: LeftItem, actor: str, *, in_freeze: bool) -> Rotation:
        """Where nothing here reads the item there is nobody to test with or wait for: what they know goes."""
        with self._database.read() as connection:
            item = self._vault.get(connection, left.item_id)
            unread = self._vault.is_unread(connection, item)
        frozen = None if in_freeze else self._opening.explain_freeze(item)
        if unread and frozen is None and item.policy.mode is not Mode.NOTIFY:
            return self._opening.request_emergency(left.item_id, asked_by=actor)
        try:
            return self._opening.request(left.item_id, asked_by=actor, in_freeze=in_freeze)
        except ConflictError:  # one is open already: it is followed
            with self._database.read() as connection:
                found = rotation_rows.find_open_rotation(connection, left.item_id)
            if found is None:
                raise
            return found

    def _readable(self, connection: Connection, name: str) -> list[Item]:
        """Items that rotate by themselves first, then those that people must replace; by name within each."""
        owner_id = addressee_rows.find_owner_id(connection, name)
        done = departure_rows.list_done_by(connection, _logins(name))
        if owner_id is None and not done:
            raise NotFoundError(f"no owner and no login {name[:60]!r}: `nightkey owner list` shows the owners")
        ids = {one.subject for one in done if _had_value_in_hand(one.action, one.details)}
        if owner_id is not None:
            ids |= addressee_rows.list_owned(connection, owner_id)
        found = []
        for item_id in ids:
            with suppress(NotFoundError):  # deleted since
                found.append(self._vault.get(connection, item_id))
        return sorted(found, key=lambda item: (item.policy.mode is Mode.NOTIFY, item.name))

    def _read(self, connection: Connection, departure_id: str) -> Departure:
        stored = departure_rows.get(connection, departure_id)
        listed = departure_rows.list_items(connection, departure_id)
        return Departure(
            id=stored.id,
            name=stored.name,
            emergency=stored.emergency,
            began_at=stored.began_at,
            finished_at=stored.finished_at,
            items=[self._stand(connection, stored, left) for left in listed],
        )

    def _stand(self, connection: Connection, departure: StoredDeparture, left: LeftRow) -> LeftItem:
        if left.edited is None:
            fate, why = self._fate(connection, departure, left)
        else:
            fate, why = Fate.REFUSED, Reason.of(Code.TAMPERED, text=left.edited)
        return LeftItem(position=left.position, item=left.item, item_id=left.item_id, fate=fate, why=why)

    def _fate(self, connection: Connection, departure: StoredDeparture, left: LeftRow) -> tuple[Fate, Reason]:
        try:
            item = self._vault.get(connection, left.item_id)
        except NotFoundError:
            return Fate.GONE, Reason.of(Code.DELETED)
        if item.version is None:
            return Fate.BY_HAND, Reason.of(Code.LEFT_AWAITS_VALUE)
        known = left.number or _first_known(item)
        kept = [
            version
            for version in self._versions.of_item(connection, item.id)
            if version.number <= known and version.stage is not Stage.DESTROYED
        ]
        if not kept:
            unread = self._vault.is_unread(connection, item)
            return Fate.REPLACED, Reason.of(Code.LEFT_REPLACED, version=item.version, unread=unread)
        rotation = rotation_rows.find_open_rotation(connection, item.id)
        if rotation is not None:
            return _fate_of_rotation(rotation, item, kept)
        if all(version.stage is Stage.PREVIOUS for version in kept):
            return Fate.OVERLAPS, Reason.of(Code.LEFT_OVERLAPS, version=item.version)
        return self._fate_of_rest(connection, departure, left, item)

    def _fate_of_rest(
        self, connection: Connection, departure: StoredDeparture, left: LeftRow, item: Item
    ) -> tuple[Fate, Reason]:
        """Of an item whose value they know, and that nobody replaces at the moment."""
        if not left.number:
            command = value_command(item, self._clock())
            if item.policy.mode is not Mode.NOTIFY:
                command = f"nightkey item rotate {quote_word(item.name)}"
            return Fate.BY_HAND, Reason.of(Code.LEFT_FIRST_VALUE, command=command)
        if item.policy.mode is Mode.NOTIFY:
            return Fate.BY_HAND, Reason.of(Code.LEFT_TO_OWNER)
        failed = outcome_rows.last_failure(connection, item.id, since=departure.began_at)
        if failed is not None:
            return Fate.FAILED, Reason.of(Code.LEFT_FAILED, why=failed.last_error, rotation=failed.id)
        return Fate.TO_DO, self._opening.explain_freeze(item) or Reason.of(Code.LEFT_TO_DO)


def _fate_of_rotation(rotation: Rotation, item: Item, kept: Sequence[Version]) -> tuple[Fate, Reason]:
    """Of an item that is being replaced: `kept` are the versions that they know and that are still there."""
    state = rotation.state.value
    if is_moving(rotation.state, rotation.waits_for, emergency=rotation.emergency):
        return Fate.UNDER_WAY, Reason.of(Code.LEFT_UNDER_WAY, rotation=rotation.id, state=state)
    waits = say_all(rotation.waits_for) or None
    if all(version.stage is Stage.PREVIOUS for version in kept):
        return Fate.OVERLAPS, Reason.of(Code.LEFT_OVERLAPS, version=item.version, waits=waits or state)
    fate = Fate.FAILED if rotation.last_error else Fate.UNDER_WAY
    waits = waits or say(rotation.last_error) or None
    return fate, Reason.of(Code.LEFT_WAITS, rotation=rotation.id, state=state, waits=waits)


def _logins(name: str) -> list[str]:
    """As whom the record may have them: by their login on this machine, or as they ask over HTTP."""
    return [name] if name.startswith(_KINDS) else [f"{kind}{name}" for kind in _KINDS]


def _first_known(item: Item) -> int:
    """Which versions they may know of an item that had no value here when they left: the first that was given
    may be what they had elsewhere. A key of ours was made here, so that nobody knew it.
    """
    return 0 if item.kind is Kind.API_KEY else 1


def _had_value_in_hand(action: str, details: Mapping[str, Any]) -> bool:
    """Whether who did this gave the value, was shown it, or collected it by a pickup."""
    return (
        action == "item.create"
        or (action == "item.import" and "version" in details)
        or (action == "item.update" and details.get("new_value") is True)
        or (action == "version.reveal" and details.get("purpose") in (Purpose.PICKUP.value, "claim"))
    )
