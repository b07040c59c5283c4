"""What shows that a new value works: verification, node tests and workflow tests, as steps of a rotation.

Each is believed only where it was shown able to fail: see `worker.services.rotation.counter_checks`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import Cause, TargetError
from vaultcore.model import ConsumerKind, Item, Kind
from vaultcore.secret import Secret
from vaultcore.versions import Versions
from worker.domain.checks import ShownBy, Sight
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.states import NodeStatus, RunStatus
from worker.rotators.base import Job, Rotator, answers_needed, asks_nobody
from worker.services.rotation.counter_checks import CounterChecks
from worker.services.rotation.done import Done, say_so
from worker.services.rotation.drive import Drive
from worker.services.rotation.jobs import Jobs
from worker.services.rotation.reasoned import ReasonedError
from worker.services.rotation.side_by_side_tests import AT_ONCE_MAX, CandidateTest, do_tests
from worker.services.rotation.value_end import ask_end, note_end
from worker.services.runs.calls import Calls, do_alone
from worker.services.runs.definitions import Definitions
from worker.services.runs.subworkflows import find_lanes
from worker.services.runs.workflow_tests import WorkflowTests
from worker.workflows.results import NodeResult
from worker.workflows.workflow import Workflow

T = TypeVar("T")
_SHOWN_MAX = 250
_SAID = {
    Sight.SEES: Code.TOLD_APART,
    Sight.BLIND: Code.TOLD_NOTHING,
    Sight.UNKNOWN: Code.TOLD_UNKNOWN,
}


class ValueTests:
    """The effects of the steps that judge a new value, and `show`. Failures are `NightkeyError`s."""

    def __init__(
        self,
        *,
        database: Database,
        versions: Versions,
        references: References,
        definitions: Definitions,
        workflow_tests: WorkflowTests,
        counter_checks: CounterChecks,
        jobs: Jobs,
        target_at_once: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._versions = versions
        self._references = references
        self._definitions = definitions
        self._workflow_tests = workflow_tests
        self._counter_checks = counter_checks
        self._jobs = jobs
        self._target_at_once = target_at_once
        self._clock = clock

    def verify(self, drive: Drive, item: Item, rotator: Rotator, job: Job) -> Done:
        """The other side accepts the new value, several times in a row; and no made-up one."""
        rotation = drive.rotation
        if job.new is None:
            raise TargetError("the pending version holds no value", cause=Cause.MISTAKE)
        message = self._verify_in_a_row(item, rotator, job, job.new)
        end = ask_end(rotator, job, self._clock())
        shown_by: str | None = ShownBy.HERE_ALONE
        said = say_so(message)
        if not asks_nobody(rotator, job.settings):
            sight = self._counter_checks.of_verification(rotation.rotator, rotator, job, job.new)
            shown_by = ShownBy.VERIFICATION if sight is Sight.SEES else None
            said = Reason.of(_SAID[sight], text=message)
        noted = note_end(self._versions, rotation, item, end=end, said=said)

        def record(connection: Connection) -> None:
            noted.record(connection)
            drive.change(shown_by=shown_by)

        return replace(noted, record=record)

    def _verify_in_a_row(self, item: Item, rotator: Rotator, job: Job, new: Secret) -> str:
        """So many good answers that all who serve it know it; fewer, where they ask to be called less often."""
        message, needed = rotator.verify(job, new), answers_needed(rotator, item.policy.answers)
        for _ in range(0 if asks_nobody(rotator, job.settings) else needed - 1):
            try:
                message = rotator.verify(job, new)
            except TargetError as error:
                if error.acted or error.retry_at is None:
                    raise
                break  # it was not asked: it has said when it may be
        return message

    def has_users(self, item: Item) -> bool:
        """Whether a workflow, or a caller with a key of ours, may use the value."""
        with self._database.read() as connection:
            used = self._references.of_item(connection, item.id)
        return bool(used) or item.kind is Kind.API_KEY

    def show(self, rotation: Rotation) -> str | None:
        """Which check has accepted the new value, and could have refused it; None: none, to this day.

        What is known of a check is not asked again; so a mended policy is seen, and nobody is asked each hour.
        """
        if rotation.shown_by is not None:
            return rotation.shown_by
        item, rotator = self._jobs.load(rotation)
        job = self._jobs.make(rotation, item)
        if asks_nobody(rotator, job.settings):
            return ShownBy.HERE_ALONE
        if job.new is None:
            return ShownBy.DIGEST
        try:
            rotator.verify(job, job.new)
            if self._counter_checks.of_verification(rotation.rotator, rotator, job, job.new) is Sight.SEES:
                return ShownBy.VERIFICATION
        except TargetError:  # refused, or away: what follows is for who takes the old one away
            return None
        return self._show_by_nodes(rotation, item, job.new)

    def _show_by_nodes(self, rotation: Rotation, item: Item, new: Secret) -> str | None:
        for workflow, node_id in self._consuming_nodes(item):
            if workflow.why_untested(node_id) is not None:
                continue
            sight = do_alone(self._database, self._sight(rotation, item, workflow, node_id, new))
            if sight is not Sight.SEES:
                continue
            result = do_alone(self._database, self._testing_node(rotation, item, workflow, node_id))
            if result.status == NodeStatus.SUCCESS:
                return _node_test(workflow, node_id)
        return None

    def _sight(
        self, rotation: Rotation, item: Item, workflow: Workflow, node_id: str, new: Secret
    ) -> Calls[Sight]:
        number = rotation.new_number or 0
        return self._counter_checks.of_node(workflow, node_id, item, new, number=number, actor=rotation.id)

    def _testing_node(
        self, rotation: Rotation, item: Item, workflow: Workflow, node_id: str
    ) -> Calls[NodeResult]:
        return self._workflow_tests.testing_node(
            workflow, node_id, overrides={item.id: rotation.new_number or 0}, actor=rotation.id
        )

    def test_nodes(self, drive: Drive) -> Done:
        """Each node that uses it works with the new value, alone; those of several workflows side by side."""
        rotation = drive.rotation
        item, _ = self._jobs.load(rotation)
        job = self._jobs.make(rotation, item)
        consuming = self._consuming_nodes(item)
        results = self._do_tests(
            drive,
            [
                CandidateTest(lane=workflow.id, work=self._judge_node(rotation, item, workflow, node_id))
                for workflow, node_id in consuming
            ],
        )
        passed = [node for node, skipped in zip(consuming, results, strict=True) if skipped is None]
        telling = self._find_telling(drive, item, passed, job)
        tested: list[str] = []
        unproven: list[str] = []
        skipped: list[Reason] = []
        for (workflow, node_id), why in zip(consuming, results, strict=True):
            if why is not None:
                not_tried = Reason.of(Code.NODE_NOT_TRIED, workflow=workflow.name, node=node_id, why=why)
                skipped.append(not_tried)
            else:
                told = tested if (workflow.id, node_id) in telling else unproven
                told.append(f"{workflow.name}/{node_id}")
        first = next(((one, node_id) for one, node_id in passed if (one.id, node_id) in telling), None)
        shown_by = rotation.shown_by or (None if first is None else _node_test(*first))
        said = _tell_tests(tested, unproven, skipped, others=Code.NOT_TESTED_ALONE, nobody=Code.NO_NODE_USES_IT)
        return Done(said=said, record=lambda _: drive.change(shown_by=shown_by))

    def _judge_node(
        self, rotation: Rotation, item: Item, workflow: Workflow, node_id: str
    ) -> Calls[Reason | None]:
        """Why it was not tried; None: it passed."""
        untested = workflow.why_untested(node_id)
        if untested is not None:
            return Reason.of(Code.NODE_ELSEWHERE, text=untested)
        result = yield from self._testing_node(rotation, item, workflow, node_id)
        if result.status == NodeStatus.SKIPPED:
            return Reason.of(Code.SAID, text=str(result.error_message))
        if result.status != NodeStatus.SUCCESS:
            why = Reason.of(
                Code.NODE_TEST_FAILED, workflow=workflow.name, node=node_id, text=str(result.error_message)
            )
            raise ReasonedError(why, cause=result.cause or Cause.MISTAKE, retry_at=result.retry_at)
        return None

    def _find_telling(
        self, drive: Drive, item: Item, nodes: list[tuple[Workflow, str]], job: Job
    ) -> set[tuple[str, str]]:
        """Which of these, by ids, would have failed with a wrong value; a digest is told apart by us. Each
        check is asked once, although several nodes share it.
        """
        new = job.new
        if new is None:
            return {(workflow.id, node_id) for workflow, node_id in nodes}
        known = [(workflow, node_id) for workflow, node_id in nodes if workflow.why_untested(node_id) is None]
        sights = self._do_tests(
            drive,
            [
                CandidateTest(
                    lane=self._counter_checks.digest_node(workflow, node_id, item),
                    work=self._sight(drive.rotation, item, workflow, node_id, new),
                )
                for workflow, node_id in known
            ],
        )
        seen = zip(known, sights, strict=True)
        return {(workflow.id, node_id) for (workflow, node_id), sight in seen if sight is Sight.SEES}

    def test_workflows(self, drive: Drive) -> Done:
        """Each workflow that uses it and runs here runs whole, with its sample context and the new value; side
        by side where they have nothing to do with each other.

        One whose nodes take every value runs well with any.
        """
        rotation = drive.rotation
        item, _ = self._jobs.load(rotation)
        job = self._jobs.make(rotation, item)
        consuming = self._consuming_nodes(item)
        nodes = frozenset((workflow.id, node_id) for workflow, node_id in consuming)
        telling = {workflow_id for workflow_id, _ in self._find_telling(drive, item, consuming, job)}
        workflows = list({workflow.id: workflow for workflow, _ in consuming}.values())
        here = [workflow for workflow in workflows if workflow.runs_here]
        away = [workflow.name for workflow in workflows if not workflow.runs_here]
        lanes = find_lanes(here)
        self._do_tests(
            drive,
            [
                CandidateTest(
                    lane=lanes[workflow.id], work=self._judge_workflow(rotation, item, workflow, nodes)
                )
                for workflow in here
            ],
        )
        tested = [workflow.name for workflow in here if workflow.id in telling]
        unproven = [workflow.name for workflow in here if workflow.id not in telling]
        return Done(
            said=_tell_tests(tested, unproven, away, others=Code.RUN_ELSEWHERE, nobody=Code.NO_WORKFLOW_USES_IT)
        )

    def _judge_workflow(
        self, rotation: Rotation, item: Item, workflow: Workflow, nodes: frozenset[tuple[str, str]]
    ) -> Calls[None]:
        """`nodes`: those that use the item, with their workflows."""
        outcome = yield from self._workflow_tests.testing_workflow(
            workflow,
            overrides={item.id: rotation.new_number or 0},
            rotation_id=rotation.id,
            actor=rotation.id,
        )
        if outcome.status == RunStatus.COMPLETED:
            return
        cause = outcome.cause or Cause.MISTAKE
        if cause is Cause.REJECTED and (workflow.id, outcome.error_node) not in nodes:
            cause = Cause.MISTAKE  # another credential was refused, not this candidate
        why = Reason.of(
            Code.WORKFLOW_TEST_FAILED,
            workflow=workflow.name,
            node=outcome.error_node or None,
            text=str(outcome.error_message),
        )
        raise ReasonedError(why, cause=cause, retry_at=outcome.retry_at)

    def _do_tests(self, drive: Drive, tests: list[CandidateTest[T]]) -> list[T]:
        """Who has a target system works there as one; its tests call it as often as it may be worked on."""
        at_once = AT_ONCE_MAX if drive.rotation.target is None else self._target_at_once
        return do_tests(self._database, drive, tests, at_once=at_once)

    def _consuming_nodes(self, item: Item) -> list[tuple[Workflow, str]]:
        with self._database.read() as connection:
            pairs = sorted(
                {
                    (reference.consumer_id, reference.node_id)
                    for reference in self._references.of_item(connection, item.id)
                    if reference.consumer is ConsumerKind.WORKFLOW
                    and reference.active
                    and not reference.mentioned
                }
            )
            return [(self._definitions.get(connection, workflow_id), node_id) for workflow_id, node_id in pairs]


def _tell_tests(
    tested: list[str], unproven: list[str], rest: Sequence[str | Reason], *, others: Code, nobody: Code
) -> tuple[Reason, ...]:
    """What passed, what passed with any value, and the `rest`, which was not tried: `others` says why."""
    if tested:
        said = [Reason.of(Code.TESTS_PASSED, names=tuple(tested))]
    else:
        said = [Reason.of(Code.NO_TEST_PASSED if unproven or rest else nobody)]
    if unproven:
        said.append(Reason.of(Code.TESTS_UNPROVEN, names=tuple(unproven)))
    if rest:
        said.append(Reason.of(others, names=tuple(rest)))
    return tuple(said)


def _node_test(workflow: Workflow, node_id: str) -> str:
    return f"{ShownBy.NODE_TEST} {workflow.name}/{node_id}"[:_SHOWN_MAX]
