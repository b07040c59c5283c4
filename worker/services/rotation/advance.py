"""Rotations, advanced one step at a time by whoever claims them.

The flow of one step: claim (a conditional UPDATE with a lease) → act outside → commit the result with the new
state, if the claim still holds. `worker.domain.saga` decides where to go from each result, and
`worker.domain.rotation` what changes with it; what a step does is in `forward`, `value_tests` and `rollback`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import (
    Cause,
    ConflictError,
    CounterpartError,
    NightkeyError,
    NotFoundError,
    TamperedError,
    Trouble,
    TroubleError,
    UnreadableError,
)
from vaultcore.model import Item
from vaultcore.troubles import explain as explain_trouble
from vaultcore.vault import Vault
from worker.domain import saga
from worker.domain.approvals import digest_request
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation, apply, count_failure
from worker.domain.saga import Failure, Limits, State, Step, Transition
from worker.domain.states import StepResult
from worker.outbound import held_at_most_until, permitted_by
from worker.rotators.catalog import find_counterpart
from worker.rows import rotation_changes as change_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotation_steps as step_rows
from worker.rows import rotations as rotation_rows
from worker.services.rotation.admission import Admission
from worker.services.rotation.comparison import Comparison, Hold
from worker.services.rotation.done import Done
from worker.services.rotation.forward import ForwardSteps
from worker.services.rotation.lease import Lease
from worker.services.rotation.notices import RotationNotices
from worker.services.rotation.proof import ConsumerProofs
from worker.services.rotation.reasoned import ReasonedError, explain
from worker.services.rotation.rollback import Rollback
from worker.services.rotation.value_tests import ValueTests
from worker.services.upkeep.anchors import Anchors
from worker.services.upkeep.row_verification import RowVerification
from worker.wording import say, say_all

_log = structlog.get_logger(__name__)
_TAMPERED_PAUSE = timedelta(hours=1)
"""How long a rotation that was changed behind the vault's back is not looked at again."""
_CUT_OFF_LIMIT = 10
"""How often a step may end its worker before it is taken for our own mistake."""
_ENDS = saga.WATCHED | {State.UNDOING, State.STUCK, State.CANCELLED}
"""States in which those who wait behind a rotation look again."""

_OF_THE_STEP = frozenset({Trouble.NOT_STORABLE, Trouble.STATEMENT})
"""What the database does not take comes from what the step brought; everything else is the database's own."""


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """The rotation after a step. `moved`: it is in another state than before."""

    rotation: Rotation
    moved: bool


@dataclass(frozen=True, kw_only=True)
class _End:
    """How a try of a step ended: where the rotation goes, what its record says, what is written with it.

    Without a `message` there is nothing new to record.
    """

    to: Transition
    result: StepResult
    message: str = ""
    cause: Cause | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    scrub: bool = False


_Conclude = Callable[[Connection], _End]
"""The end of a try, settled in the transaction that commits it."""


