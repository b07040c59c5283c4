"""`authorizer`: signs JSON Web Tokens, and checks those that others present."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from vaultcore.errors import Cause
from vaultcore.secret import Secret
from worker.signing.keys import Algorithm, SigningKey, read_key
from worker.signing.tokens import RefusedTokenError, check, sign
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome

_TRIAL = timedelta(minutes=1)
_RESERVED = frozenset({"exp", "iat", "nbf", "iss", "aud", "sub"})


class AuthorizerFields(Fields):
    operation: Literal["sign", "check"]
    key: str = Field(
        min_length=1, max_length=4000, description="a template that is the key of one item: {{ vault.NAME }}"
    )
    algorithm: Algorithm | None = Field(default=None, description="refuse a key of any other one")
    token: str | None = Field(default=None, max_length=20_000, description="check: a template")
    sample: dict[str, Any] | None = Field(
        default=None,
        description="check: what the token says that a test of the workflow presents instead, signed by the "
        "key that is tested",
    )
    claims: dict[str, Any] = Field(
        default_factory=dict, description="sign: what the token says; its strings are templates"
    )
    subject: str | None = Field(default=None, max_length=1000, description="sign: a template")
    issuer: str | None = Field(default=None, max_length=1000, description="said by a token, or asked of one")
    audience: str | None = Field(default=None, max_length=1000, description="the same")
    lifetime: int = Field(
        default=300, ge=1, le=366 * 86_400, description="sign: seconds until the token expires"
    )
    leeway: int = Field(default=30, ge=0, le=600, description="check: seconds that clocks may differ")

    @model_validator(mode="after")
    def _check(self) -> "AuthorizerFields":
        if (self.operation == "check") != (self.token is not None):
            raise ValueError("token: it goes with operation check, and check with a token")
        if self.operation == "sign" and self.sample is not None:
            raise ValueError("sample: it goes with operation check")
        if self.operation == "check" and (self.claims or self.subject is not None):
            raise ValueError("claims: a check has none to make; it gives back those of the token")
        reserved = sorted(_RESERVED & set(self.claims))
        if reserved:
            raise ValueError(f"claims: {', '.join(reserved)}: there are fields of their own for these")
        return self


class Authorizer(OneWayOn):
    """Signs tokens with the key of an item, or checks those that somebody presents.

    It needs a signing key as an item: a private key in PEM or as JWK, or text for HS256. A token is signed by
    the version that the workflow follows. One that is checked may be signed by any version that works now, so
    that tokens which were signed before a rotation hold until the key before is retired; it must have an
    expiry, and its algorithm is always that of the key, whatever it says of itself.

    A token that does not hold is a failure of the node, told with the reason: an `error` edge leads on from
    it. It never judges the credential. A key that cannot be read is a mistake.
    Its test signs a token with the key and checks it; nothing leaves. In a test of its workflow a check takes a
    token that it signs itself with the claims of `sample`, where that is set: one in the sample context would
    expire, and its key would go.
    """

    component_id: ClassVar[str] = "authorizer"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = AuthorizerFields
    value_fields: ClassVar[frozenset[str]] = frozenset({"key"})
    reads_beside: ClassVar[bool] = True
    stays_inside: ClassVar[bool] = True
    needs: ClassVar[tuple[str, str] | None] = ("joserfc", "jwt")
    example: ClassVar[Mapping[str, Any]] = {
        "operation": "check",
        "key": "{{ vault.prod-orders-signing-key }}",
        "token": "{{ webhook_payload.token }}",
        "issuer": "https://orders.example.org",
        "audience": "warehouse",
        "sample": {"sub": "a customer"},
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: of sign `{"token", "kid", "expires_at"}`, of check `{"claims", "kid"}`."""
        wanted = AuthorizerFields.model_validate(fields)
        if wanted.operation == "sign":
            return _sign(wanted, execution)
        key = _read(wanted, execution)
        asked = _render_asked(wanted, execution)
        if execution.is_test and wanted.sample is not None:
            token = sign(key, {**wanted.sample, **_claims_of(asked), "exp": _in(_TRIAL)})
        else:
            token = execution.render(wanted.token or "").strip()
        keys = [key, *_read_beside(wanted, execution)]
        try:
            checked = check(token, keys, now=_now(), leeway=wanted.leeway, **asked)
        except RefusedTokenError as error:
            return Outcome(output=None, failure=str(error), cause=Cause.MISTAKE)
        return Outcome(output={"claims": dict(checked.claims), "kid": checked.kid})

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        key = _read(AuthorizerFields.model_validate(fields), execution)
        try:
            check(sign(key, {"exp": _in(_TRIAL)}), [key], now=_now())
        except RefusedTokenError as error:
            failure = f"the key does not check what it signed: {error}"
            return Outcome(output=None, failure=failure, cause=Cause.REJECTED)
        return Outcome(output={"algorithm": key.algorithm, "kid": key.kid})


def _sign(wanted: AuthorizerFields, execution: Execution) -> Outcome:
    key, now = _read(wanted, execution), _now()
    expires_at = now + timedelta(seconds=wanted.lifetime)
    claims = {
        **execution.render_all(wanted.claims),
        **({} if wanted.subject is None else {"sub": execution.render(wanted.subject)}),
        **_claims_of(_render_asked(wanted, execution)),
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    token = sign(key, claims)
    execution.masker.hide(Secret(token))
    return Outcome(
        output={"token": token, "kid": key.kid, "expires_at": expires_at.isoformat(timespec="seconds")}
    )


def _read(wanted: AuthorizerFields, execution: Execution) -> SigningKey:
    return read_key(Secret(execution.render(wanted.key)), wanted.algorithm)


def _read_beside(wanted: AuthorizerFields, execution: Execution) -> list[SigningKey]:
    return [read_key(Secret(text)) for text in execution.render_beside(wanted.key)]


def _render_asked(wanted: AuthorizerFields, execution: Execution) -> dict[str, str | None]:
    asked = {"issuer": wanted.issuer, "audience": wanted.audience}
    return {name: None if text is None else execution.render(text) for name, text in asked.items()}


def _claims_of(asked: Mapping[str, str | None]) -> dict[str, str]:
    names = {"issuer": "iss", "audience": "aud"}
    return {names[name]: text for name, text in asked.items() if text is not None}


def _in(time: timedelta) -> int:
    """As tokens say it: seconds since 1970."""
    return int((_now() + time).timestamp())


def _now() -> datetime:
    """The time of those who present tokens, which is no clock of ours to turn."""
    return datetime.now(UTC)
