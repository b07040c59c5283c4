"""Rotations: opened, and advanced one step at a time by whoever claims them.

The flow of one step: claim (a conditional UPDATE with a lease) → act outside → commit the result
with the new state, if the claim still holds. Where to go from each result is `worker.domain.saga`'s
decision; what a step does is `worker.services.steps`'.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

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
    RefusedError,
)
from vaultcore.ids import new_id
from vaultcore.model import Item, Mode
from vaultcore.vault import Vault
from worker import store
from worker.domain import saga
from worker.domain.commands import quote_word
from worker.domain.findings import Finding, FindingKind, expiry_level, show_time_left
from worker.domain.notices import compose_failure
from worker.domain.saga import Failure, Limits, State, Step, Transition
from worker.services.notifying import Notifying
from worker.services.steps import Done, Steps
from worker.store import Rotation

_log = structlog.get_logger(__name__)
_CUT_OFF_LIMIT = 10
"""How often a step may end its worker, beyond the tries that an outage gets."""
_LOOK_AGAIN = timedelta(hours=1)


class Rotations:
    """Opens rotations and advances them."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        steps: Steps,
        notifying: Notifying,
        limits: Limits,
        lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._steps = steps
        self._notifying = notifying
        self._limits = limits
        self._lease = lease
        self._clock = clock
        self._effects: dict[Step, Callable[[Rotation], Done]] = {
            Step.CREATE: steps.create,
            Step.INSTALL: steps.install,
            Step.TEST_NODES: steps.test_nodes,
            Step.TEST_WORKFLOWS: steps.test_workflows,
            Step.ACTIVATE: steps.activate,
            Step.RETIRE: steps.retire,
            Step.UNDO: steps.undo,
        }

    def open(
        self,
        connection: Connection,
        item: Item,
        *,
        reason: str,
        asked_by: str,
        night: datetime | None = None,
    ) -> Rotation:
        """Plans a rotation in the caller's transaction; `ConflictError` if one is open."""
        if item.policy.rotator is None or item.version is None:
            raise RefusedError(
                f"{item.name} has no rotator: only its owner can replace it, with "
                f"`nightkey item update {quote_word(item.name)} --value-file PATH`"
            )
        now = self._clock()
        rotation = Rotation(
            id=new_id("rot", now),
            item_id=item.id,
            item=item.name,
            owner_id=item.owner_id,
            rotator=item.policy.rotator,
            state=State.PLANNED,
            reason=reason,
            asked_by=asked_by,
            night=night,
            old_number=item.version,
            new_number=None,
            attempts=0,
            last_cause=None,
            last_error=None,
            waits_for=[],
            next_at=now,
            lease_until=None,
            fence=0,
            created_at=now,
            activated_at=None,
            finished_at=None,
        )
        store.insert_rotation(connection, rotation)
        self._audit.append(
            connection,
            at=now,
            actor=asked_by,
            action="rotation.open",
            subject=rotation.id,
            item=item.id,
            reason=reason,
        )
        return rotation

    def request(self, name: str, *, asked_by: str) -> Rotation:
        """A rotation by hand. Mode `notify` is never touched."""
        with self._database.write() as connection:
            item = self._vault.get(connection, name)
            if item.policy.mode is Mode.NOTIFY:
                raise RefusedError(
                    f"{item.name} is replaced by its owner alone (mode notify): "
                    f"`nightkey item update {quote_word(item.name)} --value-file PATH`"
                )
            return self.open(connection, item, reason="asked for by hand", asked_by=asked_by)

    def check_at_rest(self, connection: Connection, item: Item) -> None:
        """Before an item is deleted: refused while a rotation of it still has something to take away."""
        rotation_id = store.find_open_rotation(connection, item.id)
        if rotation_id is not None:
            raise RefusedError(
                f"{item.name} is being rotated: wait for that, then delete it "
                f"(nightkey rotation show {rotation_id})"
            )

    def advance(self, rotation_id: str) -> Rotation | None:
        """Does the step that is due; None if none is, or somebody else is at it."""
        with self._database.write() as connection:
            claimed = store.claim_rotation(connection, rotation_id, now=self._clock(), lease=self._lease)
        if claimed is None:
            return None
        log = _log.bind(rotation=claimed.id, item=claimed.item_id, state=claimed.state.value)
        try:
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
        step = saga.next_step(claimed.state)
        if step is None:
            return
        if self._is_gone(claimed.item_id):
            self._cancel(claimed)
            return
        if claimed.attempts > self._limits.attempts + _CUT_OFF_LIMIT:
            self._fail(
                claimed,
                step,
                Failure(
                    cause=Cause.MISTAKE,
                    message=f"its step was cut off {claimed.attempts - 1} times: see the worker's log",
                ),
            )
            return
        failure: Failure | None = None
        try:
            if step is Step.WATCH:
                waits = self._steps.watch(claimed)
                if waits or claimed.state is State.ACTIVATED:
                    self._wait(claimed, waits)
                    return
                step = Step.RETIRE
            done = self._effects[step](claimed)
        except ConflictError:
            raise
        except CounterpartError as error:
            failure = Failure(cause=error.cause, message=str(error))
        except NightkeyError as error:
            failure = Failure(cause=Cause.MISTAKE, message=str(error))
        except Exception as error:  # noqa: BLE001  # one bad item never stops the night
            _log.error("rotation.unexpected", rotation=claimed.id, error=type(error).__name__)
            failure = Failure(cause=Cause.MISTAKE, message=f"unexpected {type(error).__name__} in step {step}")
        if failure is not None:
            self._fail(claimed, step, failure)
        else:
            self._succeed(claimed, step, done)

    def _is_gone(self, item_id: str) -> bool:
        try:
            with self._database.read() as connection:
                self._vault.get(connection, item_id)
        except NotFoundError:
            return True
        return False

    def _cancel(self, claimed: Rotation) -> None:
        """Its item was deleted, and every value of it with it: there is nothing left to replace."""
        transition = Transition(state=State.CANCELLED, attempts=0, next_at=None)
        with self._database.write() as connection:
            self._resolve(connection, claimed)
            self._move(connection, claimed, transition, last_error="the item was deleted")

    def _succeed(self, claimed: Rotation, step: Step, done: Done) -> None:
        now = self._clock()
        transition = saga.after_success(step, now)
        with self._database.write() as connection:
            store.check_fence(connection, claimed)
            done.record(connection)
            self._step(connection, claimed, step, "done", None, done.message)
            self._move(connection, claimed, transition)
            if step is Step.RETIRE:
                self._resolve(connection, claimed)
            if step is Step.UNDO:
                self._tell_failure(connection, claimed, State.ROLLED_BACK)
        if done.scrub:
            self._database.scrub()

    def _wait(self, claimed: Rotation, waits: tuple[saga.Wait, ...]) -> None:
        """Watching goes on. What stays unproven after the overlap is a finding, not a success."""
        now = self._clock()
        until = next((wait.until for wait in waits if wait.until is not None), None)
        begins = claimed.state is State.ACTIVATED
        transition = saga.after_waiting(now, now if begins and not waits else until or now + _LOOK_AGAIN)
        reasons = [wait.reason for wait in waits]
        with self._database.write() as connection:
            if begins or reasons != claimed.waits_for:
                message = f"waits for {'; '.join(reasons)}" if reasons else "nothing to wait for"
                self._step(connection, claimed, Step.WATCH, "waits", None, message)
            if until is None:
                self._find_unproven(connection, claimed, waits)
            self._move(connection, claimed, transition, waits_for=reasons)

    def _fail(self, claimed: Rotation, step: Step, failure: Failure) -> None:
        now = self._clock()
        transition = saga.after_failure(
            step, claimed.state, failure, attempts=claimed.attempts, limits=self._limits, now=now
        )
        result = "retry" if transition.state is claimed.state else "failed"
        with self._database.write() as connection:
            self._step(connection, claimed, step, result, failure.cause, failure.message)
            self._move(
                connection,
                claimed,
                transition,
                last_cause=failure.cause.value,
                last_error=failure.message,
            )
            if transition.state is State.STUCK:
                self._tell_failure(connection, claimed, State.STUCK, failure.message)

    def _move(self, connection: Connection, claimed: Rotation, to: Transition, **values: object) -> None:
        now = self._clock()
        if to.state is State.ACTIVATED:
            values["activated_at"] = now
        if to.state in saga.FINISHED:
            values |= {"finished_at": now, "waits_for": []}
        store.release_rotation(
            connection, claimed, state=to.state, attempts=to.attempts, next_at=to.next_at, **values
        )
        if to.state is not claimed.state:
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

    def _tell_failure(
        self, connection: Connection, claimed: Rotation, state: State, error: str | None = None
    ) -> None:
        """At once, in the transaction of the failure: the owner's notice, and a finding that stays."""
        why = error or claimed.last_error or "unknown"
        kind = FindingKind.STUCK if state is State.STUCK else FindingKind.ROTATION_FAILED
        store.record_finding(
            connection,
            Finding(
                kind=kind,
                subject=claimed.item_id,
                item_id=claimed.item_id,
                item=claimed.item,
                workflow=None,
                owner_id=claimed.owner_id,
                level=1,
                detail=f"{why} ({claimed.id})",
            ),
            self._clock(),
            told=True,
        )
        self._mark_expiry_told(connection, claimed)
        self._notifying.post(
            connection,
            owner_id=claimed.owner_id,
            kind=f"rotation-{state.value}",
            dedupe_key=f"rotation:{claimed.id}:{state.value}",
            message=compose_failure(
                rotation_id=claimed.id,
                item=claimed.item,
                state=state,
                error=why,
                users=self._steps.users_of(claimed.item_id),
            ),
        )

    def _mark_expiry_told(self, connection: Connection, claimed: Rotation) -> None:
        """The item expires all the same: its owner hears of that again when it gets nearer, not tonight."""
        item = self._vault.get(connection, claimed.item_id)
        now = self._clock()
        if item.expires_at is None or item.expires_at <= now:
            return
        level = expiry_level(item.expires_at, item.policy.thresholds, now)
        if level is not None:
            finding = Finding(
                kind=FindingKind.EXPIRING,
                subject=item.id,
                item_id=item.id,
                item=item.name,
                workflow=None,
                owner_id=item.owner_id,
                level=level,
                detail=f"expires {show_time_left(item.expires_at, now)}: its rotation did not succeed",
            )
            store.record_finding(connection, finding, now, told=True)

    def _find_unproven(self, connection: Connection, claimed: Rotation, waits: tuple[saga.Wait, ...]) -> None:
        for wait in waits:
            if wait.unproven is None:
                continue
            store.record_finding(
                connection,
                Finding(
                    kind=FindingKind.UNPROVEN,
                    subject=f"{claimed.item_id} {wait.unproven}",
                    item_id=claimed.item_id,
                    item=claimed.item,
                    workflow=wait.unproven,
                    owner_id=claimed.owner_id,
                    level=1,
                    detail=f"run it once: nightkey workflow run {quote_word(wait.unproven)}",
                ),
                self._clock(),
            )

    def _resolve(self, connection: Connection, claimed: Rotation) -> None:
        """Success: what earlier failures left open is over."""
        for kind in (FindingKind.ROTATION_FAILED, FindingKind.STUCK, FindingKind.UNPROVEN):
            store.resolve_findings_of(connection, kind, claimed.item_id, self._clock())
