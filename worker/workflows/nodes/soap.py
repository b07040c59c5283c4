"""`soap`: an operation of a service with a WSDL."""

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from vaultcore.errors import Cause, TargetError
from worker.outbound import Response
from worker.outbound.soap import SoapCall, UsernameToken, call_soap
from worker.outbound.soap_answers import SoapFault
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome
from worker.workflows.nodes.expected import Expected, shows_credential
from worker.workflows.nodes.headers import Headers, names_of, render_headers
from worker.workflows.nodes.readings import unknown
from worker.workflows.templates import Rendered


class SoapAuth(Fields):
    type: Literal["none", "http", "usernameToken"] = Field(
        default="none", description="none, HTTP Basic, or a UsernameToken of WS-Security"
    )
    username: str = Field(default="", max_length=4000, description="a template")
    password: str = Field(default="", max_length=4000, description="a template")
    digest: bool = Field(
        default=False, description="of a usernameToken: send a digest of the password in its stead"
    )

    @model_validator(mode="after")
    def _check_parts(self) -> "SoapAuth":
        if self.type == "none" and (self.username or self.password):
            raise ValueError("type: write http or usernameToken, since there is a login")
        if self.type != "none" and not (self.username and self.password):
            raise ValueError("username and password: there must be both")
        if self.digest and self.type != "usernameToken":
            raise ValueError("digest: only a usernameToken has one")
        return self


class SoapFields(Fields):
    wsdl: str = Field(min_length=1, max_length=4000, description="URL of the WSDL: a template without values")
    endpoint: str | None = Field(
        default=None,
        min_length=1,
        max_length=4000,
        description="URL of the service: a template without values; needed where the WSDL says another host, "
        "port or scheme than its own",
    )
    service: str | None = Field(default=None, max_length=200, description="the WSDL's first if it is not named")
    port: str | None = Field(default=None, max_length=200, description="the service's first if it is not named")
    operation: str = Field(min_length=1, max_length=200)
    payload: dict[str, Any] = Field(
        default_factory=dict, description="the operation's input, an object whose strings are templates"
    )
    soap_headers: dict[str, Any] = Field(
        default_factory=dict, description="SOAP headers that the WSDL names, as payload"
    )
    auth: SoapAuth = Field(default=SoapAuth(), description="how the node says who it is, beside headers")
    headers: Headers = Field(
        default_factory=dict, max_length=50, description="HTTP headers, as webhook has them, each name once"
    )
    rejected_codes: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="fault codes, without prefix, by which this service refuses a credential",
    )
    timeout: float = Field(default=30, gt=0, le=300, description="seconds, for the WSDL and the call together")
    expect: Expected | None = Field(
        default=None,
        description="what a good answer, also to testOperation, holds: json alone, in the output",
    )
    test_operation: str | None = Field(
        default=None, min_length=1, max_length=200, description="the operation by which the node is tested"
    )
    test_payload: dict[str, Any] = Field(default_factory=dict, description="its input, as payload")

    @model_validator(mode="after")
    def _check_expectation(self) -> "SoapFields":
        if self.expect is not None and self.expect.model_fields_set != {"fields"}:
            raise ValueError("expect: of an answer by SOAP, only json is looked at")
        return self

    @model_validator(mode="after")
    def _check_authorization(self) -> "SoapFields":
        names = [name.lower() for name in names_of(self.headers)]
        if self.auth.type == "http" and "authorization" in names:
            raise ValueError("headers: auth by http makes the header Authorization itself")
        if len(set(names)) < len(names):
            raise unknown("headers: a SOAP call takes each name once")
        return self


