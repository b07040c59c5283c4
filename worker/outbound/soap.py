"""SOAP over `HttpClient`: the WSDL, what it imports, and the call, within one deadline.

Errors name hosts, operations and elements of the WSDL; never what is sent or answered.
"""

import base64
import hashlib
import logging
import re
import secrets
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import httpx

from vaultcore.errors import Cause, NightkeyError, TargetError
from worker.outbound.answers import Response, say_status
from worker.outbound.http import HttpClient
from worker.outbound.schemas import PARTS_MAX, SchemaMeter
from worker.outbound.soap_answers import SoapFault, read_fault, to_json

DOCUMENTS_MAX = 50
"""A WSDL with all that it imports, and they import."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class UsernameToken:
    """WS-Security's UsernameToken. A digest keeps the password from who reads the message, not from guesses."""

    username: str
    password: str = field(repr=False)
    digest: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    created: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def digest_text(self) -> str:
        """Base64 of SHA-1 of nonce, time and password, as UsernameToken Profile 1.1 has it."""
        made = f"{self.nonce}{self.created:%Y-%m-%dT%H:%M:%SZ}{self.password}".encode()
        return base64.b64encode(hashlib.sha1(made).digest()).decode()  # noqa: S324  # the profile's


@dataclass(frozen=True, kw_only=True)
class SoapCall:
    """`headers` are HTTP's, and go to the origin of `endpoint` alone, or of `wsdl` where there is none.

    `service` and `port` are the WSDL's first where they are not named; `seconds` bounds all of it.
    """

    wsdl: str
    operation: str
    seconds: float
    endpoint: str | None = None
    service: str | None = None
    port: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    soap_headers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: UsernameToken | None = None


def call_soap(http: HttpClient, call: SoapCall) -> Any | SoapFault:  # noqa: ANN401  # JSON
    """The answer as JSON has it, or the fault that came instead; `TargetError` where there is neither.

    Dates are ISO text, decimals text, bytes base64; attachments are left out, and a number or a date that
    is none is null. Needs zeep.
    """
    _silence()
    way = _Way(http, call)
    client = _load(way, call)
    port = _choose_port(client.wsdl.services, call)
    address = call.endpoint or (port.binding_options or {}).get("address")
    if not address:
        raise TargetError("the WSDL has no address for its service: name the endpoint", cause=Cause.MISTAKE)
    return _send(way, client, port, address, call)


def _silence() -> None:
    """Of zeep: it logs what it loads at DEBUG, at ERROR what it cannot read of an answer, and warns in a WSDL's
    words.
    """
    logging.getLogger("zeep").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"zeep\.")


