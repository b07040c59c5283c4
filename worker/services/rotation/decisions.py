"""What a person decides of a rotation: whether it begins, where it ends, what it waits for."""

from collections.abc import Callable
from datetime import datetime
from typing import NoReturn

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.model import Item, Kind, Stage
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain import saga
from worker.domain.approvals import digest_request
from worker.domain.decisions import (
    after_accept,
    after_approval,
    after_cancel,
    after_retry,
    after_roll_back,
    after_waiver,
    has_consumers_to_wait_for,
)
from worker.domain.limits import hold_after_decision
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation, decide
from worker.domain.saga import State
from worker.domain.states import StepResult
from worker.domain.tracks import NewStep
from worker.domain.whys import check_why
from worker.rotators.catalog import works_beside
from worker.rows import comparisons as comparison_rows
from worker.rows import consumers as consumer_rows
from worker.rows import rotation_changes as change_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotation_steps as step_rows
from worker.rows import rotations as rotation_rows
from worker.services.rotation.end_on_new import EndOnNew
from worker.services.rotation.notices import RotationNotices
from worker.services.rotation.proof import ConsumerProofs
from worker.services.rotation.rollback import Rollback
from worker.services.rotation.views import find_new
from worker.services.runs.definitions import Definitions
from worker.services.runs.execution import RunOutcome
from worker.services.runs.workflow_tests import WorkflowTests
from worker.wording.rotations import say_shown_by