class Soap(OneWayOn):
    """Calls an operation of a SOAP service, 1.1 or 1.2, as its WSDL has it.

    The WSDL, what it imports and the answer are loaded anew for each run, all within `timeout`. HTTP headers
    and the login go to the WSDL's own host and port alone, or to those of `endpoint` where it is named; nowhere
    else, whatever the WSDL says. Document types, entities and outsized answers are refused.
    The output is the answer as JSON: dates as ISO text, decimals as text, bytes as base64. What is missing, and
    what is not a number or date where the WSDL says one, is null.
    A fault is a failure, with output `{"fault": {"code", "message", "detail"}}`. It judges the credential with
    401, 403 or 407, with WS-Security's FailedAuthentication, InvalidSecurity or InvalidSecurityToken, with
    Client.Authentication, and with the codes in `rejectedCodes`. A fault that blames the receiver (Server), and
    a gateway's status, are outages; any other is ours, Client among them. Where `expect` says what a good
    answer holds, any other is a failure, too, and judges the credential.
    Its test calls `testOperation` with `testPayload`, which must be safe to repeat; a node that names none is
    tested with its workflow alone.
    """

    component_id: ClassVar[str] = "soap"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = SoapFields
    value_fields: ClassVar[frozenset[str]] = frozenset(
        {"payload", "soapHeaders", "auth", "headers", "testPayload"}
    )
    needs: ClassVar[tuple[str, str] | None] = ("zeep", "soap")
    example: ClassVar[Mapping[str, Any]] = {
        "wsdl": "https://erp.example.org/orders?wsdl",
        "operation": "GetOrder",
        "payload": {"number": "{{ webhook_payload.order }}"},
        "auth": {
            "type": "usernameToken",
            "username": "robot",
            "password": "{{ vault.prod-erp-soap-password }}",
            "digest": True,
        },
        "testOperation": "GetVersion",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        soap = SoapFields.model_validate(fields)
        return _call(soap, soap.operation, soap.payload, execution)

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        soap = SoapFields.model_validate(fields)
        if soap.test_operation is None:
            effects = f"its {soap.operation} may have effects, and it names no testOperation"
            return Outcome(output=None, skipped=f"{effects}: name one, or test the workflow")
        return _call(soap, soap.test_operation, soap.test_payload, execution)


def _call(soap: SoapFields, operation: str, payload: dict[str, Any], execution: Execution) -> Outcome:
    headers = dict(render_headers(soap.headers, execution))
    token = None
    if soap.auth.type == "http":
        headers["Authorization"] = _write_basic(soap.auth, execution)
    elif soap.auth.type == "usernameToken":
        token = _make_token(soap.auth, execution)
    answer = call_soap(
        execution.http,
        SoapCall(
            wsdl=execution.render(soap.wsdl),
            endpoint=None if soap.endpoint is None else execution.render(soap.endpoint),
            service=soap.service,
            port=soap.port,
            operation=operation,
            payload=execution.render_all(payload),
            soap_headers=execution.render_all(soap.soap_headers),
            headers=headers,
            token=token,
            seconds=min(soap.timeout, execution.seconds),
        ),
    )
    if not isinstance(answer, SoapFault):
        return _judge(answer, soap.expect, execution)
    code = " ".join(part for part in answer.codes if part) or "without a code"
    return Outcome(
        output={"fault": {"code": code, "message": answer.message, "detail": answer.detail}},
        failure=f"the service answered with a fault: {execution.masker.mask(code)[:200]}",
        cause=answer.cause(soap.rejected_codes),
    )


def _judge(answer: Any, expect: Expected | None, execution: Execution) -> Outcome:  # noqa: ANN401  # JSON
    """An answer that holds something else judges the credential that went into the call."""
    lack = None if expect is None else expect.judge(Response(status=200, headers={}, body=answer))
    if lack is None:
        return Outcome(output=answer)
    cause = Cause.REJECTED if shows_credential(execution) else Cause.MISTAKE
    return Outcome(output=answer, failure=f"the service answered, but {lack}", cause=cause)


def _write_basic(auth: SoapAuth, execution: Execution) -> str:
    username, password = execution.render(auth.username), execution.render(auth.password)
    if ":" in username:
        raise TargetError("auth: a username with a colon cannot be sent by http", cause=Cause.MISTAKE)
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _make_token(auth: SoapAuth, execution: Execution) -> UsernameToken:
    token = UsernameToken(
        username=execution.render(auth.username), password=execution.render(auth.password), digest=auth.digest
    )
    if auth.digest:  # who has it, and what goes with it, can try passwords
        execution.masker.learn(Rendered(text=token.digest_text(), template="", holds_value=True))
    return token
