"""Nodes that start other workflows: `trigger_workflow` goes on at once, `iterator` runs one for each item."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pydantic import Field

from vaultcore.errors import Cause, InvalidInputError, TargetError
from worker.domain.states import RunStatus
from worker.domain.strict_json import parse_json
from worker.workflows.masking import conceal
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome
from worker.workflows.others import Given, Others

ITEMS_MAX: Final = 1000
WORKFLOW_TRIGGER: Final = "workflow_trigger"
SUBFLOW_TRIGGER: Final = "subflow_trigger"


class StartingFields(Fields):
    workflow_id: str = Field(min_length=1, max_length=200, description="the other workflow, by id or name")


class TriggerWorkflowFields(StartingFields):
    payload: Any = Field(
        default=None, description="JSON whose strings are templates: its webhook_payload there"
    )


class TriggerWorkflow(OneWayOn):
    """Starts a run of another workflow, and goes on at once.

    The other one begins with `workflow_trigger`, and is active. It runs by itself: how it ends is not waited
    for, and it resolves its own values when it begins. Its run notes which run began it. 20 runs that begin
    each other are taken for a circle: the last of them starts none.
    In a test nothing is started, and the output says so; the node alone is not tested.
    """

    component_id: ClassVar[str] = "trigger_workflow"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = TriggerWorkflowFields
    example: ClassVar[Mapping[str, Any]] = {
        "workflowId": "stock-update",
        "payload": {"order": "{{ webhook_payload.order }}", "lines": ["book", "pen"]},
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: `{"run_id", "workflow"}`; in a test no run, and why."""
        others = _need(execution)
        payload = execution.render_all(fields.payload)
        name = others.find(fields.workflow_id, trigger=WORKFLOW_TRIGGER)
        if execution.is_test:
            return Outcome(output={"run_id": None, "workflow": name, "skipped": "a test starts no other run"})
        run_id = others.begin(fields.workflow_id, _give(payload, execution))
        return Outcome(output={"run_id": run_id, "workflow": name})

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401, ARG002  # the contract's
        return Outcome(output=None, skipped="it starts another workflow, which a test does not")


class IteratorFields(StartingFields):
    array: str | list[Any] = Field(
        description="a template that gives a JSON array, or a JSON array whose strings are templates"
    )


class Iterator(OneWayOn):
    """Runs another workflow for each item of an array, one after the other, within this run and its hour.

    The other one begins with `subflow_trigger`, and is active; `webhook_payload` there is
    `{"item", "index"}`, counted from 0. An array has 1,000 items at most, and iterators run each other 5
    levels deep. Each is a run with its own values, which proves them as any run of its workflow does. The first
    that fails fails this node. A delay cannot stand in a workflow that is run like this.
    `{{ NODE.field }}` alone gives the array that lies there; anything else must come to JSON (filter `json`).
    In a test of the workflow the others are tested with it; the node alone is not tested.
    """

    component_id: ClassVar[str] = "iterator"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = IteratorFields
    example: ClassVar[Mapping[str, Any]] = {
        "array": "{{ webhook_payload.items }}",
        "workflowId": "label-item",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: the list of the last outputs of each run, up to one that failed."""
        deadline = time.monotonic() + execution.run_seconds
        others = _need(execution)
        items = _read_items(fields.array, execution)
        name = others.find(fields.workflow_id, trigger=SUBFLOW_TRIGGER)
        outputs: list[Any] = []
        shown: list[Any] = []
        for index, item in enumerate(items):
            given = _give({"item": item, "index": index}, execution)
            ran = others.run(fields.workflow_id, given, seconds=deadline - time.monotonic())
            execution.masker.absorb(ran.masker, learned=ran.shown != ran.output)
            if ran.status != RunStatus.COMPLETED:
                where = f", node {ran.error_node}" if ran.error_node else ""
                return Outcome(
                    output=outputs,
                    shown=shown,
                    failure=f"item {index}: workflow {name}{where}: {ran.error_message}",
                    cause=ran.cause or Cause.MISTAKE,
                    retry_at=ran.retry_at,
                )
            outputs.append(ran.output)
            shown.append(ran.shown)
        return Outcome(output=outputs, shown=shown)

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401, ARG002  # the contract's
        return Outcome(output=None, skipped="it runs another workflow, which is tested by itself")


def _need(execution: Execution) -> Others:
    if execution.others is None:
        raise TargetError("no other workflow can be started from here", cause=Cause.MISTAKE)
    return execution.others


def _give(payload: Any, execution: Execution) -> Given:  # noqa: ANN401  # JSON
    """Where anything masked went into it, no part of it can be told from a part of a value."""
    shown = execution.masker.mask(payload)
    if execution.tainted:
        shown = conceal(shown)
    return Given(payload=payload, shown=shown, masker=execution.masker)


def _read_items(array: str | list[Any], execution: Execution) -> list[Any]:
    found = _parse(array, execution) if isinstance(array, str) else execution.render_all(array)
    if not isinstance(found, list):
        raise TargetError("array: it comes to no JSON array", cause=Cause.MISTAKE)
    if len(found) > ITEMS_MAX:
        raise TargetError(
            f"array: it has {len(found):,} items, and an iterator takes {ITEMS_MAX:,} at most",
            cause=Cause.MISTAKE,
        )
    return found


def _parse(template: str, execution: Execution) -> Any:  # noqa: ANN401  # JSON
    """What the template comes to; a text that was itself JSON is read again."""
    variable = _bare_variable(template)
    found: Any = execution.render(template if variable is None else f"{{{{ {variable} | json }}}}")
    for _ in range(1 if variable is None else 2):
        if isinstance(found, str):
            found = _read_json(found)
    return found


def _bare_variable(template: str) -> str | None:
    """The variable that the template is made of, where it is one and nothing else."""
    text = template.strip()
    inner = text[2:-2].removeprefix("-").removesuffix("-").strip()
    whole = text.startswith("{{") and text.endswith("}}") and inner
    return inner if whole and not any(mark in inner for mark in "{}|") else None


def _read_json(text: str) -> Any:  # noqa: ANN401  # JSON
    try:
        return parse_json(text)
    except InvalidInputError:  # its text would quote what may be a value
        return None
