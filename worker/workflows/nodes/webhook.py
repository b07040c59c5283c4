"""`webhook`: an outbound HTTP call."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from vaultcore.errors import Cause
from worker.outbound import Expect, Response, cause_unmet, say_status
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome
from worker.workflows.nodes.expected import Expected, shows_credential
from worker.workflows.nodes.headers import Headers, render_headers

_WITHOUT_BODY = ("GET", "HEAD", "DELETE")


class CallFields(Fields):
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="in any case"
    )
    url: str = Field(min_length=1, max_length=4000, description="a template, as headers and body are")
    headers: Headers = Field(
        default_factory=dict,
        max_length=50,
        description="an object, or a list of pairs; numbers, true and false are sent as JSON writes them",
    )
    body: str | dict[str, Any] | list[Any] | None = Field(
        default=None,
        description="text, sent as it is rendered, or JSON whose strings are templates; dropped for GET and "
        "DELETE",
    )
    timeout: float = Field(default=30, gt=0, le=300, description="seconds")
    test_method: Literal["GET", "HEAD", "OPTIONS"] | None = Field(
        default=None,
        description="the method by which the node is tested, to the same URL with the same headers and no body",
    )
    expect: Expected | None = Field(
        default=None,
        description="what a good answer to the call, and to its test, holds; if it is left out, any with a "
        "status below 300 is one",
    )

    @model_validator(mode="after")
    def _check_expectation(self) -> Self:
        if self.expect is not None and self.expect.reads_body and "HEAD" in (self.method, self.test_method):
            raise ValueError("expect: an answer to HEAD has no body, so that json and text would never hold")
        return self

    @field_validator("method", "test_method", mode="before")
    @classmethod
    def _in_capitals(cls, method: object) -> object:
        return method.upper() if isinstance(method, str) else method


class Webhook(OneWayOn):
    """Calls a service by HTTP.

    A status of 300 or more is a failure, and judges the credential where it is 401, 403 or 407. Many a service
    answers 200 to whom it does not let in: `expect` says what a good answer holds, and any other is a failure
    that judges the credential where one went into the call. A redirect is no good answer by itself: a GET or
    HEAD follows it only where `expect` looks at more than the status, to another host without its headers.
    A body that is a JSON object or array, also one that is written as text, is sent as `application/json`
    unless the headers say a type.
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

    def idle_fields(self, fields: Any) -> frozenset[str]:  # noqa: ANN401  # the contract's
        return frozenset({"body"}) if fields.method in _WITHOUT_BODY else frozenset()

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: `{"status_code", "headers", "body"}`, the body parsed where it is JSON."""
        return self._call(CallFields.model_validate(fields), execution)

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        call = CallFields.model_validate(fields)
        method = call.test_method or call.method
        if method not in ("GET", "HEAD", "OPTIONS"):
            effects = f"its {method} has effects, and it names no testMethod: name one, or test the workflow"
            return Outcome(output=None, skipped=effects)
        return self._call(call.model_copy(update={"method": method, "body": None}), execution)

    def _call(self, call: CallFields, execution: Execution) -> Outcome:
        headers = render_headers(call.headers, execution)
        content = None
        if call.body is not None and call.method not in _WITHOUT_BODY:
            content = self._render_body(call, execution)
            stated = any(name.lower() == "content-type" for name, _ in headers)
            if not stated and (not isinstance(call.body, str) or _is_json(content)):
                headers.append(("Content-Type", "application/json"))
        expect = call.expect
        answer = execution.http.request(
            call.method,
            execution.render(call.url),
            headers=headers,
            content=content,
            timeout=min(call.timeout, execution.seconds),
            follow=expect is not None and expect.tells,
        )
        output = {
            "status_code": answer.status,
            "headers": dict(answer.headers),
            "body": answer.body,
        }
        failure, cause = _judge(answer, expect, execution)
        retry_at = answer.retry_at if cause is Cause.OUTAGE else None
        return Outcome(output=output, failure=failure, cause=cause, retry_at=retry_at)

    def _render_body(self, call: CallFields, execution: Execution) -> str:
        if isinstance(call.body, str):
            return execution.render(call.body)
        return json.dumps(execution.render_all(call.body))


def _judge(
    answer: Response, expect: Expect | None, execution: Execution
) -> tuple[str, Cause] | tuple[None, None]:
    """An answer that is not the expected one judges a credential only if one went into the call."""
    said = f"the service {say_status(answer.status)}"
    if expect is None:
        return (None, None) if answer.cause is None else (said, answer.cause)
    lack = expect.judge(answer)
    if lack is None:
        return None, None
    cause = cause_unmet(answer)
    if cause is Cause.REJECTED and not shows_credential(execution):
        cause = Cause.MISTAKE
    return f"{said}, but {lack}" if answer.cause is None else said, cause


def _is_json(text: str) -> bool:
    """Whether it is an object or an array: any other text may be meant as one."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
