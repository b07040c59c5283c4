"""What each step forward of a rotation does, and what it then records. Each is safe to repeat.

A step acts outside any transaction and gives back what to record; `worker.services.rotation.advance` commits
that together with the rotation's new state, if the worker still holds it. The way back is
`worker.services.rotation.rollback`, and what judges a new value `worker.services.rotation.value_tests`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore import rules
from vaultcore.database import Database
from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.model import Item, Kind, Stage
from vaultcore.rules import show_duration
from vaultcore.secret import Secret
from vaultcore.versions import Versions
from worker.domain.commands import value_command
from worker.domain.ends import check_ahead, decide_end
from worker.domain.late_effects import late_after_answer, late_until, wait_late
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import PICKUP_COMMAND, PICKUP_MARK
from worker.domain.proof import LOOK_AGAIN, stand_check
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.rotators.base import Candidate, Job, Rotator
from worker.rotators.catalog import parse_settings
from worker.services.notices.outbox import Outbox
from worker.services.rotation.done import Done, say_so, wait_for
from worker.services.rotation.drive import Drive
from worker.services.rotation.end_on_new import EndOnNew
from worker.services.rotation.jobs import Jobs
from worker.services.rotation.notices import RotationNotices
from worker.services.rotation.pickups import Pickups
from worker.services.rotation.proof import ConsumerProofs
from worker.services.rotation.reasoned import ReasonedError
from worker.services.rotation.refusals import find_refusal
from worker.services.rotation.value_tests import ValueTests


class ForwardSteps:
    """The effects of the way forward, one method a step. Failures are `NightkeyError`s."""

    def __init__(
        self,
        *,
        database: Database,
        versions: Versions,
        tests: ValueTests,
        proofs: ConsumerProofs,
        end_on_new: EndOnNew,
        pickups: Pickups,
        outbox: Outbox,
        rotation_notices: RotationNotices,
        jobs: Jobs,
        clock: Callable[[], datetime],
    ) -> None:
        self._rotation_notices = rotation_notices
        self._database = database
        self._versions = versions
        self._tests = tests
        self._proofs = proofs
        self._end_on_new = end_on_new
        self._pickups = pickups
        self._outbox = outbox
        self._jobs = jobs
        self._clock = clock

    def create(self, drive: Drive) -> Done:
        """Makes the replacement and stores it, sealed and pending, before anything else hears of it.

        Where the other side issues it, the intent is stored first, as an empty version; what an earlier try may
        have left there is taken away before another is asked for. What is made here is stored whole.
        """
        rotation = drive.rotation
        item, rotator = self._jobs.load(rotation)
        parse_settings(rotation.rotator, item.policy.settings)  # what is wrong with them asks nobody
        job = self._jobs.make(rotation, item)
        old_dead = rotation.old_dead or self._is_dead_before(rotation, item, rotator, job)
        reserved = rotator.issues or rotation.new_number is not None
        number = (
            self._begin_pending(drive, issuing=rotator.issues, old_dead=old_dead)
            if reserved
            else self._next_version(rotation)
        )
        if rotation.issuing:
            rotator.undo(job)
            self._look_back(drive, item, rotator, job)
        candidate = self._ask(drive, rotator, job, rotation)
        _check_value(candidate.value, item)
        expires_at = decide_end(
            candidate.expires_at, candidate.value.expose(), item.policy.lifetime, self._clock()
        )

        def record(connection: Connection) -> None:
            if not reserved:
                self._destroy_left(connection, rotation)
            store = self._versions.fill_pending if reserved else self._versions.add_pending
            store(
                connection,
                item.id,
                number,
                candidate.value,
                expires_at=expires_at,
                external=candidate.external,
                actor=rotation.id,
            )
            late = late_after_answer(rotation, self._clock())
            drive.change(new_number=number, issuing=False, late_until=late)

        return Done(said=(Reason.of(Code.PENDING, version=number),), record=record)

    def install(self, drive: Drive) -> Done:
        """The other side accepts the new value from now on."""
        rotation = drive.rotation
        item, rotator = self._jobs.load(rotation)
        job = self._jobs.make(rotation, item)
        check_ahead(job.expires_at, self._clock())
        return Done(said=(say_so(rotator.install(job)),))

    def verify(self, drive: Drive) -> Done:
        """The other side accepts the new value. Where that made it, whether the old one still works is asked
        before; if it does not, there is no way back, and the owners hear of that at once.
        """
        rotation = drive.rotation
        item, rotator = self._jobs.load(rotation)
        job = self._jobs.make(rotation, item)
        was_asked = rotation.polls > 0  # what is verified once more
        refusal = None if was_asked else _find_way_lost(rotation, rotator, job)
        if refusal is None:
            return self._tests.verify(drive, item, rotator, job)
        with self._database.write() as connection:
            self._lose_way_back(connection, drive, item, refusal)
        done = self._tests.verify(drive, item, rotator, job)  # at once: what consumers have by now is dead
        return replace(done, said=(Reason.of(Code.NO_WAY_BACK), *done.said))

    def activate(self, drive: Drive) -> Done:
        """One compare-and-swap: the new value is current, the old one works on as previous.

        Where one consumer goes first, the others are held on the old version in the same transaction;
        unless the old value stopped working when the new one was installed.
        """
        rotation = drive.rotation
        item, rotator = self._jobs.load(rotation)
        settings = parse_settings(rotation.rotator, item.policy.settings)
        overlaps = rotator.overlaps(settings) and not rotation.one_way
        new, old = rotation.new_number or 0, rotation.old_number

        def record(connection: Connection) -> None:
            check_ahead(self._versions.get(connection, item.id, new).expires_at, self._clock())
            self._versions.activate(connection, item.id, new=new, old=old, actor=rotation.id)
            self._rotation_notices.resolve_refused(connection, item.id)
            canary_id = self._proofs.begin_with_canary(connection, rotation, item) if overlaps else None
            if canary_id is not None:
                drive.change(canary_id=canary_id)
            if item.kind is Kind.API_KEY:
                self._open_pickup(connection, item, rotation)

        said = (Reason.of(Code.CURRENT, new=new), Reason.of(_stands_old(rotation, overlaps), version=old))
        return Done(said=said, record=record)

    def retire(self, drive: Drive) -> Done:
        """The old value is revoked outside, then destroyed here; unless the new one is refused by then."""
        rotation = drive.rotation
        item, rotator = self._jobs.load(rotation)
        job = self._jobs.make(rotation, item)
        if job.old is not None and job.new == job.old:
            said = Reason.of(Code.SAME_AS_OLD)
        else:
            self._check_new(rotation, item, rotator, job)
            unproven = self._tests.show(rotation) is None
            if unproven and not self._proofs.is_answered_for(rotation):
                return self._wait_for_check(rotation)
            said = say_so(self._revoke(drive, rotator, replace(job, unproven=unproven)))
        again_at = late_until(rotation, self._clock())
        if again_at is not None:
            return Done(said=(said,), again_at=again_at, waits_for=wait_late(again_at))

        def record(connection: Connection) -> None:
            self._end_on_new.record(connection, rotation, actor=rotation.id, reason="retired")

        return Done(said=(said,), record=record, scrub=True)

    # Inside

    def _is_dead_before(self, rotation: Rotation, item: Item, rotator: Rotator, job: Job) -> bool:
        """Whether the old value does not work though nothing was issued yet: then nothing is lost by that. What
        the other side says counts; the date of the item where it cannot say.
        """
        if not rotator.issues or rotation.issuing or rotation.one_way:
            return False
        if job.old is None:
            return True
        try:
            return find_refusal(rotator, job, job.old) is not None
        except TargetError as error:
            if error.cause is Cause.OUTAGE:  # nothing has begun: it is waited out before anything is asked for
                raise
            return _has_lapsed(item, self._clock())

    def _look_back(self, drive: Drive, item: Item, rotator: Rotator, job: Job) -> None:
        """Whether what was issued without an answer has ended the old value: then there is only the way on."""
        refusal = _find_way_lost(drive.rotation, rotator, job)
        if refusal is not None:
            with self._database.write() as connection:
                self._lose_way_back(connection, drive, item, refusal)

    def _lose_way_back(self, connection: Connection, drive: Drive, item: Item, refusal: TargetError) -> None:
        drive.change(one_way=True)
        self._rotation_notices.tell_one_way(
            connection, drive.rotation, Reason.failed(str(refusal)), renew=item.policy.renew
        )

    def _wait_for_check(self, rotation: Rotation) -> Done:
        """The old value stays: nothing that can refuse a value has accepted the new one."""
        check = stand_check(waived=False)

        def record(connection: Connection) -> None:
            self._rotation_notices.find_unproven(connection, rotation, [check])

        return Done(
            said=() if check.why in rotation.waits_for else wait_for((check.why,)),
            record=record,
            again_at=self._clock() + LOOK_AGAIN,
            waits_for=(check.why,),
        )

    def _begin_pending(self, drive: Drive, *, issuing: bool, old_dead: bool) -> int:
        """The intent, which is stored, and with the rotation, before anybody outside is asked for a value."""
        rotation = drive.rotation
        with self._database.write() as connection:
            number = rotation.new_number
            if number is None:
                self._destroy_left(connection, rotation)
                number = self._versions.begin_pending(connection, rotation.item_id, actor=rotation.id)
            drive.change(new_number=number, issuing=issuing, old_dead=old_dead)
        return number

    def _next_version(self, rotation: Rotation) -> int:
        """The number that the item's next version has: nobody reserves it, so it may be taken meanwhile."""
        with self._database.read() as connection:
            return self._versions.next_number(connection, rotation.item_id)

    def _destroy_left(self, connection: Connection, rotation: Rotation) -> None:
        """A pending version that another rotation left behind does not stand in the way."""
        for version in self._versions.of_item(connection, rotation.item_id):
            if version.stage is Stage.PENDING:
                self._versions.destroy(
                    connection, rotation.item_id, version.number, actor=rotation.id, reason="left behind"
                )

    def _ask(self, drive: Drive, rotator: Rotator, job: Job, before: Rotation) -> Candidate:
        """A candidate; where the answer is a plain no, or nobody was asked, nothing was made: stored too."""
        failure: TargetError
        try:
            return rotator.create(job)
        except TargetError as error:
            failure = error
        if not failure.acted:
            drive.change(issuing=False, late_until=late_after_answer(before, self._clock()))
        raise failure

    def _revoke(self, drive: Drive, rotator: Rotator, job: Job) -> str:
        """What is refused here is what lets us in, and not the value: a person must mend that. Where the old
        value is gone by then all the same, nobody is to be led back to it: stored, too.
        """
        failure: TargetError
        try:
            return rotator.revoke(job)
        except TargetError as error:
            failure = error
        if failure.cause is Cause.REJECTED:
            failure = TargetError(str(failure), cause=Cause.MISTAKE)
        if failure.cause is Cause.MISTAKE and not drive.rotation.is_old_dead and _is_gone(rotator, job):
            drive.change(old_dead=True)
        raise failure

    def _open_pickup(self, connection: Connection, item: Item, rotation: Rotation) -> None:
        expires_at = None if rotation.emergency else self._clock() + item.policy.pickup
        pickup_id = self._pickups.open(
            connection,
            item_id=item.id,
            number=rotation.new_number or 0,
            rotation_id=rotation.id,
            expires_at=expires_at,
        )
        self._outbox.tell_owners(
            connection,
            item.id,
            kind=NoticeKind.PICKUP,
            dedupe_key=f"claim:{pickup_id}",
            data={
                "item": item.name,
                "command": PICKUP_COMMAND,
                "token": PICKUP_MARK,
                "overlap": show_duration(rules.overlap_of(item.policy, item.life)),
                "expires_at": expires_at,
            },
            about=pickup_id,
            pickup_id=pickup_id,
        )

    def _check_new(self, rotation: Rotation, item: Item, rotator: Rotator, job: Job) -> None:
        """The new value is accepted still, before the old one is taken away.

        A refusal leads back to the old value, so that one must be accepted then; where neither is, nothing
        is touched.
        """
        refusal = None if job.new is None else find_refusal(rotator, job, job.new)
        if refusal is None:
            return
        new, old = rotation.new_number, rotation.old_number
        if job.old is not None and find_refusal(rotator, job, job.old) is not None:
            command = value_command(item, self._clock())
            why = Reason.of(Code.NEITHER_ACCEPTED, new=new, old=old, text=str(refusal), command=command)
            raise ReasonedError(why, cause=Cause.MISTAKE)
        raise ReasonedError(Reason.of(Code.NO_LONGER_ACCEPTED, new=new, text=str(refusal)), cause=refusal.cause)


