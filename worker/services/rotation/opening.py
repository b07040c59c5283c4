"""Rotations are opened here: by the night, by hand, and in an emergency."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import NotFoundError, RefusedError
from vaultcore.ids import new_id
from vaultcore.model import Item, Mode
from vaultcore.vault import Vault
from worker.domain.approvals import digest_request
from worker.domain.commands import explain_waiting, quote_word, replace_command
from worker.domain.consumption import unread_rotation
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import BEFORE_ACTIVATION, NOT_BEGUN, WATCHED, State
from worker.domain.windows import Window, open_until, parse_window
from worker.rotators.catalog import find_target
from worker.rows import rotation_changes as change_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotations as rotation_rows
from worker.services.rotation.comparison import Comparison
from worker.services.rotation.notices import RotationNotices
from worker.services.upkeep.anchors import Anchors
from worker.wording.reasons import say

_APPROVAL = Reason.of(Code.APPROVAL)


class Opening:
    """Opens rotations; at most one is open for an item, by a constraint."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        rotation_notices: RotationNotices,
        anchors: Anchors,
        comparison: Comparison,
        freezes: Sequence[Window],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._rotation_notices = rotation_notices
        self._anchors = anchors
        self._comparison = comparison
        self._freezes = tuple(freezes)
        self._clock = clock

    def open(
        self,
        connection: Connection,
        item: Item,
        *,
        state: State = State.PLANNED,
        reason: Reason,
        asked_by: str,
        night: datetime | None = None,
        begins_at: datetime | None = None,
        emergency: bool = False,
    ) -> Rotation:
        """Opens a rotation in the caller's transaction; `ConflictError` if one is open. Refused where nothing
        here could read the new value, unless the old one must go in an emergency.

        `requested` waits for approval and expires; what a night opens keeps to windows and freezes.
        """
        rotator, old_number = self._check_open(connection, item, emergency=emergency)
        now = self._clock()
        requested = state is State.REQUESTED
        rotation = Rotation(
            id=new_id("rot", now),
            item_id=item.id,
            item=item.name,
            rotator=rotator,
            target=find_target(item.policy),
            state=state,
            reason=reason,
            asked_by=asked_by,
            request_digest=digest_request(item) if requested else None,
            emergency=emergency,
            gated=night is not None,
            night=night,
            old_number=old_number,
            waits_for=[_APPROVAL] if requested else [],
            next_at=now + item.policy.approval if requested else begins_at or now,
            created_at=now,
        )
        change_rows.insert_rotation(connection, rotation)
        self._note(connection, rotation, "rotation.open", asked_by, reason=say(reason), emergency=emergency)
        if requested:
            self._rotation_notices.ask_approval(connection, rotation, expires_at=rotation.next_at or now)
        return rotation

    def _check_open(self, connection: Connection, item: Item, *, emergency: bool) -> tuple[str, int]:
        """Whether one may be opened; its rotator, and the version that it replaces."""
        if item.version is None:
            raise RefusedError(explain_waiting(item, self._clock()))
        if item.policy.rotator is None:
            raise RefusedError(
                f"{item.name} has no rotator: only its owner can replace it, with "
                f"`{replace_command(item.name, item.policy.lifetime)}`"
            )
        if not emergency and self._vault.is_unread(connection, item):
            raise RefusedError(say(unread_rotation(item.name)))
        self._comparison.refuse_differing(connection, item)
        return item.policy.rotator, item.version

    def open_retirement(self, connection: Connection, item: Item, *, number: int, asked_by: str) -> None:
        """A rotation that has only its last step left: its owner has replaced the value, everybody has moved,
        and what the version from before opens is taken away outside.
        """
        self._comparison.refuse_differing(connection, item)
        now = self._clock()
        rotation = Rotation(
            id=new_id("rot", now),
            item_id=item.id,
            item=item.name,
            rotator=item.policy.rotator or "",
            target=find_target(item.policy),
            state=State.RETIRING,
            reason=Reason.of(Code.BY_OWNER),
            asked_by=asked_by,
            old_number=number,
            new_number=item.version,
            next_at=now,
            created_at=now,
        )
        change_rows.insert_rotation(connection, rotation)
        self._note(connection, rotation, "rotation.open", asked_by, reason=say(rotation.reason))

    def request(self, name: str, *, asked_by: str, in_freeze: bool = False) -> Rotation:
        """A rotation by hand, now: windows do not hold for it, a freeze does unless `in_freeze`.

        Where four eyes are asked for it waits for somebody else's approval. What the night has planned
        for the item begins now. Mode `notify` is never touched.
        """
        self._anchors.refuse_older()
        with self._database.write() as connection:
            item = self._vault.get(connection, name)
            found = self._check_request(connection, item, in_freeze=in_freeze)
            if found is not None and found.state in (State.SCHEDULED, State.QUEUED):
                return self._begin_now(connection, found, item, asked_by=asked_by)
            return self.open(
                connection,
                item,
                state=State.REQUESTED if item.policy.four_eyes else State.PLANNED,
                reason=Reason.of(Code.BY_HAND),
                asked_by=asked_by,
            )

    def check_request(self, name: str, *, in_freeze: bool = False) -> None:
        """`RefusedError` where `request` would be refused now; nothing is opened."""
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            found = self._check_request(connection, item, in_freeze=in_freeze)
            if found is None:
                self._check_open(connection, item, emergency=False)
        if found is not None and found.state not in (State.SCHEDULED, State.QUEUED):
            raise RefusedError(f"{item.name} is being rotated already: `nightkey rotation show {found.id}`")

    def _check_request(self, connection: Connection, item: Item, *, in_freeze: bool = False) -> Rotation | None:
        """Whether it may be asked for; the open rotation, if there is one."""
        self._check_replaceable(connection, item)
        if self._vault.is_unread(connection, item):
            raise RefusedError(say(unread_rotation(item.name)))
        frozen = None if in_freeze else self.explain_freeze(item)
        if frozen is not None:
            raise RefusedError(say(frozen))
        found = rotation_rows.find_open_rotation(connection, item.id)
        if found is not None and found.state is State.REQUESTED:
            raise RefusedError(
                f"{item.name} waits for an approval already: `nightkey rotation approve {found.id}`"
            )
        return found

    def request_emergency(self, name: str, *, asked_by: str) -> Rotation:
        """A rotation in an emergency: no consumer is tested, nothing overlaps, windows and freezes do not hold.

        One that is open becomes an emergency: before its activation it replaces the value, after it the old
        one is taken away. `RefusedError` where one goes back or is stuck.
        """
        self._anchors.refuse_older()
        with self._database.write() as connection:
            item = self._vault.get(connection, name)
            found = self._check_emergency(connection, item)
            if found is None:
                return self.open(
                    connection,
                    item,
                    state=State.REQUESTED if item.policy.four_eyes else State.PLANNED,
                    reason=Reason.of(Code.COMPROMISED),
                    asked_by=asked_by,
                    emergency=True,
                )
            if found.state in NOT_BEGUN:
                return self._begin_now(connection, found, item, asked_by=asked_by, emergency=True)
            taken = lease_rows.take_as_seen(connection, found, now=self._clock())
            change_rows.change_rotation(
                connection,
                taken,
                replace(taken, emergency=True, gated=False, next_at=self._clock(), waits_for=[]),
            )
            self._note(connection, found, "rotation.emergency", asked_by)
            return rotation_rows.get_rotation(connection, found.id)

    def check_emergency(self, name: str) -> None:
        """`RefusedError` where `request_emergency` would be refused now; nothing is opened."""
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            if self._check_emergency(connection, item) is None:
                self._check_open(connection, item, emergency=True)

    def _check_emergency(self, connection: Connection, item: Item) -> Rotation | None:
        """Whether it may be asked for; the open rotation, if there is one."""
        self._check_replaceable(connection, item)
        found = rotation_rows.find_open_rotation(connection, item.id)
        if found is None or found.state in NOT_BEGUN:
            return found
        if item.policy.four_eyes:
            raise RefusedError(
                f"{item.name} is {found.state}, and its policy wants four eyes: end {found.id} first "
                f"(nightkey rotation show {found.id}), then ask again, for somebody else to approve"
            )
        if found.state not in BEFORE_ACTIVATION | WATCHED | {State.RETIRING}:
            raise RefusedError(
                f"{item.name} is {found.state}: first look at `nightkey rotation show {found.id}`"
            )
        return found

    def explain_freeze(self, item: Item) -> Reason | None:
        """Until when nothing is to change for the item; None: it may."""
        now = self._clock()
        freezes = [*self._freezes, *map(parse_window, item.policy.freezes)]
        ends = [end for freeze in freezes if (end := open_until(freeze, now)) is not None]
        if not ends:
            return None
        return Reason.of(Code.FREEZE, item=item.name, until=max(ends))

    def check_at_rest(self, connection: Connection, item: Item, *, lock: bool = True) -> None:
        """Before an item is deleted: refused while a rotation of it still has something to take away. `lock`:
        it is deleted in this transaction.
        """
        found = rotation_rows.find_open_rotation(connection, item.id, lock=lock)
        if found is not None and found.state not in NOT_BEGUN:
            raise RefusedError(
                f"{item.name} is being rotated: wait for that, then delete it "
                f"(nightkey rotation show {found.id})"
            )

    def _begin_now(
        self, connection: Connection, found: Rotation, item: Item, *, asked_by: str, emergency: bool = False
    ) -> Rotation:
        """What the night has planned is asked for by a person: it begins, or waits for another's approval."""
        now = self._clock()
        taken = lease_rows.take_as_seen(connection, found, now=now)
        asks = item.policy.four_eyes
        change_rows.change_rotation(
            connection,
            taken,
            replace(
                taken,
                state=State.REQUESTED if asks else State.PLANNED,
                asked_by=asked_by,
                request_digest=digest_request(item) if asks else None,
                emergency=emergency,
                gated=False,
                next_at=now + item.policy.approval if asks else now,
                waits_for=[_APPROVAL] if asks else [],
            ),
        )
        self._note(connection, found, "rotation.begin-now", asked_by, emergency=emergency)
        begun = rotation_rows.get_rotation(connection, found.id)
        if asks:
            self._rotation_notices.ask_approval(connection, begun, expires_at=now + item.policy.approval)
        return begun

    def _check_replaceable(self, connection: Connection, item: Item) -> None:
        if item.version is None:
            raise RefusedError(explain_waiting(item, self._clock()))
        if item.policy.copy_of is not None:
            raise RefusedError(self._explain_copy(connection, item, item.policy.copy_of))
        if item.policy.mode is Mode.NOTIFY:
            raise RefusedError(
                f"{item.name} is replaced by its owner alone (mode notify): "
                f"`{replace_command(item.name, item.policy.lifetime)}`"
            )

    def _explain_copy(self, connection: Connection, item: Item, original_id: str) -> str:
        try:
            original = self._vault.get(connection, original_id).name
        except NotFoundError:  # its row was taken out behind our back
            return (
                f"{item.name} is a copy of an item that is gone ({original_id}): say that it is none any more "
                f"by `nightkey item update {quote_word(item.name)} --copy-of none`, then rotate it"
            )
        return (
            f"{item.name} is a copy of {original}: it is replaced with that, by `nightkey item rotate "
            f"{quote_word(original)}`"
        )

    def _note(
        self, connection: Connection, rotation: Rotation, action: str, actor: str, **details: str | bool
    ) -> None:
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action=action,
            subject=rotation.id,
            item=rotation.item_id,
            **details,
        )
