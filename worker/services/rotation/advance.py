"""Rotations, driven on step by step by whoever leases them.

The flow: lease (a conditional UPDATE) → step after step, each acting outside, then committed with the new state
if the lease still holds → give back. Steps that touch nothing outside share a transaction: see `drive`.
`worker.domain.saga` decides where to go from each result, and `worker.domain.rotation` what changes with it;
what a step does is in `forward`, `value_tests` and `rollback`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import (
    Cause,
    ConflictError,
    GaveWayError,
    NightkeyError,
    NotFoundError,
    TamperedError,
    TargetError,
    Trouble,
    TroubleError,
    UnreadableError,
)
from vaultcore.model import Item
from vaultcore.shared_commits import SharedCommits
from vaultcore.troubles import explain as explain_trouble
from vaultcore.unit_of_work import UnitOfWork
from vaultcore.vault import Vault
from worker.domain import saga
from worker.domain.approvals import digest_request
from worker.domain.limits import frees_others
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation, apply
from worker.domain.saga import Failure, State, Step
from worker.domain.tracks import NewStep
from worker.log import get_logger
from worker.outbound import held_at_most_until, permitted_by, sessions_kept
from worker.rotators.catalog import find_target
from worker.rows import rotations as rotation_rows
from worker.rows.around_rotation import look_around
from worker.services.rotation.admission import Admission
from worker.services.rotation.comparison import Comparison
from worker.services.rotation.conclusions import Conclusions, Ending, wait
from worker.services.rotation.done import Done
from worker.services.rotation.drive import Drive, StepsUndoneError
from worker.services.rotation.forward import ForwardSteps
from worker.services.rotation.jobs import Jobs
from worker.services.rotation.lease import LeasedRotation, LeaseKeeper
from worker.services.rotation.reasoned import ReasonedError, explain
from worker.services.rotation.rollback import Rollback
from worker.services.rotation.rotation_taker import RotationTaker
from worker.services.rotation.value_tests import ValueTests
from worker.workflows.kept_maskers import maskers_kept

_log = get_logger(__name__)
_CUT_OFF_LIMIT = 10
"""How often a step may end its worker before it is taken for our own mistake."""
_SHARE = timedelta(seconds=30)
"""After how long a worker gives a rotation back between two steps, so that others have their turn."""
_TESTS = frozenset({Step.VERIFY, Step.TEST_NODES, Step.TEST_WORKFLOWS})
"""What they come to, if it is good, is decided by what was answered, and by nothing that others change."""
_OF_THE_STEP = frozenset({Trouble.NOT_STORABLE, Trouble.STATEMENT})
"""What the database does not take comes from what the step brought; everything else is the database's own."""


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """The rotation after what was done. `moved`: it is in another state than before."""

    rotation: Rotation
    moved: bool


Tell = Callable[[Rotation], None]
_Conclude = Callable[[Connection], Ending]
"""The end of a try, found in the transaction that commits it."""


def _tell_nobody(_: Rotation) -> None:
    """Nobody watches."""