class _Way:
    """What zeep takes for its transport. `posted` is the answer to the call, once there is one.

    `expects_nothing` says that the operation has no output.
    """

    def __init__(self, http: HttpClient, call: SoapCall) -> None:
        bindings = import_module("zeep.wsdl.bindings")
        self.binding_classes = [bindings.Soap11Binding, bindings.Soap12Binding]
        self.posted: Response | None = None
        self.expects_nothing = False
        self._http = http
        self._headers = dict(call.headers)
        self._trusted = _origin(call.endpoint or call.wsdl)
        self._seconds = call.seconds
        self._deadline = time.monotonic() + call.seconds
        self._documents = 0
        self._meter = SchemaMeter()

    def load(self, url: str) -> bytes:
        """The WSDL, or what it imports: guarded as every call is, with our headers where they belong."""
        if _origin(url) is None:
            raise TargetError(
                "the WSDL, or what it imports, is not at a URL of http or https", cause=Cause.MISTAKE
            )
        self._documents += 1
        if self._documents > DOCUMENTS_MAX:
            raise TargetError(f"the WSDL imports more than {DOCUMENTS_MAX} documents", cause=Cause.MISTAKE)
        headers = self._headers if _origin(url) == self._trusted else {}
        answer = self._http.request("GET", url, headers=headers, timeout=self._left(url), follow=True)
        cause = answer.cause
        if cause is not None:
            if cause is Cause.REJECTED and not headers:
                cause = Cause.MISTAKE
            raise TargetError(
                f"{show_host(url)} answered {answer.status} for its WSDL", cause=cause, retry_at=answer.retry_at
            )
        if not self._meter.accepts(answer.raw):
            raise TargetError(
                f"the schemas of the WSDL hold more than {PARTS_MAX} parts once they are written out",
                cause=Cause.MISTAKE,
            )
        return answer.raw

    def post_xml(self, address: str, envelope: Any, headers: Mapping[str, str]) -> "_Answer":  # noqa: ANN401  # lxml's
        if _origin(address) != self._trusted:
            raise TargetError(
                f"the WSDL says that its service is at {show_host(address)}, which is not its own place: "
                "if the credential may go there, name it as endpoint",
                cause=Cause.MISTAKE,
            )
        content = import_module("zeep.wsdl.utils").etree_to_string(envelope).decode()
        self.posted = self._http.request(
            "POST",
            address,
            headers=self._headers | dict(headers),
            content=content,
            timeout=self._left(address),
        )
        return _Answer(self.posted, expects_nothing=self.expects_nothing)

    def _left(self, url: str) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TargetError(
                f"{show_host(url)} did not answer in {self._seconds:g} seconds", cause=Cause.OUTAGE
            )
        return left


class _Answer:
    """A response in the form that zeep reads."""

    encoding = None

    def __init__(self, response: Response, *, expects_nothing: bool) -> None:
        self.status_code = response.status
        if not response.raw and response.status < 300:  # zeep takes an empty 202, and no other, for success
            self.status_code = 202 if expects_nothing else 204
        self.headers = httpx.Headers(dict(response.headers))
        self.content = response.raw


class _Reader:
    """A plugin for zeep, which would read an answer of another name than the operation's as an empty one."""

    def egress(self, envelope: Any, headers: Any, *_: Any) -> tuple[Any, Any]:  # noqa: ANN401  # zeep's
        return envelope, headers

    def ingress(self, envelope: Any, headers: Any, operation: Any) -> tuple[Any, Any]:  # noqa: ANN401  # zeep's
        body = envelope.find("{*}Body")
        expected = getattr(getattr(operation.output, "body", None), "qname", None)
        if body is not None and len(body) and operation.style == "document" and expected is not None:
            space = body.tag.rpartition("}")[0]
            # Of an output of several parts, zeep takes the body itself for what is expected.
            if expected.text not in (body.tag, body[0].tag) and body[0].tag != f"{space}}}Fault":
                raise ValueError("another name")
        return envelope, headers


def _load(way: _Way, call: SoapCall) -> Any:  # noqa: ANN401  # zeep.Client
    zeep = import_module("zeep")
    problem = ""
    try:
        # Imports are ours to allow, one by one: forbid_external would forbid each.
        settings = zeep.Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=False)
        return zeep.Client(
            call.wsdl, transport=way, settings=settings, wsse=_sign(call.token), plugins=[_Reader()]
        )
    except NightkeyError:
        raise
    except (zeep.exceptions.DTDForbidden, zeep.exceptions.EntitiesForbidden):
        problem = "holds a document type or entities, which are refused"
    except zeep.exceptions.XMLSyntaxError:
        problem = "is not XML"
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a WSDL; its text would quote it
        problem = f"cannot be read ({type(error).__name__})"
    raise TargetError(f"the WSDL of {show_host(call.wsdl)} {problem}", cause=Cause.MISTAKE)


def _sign(token: UsernameToken | None) -> Any:  # noqa: ANN401  # zeep's
    if token is None:
        return None
    username = import_module("zeep.wsse.username")
    if not token.digest:
        return username.UsernameToken(token.username, token.password)
    return username.UsernameToken(
        token.username,
        password_digest=token.digest_text(),
        use_digest=True,
        nonce=token.nonce,
        created=token.created,
        zulu_timestamp=True,
    )


