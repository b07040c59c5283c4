"""After an activation: which consumers have proven themselves on the new value, and who goes first."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import Cause
from vaultcore.model import Item, Kind, Version
from vaultcore.rules import overlap_of
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.pickups import Pickup
from worker.domain.proof import (
    Callers,
    Consumer,
    ConsumerProof,
    Overlap,
    Verdict,
    choose_canary,
    find_unshown,
    judge,
    stand_check,
)
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import WATCHED, State
from worker.domain.windows import Window, find_moment, parse_window
from worker.rotators.catalog import works_beside
from worker.rows import consumers as consumer_rows
from worker.rows import judging_runs as judging_rows
from worker.rows import pickups as pickup_rows
from worker.rows.judging_runs import JudgingRun
from worker.services.rotation.document_uses import DocumentUses
from worker.services.rotation.lost_uses import find_lost_uses
from worker.services.rotation.reasoned import ReasonedError

_NO_LONGER = timedelta(days=1)
"""How long before the old value lapses nobody is held back on it any more."""


class ConsumerProofs:
    """Looks at a rotation's consumers in the caller's transaction, and moves them one first."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        audit: AuditLog,
        document_uses: DocumentUses,
        freezes: Sequence[Window],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._audit = audit
        self._document_uses = document_uses
        self._freezes = tuple(freezes)
        self._clock = clock

    def prepare(self, rotation: Rotation, item: Item) -> None:
        """Before a look: what it may need that takes its time, outside of its transaction."""
        ends = _moved_at(rotation) + overlap_of(item.policy, item.life)
        if not rotation.emergency and ends <= self._clock():
            self._document_uses.look_ahead(self._database)

    def look(self, connection: Connection, rotation: Rotation, *, shown: bool) -> Verdict:
        """What follows from the consumers as they are now. `shown`: a check that can fail has accepted the new
        value.

        `TargetError` if a production run rejected the new value: its cause is `REJECTED`.
        """
        now = self._clock()
        item = self._vault.get(connection, rotation.item_id)
        ran = _runs_with_new(connection, rotation)
        rejection = judging_rows.first_rejection(connection, item.id, ran)
        if rejection is not None:
            workflow, node, message = rejection
            why = Reason.of(
                Code.RUN_REJECTED, workflow=workflow, node=node, text=message, version=rotation.new_number
            )
            raise ReasonedError(why, cause=Cause.REJECTED)
        found = self._consumers_of(connection, rotation, ran)
        overlap = self._overlap(connection, rotation, item, found, now)
        overlap = replace(overlap, shown=overlap.shown or shown)
        if rotation.emergency:
            _check_shown(rotation, overlap)
            return Verdict(state=State.RETIRING, waits_for=(), next_at=now, widens=True, consumer_proofs=())
        pickup = _pickup_of(connection, rotation, item)
        if pickup is not None and pickup.is_open and pickup.expires_at is not None and pickup.expires_at <= now:
            code = Code.NOT_COLLECTED if pickup.taken_by is None else Code.NOT_ARRIVED
            why = Reason.of(code, by=pickup.taken_by, until=pickup.expires_at)
            return Verdict(
                state=State.UNDOING, waits_for=(), next_at=now, widens=False, consumer_proofs=(), why=why
            )
        verdict = judge(overlap, found, now=now)
        if verdict.state is State.RETIRING:
            lost = find_lost_uses(connection, item, self._document_uses)
            if lost:
                return judge(replace(overlap, others=(*overlap.others, *lost)), found, now=now)
        return verdict

    def consumer_proofs(self, connection: Connection, rotation: Rotation) -> tuple[ConsumerProof, ...]:
        """How each consumer stands towards the new value, and the callers of a key that was collected; none
        before the activation; in an emergency the check alone, where none could tell.
        """
        check = stand_check(waived=False)
        if rotation.state is State.RETIRING:
            return (check,) if check.why in rotation.waits_for else ()
        if rotation.state not in WATCHED:
            return ()
        item = self._vault.get(connection, rotation.item_id)
        ran, now = _runs_with_new(connection, rotation), self._clock()
        found = self._consumers_of(connection, rotation, ran)
        overlap = self._overlap(connection, rotation, item, found, now)
        if rotation.emergency:
            unshown = find_unshown(overlap)
            return () if unshown is None else (unshown,)
        return judge(overlap, found, now=now).consumer_proofs

    def is_answered_for(self, rotation: Rotation) -> bool:
        """Somebody answers for that the new value works, though no check could tell."""
        with self._database.read() as connection:
            return self._is_answered_for(connection, rotation)

    def when_allowed(self, item: Item, now: datetime) -> datetime | None:
        """The next moment at which windows and freezes allow a change; None: none within a year."""
        policy = item.policy
        freezes = [*self._freezes, *map(parse_window, policy.freezes)]
        return find_moment(map(parse_window, policy.windows), freezes, now)

    def begin_with_canary(self, connection: Connection, rotation: Rotation, item: Item) -> str | None:
        """At the activation: the others are held on the old version, if the policy wants one to go first.

        The id of the one that goes first; None: all move at once.
        """
        until = _held_until(item.expires_at)
        lapses_soon = until is not None and until <= self._clock()
        if item.policy.canary is None or rotation.emergency or lapses_soon:
            return None
        found = consumer_rows.consumers_of(connection, item.id)
        chosen = choose_canary(found, item.policy.canary, number=rotation.new_number or 0)
        if chosen is None:
            return None
        others = [consumer.id for consumer in found if consumer.id != chosen.id and not consumer.elsewhere]
        consumer_rows.hold(connection, item.id, others, number=rotation.old_number, by=rotation.id)
        return chosen.id

    def unpin(self, connection: Connection, rotation: Rotation, number: int) -> None:
        """Whoever was pinned to a version that goes follows the current one again; it is audited."""
        for workflow_id in consumer_rows.unpin_from(connection, rotation.item_id, number):
            self._audit.append(
                connection,
                at=self._clock(),
                actor=rotation.id,
                action="reference.unpin",
                subject=workflow_id,
                item=rotation.item_id,
                version=number,
            )

    def forget_proof(self, connection: Connection, rotation: Rotation) -> None:
        """The new version goes: that somebody once ran well with it proves nothing any more."""
        if rotation.new_number is not None:
            consumer_rows.forget_proof(connection, rotation.item_id, rotation.new_number)

    def runs_with_new(self, connection: Connection, rotation: Rotation) -> list[str]:
        """Workflows with a production run under way that began while the new version was current."""
        if rotation.new_number is None or rotation.activated_at is None:
            return []
        new = self._versions.get(connection, rotation.item_id, rotation.new_number)
        until = new.superseded_at or self._clock()
        return consumer_rows.running_since(connection, rotation.item_id, rotation.activated_at, until)

    def let_go(self, connection: Connection, rotation: Rotation) -> None:
        """The others follow the current version again."""
        consumer_rows.let_go(connection, rotation.item_id, by=rotation.id)

    def _consumers_of(
        self, connection: Connection, rotation: Rotation, ran: Sequence[JudgingRun]
    ) -> list[Consumer]:
        """With how their runs with the new value failed, where they did."""
        failures = judging_rows.last_failures(ran)
        found = consumer_rows.consumers_of(
            connection, rotation.item_id, rotation_id=rotation.id, now=self._clock()
        )
        return [replace(consumer, failed=failures.get(consumer.id)) for consumer in found]

    def _overlap(
        self,
        connection: Connection,
        rotation: Rotation,
        item: Item,
        found: Sequence[Consumer],
        now: datetime,
    ) -> Overlap:
        moved_at = _moved_at(rotation)
        others = [
            Reason.of(Code.RUN_WITH_OLD, workflow=name)
            for name in consumer_rows.running_since(connection, item.id, None, moved_at)
        ]
        others += [
            Reason.of(Code.COPY_IN_USE, copy=copy, item=item.name)
            for copy in consumer_rows.stale_copies(connection, item.id, rotation.new_number or 0)
        ]
        pickup = _pickup_of(connection, rotation, item)
        if pickup is not None and pickup.is_open:
            others.insert(0, _explain_open(pickup))
        if pickup is not None and pickup.arrived_at is not None:
            moved_at = max(moved_at, pickup.arrived_at)
        ends = max(moved_at + overlap_of(item.policy, item.life), rotation.overlap_until or moved_at)
        old = self._versions.get(connection, item.id, rotation.old_number)
        return Overlap(
            unread=self._vault.is_unread(connection, item, active=False),
            callers=self._callers(connection, rotation, item, old, pickup),
            pickup_ends=None if pickup is None or not pickup.is_open else pickup.expires_at,
            held_until=_held_until(old.expires_at),
            beside=not rotation.is_old_dead and works_beside(item.policy, rotation.rotator),
            number=rotation.new_number or 0,
            ends=None if any(consumer.held for consumer in found) else ends,
            opens=self.when_allowed(item, now) if rotation.gated else now,
            canary_id=rotation.canary_id,
            others=tuple(others),
            shown=rotation.shown_by is not None,
            waived=self._is_answered_for(connection, rotation),
        )

    def _is_answered_for(self, connection: Connection, rotation: Rotation) -> bool:
        """Of a value that a person gave, an answer since then counts for all that is taken away for it."""
        if any(
            waiver.workflow_id == consumer_rows.CHECK
            for waiver in consumer_rows.waivers_of(connection, rotation.id)
        ):
            return True
        if not rotation.by_owner or rotation.new_number is None:
            return False
        given = self._versions.get(connection, rotation.item_id, rotation.new_number).activated_at
        return given is not None and consumer_rows.is_check_waived_since(connection, rotation.item_id, given)

    def _callers(
        self, connection: Connection, rotation: Rotation, item: Item, old: Version, pickup: Pickup | None
    ) -> Callers | None:
        """None: it is no key of ours, or nobody has collected it yet."""
        if item.kind is not Kind.API_KEY or (pickup is not None and pickup.is_open):
            return None
        new = self._versions.get(connection, item.id, rotation.new_number or 0)
        waived = {waiver.workflow_id for waiver in consumer_rows.waivers_of(connection, rotation.id)}
        return Callers(
            collected_at=None if pickup is None else pickup.arrived_at,
            collected_by=None if pickup is None else pickup.taken_by,
            used_at=new.used_at,
            old_used_at=old.last_used_at,
            overlap=overlap_of(item.policy, item.life),
            waived=item.id in waived,
        )


