"""What a try of a step comes to: where the rotation goes, what its record says, and who is told.

Each is found in the transaction that commits it. There it writes what the step is to record of versions and
consumers, findings, and notices; the rotation's own row, and its record, are left to `advance`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.errors import Cause, TamperedError
from vaultcore.model import Item
from vaultcore.vault import Vault
from worker.domain import saga
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation, count_failure, count_success
from worker.domain.saga import Failure, Limits, State, Step, Transition
from worker.domain.states import StepResult
from worker.services.rotation.admission import Admission
from worker.services.rotation.comparison import Hold
from worker.services.rotation.done import Done, wait_for
from worker.services.rotation.notices import RotationNotices
from worker.services.rotation.proof import ConsumerProofs
from worker.services.rotation.reasoned import explain
from worker.services.rotation.rollback import Rollback
from worker.services.upkeep.row_verification import RowVerification


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a try of a step ended: where the rotation goes, what its record says, what is written with it.

    Where nothing is `said`, there is nothing new to record.
    """

    to: Transition
    result: StepResult
    said: tuple[Reason, ...] = ()
    cause: Cause | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    scrub: bool = False


class Conclusions:
    """One method for each way in which a try may end."""

    def __init__(
        self,
        *,
        vault: Vault,
        rollback: Rollback,
        proofs: ConsumerProofs,
        admission: Admission,
        rotation_notices: RotationNotices,
        row_verification: RowVerification,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._vault = vault
        self._rollback = rollback
        self._proofs = proofs
        self._admission = admission
        self._rotation_notices = rotation_notices
        self._row_verification = row_verification
        self._limits = limits
        self._clock = clock

    def cancel(self, leased: Rotation, why: Reason, connection: Connection) -> Ending:
        """Before anything was made, or after its item and every value of it went."""
        self._rotation_notices.resolve(connection, leased.item_id)
        to = Transition(state=State.CANCELLED, next_at=None)
        return Ending(to=to, result=StepResult.FAILED, said=(why,), values={"last_error": why})

    def take_away(self, leased: Rotation, connection: Connection) -> Ending:
        """A person has given another value since: what was made and is not in use is taken away first."""
        version = self._version_of(connection, leased)
        why = Reason.of(Code.GIVEN_TAKES_AWAY, version=version)
        to = Transition(state=State.UNDOING, next_at=self._clock())
        return Ending(to=to, result=StepResult.DONE, said=(why,), values={"last_error": why})

    def end_overtaken(self, leased: Rotation, connection: Connection) -> Ending:
        """A person has given another value since: it ends on that, and nothing of it has failed."""
        version = self._vault.get(connection, leased.item_id).version or 0
        self._rollback.leave_behind(connection, leased, actor=leased.id)
        self._rotation_notices.resolve(connection, leased.item_id)
        if leased.new_number is not None and not leased.by_owner:
            self._rotation_notices.tell_overtaken(connection, leased, version)
        why = Reason.of(Code.GIVEN_IN_USE, version=version)
        to = Transition(state=State.CANCELLED, next_at=None)
        values = {"last_cause": None, "last_error": why, "stuck_in": None}
        return Ending(to=to, result=StepResult.DONE, said=(why,), values=values, scrub=True)

    def call_off(self, leased: Rotation, why: Reason, connection: Connection) -> Ending:
        """It cannot begin: there is nothing to take back, and its owners hear what is missing."""
        self._rollback.call_off(connection, leased)
        self._rotation_notices.tell_failure(connection, leased, State.CANCELLED, why)
        return Ending(
            to=Transition(state=State.CANCELLED, next_at=None),
            result=StepResult.FAILED,
            said=(why,),
            cause=Cause.MISTAKE,
            values={"last_cause": Cause.MISTAKE, "last_error": why},
        )

    def hold(self, leased: Rotation, hold: Hold, connection: Connection) -> Ending:
        """After a restore: it neither goes on nor back before its target agrees, or a person has decided."""
        if hold.again_at is not None:
            to = Transition(state=leased.state, next_at=hold.again_at, waits_for=(hold.why,))
            return wait(leased, to)
        self._rotation_notices.tell_failure(connection, leased, State.STUCK, hold.why)
        return Ending(
            to=Transition(state=State.STUCK, next_at=None),
            result=StepResult.FAILED,
            said=(hold.why,),
            cause=Cause.MISTAKE,
            values={"stuck_in": leased.state, "last_cause": Cause.MISTAKE, "last_error": hold.why},
        )

    def stop(self, leased: Rotation, step: Step, error: TamperedError, connection: Connection) -> Ending:
        """What it would act by was changed behind the vault's back: it stays there, and a person looks."""
        self._row_verification.record(connection, error)
        begins, why = step in (Step.ADMIT, Step.EXPIRE), explain(error)
        state = State.CANCELLED if begins else State.STUCK
        self._rotation_notices.tell_failure(connection, leased, state, why)
        return Ending(
            to=Transition(state=state, next_at=None),
            result=StepResult.FAILED,
            said=(why,),
            cause=Cause.MISTAKE,
            values={
                "stuck_in": None if begins else leased.state,
                "last_cause": Cause.MISTAKE,
                "last_error": why,
            },
        )

    def expire(self, leased: Rotation, connection: Connection) -> Ending:
        self._rotation_notices.tell_expired(connection, leased)
        why = Reason.of(Code.NOBODY_APPROVED)
        to = Transition(state=State.CANCELLED, next_at=None)
        return Ending(to=to, result=StepResult.FAILED, said=(why,), values={"last_error": why})

    def admit(self, leased: Rotation, item: Item, connection: Connection) -> Ending:
        to = self._admission.admit(connection, leased, item)
        stopped = to.waits_for[0] if to.state is State.CANCELLED and to.waits_for else None
        return Ending(to=to, result=StepResult.DONE, values={"last_error": stopped} if stopped else {})

    def prepare_look(self, leased: Rotation, item: Item) -> None:
        """What a look may need that takes its time, outside of its transaction."""
        self._proofs.prepare(leased, item)

    def look(self, leased: Rotation, shown_by: str | None, connection: Connection) -> Ending:
        """A look at the consumers, and what follows from it, in one transaction. `shown_by`: the check that has
        accepted the new value and could have refused it.

        Whoever pins a consumer to the old version does so before it, and is waited for, or after it, and
        is refused.
        """
        verdict = self._proofs.look(connection, leased, shown=shown_by is not None)
        values: dict[str, object] = {"shown_by": shown_by}
        if verdict.widens:
            self._proofs.let_go(connection, leased)
            values["widened_at"] = self._clock()
        if verdict.why is not None:
            values["last_error"] = verdict.why
        self._rotation_notices.find_unproven(connection, leased, verdict.consumer_proofs)
        said = wait_for(verdict.waits_for) or (Reason.of(Code.WAITS_FOR_NOTHING),)
        news = verdict.state is not leased.state or list(verdict.waits_for) != leased.waits_for
        return Ending(
            to=Transition(state=verdict.state, next_at=verdict.next_at, waits_for=verdict.waits_for),
            result=StepResult.WAITS if verdict.waits_for else StepResult.DONE,
            said=(said if verdict.why is None else (verdict.why,)) if news else (),
            values=values,
        )

    def succeed(self, leased: Rotation, step: Step, done: Done, connection: Connection) -> Ending:
        now = self._clock()
        done.record(connection)
        overtaken = step is Step.UNDO and leased.is_overtaken(self._version_of(connection, leased))
        if overtaken and done.again_at is None:
            ended = self.end_overtaken(leased, connection)
            return replace(ended, said=(*done.said, *ended.said))
        if step is Step.UNDO and not overtaken:
            why = leased.last_error or Reason.of(Code.UNKNOWN)
            self._rotation_notices.tell_failure(connection, leased, State.ROLLED_BACK, why)
        if done.again_at is not None:
            to = Transition(state=leased.state, next_at=done.again_at, waits_for=done.waits_for)
            return Ending(to=to, result=StepResult.WAITS, said=done.said, scrub=done.scrub)
        values = count_success(leased, step, now=now)
        to = saga.after_success(step, now)
        if to.state is State.DONE:
            self._rotation_notices.resolve(connection, leased.item_id)
            self._rotation_notices.tell_done(connection, leased)
        return Ending(to=to, result=StepResult.DONE, said=done.said, values=values, scrub=done.scrub)

    def fail(
        self, leased: Rotation, item: Item | None, step: Step, failure: Failure, connection: Connection
    ) -> Ending:
        now = self._clock()
        to = saga.after_failure(
            step,
            leased.state,
            failure,
            progress=leased.progress,
            limits=self._limits if item is None else _limits_of(item, self._limits),
            now=now,
        )
        values = count_failure(leased, failure, to, now=now)
        if to.state is State.STUCK and item is not None and leased.is_overtaken(item.version):
            given = Reason.of(Code.GIVEN_NOT_GONE, version=item.version, why=failure.why)
            failure = replace(failure, why=given)
        if to.state is State.STUCK:
            values["last_error"] = failure.why
            self._rotation_notices.tell_failure(connection, leased, State.STUCK, failure.why)
        if to.state is State.CANCELLED:
            self._rotation_notices.tell_failure(connection, leased, State.CANCELLED, failure.why)
        return Ending(
            to=to,
            result=StepResult.RETRY if to.retries or to.polls else StepResult.FAILED,
            said=(failure.why,),
            cause=failure.cause,
            values=values,
        )

    def _version_of(self, connection: Connection, leased: Rotation) -> int | None:
        return self._vault.get(connection, leased.item_id).version


def wait(leased: Rotation, held: Transition) -> Ending:
    news = list(held.waits_for) != leased.waits_for
    return Ending(to=held, result=StepResult.WAITS, said=wait_for(held.waits_for) if news else ())


def _limits_of(item: Item, limits: Limits) -> Limits:
    return replace(limits, propagation=item.policy.propagation, renew=item.policy.renew)
