"""Production runs of workflows: who begins them, and goes on with them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import (
    ConflictError,
    InvalidInputError,
    NightkeyError,
    RefusedError,
    TroubleError,
    UnreadableError,
)
from vaultcore.secret import Secret
from vaultcore.stored import do_apart
from vaultcore.versions import Purpose
from worker.domain.states import RunPurpose, RunTrigger
from worker.log import get_logger
from worker.rows import rotations as rotation_rows
from worker.rows import runs as run_rows
from worker.rows import states as state_rows
from worker.rows import workflows as workflow_rows
from worker.rows.workflows import DueWorkflow, UnreadDue
from worker.services.runs.caller_keys import CallerKeys
from worker.services.runs.definitions import Definitions, refuse_elsewhere
from worker.services.runs.execution import RUN_LIMIT, RunExecution, RunOutcome, UnderWay, open_at_once
from worker.services.runs.subworkflows import explain_unfit
from worker.services.runs.suspended_runs import SuspendedRuns
from worker.services.runs.template_values import Number, Resolved, TemplateValues, read_numbers
from worker.workflows.masking import Masker
from worker.workflows.nodes.starting import WORKFLOW_TRIGGER
from worker.workflows.others import Given, Resumption
from worker.workflows.schedule import next_run
from worker.workflows.workflow import Workflow

_log = get_logger(__name__)
LOST_AFTER = RUN_LIMIT + timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A run that this process alone begins, with what it starts with; or goes on with, where it has `kept`
    something and `resolved` its values again. `problem` says why it cannot go on.
    """

    run: UnderWay
    start: Mapping[str, Any] | Given | Resumption = field(repr=False)
    kept: Mapping[str, Any] | None = field(default=None, repr=False)
    resolved: Resolved = field(default_factory=Resolved)
    problem: str = ""


