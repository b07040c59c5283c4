"""Runs of workflows: production runs, and the tests that prove a candidate.

A run resolves its values once, at its start, and records which versions its nodes used. The values
are revealed (and that is audited) in a transaction of their own, before anything is sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Row, select, update

from vaultcore.consumers import References
from vaultcore.damage import is_whole
from vaultcore.database import Database
from vaultcore.errors import Cause, InvalidInputError, NightkeyError, RefusedError, TroubleError
from vaultcore.model import Consumer, Reference, Stage
from vaultcore.secret import Secret
from vaultcore.stored import Unread, check_row, do_apart
from vaultcore.vault import Vault
from vaultcore.versions import Purpose, Versions
from worker import records, store
from worker.domain.commands import explain_waiting, quote_word
from worker.domain.places import Place
from worker.services.definitions import Definitions, Workflow
from worker.services.presenting import Presenting
from worker.tables import workflows
from worker.workflows.runner import NodeResult, Runner, RunResult
from worker.workflows.schedule import next_run

_log = structlog.get_logger(__name__)
RUN_LIMIT = timedelta(hours=1)
_LOST_AFTER = RUN_LIMIT + timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The values of a run, and which version each reference resolved to.

    By what is written in the template: `numbers` are (item id, version number); `beside` are the values of the
    other versions that work now, for nodes that ask for them.
    """

    values: Mapping[str, Secret]
    numbers: Mapping[str, tuple[str, int]]
    beside: Mapping[str, tuple[Secret, ...]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended. `output` is that of its last node, masked; `used` are the ids of the items it used."""

    run_id: str
    workflow: str
    status: str
    error_message: str | None
    error_node: str | None
    cause: Cause | None
    output: Any
    used: tuple[str, ...]


class Running:
    """Starts, executes and tests workflows."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        references: References,
        definitions: Definitions,
        runner: Runner,
        presenting: Presenting,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._references = references
        self._definitions = definitions
        self._runner = runner
        self._presenting = presenting
        self._clock = clock

    # Production

    def start(
        self,
        name: str,
        *,
        payload: Any = None,  # noqa: ANN401  # JSON
        key: Secret | None = None,
        actor: str,
    ) -> Outcome:
        """Runs a workflow now, by hand. Where its trigger asks for an API key, one must be given."""
        with self._database.write() as connection:
            workflow = self._definitions.get(connection, name)
            refuse_elsewhere(workflow)
            if not workflow.active:
                raise RefusedError(f"workflow {workflow.name} is not active: set is_active and apply it")
            caller = self._check_caller(connection, workflow, key)
            run_id = records.open_run(
                connection, workflow.id, workflow.name, purpose="production", trigger="manual", at=self._clock()
            )
        if caller is not None:
            self._presenting.note(caller)
        context = {} if payload is None else {"webhook_payload": payload}
        return self._execute(run_id, workflow, context, actor=actor, caller=caller)

    def claim_due(self, *, limit: int = 500) -> list[str]:
        """Opens a run for every workflow whose time has come, once each, and says which.

        Slots that passed while nothing ran are made up by one run.
        """
        now = self._clock()
        opened = []
        with self._database.write() as connection:
            due = connection.execute(
                select(workflows)
                .where(
                    workflows.c.next_run_at <= now,
                    workflows.c.runs == Place.HERE.value,
                    is_whole(connection, workflows),
                )
                .order_by(workflows.c.next_run_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            for row in due:
                run_id = do_apart(connection, row, lambda one: self._open_due(connection, one, now))
                if isinstance(run_id, Unread):  # the scan makes a finding of it
                    _log.error("workflow.unreadable", workflow=row.id, problem=run_id.problem)
                else:
                    opened.append(run_id)
        return opened

    def _open_due(self, connection: Connection, row: Row[*tuple[Any, ...]], now: datetime) -> str:
        check_row(row, f"workflow {row.name}")
        following = next_run(row.schedule_type, row.schedule_value, now)
        connection.execute(update(workflows).where(workflows.c.id == row.id).values(next_run_at=following))
        return records.open_run(connection, row.id, row.name, purpose="production", trigger="schedule", at=now)

    def waiting_runs(self, *, opened_before: datetime) -> list[str]:
        """Runs that were opened and never begun: their message was lost.

        Ends those whose worker died, and wakes the rotations that waited for them.
        """
        now = self._clock()
        with self._database.write() as connection:
            lost = records.fail_lost_runs(connection, begun_before=now - _LOST_AFTER, at=now)
            used = {
                reference.item_id
                for workflow_id in lost
                for reference in self._references.of_consumer(connection, workflow_id)
                if reference.item_id is not None
            }
            if used:
                store.wake_watching(connection, used, now)
            return records.pending_runs(connection, opened_before=opened_before)

    def execute(self, run_id: str, *, actor: str) -> Outcome | None:
        """Executes a run that `claim_due` opened; None: somebody else has begun it, or it cannot be read."""
        with self._database.write() as connection:
            begun = records.begin_run(connection, run_id, at=self._clock())
        if begun is None:
            return None
        try:
            with self._database.read() as connection:
                workflow = self._definitions.get(connection, begun)
        except NightkeyError as error:  # what cannot be read would wait for ever
            unread = RunResult.not_begun(str(error))
            with self._database.write() as connection:
                records.end_run(connection, run_id, unread, {}, at=self._clock())
            return None
        return self._execute(run_id, workflow, {}, actor=actor)

    def execute_call(
        self,
        run_id: str,
        workflow: Workflow,
        *,
        payload: Any,  # noqa: ANN401  # JSON
        caller: tuple[str, int],
        key: Secret,
        actor: str,
    ) -> Outcome:
        """Executes a run that a caller began; `caller` is the item and version whose key it presented.

        The run notes that version as used, which is what proves that its callers have moved. The key is
        masked, in case the caller sent it in the body, too.
        """
        context = {} if payload is None else {"webhook_payload": payload}
        return self._execute(run_id, workflow, context, caller=caller, hidden=(key,), actor=actor)

    # Tests

    def test_node(
        self,
        workflow: Workflow,
        node_id: str,
        *,
        overrides: Mapping[str, int],
        context: Mapping[str, Any] | None = None,
        actor: str,
    ) -> NodeResult:
        """One node, really executed, alone, with its sample context and the overriding versions."""
        if node_id not in workflow.definition.node_ids():
            raise InvalidInputError(
                f"workflow {workflow.name} has no node {node_id!r}: "
                f"it has {', '.join(workflow.definition.node_ids())}"
            )
        why = None if workflow.runs_here else workflow.definition.why_untested(node_id)
        if why is not None:
            raise RefusedError(f"node {node_id} of workflow {workflow.name} cannot be tested here: {why}")
        with self._database.write() as connection:
            references = [
                reference
                for reference in self._references.of_consumer(connection, workflow.id)
                if reference.node_id == node_id
            ]
            resolved = self._resolve(connection, workflow, references, overrides, Purpose.TEST, actor)
        return self._runner.test_node(
            workflow.definition,
            node_id,
            context=workflow.definition.sample_context if context is None else context,
            values=resolved.values,
            beside=resolved.beside,
        )

    def test_workflow(
        self,
        workflow: Workflow,
        *,
        overrides: Mapping[str, int],
        rotation_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        actor: str,
    ) -> Outcome:
        """The whole workflow, really executed, with its sample context; it proves no production run."""
        refuse_elsewhere(workflow)
        with self._database.write() as connection:
            run_id = records.open_run(
                connection,
                workflow.id,
                workflow.name,
                purpose="test",
                trigger="test",
                at=self._clock(),
                rotation_id=rotation_id,
            )
        given = workflow.definition.sample_context if context is None else context
        return self._execute(run_id, workflow, given, overrides=overrides, actor=actor)

    def run_controlled(
        self, workflow: Workflow, *, overrides: Mapping[str, int], rotation_id: str, actor: str
    ) -> Outcome:
        """The whole workflow with its sample context, active or not, watched by a person: it proves as a
        production run does.
        """
        refuse_elsewhere(workflow)
        with self._database.write() as connection:
            run_id = records.open_run(
                connection,
                workflow.id,
                workflow.name,
                purpose="controlled",
                trigger="manual",
                at=self._clock(),
                rotation_id=rotation_id,
            )
        context = workflow.definition.sample_context
        return self._execute(run_id, workflow, context, overrides=overrides, proves=True, actor=actor)

    # Inside

    def _execute(
        self,
        run_id: str,
        workflow: Workflow,
        context: Mapping[str, Any],
        *,
        overrides: Mapping[str, int] | None = None,
        caller: tuple[str, int] | None = None,
        proves: bool = False,
        hidden: tuple[Secret, ...] = (),
        actor: str,
    ) -> Outcome:
        purpose = Purpose.TEST if overrides is not None else Purpose.RUN
        began_at = self._clock()
        problem: NightkeyError | None = None
        try:
            with self._database.write() as connection:
                references = self._references.of_consumer(connection, workflow.id)
                resolved = self._resolve(connection, workflow, references, overrides or {}, purpose, actor)
        except TroubleError:
            raise  # the database is away: that says nothing of the run
        except NightkeyError as error:
            problem = error
        if problem is not None:
            result = RunResult.not_begun(str(problem))
            resolved = Resolved(values={}, numbers={}, beside={})
        else:
            result = self._runner.run(
                workflow.definition,
                context=context,
                values=resolved.values,
                beside=resolved.beside,
                is_test=purpose is Purpose.TEST,
                hidden=hidden,
                clock=self._clock,
            )
        used = {
            resolved.numbers[name][0]: resolved.numbers[name][1]
            for name in result.used
            if name in resolved.numbers
        }
        if caller is not None:
            used[caller[0]] = caller[1]
        now = self._clock()
        with self._database.write() as connection:
            ended = records.end_run(connection, run_id, result, used, at=now)
            if ended and (proves or purpose is Purpose.RUN):
                good = result.status == "completed"
                store.wake_watching(connection, used, now)  # rotations before references, as who watches
                self._references.note_run(
                    connection, workflow_id=workflow.id, used=used, good=good, began_at=began_at, at=now
                )
        return Outcome(
            run_id=run_id,
            workflow=workflow.name,
            status=result.status,
            error_message=result.error_message,
            error_node=result.error_node,
            cause=result.cause,
            output=result.output,
            used=tuple(sorted(used)),
        )

    def _resolve(
        self,
        connection: Connection,
        workflow: Workflow,
        references: list[Reference],
        overrides: Mapping[str, int],
        purpose: Purpose,
        actor: str,
    ) -> Resolved:
        """What each reference stands for: the overriding version, else the pinned, else the current one."""
        values: dict[str, Secret] = {}
        numbers: dict[str, tuple[str, int]] = {}
        beside: dict[str, tuple[Secret, ...]] = {}
        inbound = workflow.definition.trigger_id()
        for reference in references:
            if reference.item_id is None or reference.mentioned or reference.written in numbers:
                continue
            item = self._vault.get(connection, reference.item_id)
            number = overrides.get(item.id) or reference.pinned or item.version
            if reference.node_id == inbound:
                if number is not None:
                    self._check_inbound(connection, item.id, number, overrides, actor)
                continue
            if number is None:
                raise RefusedError(explain_waiting(item, self._clock()))
            numbers[reference.written] = (item.id, number)
            values[reference.written] = self._versions.reveal(
                connection, item.id, number, purpose=purpose, actor=actor
            )
        for reference in references:
            if reference.written in numbers and workflow.definition.reads_beside(reference.node_id):
                item_id, number = numbers[reference.written]
                beside[reference.written] = tuple(
                    self._versions.reveal(connection, item_id, other, purpose=purpose, actor=actor)
                    for other in self._versions.working(connection, item_id)
                    if other != number
                )
        return Resolved(values=values, numbers=numbers, beside=beside)

    def _check_inbound(
        self,
        connection: Connection,
        item_id: str,
        number: int,
        overrides: Mapping[str, int],
        actor: str,
    ) -> None:
        """A trigger's key is one that callers present: a candidate must be known by its digest."""
        if item_id not in overrides:
            return
        key = self._versions.reveal(connection, item_id, number, purpose=Purpose.TEST, actor=actor)
        found = self._versions.check_key(connection, key, stages=(Stage.PENDING, Stage.CURRENT))
        if found != (item_id, number):
            raise RefusedError(f"the new key of item {item_id} is not known by its digest")

    def _check_caller(
        self, connection: Connection, workflow: Workflow, key: Secret | None
    ) -> tuple[str, int] | None:
        wanted = [
            reference
            for reference in self._references.of_consumer(connection, workflow.id)
            if reference.node_id == workflow.definition.trigger_id()
            and reference.consumer is Consumer.WORKFLOW
            and not reference.mentioned
        ]
        if not wanted:
            return None
        found = None if key is None else self._versions.check_key(connection, key)
        if found is None or found[0] not in {reference.item_id for reference in wanted}:
            raise RefusedError(
                f"workflow {workflow.name} is called with the key {wanted[0].written}: give it by --key-file"
            )
        return found


def refuse_elsewhere(workflow: Workflow) -> None:
    """`RefusedError` for a workflow that another engine runs."""
    why = workflow.explain_place()
    if why is not None:
        raise RefusedError(
            f"workflow {workflow.name} runs elsewhere: {why}; what its engine ran is told by "
            f"nightkey run report {quote_word(workflow.name)}"
        )
