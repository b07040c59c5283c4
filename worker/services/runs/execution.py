"""One run from its row to its end, or to where it waits; and the runs that it begins.

A run resolves its values once, at its start, and records which versions its nodes used. The values are
revealed (and that is audited) in a transaction of their own, before anything is sent. A run that waits keeps
which versions it resolved, and goes on with these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.crypto.envelope import Sealed
from vaultcore.database import Database
from vaultcore.errors import Cause, InvalidInputError, NightkeyError, TamperedError, TroubleError
from vaultcore.secret import Secret
from vaultcore.versions import Purpose
from worker.domain.states import RUN_SECONDS, RunPurpose, RunStatus, RunTrigger
from worker.rows import rotations as rotation_rows
from worker.rows import runs as run_rows
from worker.rows import states as state_rows
from worker.rows.runs import OpenedRun
from worker.services.runs.calls import Calls, do_alone
from worker.services.runs.kept_payloads import KeptPayloads
from worker.services.runs.subworkflows import Subworkflows
from worker.services.runs.suspended_runs import SuspendedRuns
from worker.services.runs.template_values import Number, Resolved, TemplateValues
from worker.workflows.nodes.starting import SUBFLOW_TRIGGER, WORKFLOW_TRIGGER
from worker.workflows.others import Given, Ran, Resumption
from worker.workflows.results import RunResult
from worker.workflows.runner import Ended, Paused, Runner
from worker.workflows.workflow import Workflow

RUN_LIMIT: Final = timedelta(seconds=RUN_SECONDS)
NO_DELAY_WITHIN: Final = "a delay cannot stand in a workflow that an iterator runs"


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run ended, or that it is still `running` and waits until `resume_at`.

    `output` is that of its last node, masked; `used` are the ids of the items it used, and `begun` the runs
    that it has opened, for others to execute. `retry_at`: when another try can help at the earliest.
    """

    run_id: str
    workflow: str
    status: RunStatus
    error_message: str | None
    error_node: str | None
    cause: Cause | None
    output: Any
    used: tuple[str, ...]
    resume_at: datetime | None = None
    begun: tuple[str, ...] = ()
    retry_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """A run that is being executed. A test has `overrides`: versions that take the place of others. `caller`:
    whose key began it. `depth`: how many runs before it began each other; `level`: how many iterators run it.
    `opened`: its row, where it begins at once.
    """

    run_id: str
    workflow: Workflow
    purpose: RunPurpose
    began_at: datetime
    actor: str
    overrides: Mapping[str, int] | None = None
    rotation_id: str | None = None
    caller: Number | None = None
    depth: int = 0
    level: int = 0
    opened: OpenedRun | None = None

    @property
    def is_test(self) -> bool:
        """Also of a controlled run, which a person watches."""
        return self.overrides is not None


def open_at_once(
    connection: Connection,
    workflow: Workflow,
    purpose: RunPurpose,
    trigger: RunTrigger,
    *,
    at: datetime,
    actor: str,
    caller: Number | None = None,
    overrides: Mapping[str, int] | None = None,
    rotation_id: str | None = None,
) -> UnderWay:
    """A run that begins at once."""
    opened = run_rows.open_run(
        connection,
        workflow.id,
        workflow.name,
        purpose=purpose,
        trigger=trigger,
        at=at,
        rotation_id=rotation_id,
    )
    return UnderWay(
        run_id=opened.id,
        opened=opened,
        workflow=workflow,
        purpose=purpose,
        began_at=at,
        actor=actor,
        overrides=overrides,
        rotation_id=rotation_id,
        caller=caller,
    )