class Decisions:
    """Each decision is one transaction with its audit row; a worker that is at the rotation is waited for.

    All answer with the rotation as it is then; `RefusedError` where the decision does not fit its state.
    """

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        audit: AuditLog,
        definitions: Definitions,
        workflow_tests: WorkflowTests,
        proofs: ConsumerProofs,
        rollback: Rollback,
        end_on_new: EndOnNew,
        rotation_notices: RotationNotices,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._audit = audit
        self._definitions = definitions
        self._workflow_tests = workflow_tests
        self._proofs = proofs
        self._rollback = rollback
        self._end_on_new = end_on_new
        self._rotation_notices = rotation_notices
        self._clock = clock

    def approve(self, rotation_id: str, *, actor: str) -> Rotation:
        """Lets a requested rotation begin, at the next moment that its windows allow.

        Refused for who asked, where the policy wants four eyes, and after the policy was changed.
        """
        with self._database.write() as connection:
            rotation, item = self._take(connection, rotation_id)
            state = after_approval(rotation)
            if state is None:
                _refuse(rotation, "waits for no approval")
            if rotation.next_at is not None and rotation.next_at <= self._clock():
                _refuse(rotation, "was not approved in time: ask again")
            if item.policy.four_eyes and rotation.asked_by == actor:
                raise RefusedError(
                    f"{rotation.id} was asked for by {actor}, and its policy wants four eyes: "
                    "let somebody else approve it"
                )
            if rotation.request_digest != digest_request(item):
                raise RefusedError(
                    f"the policy or the value of {item.name} was changed since {rotation.id} was asked for: "
                    f"`nightkey rotation cancel {rotation.id}`, then ask again"
                )
            self._rotation_notices.withdraw_request(connection, rotation)
            self._set(
                connection, rotation, actor, "approve", state=state, next_at=self._clock(), approved_by=actor
            )
            return rotation_rows.get_rotation(connection, rotation_id)

    def cancel(self, rotation_id: str, *, actor: str) -> Rotation:
        """Ends what has not begun; takes back what was not activated."""
        with self._database.write() as connection:
            rotation, item = self._take(connection, rotation_id)
            state = after_cancel(rotation)
            if state is None:
                _refuse(rotation, "cannot be cancelled: see `nightkey rotation show` for what can be done")
            if state is State.CANCELLED:
                self._drop(connection, rotation, item, actor)
            else:
                _refuse_to_lose_both(rotation, item)
                self._turn_back(connection, rotation, actor, "cancel")
            return rotation_rows.get_rotation(connection, rotation_id)

    def reject(self, rotation_id: str, *, actor: str) -> Rotation:
        """Ends one that waits for an approval: the other answer to what `approve` says yes to."""
        with self._database.write() as connection:
            rotation, item = self._take(connection, rotation_id)
            if after_approval(rotation) is None:
                _refuse(rotation, "waits for no approval")
            self._drop(connection, rotation, item, actor)
            return rotation_rows.get_rotation(connection, rotation_id)

    def retry(self, rotation_id: str, *, another: bool = False, actor: str) -> Rotation:
        """Does the step again that is stuck, or that waits for its next try, now.

        With `another` the new value is thrown away first, and a new one is made.
        """
        with self._database.write() as connection:
            rotation, _ = self._take(connection, rotation_id)
            state = after_retry(rotation, another=another)
            if state is None and another:
                _refuse(rotation, "has no rejected value that another could follow")
            if state is None and self._awaits_check(connection, rotation):
                state = rotation.state
            if state is None:
                _refuse(rotation, "has nothing to try again")
            self._set(connection, rotation, actor, "retry", state=state, next_at=self._clock())
            if rotation.state is State.STUCK:
                self._rotation_notices.resolve(connection, rotation.item_id)
            return rotation_rows.get_rotation(connection, rotation_id)

    def roll_back(self, rotation_id: str, *, actor: str) -> Rotation:
        """Ends on the old value.

        The worker takes the new one away outside; where that is what got stuck, or where the item differs from
        its target since a restore, it is dropped here, and whoever decides so has seen to it outside.
        """
        with self._database.write() as connection:
            rotation, item = self._take(connection, rotation_id)
            if (rotation.stuck_in or rotation.state) in saga.NOT_BEGUN:
                _refuse(rotation, "has not begun: `nightkey rotation cancel` ends it")
            _refuse_to_lose_both(rotation, item)
            if rotation.by_owner:
                _refuse(rotation, "takes away what its owner replaced: there is no way back to that")
            if rotation.old_dead and rotation.stuck_in is State.RETIRING:
                _refuse(
                    rotation, "has no way back, since the old value is refused: retry it, or accept the new one"
                )
            differs = comparison_rows.find_open(connection, item.id) is not None
            state = after_roll_back(rotation, differs=differs)
            if state is None:
                _refuse(rotation, "is going back already")
            if state is State.ROLLED_BACK:
                self._end_on_old(connection, rotation, item, actor)
            else:
                self._turn_back(connection, rotation, actor, "rollback")
            changed = rotation_rows.get_rotation(connection, rotation_id)
        self._database.scrub()
        return changed

    def accept(self, rotation_id: str, *, actor: str) -> Rotation:
        """Ends on the new value.

        Where taking the old one away got stuck, it is dropped here, and whoever decides so has seen to it
        outside. Otherwise the new one is made current, and is watched as after any activation.
        """
        with self._database.write() as connection:
            rotation, item = self._take(connection, rotation_id)
            state = after_accept(rotation)
            if state is None:
                _refuse(rotation, "is not stuck with a new value: there is nothing to accept")
            if rotation.is_overtaken(item.version):
                _refuse(
                    rotation,
                    f"ends on version {item.version}, which was given by hand since: "
                    f"`nightkey rotation retry {rotation.id}`",
                )
            if state is State.DONE:
                self._end_accepted(connection, rotation, item, actor)
            else:
                self._make_current(connection, rotation, item, actor)
            changed = rotation_rows.get_rotation(connection, rotation_id)
        self._database.scrub()
        return changed

    def extend(self, rotation_id: str, until: datetime, *, actor: str) -> Rotation:
        """The old value works on until then, at least."""
        with self._database.write() as connection:
            rotation, item = self._take(connection, rotation_id)
            if not has_consumers_to_wait_for(rotation):
                _refuse(rotation, "has no overlap that could be longer")
            if rotation.is_old_dead or not works_beside(item.policy, rotation.rotator):
                _refuse(rotation, "has an old value that does not work, so that more time helps nobody")
            old = self._versions.get(connection, item.id, rotation.old_number)
            if until <= self._clock():
                raise InvalidInputError("--until must lie in the future")
            if old.expires_at is not None and until > old.expires_at:
                raise RefusedError(
                    f"the old value of {item.name} lapses at {old.expires_at:%Y-%m-%d %H:%M} UTC: "
                    "it cannot work on for longer than that"
                )
            now = self._clock()
            self._set(
                connection, rotation, actor, "extend", overlap_until=until, next_at=now, state=rotation.state
            )
            return rotation_rows.get_rotation(connection, rotation_id)

    def waive(
        self, rotation_id: str, workflow: str | None, *, check: bool = False, why: str, actor: str
    ) -> Rotation:
        """Somebody answers for a consumer that is not proven: it is waited for no longer.

        `workflow` None: for the callers of a key; or, with `check`, for that the new value works though no
        check can tell.
        """
        check_why(why)
        with self._database.write() as connection:
            rotation, item = self._take(connection, rotation_id)
            state = after_waiver(rotation, check=check)
            if state is None:
                _refuse(rotation, "waits for no consumer")
            if check and rotation.shown_by is not None and not rotation.is_overtaken(item.version):
                _refuse(rotation, f"was shown to work already, by {say_shown_by(rotation.shown_by)}")
            if workflow is None and not check and item.kind is not Kind.API_KEY:
                raise RefusedError(f"{item.name} is not a key that callers present: name the workflow")
            consumer = consumer_rows.CHECK if check else item.id
            if workflow is not None:
                consumer = self._find_consumer(connection, rotation, workflow)
            consumer_rows.waive(connection, rotation.id, consumer, by=actor, why=why, at=self._clock())
            self._set(
                connection,
                rotation,
                actor,
                "waive",
                state=state,
                next_at=self._clock(),
                noted={_for_whom(workflow, check=check): consumer, "why": why},
            )
            return rotation_rows.get_rotation(connection, rotation_id)

    def prove(self, rotation_id: str, workflow: str, *, actor: str) -> RunOutcome:
        """A controlled run, now: the whole workflow with its sample context and the new value.

        A good one proves the consumer, active or not, as a production run would.
        """
        with self._database.read() as connection:
            rotation = rotation_rows.get_rotation(connection, rotation_id)
            if not has_consumers_to_wait_for(rotation) or rotation.new_number is None:
                _refuse(rotation, "waits for no consumer")
            found = self._definitions.get(connection, self._find_consumer(connection, rotation, workflow))
        return self._workflow_tests.run_controlled(
            found,
            overrides={rotation.item_id: rotation.new_number},
            rotation_id=rotation.id,
            actor=actor,
        )

    # Inside

    def _take(self, connection: Connection, rotation_id: str) -> tuple[Rotation, Item]:
        rotation = lease_rows.take_rotation(connection, rotation_id, now=self._clock())
        return rotation, self._vault.get(connection, rotation.item_id)

    def _set(
        self,
        connection: Connection,
        rotation: Rotation,
        actor: str,
        decision: str,
        *,
        noted: dict[str, str] | None = None,
        **values: object,
    ) -> None:
        """Writes the decision; what was tried and waited for before it no longer counts."""
        change_rows.change_rotation(connection, rotation, decide(rotation, **values))
        step_rows.add_steps(
            connection,
            rotation.id,
            [
                NewStep(
                    step=decision,
                    result=StepResult.DONE,
                    said=(Reason.of(Code.DECIDED_BY, by=actor, text=noted["why"] if noted else None),),
                    at=self._clock(),
                )
            ],
        )
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action=f"rotation.{decision}",
            subject=rotation.id,
            item=rotation.item_id,
            **(noted or {}),
        )

    def _awaits_check(self, connection: Connection, rotation: Rotation) -> bool:
        """It waits for a check that can fail, which may have been mended."""
        return any(
            consumer_proof.check for consumer_proof in self._proofs.consumer_proofs(connection, rotation)
        )

    def _drop(self, connection: Connection, rotation: Rotation, item: Item, actor: str) -> None:
        """It has not begun, and never will."""
        self._rotation_notices.withdraw_request(connection, rotation)
        if rotation.state is State.STUCK:
            self._rotation_notices.resolve(connection, rotation.item_id)
        self._hold(connection, item)
        self._end(connection, rotation, actor, "cancel", State.CANCELLED)

    def _hold(self, connection: Connection, item: Item) -> None:
        """The night asks again, but not soon."""
        until = hold_after_decision(item.policy.approval, expires_at=item.expires_at, now=self._clock())
        self._vault.hold(connection, item.id, until)

    def _end(self, connection: Connection, rotation: Rotation, actor: str, decision: str, state: State) -> None:
        said = Reason.of(Code.ENDED_BY, decision=decision, by=actor)
        self._set(
            connection,
            rotation,
            actor,
            decision,
            state=state,
            finished_at=self._clock(),
            next_at=None,
            last_error=rotation.last_error or said,
        )

    def _turn_back(self, connection: Connection, rotation: Rotation, actor: str, decision: str) -> None:
        self._rotation_notices.resolve(connection, rotation.item_id)
        self._set(
            connection,
            rotation,
            actor,
            decision,
            state=State.UNDOING,
            next_at=self._clock(),
            last_cause=None,
            last_error=Reason.of(Code.TAKEN_BACK_BY, by=actor),
        )

    def _end_on_old(self, connection: Connection, rotation: Rotation, item: Item, actor: str) -> None:
        if rotation.is_overtaken(item.version):
            self._rollback.leave_behind(connection, rotation, actor=actor)
        else:
            self._rollback.go_back(connection, rotation, actor=actor)
            self._rollback.drop_new(connection, rotation, actor=actor, reason="given up")
        self._hold(connection, self._vault.get(connection, item.id))
        self._rotation_notices.resolve(connection, item.id)
        self._end(connection, rotation, actor, "rollback", State.ROLLED_BACK)

    def _end_accepted(self, connection: Connection, rotation: Rotation, item: Item, actor: str) -> None:
        self._end_on_new.record(connection, rotation, actor=actor, reason="given up")
        self._rotation_notices.resolve(connection, item.id)
        self._rotation_notices.tell_done(connection, rotation)
        self._end(connection, rotation, actor, "accept", State.DONE)

    def _make_current(self, connection: Connection, rotation: Rotation, item: Item, actor: str) -> None:
        new = find_new(connection, self._versions, rotation)
        if new is None:
            raise RefusedError(f"{rotation.id} has no new value that could be accepted: roll it back")
        if new.stage is Stage.PENDING and item.kind is Kind.API_KEY:
            raise RefusedError(f"nobody could collect the new key of {item.name}: roll {rotation.id} back")
        if new.stage is Stage.PENDING:
            self._versions.activate(connection, item.id, new=new.number, old=rotation.old_number, actor=actor)
        elif new.stage is Stage.PREVIOUS:
            self._versions.reactivate(
                connection, item.id, good=new.number, bad=rotation.old_number, actor=actor
            )
        self._rotation_notices.resolve(connection, item.id)
        now = self._clock()
        self._set(
            connection,
            rotation,
            actor,
            "accept",
            state=State.WATCHING,
            next_at=now,
            activated_at=now,
            widened_at=None,
            canary_id=None,
            overlap_until=None,
        )

    def _find_consumer(self, connection: Connection, rotation: Rotation, workflow: str) -> str:
        found = consumer_rows.consumers_of(connection, rotation.item_id)
        for consumer in found:
            if workflow in (consumer.name, consumer.id):
                return consumer.id
        names = ", ".join(consumer.name for consumer in found) or "no workflow"
        raise NotFoundError(f"{rotation.item} is not used by {workflow!r}: it is used by {names}")


def _for_whom(workflow: str | None, *, check: bool) -> str:
    if workflow is not None:
        return "workflow"
    return "check" if check else "callers"


def _refuse_to_lose_both(rotation: Rotation, item: Item) -> None:
    if rotation.one_way and not rotation.is_overtaken(item.version):
        _refuse(
            rotation,
            "has no way back, since the old value stopped working when the new one was issued: "
            f"`nightkey rotation show {rotation.id}` says how it can go on",
        )


def _refuse(rotation: Rotation, why: str) -> NoReturn:
    raise RefusedError(f"{rotation.id} of {rotation.item} is {rotation.state}: it {why}")
