"""The way back of a rotation: a candidate that is thrown away, and a rotation that ends on the old value.

As with `forward`: the effect outside comes first, and is safe to repeat; what it gives back is committed
together with the rotation's new state. Persons who decide that a rotation ends come by here too, for what is
written in the vault then.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import Cause
from vaultcore.model import Item, Stage, Version
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.late_effects import late_until, wait_late
from worker.domain.limits import hold_until
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.rotators.base import Job, Rotator
from worker.rows import rotation_outcomes as outcome_rows
from worker.services.rotation.done import Done, say_so
from worker.services.rotation.drive import Drive
from worker.services.rotation.jobs import Jobs
from worker.services.rotation.pickups import Pickups
from worker.services.rotation.proof import ConsumerProofs
from worker.services.rotation.reasoned import ReasonedError

_RUNS_LOOK = timedelta(minutes=1)


class Rollback:
    """Takes back what a rotation brought. Failures are `NightkeyError`s."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        proofs: ConsumerProofs,
        pickups: Pickups,
        jobs: Jobs,
        failed_hold: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._proofs = proofs
        self._pickups = pickups
        self._jobs = jobs
        self._failed_hold = failed_hold
        self._clock = clock

    def discard(self, drive: Drive) -> Done:
        """The candidate was rejected: it is taken away outside and here, and another may be made."""
        rotation = drive.rotation
        item, rotator = self._jobs.load(rotation)
        undone = rotator.undo(self._jobs.make(rotation, item))

        def record(connection: Connection) -> None:
            self.drop_new(connection, rotation, actor=rotation.id, reason="rejected")
            drive.change(new_number=None, issuing=False)

        return Done(said=(say_so(undone), Reason.of(Code.ANOTHER_IS_MADE)), record=record, scrub=True)

    def undo(self, drive: Drive) -> Done:
        """Back to the old value, then the new one is taken away outside and here.

        Where both work side by side, and where the other side makes each value, so that no old one comes back,
        the old one must be accepted before consumers go back to it; they go back before anything else, and
        whoever runs with the new one ends that run first. Where only one works, they go back when it is the old
        one again.
        """
        rotation = drive.rotation
        if not self._may_be_outside(rotation):
            said = (Reason.of(Code.NOTHING_OUTSIDE),)
            return Done(said=said, record=lambda connection: self._end(connection, rotation))
        item, rotator = self._jobs.load(rotation)
        job = self._jobs.make(rotation, item)
        if rotation.is_overtaken(item.version) and self._was_in_use(rotation):
            return self._take_late(rotation, rotator, job)
        if rotator.overlaps(job.settings) or rotator.issues:
            self._verify_old(rotation, item, rotator, job)
            runs = self._return_consumers(rotation)
            if runs:
                return Done(
                    said=(Reason.of(Code.CONSUMERS_RETURNED),),
                    again_at=self._clock() + _RUNS_LOOK,
                    waits_for=tuple(Reason.of(Code.RUN_WITH_NEW, workflow=name) for name in runs),
                )
        if job.new is not None and job.new == job.old and rotation.is_overtaken(item.version):
            undone = Reason.of(Code.SAME_AS_GIVEN)
        else:
            undone = say_so(rotator.undo(job))
        verified = self._verify_old(rotation, item, rotator, job)
        again_at = late_until(rotation, self._clock())

        def record(connection: Connection) -> None:
            self._end(connection, rotation)
            if again_at is not None:
                drive.change(issuing=True, late_until=again_at)

        return Done(
            said=(undone, verified),
            record=record,
            scrub=True,
            again_at=again_at,
            waits_for=() if again_at is None else wait_late(again_at),
        )

    def explain_unready(self, rotation: Rotation, item: Item) -> Reason | None:
        """Why it cannot begin, as long as nothing of it is outside; None: it can, or it has begun."""
        return None if self._may_be_outside(rotation) else self._jobs.explain_unready(rotation, item)

    def must_take_away(self, rotation: Rotation) -> bool:
        """Where a person has given another value since: whether the other side may hold something of this
        rotation that nobody else would take away. A version that was in use is retired as any other.
        """
        if rotation.may_take_effect:
            return True
        new = self._find_new(rotation)
        return new is not None and new.stage is Stage.PENDING and new.filled

    def leave_behind(self, connection: Connection, rotation: Rotation, *, actor: str) -> None:
        """A person has given another value since: everybody follows that. What was in use is retired when
        nobody needs it any more; nothing holds the item back.
        """
        self._proofs.let_go(connection, rotation)
        self._pickups.withdraw(connection, rotation.id)
        if rotation.new_number is not None:
            new = self._versions.get(connection, rotation.item_id, rotation.new_number)
            if new.stage is Stage.PENDING:
                self._versions.destroy(
                    connection, rotation.item_id, new.number, actor=actor, reason="another was given"
                )
        self._vault.hold(connection, rotation.item_id, None)

    def call_off(self, connection: Connection, rotation: Rotation) -> None:
        """It ends before anything of it was outside, and its next try waits."""
        self.drop_new(connection, rotation, actor=rotation.id, reason="called off")
        self._hold(connection, rotation.item_id)

    def go_back(self, connection: Connection, rotation: Rotation, *, actor: str) -> None:
        """The old version is current again; who was held back, or pinned to the new one, follows it."""
        self._proofs.let_go(connection, rotation)
        if rotation.new_number is None:
            return
        self._proofs.unpin(connection, rotation, rotation.new_number)
        self._proofs.forget_proof(connection, rotation)
        new = self._versions.get(connection, rotation.item_id, rotation.new_number)
        if new.stage is Stage.CURRENT:
            self._versions.reactivate(
                connection, rotation.item_id, good=rotation.old_number, bad=new.number, actor=actor
            )

    def drop_new(self, connection: Connection, rotation: Rotation, *, actor: str, reason: str) -> None:
        """The new version and its pickup are gone."""
        self._pickups.withdraw(connection, rotation.id)
        if rotation.new_number is not None:
            self._versions.destroy(
                connection, rotation.item_id, rotation.new_number, actor=actor, reason=reason
            )

    def _end(self, connection: Connection, rotation: Rotation) -> None:
        self.go_back(connection, rotation, actor=rotation.id)
        self.drop_new(connection, rotation, actor=rotation.id, reason="rolled back")
        self._hold(connection, rotation.item_id)

    def _was_in_use(self, rotation: Rotation) -> bool:
        """Whether consumers may work with the new version still: then it is retired, and never undone."""
        new = self._find_new(rotation)
        return new is not None and new.stage is Stage.PREVIOUS

    def _take_late(self, rotation: Rotation, rotator: Rotator, job: Job) -> Done:
        """What took effect late beside a version that was in use. That bears the same label, so it stands for
        the old value, which nothing that is undone may touch.
        """
        beside = replace(job, old=job.new, old_external=job.new_external, new=None, new_external={})
        _check_told_apart(rotation, rotator, beside)
        again_at = late_until(rotation, self._clock())
        works_on = Reason.of(Code.WORKS_UNTIL_UNNEEDED, version=rotation.new_number)
        return Done(
            said=(say_so(rotator.undo(beside)), works_on),
            record=lambda _: None,
            again_at=again_at,
            waits_for=() if again_at is None else wait_late(again_at),
        )

    def _return_consumers(self, rotation: Rotation) -> list[str]:
        """Everybody is on the old value from now on. Which workflows still run with the new one."""
        with self._database.write() as connection:
            self.go_back(connection, rotation, actor=rotation.id)
            return [] if rotation.emergency else self._proofs.runs_with_new(connection, rotation)

    def _may_be_outside(self, rotation: Rotation) -> bool:
        """Whether the other side may hold anything of it: a value that is stored here, or one that was asked
        for without an answer.
        """
        if rotation.may_take_effect:
            return True
        new = self._find_new(rotation)
        return new is not None and new.filled

    def _find_new(self, rotation: Rotation) -> Version | None:
        if rotation.new_number is None:
            return None
        with self._database.read() as connection:
            return self._versions.get(connection, rotation.item_id, rotation.new_number)

    def _verify_old(self, rotation: Rotation, item: Item, rotator: Rotator, job: Job) -> Reason:
        """The old value is accepted; `TargetError` if going back to it would help nobody."""
        with self._database.read() as connection:
            old = self._versions.get(connection, item.id, rotation.old_number)
        if rotation.is_overtaken(item.version):
            return Reason.of(Code.GIVEN_IS_USED, version=item.version)
        if job.old is None:
            return Reason.of(Code.OLD_IS_DIGEST)
        if old.expires_at is None or old.expires_at > self._clock():
            return Reason.of(Code.OLD_ACCEPTED, text=rotator.verify(job, job.old))
        if item.version == rotation.new_number:
            raise ReasonedError(Reason.of(Code.OLD_LAPSED), cause=Cause.MISTAKE)
        return Reason.of(Code.OLD_LAPSED_BEFORE)

    def _hold(self, connection: Connection, item_id: str) -> None:
        """After a failure the next try waits, so that a second scan of the same night starts nothing."""
        until = hold_until(
            outcome_rows.count_failures(connection, item_id) + 1,
            base=self._failed_hold,
            expires_at=self._vault.get(connection, item_id).expires_at,
            now=self._clock(),
        )
        self._vault.hold(connection, item_id, until)


def _check_told_apart(rotation: Rotation, rotator: Rotator, job: Job) -> None:
    """`TargetError` where something is listed under the label, and which of it `job.old` is cannot be
    told: nothing may be revoked then.
    """
    ask = getattr(rotator, "list_outside", None)
    if ask is None:
        return
    listed = {one.id for one in ask(job, []) or []}
    if not listed or str(job.old_external.get("id")) in listed:
        return
    beside = {one.id for one in ask(job, [] if job.old is None else [job.old]) or []}
    if beside >= listed:
        why = Reason.of(Code.NOT_TOLD_APART, version=rotation.new_number, listed=len(listed), label=job.label)
        raise ReasonedError(why, cause=Cause.MISTAKE)