def _stands_old(rotation: Rotation, overlaps: bool) -> Code:
    """What there is of the old value once the new one is current."""
    if rotation.one_way:
        return Code.OLD_STOPPED
    if rotation.old_dead:
        return Code.OLD_STOPPED_BEFORE
    return Code.OLD_WORKS_ON if overlaps else Code.OLD_KEPT


def _has_lapsed(item: Item, now: datetime) -> bool:
    """The old value's time was over before, whatever was issued since."""
    return item.expires_at is not None and item.expires_at <= now


def _check_value(value: Secret, item: Item) -> None:
    """What cannot be stored is a mistake; that it was issued stays noted, and it is taken away again."""
    problem = ""
    try:
        rules.check_value(value.expose(), name=item.name)
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        raise TargetError(problem, cause=Cause.MISTAKE)


def _is_gone(rotator: Rotator, job: Job) -> bool:
    """Whether the old value is refused, as far as the other side can be asked now."""
    if job.old is None:
        return False
    try:
        return find_refusal(rotator, job, job.old) is not None
    except TargetError:
        return False


def _find_way_lost(rotation: Rotation, rotator: Rotator, job: Job) -> TargetError | None:
    """How the old value is refused that worked before another was issued. None: it works, or nobody asks any
    more.
    """
    if not rotator.issues or job.old is None or rotation.is_old_dead:
        return None
    return find_refusal(rotator, job, job.old)
