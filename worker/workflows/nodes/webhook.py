"""`webhook`: an outbound HTTP call. A status of 400 or more is a failure, with the status' cause."""

import json
from typing import Any, ClassVar, Literal

from pydantic import Field

from worker.outbound import cause_of
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class CallFields(Fields):
    """`timeout` in seconds. `body` is text, or JSON whose strings are templates; dropped for GET and DELETE."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str = Field(min_length=1, max_length=4000)
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    body: str | dict[str, Any] | list[Any] | None = None
    timeout: float = Field(default=30, gt=0, le=300)


class Webhook(OneWayOn):
    component_id: ClassVar[str] = "webhook"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = CallFields
    value_fields: ClassVar[frozenset[str]] = frozenset({"url", "headers", "body"})

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: `{"status_code", "headers", "body"}`, the body parsed where it is JSON."""
        call = CallFields.model_validate(fields)
        headers = {name: execution.render(text, header=True) for name, text in call.headers.items()}
        content = None
        if call.body is not None and call.method not in ("GET", "HEAD", "DELETE"):
            content = self._render_body(call, execution)
            if not isinstance(call.body, str) and "content-type" not in map(str.lower, headers):
                headers["Content-Type"] = "application/json"
        answer = execution.http.request(
            call.method,
            execution.render(call.url),
            headers=headers,
            content=content,
            timeout=min(call.timeout, execution.seconds),
        )
        output = {
            "status_code": answer.status,
            "headers": dict(answer.headers),
            "body": answer.body,
        }
        cause = cause_of(answer.status)
        failure = None if cause is None else f"the service answered {answer.status}"
        return Outcome(output=output, failure=failure, cause=cause)

    def _render_body(self, call: CallFields, execution: Execution) -> str:
        if isinstance(call.body, str):
            return execution.render(call.body)
        return json.dumps(execution.render_all(call.body))