class RunExecution:
    def __init__(
        self,
        *,
        database: Database,
        references: References,
        subworkflows: Subworkflows,
        template_values: TemplateValues,
        suspended_runs: SuspendedRuns,
        kept_payloads: KeptPayloads,
        runner: Runner,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._references = references
        self._subworkflows = subworkflows
        self._template_values = template_values
        self._suspended_runs = suspended_runs
        self._kept_payloads = kept_payloads
        self._runner = runner
        self._clock = clock

    def execute(
        self, run: UnderWay, start: Mapping[str, Any] | Given | Resumption, *, hidden: tuple[Secret, ...] = ()
    ) -> RunOutcome:
        """From its trigger on, with a context, or with what another run gave; or behind what one had done."""
        return do_alone(self._database, self.executing(run, start, hidden=hidden))

    def executing(
        self, run: UnderWay, start: Mapping[str, Any] | Given | Resumption, *, hidden: tuple[Secret, ...] = ()
    ) -> Calls[RunOutcome]:
        """As `execute`, in parts."""
        outcome, _ = yield from self._executing(run, start, hidden=hidden)
        return outcome

    def go_on(self, run: UnderWay, kept: Mapping[str, Any], resolved: Resolved) -> RunOutcome:
        """After it has waited, with the values that it had, for what is left of its hour."""
        others = _Others(self, self._subworkflows, run)
        left = run.began_at + RUN_LIMIT - self._clock()
        ended = self._runner.go_on(
            run.workflow.definition,
            kept["run"],
            values=resolved.values,
            beside=resolved.beside,
            others=others,
            seconds=left.total_seconds(),
            clock=self._clock,
        )
        return self._conclude(run, resolved, ended, others)

    def give_up(self, run: UnderWay, kept: Mapping[str, Any], resolved: Resolved, why: str) -> RunOutcome:
        """A run that waited cannot go on: it has failed."""
        return self._end(run, resolved, self._runner.give_up(run.workflow.definition, kept["run"], why))

    def _executing(
        self,
        run: UnderWay,
        start: Mapping[str, Any] | Given | Resumption,
        *,
        hidden: tuple[Secret, ...] = (),
        within: bool = False,
        seconds: float = RUN_SECONDS,
    ) -> Calls[tuple[RunOutcome, Ended | None]]:
        """Beside the outcome how it ended; None where its values could not be resolved, or where it waits."""
        resolved, problem = Resolved(), ""
        try:
            with self._database.append() as connection:
                resolved = self._template_values.resolve(
                    connection,
                    run.workflow,
                    run.overrides or {},
                    purpose=Purpose.TEST if run.is_test else Purpose.RUN,
                    actor=run.actor,
                )
        except TroubleError:
            raise  # the database is away: that says nothing of the run
        except NightkeyError as error:
            problem = str(error)
        if problem:
            return self._end(run, resolved, RunResult.not_begun(problem)), None
        others = _Others(self, self._subworkflows, run)
        ended: Ended | Paused = yield lambda: self._runner.begin(
            run.workflow.definition,
            start=start,
            values=resolved.values,
            beside=resolved.beside,
            hidden=hidden,
            is_test=run.is_test,
            others=others,
            cannot_wait=NO_DELAY_WITHIN if within else None,
            seconds=seconds,
            clock=self._clock,
        )
        return self._conclude(run, resolved, ended, others), ended if isinstance(ended, Ended) else None

    def _conclude(
        self, run: UnderWay, resolved: Resolved, ended: Ended | Paused, others: "_Others"
    ) -> RunOutcome:
        begun = tuple(others.begun)
        if isinstance(ended, Ended):
            return self._end(run, resolved, ended.result, begun, note=ended.note)
        return self._pause(run, resolved, ended, begun)

    def _pause(self, run: UnderWay, resolved: Resolved, paused: Paused, begun: tuple[str, ...]) -> RunOutcome:
        kept = {"run": paused.kept, "caller": run.caller, **resolved.keep()}
        problem = ""
        try:
            sealed = self._suspended_runs.seal(run.run_id, kept)
        except InvalidInputError as error:
            problem = f"the run cannot wait: {error}"
        if problem:
            given_up = self._runner.give_up(run.workflow.definition, paused.kept, problem)
            return self._end(run, resolved, given_up, begun)
        try:
            with self._database.write() as connection:
                if run_rows.find_open(connection, run.run_id, lock=True) is not None:
                    state_rows.keep(
                        connection, run.run_id, sealed, at=self._clock(), resume_at=paused.resume_at
                    )
        except TamperedError as error:
            problem = str(error)
        if problem:
            return self._refuse(run, problem, begun)
        return RunOutcome(
            run_id=run.run_id,
            workflow=run.workflow.name,
            status=RunStatus.RUNNING,
            error_message=None,
            error_node=None,
            cause=None,
            output=None,
            used=(),
            resume_at=paused.resume_at,
            begun=begun,
        )

    def _end(
        self,
        run: UnderWay,
        resolved: Resolved,
        result: RunResult,
        begun: tuple[str, ...] = (),
        *,
        note: Callable[[], Mapping[str, Any]] | None = None,
    ) -> RunOutcome:
        """`note`: what it began with and did, for who runs it again."""
        again = run.purpose == RunPurpose.PRODUCTION and not run.level
        payload = None if note is None or not again else self._kept_payloads.seal(run.run_id, note)
        used = resolved.used(result.used)
        if run.caller is not None:
            used[run.caller[0]] = run.caller[1]
        problem = ""
        try:
            with self._database.write() as connection:
                self._record(connection, run, result, used, payload)
        except TamperedError as error:
            problem = str(error)
        if problem:
            return self._refuse(run, problem, begun)
        return RunOutcome(
            run_id=run.run_id,
            workflow=run.workflow.name,
            status=result.status,
            error_message=result.error_message,
            error_node=result.error_node,
            cause=result.cause,
            output=result.output,
            used=tuple(sorted(used)),
            begun=begun,
            retry_at=result.retry_at,
        )

    def _record(
        self,
        connection: Connection,
        run: UnderWay,
        result: RunResult,
        used: Mapping[str, int],
        payload: Sealed | None,
    ) -> None:
        now = self._clock()
        proves = run.purpose in run_rows.PROVING  # then its row is read and checked once more
        opened = None if proves else run.opened
        ended = run_rows.end_run(connection, run.run_id, result, used, at=now, opened=opened)
        if ended and payload is not None:
            self._kept_payloads.keep(connection, run.run_id, payload)
        if ended and proves:
            rotation_rows.wake_watching(connection, used, now)  # rotations before references, as who watches
            self._references.note_run(
                connection,
                workflow_id=run.workflow.id,
                used=used,
                good=result.status == RunStatus.COMPLETED,
                began_at=run.began_at,
                at=now,
            )

    def _refuse(self, run: UnderWay, why: str, begun: tuple[str, ...]) -> RunOutcome:
        """Its row, or one that its proof would stand in, was changed meanwhile: it has failed, and proves
        nothing.
        """
        now = self._clock()
        with self._database.write() as connection:
            ended = run_rows.refuse_run(connection, run.run_id, why=why, at=now)
            rotation_rows.wake_watching(connection, self._references.items_of(connection, ended), now)
        return RunOutcome(
            run_id=run.run_id,
            workflow=run.workflow.name,
            status=RunStatus.FAILED,
            error_message=why,
            error_node=None,
            cause=Cause.MISTAKE,
            output=None,
            used=(),
            begun=begun,
        )

    def run_other(
        self, run: UnderWay, workflow: Workflow, given: Given, seconds: float
    ) -> tuple[Ran, tuple[str, ...]]:
        """A run within this run: how it ended, and the runs that it opened."""
        now = self._clock()
        with self._database.write() as connection:
            run_id = run_rows.open_run(
                connection,
                workflow.id,
                workflow.name,
                purpose=run.purpose,
                trigger=RunTrigger.SUBFLOW,
                at=now,
                rotation_id=run.rotation_id,
                parent_id=run.run_id,
                depth=run.depth + 1,
            ).id
        within = UnderWay(
            run_id=run_id,
            workflow=workflow,
            purpose=run.purpose,
            began_at=now,
            actor=run.actor,
            overrides=run.overrides,
            rotation_id=run.rotation_id,
            depth=run.depth + 1,
            level=run.level + 1,
        )
        outcome, ended = do_alone(self._database, self._executing(within, given, within=True, seconds=seconds))
        ran = Ran(
            workflow=workflow.name,
            status=outcome.status,
            error_message=outcome.error_message,
            error_node=outcome.error_node,
            cause=outcome.cause,
            retry_at=outcome.retry_at,
            output=None if ended is None else ended.output,
            shown=None if ended is None else ended.shown,
            masker=given.masker if ended is None else ended.masker,
        )
        return ran, outcome.begun


class _Others:
    """What a run may start. `begun` are the runs that it, and those within it, have opened."""

    def __init__(self, execution: RunExecution, subworkflows: Subworkflows, run: UnderWay) -> None:
        self._execution = execution
        self._subworkflows = subworkflows
        self._run = run
        self.begun: list[str] = []

    def find(self, workflow: str, *, trigger: str) -> str:
        return self._find(workflow, trigger).name

    def begin(self, workflow: str, given: Given) -> str:
        found = self._find(workflow, WORKFLOW_TRIGGER)
        self.begun.append(
            self._subworkflows.open(found, given, parent_id=self._run.run_id, depth=self._run.depth + 1)
        )
        return self.begun[-1]

    def run(self, workflow: str, given: Given, *, seconds: float) -> Ran:
        found = self._find(workflow, SUBFLOW_TRIGGER)
        ran, begun = self._execution.run_other(self._run, found, given, seconds)
        self.begun += begun
        return ran

    def _find(self, workflow: str, trigger: str) -> Workflow:
        return self._subworkflows.find(workflow, trigger=trigger, depth=self._run.depth, level=self._run.level)
