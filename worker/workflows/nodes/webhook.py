"""`webhook`: an outbound HTTP call."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from worker.outbound import cause_of
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class CallFields(Fields):
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str = Field(min_length=1, max_length=4000, description="a template, as headers and body are")
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    body: str | dict[str, Any] | list[Any] | None = Field(
        default=None, description="text, or JSON whose strings are templates; dropped for GET and DELETE"
    )
    timeout: float = Field(default=30, gt=0, le=300, description="seconds")
    test_method: Literal["GET", "HEAD", "OPTIONS"] | None = Field(
        default=None,
        description="the method by which the node is tested, to the same URL with the same headers and no body",
    )


class Webhook(OneWayOn):
    """Calls a service by HTTP.

    A status of 400 or more is a failure, and judges the credential where it is 401, 403 or 407. A GET or HEAD
    follows redirects, to another host without its headers.
    Its test sends the request by the method that `testMethod` names, without a body; a node whose own method
    is GET or HEAD is its own test. Any other names one, or is tested with its workflow alone.
    """

    component_id: ClassVar[str] = "webhook"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = CallFields
    value_fields: ClassVar[frozenset[str]] = frozenset({"url", "headers", "body"})
    example: ClassVar[Mapping[str, Any]] = {
        "method": "POST",
        "url": "https://api.example.org/v1/orders",
        "headers": {"Authorization": "Bearer {{ vault.prod-orders-api-token }}"},
        "body": {"order": "{{ webhook_payload.order }}"},
        "testMethod": "GET",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: `{"status_code", "headers", "body"}`, the body parsed where it is JSON."""
        return self._call(CallFields.model_validate(fields), execution)

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        call = CallFields.model_validate(fields)
        method = call.test_method or call.method
        if method not in ("GET", "HEAD", "OPTIONS"):
            return Outcome(output=None, skipped=f"its {method} has effects, and it names no testMethod")
        return self._call(call.model_copy(update={"method": method, "body": None}), execution)

    def _call(self, call: CallFields, execution: Execution) -> Outcome:
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
