"""What a SOAP service answers: its result as JSON has it, or its fault, and what that says."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

from vaultcore.errors import Cause
from worker.outbound.answers import FORBIDDEN

_REJECTIONS = frozenset({"FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "Authentication"})
"""WS-Security 1.1, section 12, and SOAP 1.1's own example, Client.Authentication."""
_CRASHES = frozenset({"Server", "Receiver", "InternalServiceFault"})
_AWAY = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class SoapFault:
    """`codes` are the fault's code and subcodes without prefixes, `detail` is JSON-like."""

    codes: tuple[str, ...]
    message: str | None
    detail: Any
    status: int
    asks_to_wait: bool = False

    def cause(self, rejected: Iterable[str] = ()) -> Cause:
        """401, 403 and 407, the codes of WS-Security and those in `rejected` judge the credential.

        A status of a gateway, a code that blames the receiver, or a 403 that asks to wait is an outage.
        Whatever else the service says, it understood, and would say again. 500 alone means nothing: SOAP 1.1
        sends all faults with it.
        """
        parts = {part for code in self.codes for part in (code, *code.split("."))}
        is_limit = self.status == FORBIDDEN and self.asks_to_wait
        if parts & (_REJECTIONS | set(rejected)) or (self.status in (401, 403, 407) and not is_limit):
            return Cause.REJECTED
        if is_limit or self.status in _AWAY or parts & _CRASHES:
            return Cause.OUTAGE
        return Cause.MISTAKE


def read_fault(fault: Any, status: int, *, asks_to_wait: bool = False) -> SoapFault:  # noqa: ANN401  # zeep.exceptions.Fault
    codes = [fault.code or "", *(code.localname for code in fault.subcodes or ())]
    return SoapFault(
        codes=tuple(code.rpartition(":")[2].strip() for code in codes),
        message=fault.message,
        detail=None if fault.detail is None else to_json(fault.detail),
        status=status,
        asks_to_wait=asks_to_wait,
    )


def to_json(data: Any) -> Any:  # noqa: ANN401  # JSON
    isodate = import_module("isodate")  # comes with an extra

    match data:
        case None | bool() | int() | float() | str():
            return data
        case Decimal():
            return str(data)
        case bytes():
            return base64.b64encode(data).decode()
        case datetime() | date() | time():
            return data.isoformat()
        case timedelta() | isodate.Duration():
            return isodate.duration_isoformat(data)
        case Mapping():
            return {str(key): to_json(part) for key, part in data.items()}
        case list() | tuple():
            return [to_json(part) for part in data]
    return _read_element(data) if hasattr(data, "tag") else f"[{type(data).__name__}]"


def _read_element(element: Any) -> Any:  # noqa: ANN401  # lxml's, JSON
    """An element without a type: its text, or its children by name, in a list where a name comes twice."""
    if len(element) == 0:
        return element.text
    found: dict[str, Any] = {}
    for child in element:
        if not isinstance(child.tag, str):  # a comment or an instruction
            continue
        name, part = child.tag.rpartition("}")[2], _read_element(child)
        if name not in found:
            found[name] = part
        elif isinstance(found[name], list):
            found[name].append(part)
        else:
            found[name] = [found[name], part]
    return found
