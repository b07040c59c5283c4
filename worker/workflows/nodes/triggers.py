"""Triggers: where a run begins. Each gives on what the run was started with."""

from typing import Any, ClassVar

from pydantic import Field

from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class ManualTrigger(OneWayOn):
    """Started by hand."""

    component_id: ClassVar[str] = "manual_trigger"
    kind: ClassVar[NodeKind] = NodeKind.TRIGGER
    Fields: ClassVar[type[Fields]] = Fields

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401, ARG002  # the contract's
        return Outcome(output=dict(execution.scope.context))


class ScheduleTrigger(ManualTrigger):
    """Started when the workflow's schedule says so."""

    component_id: ClassVar[str] = "schedule_trigger"


class WebhookFields(Fields):
    """`apiKey` names the one `api-key:` item whose key callers must present."""

    api_key: str | None = Field(default=None, max_length=200)


class WebhookTrigger(OneWayOn):
    """Started by a call; its payload is at `webhook_payload`."""

    component_id: ClassVar[str] = "webhook_trigger"
    kind: ClassVar[NodeKind] = NodeKind.TRIGGER
    Fields: ClassVar[type[Fields]] = WebhookFields
    value_fields: ClassVar[frozenset[str]] = frozenset({"apiKey"})

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401, ARG002  # the contract's
        return Outcome(output=execution.scope.context.get("webhook_payload"))