def _choose_port(services: Mapping[str, Any], call: SoapCall) -> Any:  # noqa: ANN401  # zeep's
    service = _choose("service", services, call.service)
    port = _choose("port", service.ports, call.port)
    _choose("operation", port.binding.all(), call.operation)
    return port


def _choose(what: str, known: Mapping[str, Any], name: str | None) -> Any:  # noqa: ANN401  # zeep's
    if not known:
        raise TargetError(f"the WSDL has no {what} that speaks SOAP over HTTP", cause=Cause.MISTAKE)
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        names = ", ".join(sorted(known))[:300]
        raise TargetError(f"the WSDL has no {what} {name[:100]!r}: there are {names}", cause=Cause.MISTAKE)
    return known[name]


def _send(way: _Way, client: Any, port: Any, address: str, call: SoapCall) -> Any | SoapFault:  # noqa: ANN401  # zeep's
    exceptions, helpers = import_module("zeep.exceptions"), import_module("zeep.helpers")
    attachments = import_module("zeep.wsdl.attachments")
    content = dict(call.payload)
    if call.soap_headers:
        content["_soapheaders"] = dict(call.soap_headers)
    way.expects_nothing = port.binding.get(call.operation).output is None
    fault, failed = None, ""
    try:
        with client.settings(forbid_external=True):
            answer = port.binding.send(client, {"address": address}, call.operation, (), content)
        found = answer.root if isinstance(answer, attachments.MessagePack) else answer
        return to_json(helpers.serialize_object(found, dict))
    except NightkeyError:
        raise
    except exceptions.Fault as error:
        fault = error
    except (exceptions.DTDForbidden, exceptions.EntitiesForbidden, exceptions.ExternalReferenceForbidden):
        failed = "holds a document type or entities, which are refused"
    except (exceptions.TransportError, exceptions.XMLSyntaxError):
        failed = "is not SOAP"
    except Exception as error:  # noqa: BLE001  # whatever is wrong with payload or answer; its text may quote it
        failed = _explain(error, posted=way.posted is not None)
    if way.posted is None:
        raise TargetError(f"operation {call.operation}: {failed}", cause=Cause.MISTAKE)
    status = way.posted.status
    if fault is not None and (fault.code is not None or status < 400):
        return read_fault(fault, status, asks_to_wait=way.posted.asks_to_wait)
    cause = way.posted.cause
    if cause is not None:  # before all that the body may be: a page of HTML, most likely
        raise TargetError(f"the service {say_status(status)}", cause=cause, retry_at=way.posted.retry_at)
    raise TargetError(f"the answer of {show_host(address)} {failed}", cause=Cause.MISTAKE)


def _explain(error: Exception, *, posted: bool) -> str:
    """What may be told of an error of zeep: names of elements, never its text as it is."""
    if posted:
        return f"does not fit its WSDL ({type(error).__name__})"
    if isinstance(error, import_module("zeep.exceptions").ValidationError):
        return f"the payload does not fit: {error}"[:300]
    unknown = re.search(r"unexpected keyword argument '([\w.-]{1,100})'", str(error))
    if unknown is not None:
        return f"the payload does not fit: there is no {unknown[1]}"
    return f"the payload cannot be written as the WSDL wants it ({type(error).__name__})"


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None: no URL of http or https."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        return None
    if parsed.scheme not in _PORTS or not parsed.host:
        return None
    return parsed.scheme, parsed.host, parsed.port or _PORTS[parsed.scheme]


def show_host(url: str) -> str:
    """The host and its port: a path may hold a token."""
    found = _origin(url)
    if found is None:
        return "an unreadable URL"
    scheme, host, port = found
    return host if port == _PORTS[scheme] else f"{host}:{port}"