class Rotations:
    """Advances rotations."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        forward: ForwardSteps,
        tests: ValueTests,
        rollback: Rollback,
        proofs: ConsumerProofs,
        admission: Admission,
        rotation_notices: RotationNotices,
        anchors: Anchors,
        comparison: Comparison,
        row_verification: RowVerification,
        limits: Limits,
        lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._rollback = rollback
        self._proofs = proofs
        self._admission = admission
        self._rotation_notices = rotation_notices
        self._anchors = anchors
        self._comparison = comparison
        self._row_verification = row_verification
        self._limits = limits
        self._lease = lease
        self._clock = clock
        self._tests = tests
        self._effects: dict[Step, Callable[[Rotation], Done]] = {
            Step.CREATE: forward.create,
            Step.INSTALL: forward.install,
            Step.VERIFY: tests.verify,
            Step.TEST_NODES: tests.test_nodes,
            Step.TEST_WORKFLOWS: tests.test_workflows,
            Step.ACTIVATE: forward.activate,
            Step.RETIRE: forward.retire,
            Step.DISCARD: rollback.discard,
            Step.UNDO: rollback.undo,
        }

    def advance(self, rotation_id: str) -> Advanced | None:
        """Does the step that is due; None if none is, or somebody else is at it.

        `RefusedError` on a database that is older than its anchors: what it says of this rotation may be past.
        """
        self._anchors.refuse_older()
        try:
            with self._database.write() as connection:
                claimed = lease_rows.claim_rotation(
                    connection, rotation_id, now=self._clock(), lease=self._lease
                )
        except TamperedError as error:
            self._refuse(rotation_id, error)
            return None
        except UnreadableError:  # nothing was written: the scan makes a finding of it
            _log.error("rotation.unreadable", rotation=rotation_id)
            return None
        if claimed is None:
            return None
        log = _log.bind(rotation=claimed.id, item=claimed.item_id, state=claimed.state.value)
        lease = Lease(self._database, claimed, lease=self._lease, clock=self._clock)
        step = saga.next_step(claimed.state, hurried=claimed.hurried)
        try:
            with lease, permitted_by(lease.check):
                if step is not None:
                    self._do(claimed, step)
        except ConflictError as error:
            log.warning("rotation.conflict", problem=str(error))
            step = None
        except (KeyboardInterrupt, SystemExit):  # this process is told to stop in the middle of the step
            self._give_back(claimed, lease)
            raise
        with self._database.write() as connection:
            if step is None:
                lease_rows.release_lease(connection, claimed)
            advanced = rotation_rows.get_rotation(connection, rotation_id)
        log.info("rotation.advanced", now=advanced.state.value, cause=advanced.last_cause)
        return Advanced(rotation=advanced, moved=advanced.state is not claimed.state)

    def _refuse(self, rotation_id: str, error: TamperedError) -> None:
        """None of us wrote the rotation so: nothing is done by it before a person has looked. That is told."""
        _log.error("rotation.tampered", rotation=rotation_id, table=error.table)
        now = self._clock()
        with self._database.write() as connection:
            self._row_verification.record(connection, error)
            change_rows.put_off(connection, rotation_id, now + _TAMPERED_PAUSE)

    def _give_back(self, claimed: Rotation, lease: Lease) -> None:
        """Unless a call is under way that nobody waits for: what is left of the lease is its time to arrive."""
        if not lease.has_acted:
            with self._database.write() as connection:
                lease_rows.release_lease(connection, claimed)

    def _do(self, claimed: Rotation, step: Step) -> None:
        """The step, and what it came to; whatever goes wrong in it has a cause."""
        item: Item | None = None
        try:
            item = self._find_item(claimed.item_id)
            with held_at_most_until(self._slack_ends(claimed, item)):
                concluded = self._act(claimed, item, step)
            self._commit(claimed, step, concluded)
        except ConflictError:
            raise  # it was taken over: no outcome of the step
        except TamperedError as error:
            self._commit(claimed, step, partial(self._stop, claimed, step, error))
            return
        except TroubleError as error:
            if error.trouble not in _OF_THE_STEP:
                raise  # the database is away, or this machine has no room: as little
            failure = Failure(cause=Cause.MISTAKE, why=explain(error))
        except CounterpartError as error:
            failure = Failure(cause=error.cause, why=explain(error), retry_at=error.retry_at)
        except NightkeyError as error:
            failure = Failure(cause=Cause.MISTAKE, why=explain(error))
        except Exception as error:  # noqa: BLE001  # one bad item never stops the night
            failure = _judge(error, claimed, step)
        else:
            return
        self._commit(claimed, step, partial(self._fail, claimed, item, step, failure))

    def _slack_ends(self, claimed: Rotation, item: Item | None) -> datetime:
        since = claimed.failing_since or self._clock()
        return saga.slack_ends(since, None if item is None else item.expires_at, self._limits.patience)

    def _act(self, claimed: Rotation, item: Item | None, step: Step) -> _Conclude:
        """Does the step's part outside, if it has one; what is left is for the transaction."""
        if item is None:
            return partial(self._cancel, claimed, Reason.of(Code.DELETED))
        if step in (Step.EXPIRE, Step.ADMIT):
            return self._begin(claimed, item, step)
        stopped = self._stop_before(claimed, item, step)
        if stopped is not None:
            return stopped
        self._check_allowed(claimed, item)
        unready = self._rollback.explain_unready(claimed, item) if step is Step.CREATE else None
        if unready is not None:
            return partial(self._call_off, claimed, unready)
        if step is Step.WATCH:
            return partial(self._look, claimed, self._tests.show(claimed))
        gated = step is Step.ACTIVATE and not claimed.one_way  # who has no value that works waits for no window
        held = self._admission.hold_for_window(claimed, item) if gated else None
        if held is not None:
            return lambda _: _wait(claimed, held)
        return partial(self._succeed, claimed, step, self._effects[step](claimed))

    def _begin(self, claimed: Rotation, item: Item, step: Step) -> _Conclude:
        """Whether it begins at all: nothing was made yet."""
        if step is Step.EXPIRE:
            return partial(self._expire, claimed)
        if item.version != claimed.old_number:
            return partial(self._cancel, claimed, Reason.of(Code.GIVEN_MEANWHILE))
        return partial(self._admit, claimed, item)

    def _stop_before(self, claimed: Rotation, item: Item, step: Step) -> _Conclude | None:
        """What it must not go on beside: a target that was not compared since a restore, or another value that
        a person gave.
        """
        untrue = self._comparison.hold(item)
        if untrue is not None:
            return partial(self._hold, claimed, untrue)
        overtaken = claimed.is_overtaken(item.version)
        if overtaken and not self._rollback.must_take_away(claimed):
            return partial(self._end_overtaken, claimed)
        if overtaken and step is not Step.UNDO:
            return partial(self._take_away, claimed)
        return None

    def _check_allowed(self, claimed: Rotation, item: Item) -> None:
        """What no effect may follow: a step that keeps ending its worker, an approval that no longer holds,
        settings that lead somewhere else by now.
        """
        problem = None
        leads_to = find_counterpart(item.policy)
        cut_off = claimed.attempts - claimed.outages - claimed.polls - 1
        before = claimed.state in saga.BEFORE_ACTIVATION
        if cut_off > _CUT_OFF_LIMIT:
            problem = Reason.of(Code.CUT_OFF, times=cut_off)
        elif before and claimed.request_digest not in (None, digest_request(item)):
            problem = Reason.of(Code.CHANGED_SINCE_APPROVAL)
        elif None not in (claimed.counterpart, leads_to) and claimed.counterpart != leads_to:
            problem = Reason.of(Code.LEADS_ELSEWHERE, now=leads_to, before=claimed.counterpart)
        if problem is not None:
            raise ReasonedError(problem, cause=Cause.MISTAKE)

    def _version_of(self, connection: Connection, claimed: Rotation) -> int | None:
        return self._vault.get(connection, claimed.item_id).version

    def _find_item(self, item_id: str) -> Item | None:
        try:
            with self._database.read() as connection:
                return self._vault.get(connection, item_id)
        except NotFoundError:
            return None

    # How a try may end: each in the transaction that commits it

    def _cancel(self, claimed: Rotation, why: Reason, connection: Connection) -> _End:
        """Before anything was made, or after its item and every value of it went."""
        self._rotation_notices.resolve(connection, claimed.item_id)
        to = Transition(state=State.CANCELLED, next_at=None)
        return _End(to=to, result=StepResult.FAILED, message=say(why), values={"last_error": why})

    def _take_away(self, claimed: Rotation, connection: Connection) -> _End:
        """A person has given another value since: what was made and is not in use is taken away first."""
        version = self._version_of(connection, claimed)
        why = Reason.of(Code.GIVEN_TAKES_AWAY, version=version)
        to = Transition(state=State.UNDOING, next_at=self._clock())
        return _End(to=to, result=StepResult.DONE, message=say(why), values={"last_error": why})

    def _end_overtaken(self, claimed: Rotation, connection: Connection) -> _End:
        """A person has given another value since: it ends on that, and nothing of it has failed."""
        version = self._vault.get(connection, claimed.item_id).version or 0
        self._rollback.leave_behind(connection, claimed, actor=claimed.id)
        self._rotation_notices.resolve(connection, claimed.item_id)
        if claimed.new_number is not None and not claimed.by_owner:
            self._rotation_notices.tell_overtaken(connection, claimed, version)
        why = Reason.of(Code.GIVEN_IN_USE, version=version)
        to = Transition(state=State.CANCELLED, next_at=None)
        values = {"last_cause": None, "last_error": why, "stuck_in": None}
        return _End(to=to, result=StepResult.DONE, message=say(why), values=values, scrub=True)

    def _call_off(self, claimed: Rotation, why: Reason, connection: Connection) -> _End:
        """It cannot begin: there is nothing to take back, and its owners hear what is missing."""
        self._rollback.call_off(connection, claimed)
        self._rotation_notices.tell_failure(connection, claimed, State.CANCELLED, why)
        return _End(
            to=Transition(state=State.CANCELLED, next_at=None),
            result=StepResult.FAILED,
            message=say(why),
            cause=Cause.MISTAKE,
            values={"last_cause": Cause.MISTAKE.value, "last_error": why},
        )

    def _hold(self, claimed: Rotation, hold: Hold, connection: Connection) -> _End:
        """After a restore: it neither goes on nor back before its target agrees, or a person has decided."""
        if hold.again_at is not None:
            to = Transition(state=claimed.state, next_at=hold.again_at, waits_for=(hold.why,))
            return _wait(claimed, to)
        self._rotation_notices.tell_failure(connection, claimed, State.STUCK, hold.why)
        return _End(
            to=Transition(state=State.STUCK, next_at=None),
            result=StepResult.FAILED,
            message=say(hold.why),
            cause=Cause.MISTAKE,
            values={"stuck_in": claimed.state, "last_cause": Cause.MISTAKE.value, "last_error": hold.why},
        )

    def _stop(self, claimed: Rotation, step: Step, error: TamperedError, connection: Connection) -> _End:
        """What it would act by was changed behind the vault's back: it stays there, and a person looks."""
        self._row_verification.record(connection, error)
        begins, why = step in (Step.ADMIT, Step.EXPIRE), explain(error)
        state = State.CANCELLED if begins else State.STUCK
        self._rotation_notices.tell_failure(connection, claimed, state, why)
        return _End(
            to=Transition(state=state, next_at=None),
            result=StepResult.FAILED,
            message=str(error),
            cause=Cause.MISTAKE,
            values={
                "stuck_in": None if begins else claimed.state,
                "last_cause": Cause.MISTAKE.value,
                "last_error": why,
            },
        )

    def _expire(self, claimed: Rotation, connection: Connection) -> _End:
        self._rotation_notices.tell_expired(connection, claimed)
        why = Reason.of(Code.NOBODY_APPROVED)
        to = Transition(state=State.CANCELLED, next_at=None)
        return _End(to=to, result=StepResult.FAILED, message=say(why), values={"last_error": why})

    def _admit(self, claimed: Rotation, item: Item, connection: Connection) -> _End:
        to = self._admission.admit(connection, claimed, item)
        stopped = to.waits_for[0] if to.state is State.CANCELLED and to.waits_for else None
        return _End(to=to, result=StepResult.DONE, values={"last_error": stopped} if stopped else {})

    def _look(self, claimed: Rotation, shown_by: str | None, connection: Connection) -> _End:
        """A look at the consumers, and what follows from it, in one transaction. `shown_by`: the check that has
        accepted the new value and could have refused it.

        Whoever pins a consumer to the old version does so before it, and is waited for, or after it, and
        is refused.
        """
        verdict = self._proofs.look(connection, claimed, shown=shown_by is not None)
        values: dict[str, object] = {"shown_by": shown_by}
        if verdict.widens:
            self._proofs.let_go(connection, claimed)
            values["widened_at"] = self._clock()
        if verdict.why is not None:
            values["last_error"] = verdict.why
        self._rotation_notices.find_unproven(connection, claimed, verdict.standings)
        reasons = say_all(verdict.waits_for)
        news = verdict.state is not claimed.state or list(verdict.waits_for) != claimed.waits_for
        return _End(
            to=Transition(state=verdict.state, next_at=verdict.next_at, waits_for=verdict.waits_for),
            result=StepResult.WAITS if reasons else StepResult.DONE,
            message=say(verdict.why) or (f"waits for {reasons}" if reasons else "nothing to wait for")
            if news
            else "",
            values=values,
        )

    def _succeed(self, claimed: Rotation, step: Step, done: Done, connection: Connection) -> _End:
        now = self._clock()
        done.record(connection)
        overtaken = step is Step.UNDO and claimed.is_overtaken(self._version_of(connection, claimed))
        if overtaken and done.again_at is None:
            ended = self._end_overtaken(claimed, connection)
            return replace(ended, message=f"{done.message}; {ended.message}")
        if step is Step.UNDO and not overtaken:
            why = claimed.last_error or Reason.of(Code.UNKNOWN)
            self._rotation_notices.tell_failure(connection, claimed, State.ROLLED_BACK, why)
        if done.again_at is not None:
            to = Transition(state=claimed.state, next_at=done.again_at, waits_for=done.waits_for)
            return _End(to=to, result=StepResult.WAITS, message=done.message, scrub=done.scrub)
        values: dict[str, object] = {}
        if step is Step.ACTIVATE:
            values["activated_at"] = now
        if step is Step.DISCARD:
            values |= {"candidates": claimed.candidates + 1, "shown_by": None}
        elif step is not Step.UNDO:
            values |= {"last_cause": None, "last_error": None}
        to = saga.after_success(step, now)
        if to.state is State.DONE:
            self._rotation_notices.resolve(connection, claimed.item_id)
            self._rotation_notices.tell_done(connection, claimed)
        return _End(to=to, result=StepResult.DONE, message=done.message, values=values, scrub=done.scrub)

    def _fail(
        self, claimed: Rotation, item: Item | None, step: Step, failure: Failure, connection: Connection
    ) -> _End:
        now = self._clock()
        to = saga.after_failure(
            step,
            claimed.state,
            failure,
            progress=claimed.progress,
            limits=self._limits if item is None else _limits_of(item, self._limits),
            now=now,
        )
        values = count_failure(claimed, failure, to, now=now)
        if to.state is State.STUCK and item is not None and claimed.is_overtaken(item.version):
            given = Reason.of(Code.GIVEN_NOT_GONE, version=item.version, why=failure.why)
            failure = replace(failure, why=given)
        if to.state is State.STUCK:
            values["last_error"] = failure.why
            self._rotation_notices.tell_failure(connection, claimed, State.STUCK, failure.why)
        if to.state is State.CANCELLED:
            self._rotation_notices.tell_failure(connection, claimed, State.CANCELLED, failure.why)
        return _End(
            to=to,
            result=StepResult.RETRY if to.retries or to.polls else StepResult.FAILED,
            message=say(failure.why),
            cause=failure.cause,
            values=values,
        )

    # The one place that commits

    def _commit(self, claimed: Rotation, step: Step, conclude: _Conclude) -> None:
        """Everything that follows from a try, in one transaction, if the claim still holds."""
        with self._database.write() as connection:
            lease_rows.check_fence(connection, claimed, now=self._clock())
            end = conclude(connection)
            if end.message:
                step_rows.add_step(
                    connection,
                    claimed.id,
                    step=step.value,
                    result=end.result,
                    cause=None if end.cause is None else end.cause.value,
                    message=end.message,
                    at=self._clock(),
                )
            self._move(connection, claimed, end.to, end.values)
        if end.scrub:
            self._database.scrub()

    def _move(
        self, connection: Connection, claimed: Rotation, to: Transition, given: Mapping[str, object]
    ) -> None:
        now = self._clock()
        after = apply(claimed, to, now=now, **given)
        lease_rows.release_rotation(connection, claimed, after, now=now)
        if to.state is claimed.state:
            return
        if claimed.night is not None and claimed.counterpart is not None and to.state in _ENDS:
            rotation_rows.wake_queued(connection, claimed.night, claimed.counterpart, now)
        self._audit.append(
            connection,
            at=now,
            actor=claimed.id,
            action=f"rotation.{to.state.value}",
            subject=claimed.id,
            item=claimed.item_id,
        )


def _judge(error: Exception, claimed: Rotation, step: Step) -> Failure:
    """What nobody raised on purpose: this machine has no room, which is waited out, or a mistake of ours."""
    trouble = explain_trouble(error, where=f"step {step}")
    if trouble is not None:
        return Failure(cause=Cause.OUTAGE if trouble.can_retry else Cause.MISTAKE, why=explain(trouble))
    _log.error("rotation.unexpected", rotation=claimed.id, error=type(error).__name__)
    why = Reason.of(Code.UNEXPECTED, error=type(error).__name__, step=step.value)
    return Failure(cause=Cause.MISTAKE, why=why)


def _wait(claimed: Rotation, held: Transition) -> _End:
    news = list(held.waits_for) != claimed.waits_for
    message = f"waits for {say_all(held.waits_for)}" if news else ""
    return _End(to=held, result=StepResult.WAITS, message=message)


def _limits_of(item: Item, limits: Limits) -> Limits:
    return replace(limits, settle=item.policy.settle, renew=item.policy.renew)
