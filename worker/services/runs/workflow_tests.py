"""Tests of stored workflows: of one node, of the whole, and the run that a person watches."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.secret import Secret
from vaultcore.versions import Purpose
from worker.domain.states import RunPurpose, RunTrigger
from worker.services.runs.calls import Calls, do_alone
from worker.services.runs.definitions import refuse_elsewhere
from worker.services.runs.execution import RunExecution, RunOutcome, UnderWay, open_at_once
from worker.services.runs.template_values import TemplateValues
from worker.workflows.results import NodeResult
from worker.workflows.runner import Runner
from worker.workflows.workflow import Workflow


class WorkflowTests:
    """With `overrides`: versions, by the item's id, that take the place of those that are current."""

    def __init__(
        self,
        *,
        database: Database,
        template_values: TemplateValues,
        execution: RunExecution,
        runner: Runner,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._template_values = template_values
        self._execution = execution
        self._runner = runner
        self._clock = clock

    def test_node(
        self,
        workflow: Workflow,
        node_id: str,
        *,
        overrides: Mapping[str, int],
        stand_ins: Mapping[str, Secret] | None = None,
        context: Mapping[str, Any] | None = None,
        actor: str,
    ) -> NodeResult:
        """One node, really executed, alone, with its sample context and the overriding versions; `stand_ins`,
        by the item's id, are given to it instead of what the vault holds.
        """
        return do_alone(
            self._database,
            self.testing_node(
                workflow, node_id, overrides=overrides, stand_ins=stand_ins, context=context, actor=actor
            ),
        )

    def testing_node(
        self,
        workflow: Workflow,
        node_id: str,
        *,
        overrides: Mapping[str, int],
        stand_ins: Mapping[str, Secret] | None = None,
        context: Mapping[str, Any] | None = None,
        actor: str,
    ) -> Calls[NodeResult]:
        """As `test_node`, in parts."""
        workflow.check_has(node_id)
        why = workflow.why_untested(node_id)
        if why is not None:
            raise RefusedError(f"node {node_id} of workflow {workflow.name} cannot be tested here: {why}")
        values, beside = self._find_values(workflow, node_id, overrides, stand_ins or {}, actor)
        result: NodeResult = yield lambda: self._runner.test_node(
            workflow.definition,
            node_id,
            context=workflow.definition.sample_context if context is None else context,
            values=values,
            beside=beside,
        )
        return result

    def _find_values(
        self,
        workflow: Workflow,
        node_id: str,
        overrides: Mapping[str, int],
        stand_ins: Mapping[str, Secret],
        actor: str,
    ) -> tuple[Mapping[str, Secret], Mapping[str, tuple[Secret, ...]]]:
        """What the node is given, and what it may read beside. A value that is not used is not revealed."""
        if stand_ins:
            with self._database.read() as connection:
                made_up = self._template_values.stand_in_alone(connection, workflow, node_id, stand_ins)
            if made_up is not None:
                return made_up, {}
        with self._database.append() as connection:
            resolved = self._template_values.resolve(
                connection, workflow, overrides, node_id=node_id, purpose=Purpose.TEST, actor=actor
            )
        return resolved.stand_in(stand_ins), resolved.beside

    def test_workflow(
        self,
        workflow: Workflow,
        *,
        overrides: Mapping[str, int],
        rotation_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        actor: str,
    ) -> RunOutcome:
        """The whole workflow, really executed, with its sample context; it proves no production run."""
        return do_alone(
            self._database,
            self.testing_workflow(
                workflow, overrides=overrides, rotation_id=rotation_id, context=context, actor=actor
            ),
        )

    def testing_workflow(
        self,
        workflow: Workflow,
        *,
        overrides: Mapping[str, int],
        rotation_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        actor: str,
    ) -> Calls[RunOutcome]:
        """As `test_workflow`, in parts."""
        refuse_elsewhere(workflow)
        run = self._open(
            workflow,
            RunPurpose.TEST,
            RunTrigger.TEST,
            overrides=overrides,
            rotation_id=rotation_id,
            actor=actor,
        )
        given = workflow.definition.sample_context if context is None else context
        return (yield from self._execution.executing(run, given))

    def run_controlled(
        self, workflow: Workflow, *, overrides: Mapping[str, int], rotation_id: str, actor: str
    ) -> RunOutcome:
        """The whole workflow with its sample context, active or not, watched by a person: it proves as a
        production run does.
        """
        refuse_elsewhere(workflow)
        run = self._open(
            workflow,
            RunPurpose.CONTROLLED,
            RunTrigger.MANUAL,
            overrides=overrides,
            rotation_id=rotation_id,
            actor=actor,
        )
        return self._execution.execute(run, workflow.definition.sample_context)

    def _open(
        self,
        workflow: Workflow,
        purpose: RunPurpose,
        trigger: RunTrigger,
        *,
        overrides: Mapping[str, int],
        rotation_id: str | None,
        actor: str,
    ) -> UnderWay:
        with self._database.append() as connection:
            return open_at_once(
                connection,
                workflow,
                purpose,
                trigger,
                at=self._clock(),
                actor=actor,
                overrides=overrides,
                rotation_id=rotation_id,
            )