class Runs:
    """Opens, begins and goes on with runs."""

    def __init__(
        self,
        *,
        database: Database,
        references: References,
        definitions: Definitions,
        template_values: TemplateValues,
        suspended_runs: SuspendedRuns,
        execution: RunExecution,
        caller_keys: CallerKeys,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._references = references
        self._definitions = definitions
        self._template_values = template_values
        self._suspended_runs = suspended_runs
        self._execution = execution
        self._caller_keys = caller_keys
        self._clock = clock

    def start(
        self,
        name: str,
        *,
        payload: Any = None,  # noqa: ANN401  # JSON
        key: Secret | None = None,
        actor: str,
    ) -> RunOutcome:
        """Runs a workflow now, by hand. Where its trigger asks for an API key, one must be given."""
        with self._database.write() as connection:
            workflow = self.find_active(connection, name)
            caller = self._template_values.check_caller(connection, workflow, key)
            run = self._open(connection, workflow, RunTrigger.MANUAL, actor=actor, caller=caller)
        if caller is not None:
            self._caller_keys.note(caller)
        return self._execution.execute(run, _context(payload))

    def open_in_background(
        self,
        name: str,
        *,
        context: Mapping[str, Any],
        actor: str,
    ) -> str:
        """A run that whoever comes next begins, by its id; its context is kept sealed until then.

        Refused as by `start`, where the workflow's trigger asks for an API key, which nobody could give, and
        where the context has what a node of the workflow gives: where a value is sent may hang on that.
        """
        with self._database.write() as connection:
            workflow = self.find_active(connection, name)
            self._template_values.check_caller(connection, workflow, None)
            taken = sorted(set(context) & set(workflow.definition.node_ids()))
            if taken:
                raise InvalidInputError(
                    f"context.{taken[0]}: a node of workflow {workflow.name} has that name, and gives it: "
                    "leave it out"
                )
            run_id = self.open_kept(connection, workflow, {"context": dict(context)})
        _log.info("run.opened", run=run_id, workflow=workflow.name, workflow_id=workflow.id, actor=actor)
        return run_id

    def open_kept(self, connection: Connection, workflow: Workflow, kept: Mapping[str, Any]) -> str:
        """A run that whoever comes next begins, with what is kept for it."""
        now = self._clock()
        run_id = run_rows.open_run(
            connection,
            workflow.id,
            workflow.name,
            purpose=RunPurpose.PRODUCTION,
            trigger=RunTrigger.BACKGROUND,
            at=now,
        ).id
        sealed = self._suspended_runs.seal(run_id, kept)
        state_rows.keep(connection, run_id, sealed, at=now, resume_at=now)
        return run_id

    def find_active(self, connection: Connection, name: str) -> Workflow:
        """`RefusedError` for one that another engine runs, or that is not active."""
        workflow = self._definitions.get(connection, name)
        refuse_elsewhere(workflow)
        if not workflow.active:
            raise RefusedError(f"workflow {workflow.name} is not active: set is_active and apply it")
        return workflow

    def open_due(self, *, limit: int = 500) -> list[str]:
        """Opens a run for every workflow whose time has come, once each, and says which.

        Slots that passed while nothing ran are made up by one run.
        """
        now = self._clock()
        opened = []
        with self._database.write() as connection:
            for due in workflow_rows.lock_due(connection, now, limit=limit):
                run_id = (
                    due
                    if isinstance(due, UnreadDue)
                    else do_apart(connection, due, lambda one: self._open_due(connection, one, now))
                )
                if isinstance(run_id, str):
                    opened.append(run_id)
                else:  # the scan makes a finding of it
                    _log.error("workflow.unreadable", workflow=due.id, problem=run_id.problem)
        return opened

    def _open_due(self, connection: Connection, due: DueWorkflow, now: datetime) -> str:
        following = next_run(due.schedule_type, due.schedule_value, now)
        workflow_rows.change_workflow(connection, due.id, next_run_at=following)
        return run_rows.open_run(
            connection, due.id, due.name, purpose=RunPurpose.PRODUCTION, trigger=RunTrigger.SCHEDULE, at=now
        ).id

    def end_lost(self) -> None:
        """Ends runs whose worker died, and wakes the rotations that waited for them."""
        now = self._clock()
        with self._database.write() as connection:
            lost = run_rows.fail_lost_runs(connection, begun_before=now - LOST_AFTER, at=now)
            self._wake_for(connection, lost, now)

    def find_waiting(self, *, opened_before: datetime) -> list[str]:
        """Runs that were opened and never begun: their message was lost."""
        with self._database.read() as connection:
            return run_rows.pending_runs(connection, opened_before=opened_before)

    def due_runs(self) -> list[str]:
        """Runs that can go on, since their delay is over, and those that others have begun: `execute` does
        either, once.
        """
        with self._database.read() as connection:
            return state_rows.due(connection, self._clock())

    def execute(self, run_id: str, *, actor: str) -> RunOutcome | None:
        """Executes a run that was opened and not begun, or goes on with one that waited. None: somebody else
        does, or it cannot be read.
        """
        problem = ""
        try:
            with self._database.write() as connection:
                taken = self._take(connection, run_id, actor)
        except (ConflictError, TroubleError):
            raise
        except NightkeyError as error:  # what cannot be read would wait for ever
            problem = str(error)
        if problem:
            self._fail(run_id, problem)
            return None
        if taken is None:
            return None
        if taken.kept is None:
            return self._execution.execute(taken.run, taken.start)
        if taken.problem:
            return self._execution.give_up(taken.run, taken.kept, taken.resolved, taken.problem)
        return self._execution.go_on(taken.run, taken.kept, taken.resolved)

    def execute_call(
        self,
        workflow: Workflow,
        *,
        trigger: RunTrigger,
        payload: Any,  # noqa: ANN401  # JSON
        caller: Number | None,
        key: Secret,
        actor: str,
    ) -> RunOutcome:
        """A run that a caller begins; `caller` is the item and version whose key it presented; None: it is a
        principal.

        The run notes that version as used, which is what proves that its callers have moved. The key, or the
        principal's token, is masked, in case the caller sent it in the body, too.
        """
        with self._database.write() as connection:
            run = self._open(connection, workflow, trigger, actor=actor, caller=caller)
        return self._execution.execute(run, _context(payload), hidden=(key,))

    # Inside

    def _open(
        self,
        connection: Connection,
        workflow: Workflow,
        trigger: RunTrigger,
        *,
        actor: str,
        caller: Number | None,
    ) -> UnderWay:
        return open_at_once(
            connection,
            workflow,
            RunPurpose.PRODUCTION,
            trigger,
            at=self._clock(),
            actor=actor,
            caller=caller,
        )

    def _take(self, connection: Connection, run_id: str, actor: str) -> _Taken | None:
        """Leases a run that waits, once; None if it does not, or somebody else has it.

        One that waited keeps the versions that it resolved: they are revealed again. It goes on although its
        workflow was made inactive meanwhile; one that was opened, and not begun, is refused then, and where it
        would not begin any more as it was to.
        """
        now = self._clock()
        begun = run_rows.begin_run(connection, run_id, at=now)
        # another machine, whose clock is a little ahead, may have opened the one that begins
        kept = self._suspended_runs.take(connection, run_id, due_by=now if begun is None else None)
        row = run_rows.find_open(connection, run_id)
        if row is None or (begun is None and kept is None):
            return None
        if row.damage:
            raise UnreadableError(f"run {run_id}", row.damage)
        run = UnderWay(
            run_id=run_id,
            workflow=self._definitions.get(connection, row.workflow_id),
            purpose=RunPurpose(row.purpose),
            began_at=row.started_at,
            actor=actor,
            depth=row.depth,
        )
        if begun is not None:
            _check_fit(run.workflow, row.trigger)
            return _Taken(run=run, start=_start(row.trigger, kept))
        return self._take_again(connection, run, kept or {})

    def _take_again(self, connection: Connection, run: UnderWay, kept: Mapping[str, Any]) -> _Taken:
        caller = kept["caller"]
        run = replace(run, caller=None if caller is None else (caller[0], caller[1]))
        resolved, problem = read_numbers(kept), ""
        if not run.workflow.runs_here:
            problem = "the workflow was changed while this run waited, and runs elsewhere now"
            return _Taken(run=run, start={}, kept=kept, resolved=resolved, problem=problem)
        try:
            resolved = self._template_values.reveal(connection, resolved, purpose=Purpose.RUN, actor=run.actor)
        except (ConflictError, TroubleError):
            raise
        except NightkeyError as error:  # a value lapsed, or was taken away in an emergency
            problem = str(error)
        return _Taken(run=run, start={}, kept=kept, resolved=resolved, problem=problem)

    def _fail(self, run_id: str, why: str) -> None:
        """It can neither be begun nor gone on with."""
        now = self._clock()
        with self._database.write() as connection:
            self._wake_for(connection, run_rows.refuse_run(connection, run_id, why=why, at=now), now)

    def _wake_for(self, connection: Connection, workflow_ids: Iterable[str], now: datetime) -> None:
        """The rotations that waited for a run of these, which has ended without a proof."""
        used = self._references.items_of(connection, workflow_ids)
        if used:
            rotation_rows.wake_watching(connection, used, now)


def _context(payload: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {} if payload is None else {"webhook_payload": payload}


def _check_fit(workflow: Workflow, trigger: str) -> None:
    """`RefusedError` for a workflow that was changed after a run of it was opened, and before that began."""
    refuse_elsewhere(workflow)
    if trigger == RunTrigger.WORKFLOW:
        problem = explain_unfit(workflow, WORKFLOW_TRIGGER)
        if problem:
            raise RefusedError(f"it was changed before this run began: {problem}")
    elif not workflow.active:
        raise RefusedError(f"workflow {workflow.name} was made inactive before this run began")


def _start(trigger: str, kept: Mapping[str, Any] | None) -> Mapping[str, Any] | Given | Resumption:
    """What a run that others have opened starts with."""
    if trigger == RunTrigger.BACKGROUND:
        if kept is None:
            raise NightkeyError("what it was started with is gone")
        return Resumption(**kept["done"]) if "done" in kept else dict(kept["context"])
    if kept is not None:
        return Given(payload=kept["payload"], shown=kept["shown"], masker=Masker.recall(kept["masker"]))
    if trigger == RunTrigger.WORKFLOW:
        raise NightkeyError("what another run passed to it is gone")
    return {}