def _pickup_of(connection: Connection, rotation: Rotation, item: Item) -> Pickup | None:
    """Nothing but a key of ours is collected."""
    return pickup_rows.of_rotation(connection, rotation.id) if item.kind is Kind.API_KEY else None


def _moved_at(rotation: Rotation) -> datetime:
    """When the last of its consumers was given the new value."""
    return rotation.widened_at or rotation.activated_at or rotation.created_at


def _runs_with_new(connection: Connection, rotation: Rotation) -> list[JudgingRun]:
    """Since its activation."""
    return judging_rows.runs_with(
        connection,
        item_id=rotation.item_id,
        number=rotation.new_number or 0,
        since=rotation.activated_at or rotation.created_at,
    )


def _check_shown(rotation: Rotation, overlap: Overlap) -> None:
    """In an emergency nobody is waited for, but a value that nothing has shown to work takes the place of none:
    that is trouble at once, since somebody else knows the value that may work on meanwhile.
    """
    unshown = find_unshown(overlap)
    if unshown is not None:
        command = f"nightkey rotation waive {rotation.id} --check --why TEXT"
        raise ReasonedError(Reason.of(Code.NOT_SHOWN, check=unshown.why, command=command), cause=Cause.MISTAKE)


def _explain_open(pickup: Pickup) -> Reason:
    if pickup.taken_by is None:
        return Reason.of(Code.NOT_COLLECTED_YET)
    return Reason.of(Code.NOT_ARRIVED_YET, by=pickup.taken_by)


def _held_until(expires_at: datetime | None) -> datetime | None:
    return None if expires_at is None else expires_at - _NO_LONGER
