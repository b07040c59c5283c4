"""Rotations, advanced one step at a time by whoever claims them.

The flow of one step: claim (a conditional UPDATE with a lease) → act outside → commit the result
with the new state, if the claim still holds. Where to go from each result is `worker.domain.saga`'s
decision; what a step does is `worker.services.steps`'.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import (
    Cause,
    ConflictError,
    CounterpartError,
    NightkeyError,
    NotFoundError,
)
from vaultcore.model import Item
from vaultcore.vault import Vault
from worker import store
from worker.domain import saga
from worker.domain.approvals import digest_request
from worker.domain.saga import Failure, Limits, Progress, State, Step, Transition
from worker.outbound import permitted_by
from worker.services.admitting import Admitting
from worker.services.leasing import Lease
from worker.services.steps import Done, Steps
from worker.services.telling import Telling
from worker.services.watching import Watching
from worker.store import Rotation

_log = structlog.get_logger(__name__)
_CUT_OFF_LIMIT = 10
"""How often a step may end its worker before it is taken for our own mistake."""
_ENDS = saga.WATCHED | {State.UNDOING, State.STUCK, State.CANCELLED}
"""States in which those who wait behind a rotation look again."""


class Rotations:
    """Advances rotations."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        steps: Steps,
        watching: Watching,
        admitting: Admitting,
        telling: Telling,
        limits: Limits,
        lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._watching = watching
        self._admitting = admitting
        self._telling = telling
        self._limits = limits
        self._lease = lease
        self._clock = clock
        self._effects: dict[Step, Callable[[Rotation], Done]] = {
            Step.CREATE: steps.create,
            Step.INSTALL: steps.install,
            Step.VERIFY: steps.verify,
            Step.TEST_NODES: steps.test_nodes,
            Step.TEST_WORKFLOWS: steps.test_workflows,
            Step.ACTIVATE: steps.activate,
            Step.RETIRE: steps.retire,
            Step.DISCARD: steps.discard,
            Step.UNDO: steps.undo,
        }

    def advance(self, rotation_id: str) -> Rotation | None:
        """Does the step that is due; None if none is, or somebody else is at it."""
        with self._database.write() as connection:
            claimed = store.claim_rotation(connection, rotation_id, now=self._clock(), lease=self._lease)
        if claimed is None:
            return None
        log = _log.bind(rotation=claimed.id, item=claimed.item_id, state=claimed.state.value)
        lease = Lease(self._database, claimed, lease=self._lease, clock=self._clock)
        try:
            with lease, permitted_by(lease.check):
                self._advance(claimed)
        except ConflictError as error:
            log.warning("rotation.conflict", problem=str(error))
            with self._database.write() as connection:
                store.release_lease(connection, claimed)
        with self._database.read() as connection:
            advanced = store.get_rotation(connection, rotation_id)
        log.info("rotation.advanced", now=advanced.state.value, cause=advanced.last_cause)
        return advanced

    def _advance(self, claimed: Rotation) -> None:
        step = saga.next_step(claimed.state, hurried=claimed.hurried)
        if step is None:
            with self._database.write() as connection:
                store.release_lease(connection, claimed)
            return
        item = self._find_item(claimed.item_id)
        if item is None:
            self._cancel(claimed, step, "the item was deleted")
        elif step is Step.EXPIRE:
            self._cancel(claimed, step, "nobody approved it in time")
        elif step is Step.ADMIT and item.version != claimed.old_number:
            self._cancel(claimed, step, "its owner gave it another value meanwhile")
        elif step is Step.ADMIT:
            self._admit(claimed, item)
        else:
            self._try(claimed, item, step)

    def _try(self, claimed: Rotation, item: Item, step: Step) -> None:
        """One step with an effect, or a look at the consumers; whatever goes wrong has a cause."""
        failure = self._forbid(claimed, item)
        if failure is not None:
            self._fail(claimed, item, step, failure)
            return
        try:
            if step is Step.WATCH:
                self._watch(claimed)
                return
            held = self._admitting.hold_for_window(claimed, item) if step is Step.ACTIVATE else None
            if held is not None:
                self._wait(claimed, step, held)
                return
            done = self._effects[step](claimed)
        except (ConflictError, OperationalError, InterfaceError):
            raise  # it was taken over, or the database is away: no outcome of the step
        except CounterpartError as error:
            failure = Failure(cause=error.cause, message=str(error))
        except NightkeyError as error:
            failure = Failure(cause=Cause.MISTAKE, message=str(error))
        except Exception as error:  # noqa: BLE001  # one bad item never stops the night
            _log.error("rotation.unexpected", rotation=claimed.id, error=type(error).__name__)
            failure = Failure(cause=Cause.MISTAKE, message=f"unexpected {type(error).__name__} in step {step}")
        if failure is not None:
            self._fail(claimed, item, step, failure)
        else:
            self._succeed(claimed, step, done)

    def _forbid(self, claimed: Rotation, item: Item) -> Failure | None:
        """What no effect may follow: a step that keeps ending its worker, an approval that no longer holds."""
        cut_off = claimed.attempts - claimed.outages - 1
        if cut_off > _CUT_OFF_LIMIT:
            message = f"its step was cut off {cut_off} times: see the worker's log"
            return Failure(cause=Cause.MISTAKE, message=message)
        if claimed.state in saga.BEFORE_ACTIVATION and item.version != claimed.old_number:
            message = "its owner gave it another value meanwhile"
            return Failure(cause=Cause.MISTAKE, message=message)
        is_bound = claimed.request_digest is not None and claimed.state in saga.BEFORE_ACTIVATION
        if is_bound and digest_request(item) != claimed.request_digest:
            message = "its policy or value was changed after it was approved: ask again"
            return Failure(cause=Cause.MISTAKE, message=message)
        return None

    def _find_item(self, item_id: str) -> Item | None:
        try:
            with self._database.read() as connection:
                return self._vault.get(connection, item_id)
        except NotFoundError:
            return None

    def _cancel(self, claimed: Rotation, step: Step, why: str) -> None:
        """Before anything was made, or after its item and every value of it went."""
        transition = Transition(state=State.CANCELLED, next_at=None)
        with self._database.write() as connection:
            if step is not Step.EXPIRE:
                self._telling.resolve(connection, claimed.item_id)
            self._step(connection, claimed, step, "failed", None, why)
            self._move(connection, claimed, transition, last_error=why)

    def _admit(self, claimed: Rotation, item: Item) -> None:
        with self._database.write() as connection:
            store.check_fence(connection, claimed, now=self._clock())
            transition = self._admitting.admit(connection, claimed, item)
            values: dict[str, object] = {}
            if transition.state is State.CANCELLED:
                values["last_error"] = "; ".join(transition.waits_for)
            self._move(connection, claimed, transition, **values)

    def _watch(self, claimed: Rotation) -> None:
        """A look at the consumers, and what follows from it, in one transaction.

        Whoever pins a consumer to the old version does so before it, and is waited for, or after it, and
        is refused.
        """
        with self._database.write() as connection:
            store.check_fence(connection, claimed, now=self._clock())
            watched = self._watching.look(connection, claimed)
            values: dict[str, object] = {}
            if watched.widens:
                self._watching.let_go(connection, claimed)
                values["widened_at"] = self._clock()
            self._telling.find_unproven(connection, claimed, watched.standings)
            if watched.state is not claimed.state or list(watched.waits_for) != claimed.waits_for:
                reasons = "; ".join(watched.waits_for)
                message = f"waits for {reasons}" if reasons else "nothing to wait for"
                self._step(connection, claimed, Step.WATCH, "waits" if reasons else "done", None, message)
            transition = Transition(state=watched.state, next_at=watched.next_at, waits_for=watched.waits_for)
            self._move(connection, claimed, transition, **values)

    def _wait(self, claimed: Rotation, step: Step, transition: Transition) -> None:
        with self._database.write() as connection:
            if list(transition.waits_for) != claimed.waits_for:
                message = f"waits for {'; '.join(transition.waits_for)}"
                self._step(connection, claimed, step, "waits", None, message)
            self._move(connection, claimed, transition)

    def _succeed(self, claimed: Rotation, step: Step, done: Done) -> None:
        now = self._clock()
        transition = saga.after_success(step, now)
        if done.again_at is not None:
            waits = (f"what may take effect late at the other side, until {done.again_at:%Y-%m-%d %H:%M} UTC",)
            transition = Transition(state=claimed.state, next_at=done.again_at, waits_for=waits)
        values: dict[str, object] = {}
        if step is Step.ACTIVATE:
            values["activated_at"] = now
        if step not in (Step.DISCARD, Step.UNDO):
            values |= {"last_cause": None, "last_error": None}
        if step is Step.DISCARD:
            values["candidates"] = claimed.candidates + 1
        with self._database.write() as connection:
            store.check_fence(connection, claimed, now=now)
            done.record(connection)
            self._step(connection, claimed, step, "done", None, done.message)
            self._move(connection, claimed, transition, **values)
            if transition.state is State.DONE:
                self._telling.resolve(connection, claimed.item_id)
            if step is Step.UNDO:
                why = claimed.last_error or "unknown"
                self._telling.tell_failure(connection, claimed, State.ROLLED_BACK, why)
        if done.scrub:
            self._database.scrub()

    def _fail(self, claimed: Rotation, item: Item, step: Step, failure: Failure) -> None:
        now = self._clock()
        limits = replace(self._limits, settle=item.policy.settle)
        progress = Progress(
            rotation_id=claimed.id,
            outages=claimed.outages,
            failing_since=claimed.failing_since,
            candidates=claimed.candidates,
        )
        transition = saga.after_failure(step, claimed.state, failure, progress=progress, limits=limits, now=now)
        values: dict[str, object] = {"last_cause": failure.cause.value, "last_error": failure.message}
        if transition.retries:
            values |= {"outages": claimed.outages + 1, "failing_since": claimed.failing_since or now}
        if transition.state is State.STUCK:
            values["stuck_in"] = claimed.state
        result = "retry" if transition.retries else "failed"
        with self._database.write() as connection:
            self._step(connection, claimed, step, result, failure.cause, failure.message)
            self._move(connection, claimed, transition, **values)
            if transition.state is State.STUCK:
                self._telling.tell_failure(connection, claimed, State.STUCK, failure.message)

    def _move(self, connection: Connection, claimed: Rotation, to: Transition, **values: object) -> None:
        now = self._clock()
        if not to.retries:
            values = {"attempts": 0, "outages": 0, "failing_since": None} | values
        if to.state in saga.FINISHED:
            values |= {"finished_at": now, "waits_for": []}
        else:
            values["waits_for"] = list(to.waits_for)
        store.release_rotation(connection, claimed, now=now, state=to.state, next_at=to.next_at, **values)
        if to.state is claimed.state:
            return
        if claimed.night is not None and claimed.counterpart is not None and to.state in _ENDS:
            store.wake_queued(connection, claimed.night, claimed.counterpart, now)
        self._audit.append(
            connection,
            at=now,
            actor=claimed.id,
            action=f"rotation.{to.state.value}",
            subject=claimed.id,
            item=claimed.item_id,
        )

    def _step(
        self,
        connection: Connection,
        claimed: Rotation,
        step: Step,
        result: str,
        cause: Cause | None,
        message: str,
    ) -> None:
        store.add_step(
            connection,
            claimed.id,
            step=step.value,
            result=result,
            cause=None if cause is None else cause.value,
            message=message,
            at=self._clock(),
        )
