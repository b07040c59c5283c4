"""Triggers: where a run begins. Each gives on what the run was started with."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class ManualTrigger(OneWayOn):
    """Started by hand: `nightkey workflow run NAME`.

    Its output is all that the run was started with. A payload that was given along is at `webhook_payload`.
    It reaches nothing: its test gives on the sample context.
    """

    component_id: ClassVar[str] = "manual_trigger"
    kind: ClassVar[NodeKind] = NodeKind.TRIGGER
    Fields: ClassVar[type[Fields]] = Fields
    example: ClassVar[Mapping[str, Any]] = {}

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401, ARG002  # the contract's
        return Outcome(output=dict(execution.scope.context))


class ScheduleTrigger(ManualTrigger):
    """Started when the workflow's schedule says so.

    The schedule is the workflow's own, beside its nodes: `schedule_type` interval, cron, daily, weekly or
    monthly, and `schedule_value`, such as `mon 09:00`, in UTC. Without one nothing starts it but hands.
    It reaches nothing: its test gives on the sample context.
    """

    component_id: ClassVar[str] = "schedule_trigger"
    example: ClassVar[Mapping[str, Any]] = {}


class _Started(OneWayOn):
    """Started by somebody else, who gives along what is at `webhook_payload`."""

    kind: ClassVar[NodeKind] = NodeKind.TRIGGER

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401, ARG002  # the contract's
        return Outcome(output=execution.scope.context.get("webhook_payload"))


class WorkflowTrigger(_Started):
    """Started by another workflow's `trigger_workflow`; what it gave is at `webhook_payload` and is the output.

    It has no key, and nobody calls it from outside; hands may start it, too.
    It reaches nothing: its test gives on the sample context's `webhook_payload`.
    """

    component_id: ClassVar[str] = "workflow_trigger"
    Fields: ClassVar[type[Fields]] = Fields
    example: ClassVar[Mapping[str, Any]] = {}


class SubflowTrigger(_Started):
    """Started by another workflow's `iterator`, once for each item: `webhook_payload` is `{"item", "index"}`.

    It has no key, and nobody calls it from outside; hands may start it, too.
    It reaches nothing: its test gives on the sample context's `webhook_payload`.
    """

    component_id: ClassVar[str] = "subflow_trigger"
    Fields: ClassVar[type[Fields]] = Fields
    example: ClassVar[Mapping[str, Any]] = {}


class _Called(_Started):
    """Started by a call from outside, whose sender presents a key."""

    value_fields: ClassVar[frozenset[str]] = frozenset({"apiKey"})


class CalledFields(Fields):
    api_key: str | None = Field(
        default=None,
        max_length=200,
        description="names the one api-key: item whose key callers present; without it nobody can call",
    )


class WebhookTrigger(_Called):
    """Started by a webhook; its payload is at `webhook_payload`.

    A sender that can set no headers presents the key as the last part of the address:

        POST /workflows/webhooks/wfk_…

    `nightkey serve` answers it. One that can set headers posts to /workflows/webhooks, with the key as
    api_trigger has it, which keeps it out of the logs of whatever stands between. The body is JSON of 1 MB at
    most, or empty. Every active workflow whose trigger names that key runs. The answer, 202 with the id and the
    status of each run, comes when they have ended, or wait at a delay (`running`): a sender that hears nothing,
    or no 2xx, sends it again, and so nothing is lost when this process dies. Without a key that opens, the
    answer is 401.

    It calls nobody: its test gives on the sample context's `webhook_payload`.
    """

    component_id: ClassVar[str] = "webhook_trigger"
    Fields: ClassVar[type[Fields]] = CalledFields
    example: ClassVar[Mapping[str, Any]] = {"apiKey": "{{ vault['api-key:prod-shop'] }}"}


class ApiTrigger(_Called):
    """Started by a call that waits for the answer; what it sent is at `webhook_payload`.

    `nightkey serve` answers it:

        POST /workflows/sync/NAME_OR_ID
        Authorization: Bearer wfk_…            (or X-API-Key: wfk_…)
        Content-Type: application/json

    The body is JSON of 1 MB at most, or empty. The answer is 200 with the output of the workflow's last node,
    values masked (beyond 64 kB its beginning, as text), or 502 with the node that failed and why; where the run
    comes to a delay it is 202, and the run goes on later. X-Run-Id names the run. Without a key that opens this
    workflow the answer is 401, the same for every reason.

    A key opens while its version is current or previous: while it is rotated, callers go on with the old one
    until it is retired, which waits for the pickup, the overlap, and a good call with the new one.

    It calls nobody: its test gives on the sample context's `webhook_payload`.
    """

    component_id: ClassVar[str] = "api_trigger"
    Fields: ClassVar[type[Fields]] = CalledFields
    example: ClassVar[Mapping[str, Any]] = {"apiKey": "{{ vault['api-key:prod-shop'] }}"}