class RotationDriver:
    """Drives rotations."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        forward: ForwardSteps,
        tests: ValueTests,
        rollback: Rollback,
        admission: Admission,
        conclusions: Conclusions,
        comparison: Comparison,
        jobs: Jobs,
        taker: RotationTaker,
        leases: LeaseKeeper,
        patience: timedelta,
        lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._rollback = rollback
        self._admission = admission
        self._conclusions = conclusions
        self._comparison = comparison
        self._jobs = jobs
        self._taker = taker
        self._leases = leases
        self._patience = patience
        self._lease = lease
        self._clock = clock
        self._tests = tests
        self._effects: dict[Step, Callable[[Drive], Done]] = {
            Step.CREATE: forward.create,
            Step.INSTALL: forward.install,
            Step.VERIFY: forward.verify,
            Step.TEST_NODES: tests.test_nodes,
            Step.TEST_WORKFLOWS: tests.test_workflows,
            Step.ACTIVATE: forward.activate,
            Step.RETIRE: forward.retire,
            Step.DISCARD: rollback.discard,
            Step.UNDO: rollback.undo,
        }

    def drive(
        self,
        rotation_id: str,
        *,
        tell: Tell = _tell_nobody,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Advanced | None:
        """Does the step that is due, and goes on until the rotation waits, this worker is told to stop, or its
        time for it is over. None if no step is due, somebody else is at it, or its target has no capacity left.
        `tell` hears of each state.

        `RefusedError` on a database that is older than its anchors: what it says of this rotation may be past.
        """
        leased = self._taker.take(rotation_id)
        return None if leased is None else self.drive_leased(leased, tell=tell, stopped=stopped)

    def drive_leased(
        self,
        leased: Rotation,
        *,
        tell: Tell = _tell_nobody,
        stopped: Callable[[], bool] = lambda: False,
        shared: SharedCommits | None = None,
        drive: Drive | None = None,
    ) -> Advanced:
        """As `drive`, one that was taken. `shared`: it commits together with other threads. `drive`: what was
        made of it before, for who may have to end it from outside.
        """
        drive = drive or self.make_drive(leased)
        try:
            until = self._clock() + _SHARE
            with (
                self._leases.hold(LeasedRotation(leased), self._lease),
                permitted_by(drive.check),
                sessions_kept(),
                maskers_kept(),
                self._database.unit(drive, shared) as unit,
            ):
                self._take_steps(drive, unit, tell, lambda: not stopped() and self._clock() < until)
            now = drive.stored
        except ConflictError as error:
            _log.warning("rotation.conflict", **name_for_log(leased), problem=str(error))
            now = self._taker.release(leased)
        except (KeyboardInterrupt, SystemExit):  # this process is told to stop in the middle of a step
            if not drive.has_acted:  # else what is left of the lease is its time to arrive
                self._taker.release(leased)
            raise
        return Advanced(rotation=now, moved=now.state is not leased.state)

    def make_drive(self, leased: Rotation) -> Drive:
        """For `drive_leased`."""
        return Drive(leased, database=self._database, audit=self._audit, lease=self._lease, clock=self._clock)

    def _take_steps(self, drive: Drive, unit: UnitOfWork, tell: Tell, goes_on: Callable[[], bool]) -> None:
        """Until the next one is not due yet; then the rotation is given back.

        Whatever undoes a transaction undoes the steps that had shared it: they are done again, and from there
        on each write is committed by itself, so that what fails is one step's.
        """
        while self._take_step(drive, unit):
            self._tell(drive, tell)
            if self._is_due(drive.rotation) and goes_on():
                drive.begin_step(again=False)
            elif self._give_back(drive, unit):
                break
        else:
            drive.give_back()
        self._tell(drive, tell)

    def _give_back(self, drive: Drive, unit: UnitOfWork) -> bool:
        """False: steps that it shares a transaction with were undone by that, and are to be done again."""
        reached = drive.rotation
        try:
            drive.give_back()
        except (GaveWayError, TroubleError) as error:
            self._be_careful(drive, unit, error)
            if drive.rotation is not reached:
                return False
            drive.give_back()
        return True

    def _take_step(self, drive: Drive, unit: UnitOfWork) -> bool:
        """False: there is none. What was undone is begun anew."""
        while True:
            step = saga.next_step(drive.rotation.state, emergency=drive.rotation.emergency)
            if step is None:
                return False
            try:
                self._do(drive, step)
                if step is Step.ADMIT or drive.is_to_be_seen:
                    unit.leave()  # from now on who ends a run sees it; what kills a worker next is counted
            except (StepsUndoneError, GaveWayError, TroubleError) as error:
                self._be_careful(drive, unit, error)
            else:
                return True

    def _is_watched_beside(self, item: Item) -> bool:
        """Whether somebody may end a run with its value between the first look at its consumers and the commit,
        and find nothing to wake: where writers take turns, nobody can. For what cannot be read the next step
        stops.
        """
        if self._database.is_sqlite:
            return False
        try:
            return self._tests.has_users(item)
        except UnreadableError:
            return True

    def _be_careful(
        self, drive: Drive, unit: UnitOfWork, error: StepsUndoneError | GaveWayError | TroubleError
    ) -> None:
        """Raises what is no step's: the database is away, or refuses even what is committed by itself."""
        if isinstance(error, TroubleError) and (drive.is_careful or error.trouble not in _OF_THE_STEP):
            raise error
        unit.undo()
        unit.one_by_one = drive.is_careful = True
        drive.begin_step(again=True)

    def _is_due(self, rotation: Rotation) -> bool:
        """Whether the step after the one that was just done is to be done now."""
        return rotation.next_at is not None and rotation.next_at <= self._clock()

    def _tell(self, drive: Drive, tell: Tell) -> None:
        """What is stored. Whoever cannot be told any more does not stop in the middle of a step."""
        try:
            for rotation in drive.take_untold():
                tell(rotation)
        except BaseException:
            drive.give_back()
            raise

    def _do(self, drive: Drive, step: Step) -> None:
        """The step, and what it came to; whatever goes wrong in it has a cause."""
        leased = drive.rotation
        item: Item | None = None
        try:
            item = self._find_item(leased)
            with held_at_most_until(self._slack_ends(leased, item)):
                came = self._act(drive, item, step)
            if isinstance(came, Done):
                succeed = partial(self._conclusions.succeed, leased, step, came)
                self._commit(drive, step, succeed, decides=step not in _TESTS)
            else:
                self._commit(drive, step, came)
        except ConflictError:
            raise  # it was taken over, or steps were undone: no outcome of the step
        except TamperedError as error:
            drive.refuse_undone()
            drive.change(attempts=leased.attempts)
            self._commit(drive, step, partial(self._conclusions.stop, leased, step, error))
            return
        except TroubleError as error:
            if error.trouble not in _OF_THE_STEP:
                raise  # the database is away, or this machine has no room: as little
            failure = Failure(cause=Cause.MISTAKE, why=explain(error))
        except TargetError as error:
            failure = Failure(cause=error.cause, why=explain(error), retry_at=error.retry_at)
        except NightkeyError as error:
            failure = Failure(cause=Cause.MISTAKE, why=explain(error))
        except Exception as error:  # noqa: BLE001  # one bad item never stops the night
            failure = _judge(error, leased, step)
        else:
            return
        drive.refuse_undone()
        drive.change(attempts=leased.attempts)
        so_far = drive.rotation  # with what it stored before it failed, such as that the old value is dead
        self._commit(drive, step, partial(self._conclusions.fail, so_far, item, step, failure))

    def _slack_ends(self, leased: Rotation, item: Item | None) -> datetime:
        since = leased.failing_since or self._clock()
        return saga.slack_ends(since, None if item is None else item.expires_at, self._patience)

    def _act(self, drive: Drive, item: Item | None, step: Step) -> Done | _Conclude:
        """Does the step's part outside, if it has one, and says what came of it; or how it ends instead."""
        leased = drive.rotation
        if item is None:
            return partial(self._conclusions.cancel, leased, Reason.of(Code.DELETED))
        if step in (Step.EXPIRE, Step.ADMIT):
            return self._begin(leased, item, step)
        stopped = self._stop_before(leased, item, step)
        if stopped is not None:
            return stopped
        self._check_allowed(leased, item)
        unready = self._rollback.explain_unready(leased, item) if step is Step.CREATE else None
        if unready is not None:
            return partial(self._conclusions.call_off, leased, unready)
        if step is Step.WATCH:
            self._conclusions.prepare_look(leased, item)
            return partial(self._conclusions.look, leased, self._tests.show(leased))
        gated = step is Step.ACTIVATE and not leased.one_way  # who has no value that works waits for no window
        held = self._admission.hold_for_window(leased, item) if gated else None
        if held is not None:
            return lambda _: wait(leased, held)
        drive.is_to_be_seen = step is Step.ACTIVATE and self._is_watched_beside(item)  # while that is known
        return self._effects[step](drive)

    def _begin(self, leased: Rotation, item: Item, step: Step) -> _Conclude:
        """Whether it begins at all: nothing was made yet."""
        if step is Step.EXPIRE:
            return partial(self._conclusions.expire, leased)
        if item.version != leased.old_number:
            return partial(self._conclusions.cancel, leased, Reason.of(Code.GIVEN_MEANWHILE))
        return partial(self._conclusions.admit, leased, item)

    def _stop_before(self, leased: Rotation, item: Item, step: Step) -> _Conclude | None:
        """What it must not go on beside: a target that was not compared since a restore, or another value that
        a person gave.
        """
        untrue = self._comparison.hold(item)
        if untrue is not None:
            return partial(self._conclusions.hold, leased, untrue)
        overtaken = leased.is_overtaken(item.version)
        if overtaken and not self._rollback.must_take_away(leased):
            return partial(self._conclusions.end_overtaken, leased)
        if overtaken and step is not Step.UNDO:
            return partial(self._conclusions.take_away, leased)
        return None

    def _check_allowed(self, leased: Rotation, item: Item) -> None:
        """What no effect may follow: a step that keeps ending its worker, an approval that no longer holds,
        settings that lead somewhere else by now.
        """
        problem = None
        leads_to = find_target(item.policy)
        before = leased.state in saga.BEFORE_ACTIVATION
        if leased.cut_off > _CUT_OFF_LIMIT:
            problem = Reason.of(Code.CUT_OFF, times=leased.cut_off)
        elif before and leased.request_digest is not None and leased.request_digest != digest_request(item):
            problem = Reason.of(Code.CHANGED_SINCE_APPROVAL)
        elif None not in (leased.target, leads_to) and leased.target != leads_to:
            problem = Reason.of(Code.LEADS_ELSEWHERE, now=leads_to, before=leased.target)
        if problem is not None:
            raise ReasonedError(problem, cause=Cause.MISTAKE)

    def _find_item(self, rotation: Rotation) -> Item | None:
        with self._database.read() as connection:
            look_around(connection, rotation)
            try:
                return self._vault.get(connection, rotation.item_id)
            except NotFoundError:
                return None

    def _commit(self, drive: Drive, step: Step, conclude: _Conclude, *, decides: bool = True) -> None:
        """Everything that follows from a try. It stands with the next commit; at once, where a value went.
        `decides`: by what others may change meanwhile, who wait until then.
        """
        drive.refuse_undone()
        with self._database.write() if decides else self._database.append() as connection:
            end = conclude(connection)
            self._move(connection, drive, step, end)
        if end.scrub:
            with self._database.apart():
                self._database.scrub()

    def _move(self, connection: Connection, drive: Drive, step: Step, end: Ending) -> None:
        now = self._clock()
        before = drive.rotation
        after = apply(before, end.to, now=now, **end.values)
        if frees_others(before.state, after.state) and after.night is not None and after.target is not None:
            called_off = after.state is State.CANCELLED  # of a night that is stopped all are, one by one
            rotation_rows.wake_queued(connection, after.night, after.target, now, due_too=not called_off)
        said = NewStep(
            step=step.value,
            result=end.result,
            cause=None if end.cause is None else end.cause.value,
            said=end.said,
            at=now,
        )
        drive.move(connection, after, said if end.said else None)


def _judge(error: Exception, leased: Rotation, step: Step) -> Failure:
    """What nobody raised on purpose: this machine has no room, which is waited out, or a mistake of ours."""
    trouble = explain_trouble(error, where=f"step {step}")
    if trouble is not None:
        return Failure(cause=Cause.OUTAGE if trouble.can_retry else Cause.MISTAKE, why=explain(trouble))
    _log.error("rotation.unexpected", **name_for_log(leased), error=type(error).__name__)
    why = Reason.of(Code.UNEXPECTED, error=type(error).__name__, step=step.value)
    return Failure(cause=Cause.MISTAKE, why=why)


def name_for_log(rotation: Rotation) -> dict[str, str | None]:
    """As each line of the log names a rotation."""
    night = None if rotation.night is None else rotation.night.isoformat()
    return {"rotation": rotation.id, "item": rotation.item, "item_id": rotation.item_id, "night": night}
