"""A SOAP service on this machine: it checks credentials as its paths say, and answers what it is told to."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
ENVELOPES = {"11": "http://schemas.xmlsoap.org/soap/envelope/", "12": "http://www.w3.org/2003/05/soap-envelope"}
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
CLOCK_SKEW = timedelta(minutes=5)
USER = "robot"


@dataclass(frozen=True, kw_only=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drips: bool = False


@dataclass
class Orders:
    """`password` is what USER and bearers must know. `replies` go before all else, by method and path without
    query; `schema` and `address` are what the WSDL says, relative to the service where they begin with a slash.
    """

    password: str
    replies: dict[str, Reply | Callable[[Seen], Reply]] = field(default_factory=dict)
    schema: str = "/orders.xsd"
    address: str = "/open"
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: Seen) -> Reply:
        path = request.path.partition("?")[0]
        told = self.replies.get(f"{request.method} {path}")
        if told is not None:
            return told if isinstance(told, Reply) else told(request)
        if path == "/orders.xsd":
            return Reply(body=(HERE / "orders.xsd").read_bytes())
        if path in ("/basic", "/bearer") and not self._knows_header(path, request.headers):
            return Reply(body="<!DOCTYPE html><html><body>no</body></html>", status=401)
        if request.method == "GET":
            return Reply(body=self.wsdl(path))
        return self._operate(path, request)

    def wsdl(self, path: str = "/open") -> str:
        text = (HERE / "orders.wsdl").read_text()
        address = path if self.address == "/open" else self.address
        for name, place in (("SCHEMA", self.schema), ("ADDRESS", address)):
            text = text.replace(f'"{name}"', f'"{self.url + place if place.startswith("/") else place}"')
        return text

    def _knows_header(self, path: str, headers: Mapping[str, str]) -> bool:
        login = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        expected = f"Basic {login}" if path == "/basic" else f"Bearer {self.password}"
        return headers.get("authorization") == expected

    def _operate(self, path: str, request: Seen) -> Reply:
        envelope = ET.fromstring(request.body)
        version = next(v for v, namespace in ENVELOPES.items() if envelope.tag == f"{{{namespace}}}Envelope")
        soap = f"{{{ENVELOPES[version]}}}"
        if path == "/token" and not self._knows_token(envelope):
            return fault("wsse:FailedAuthentication", version=version)
        (asked,) = envelope.find(f"{soap}Body")
        match asked.tag.rpartition("}")[2]:
            case "Version":
                return wrap('<o:VersionIs xmlns:o="urn:orders">2.1</o:VersionIs>', version)
            case "Place":
                asked.tag = "{urn:orders}Placed"
                return wrap(ET.tostring(asked, encoding="unicode"), version)
            case "Fail":
                code, status = (child.text for child in asked)
                return fault(code, int(status), version=version)
            case "Tell":
                return Reply(status=202)
        raise AssertionError(asked.tag)

    def _knows_token(self, envelope: ET.Element) -> bool:
        (token,) = envelope.iter(f"{{{WSSE}}}UsernameToken")
        password = token.find(f"{{{WSSE}}}Password")
        if token.findtext(f"{{{WSSE}}}Username") != USER:
            return False
        if password.get("Type") == f"{PROFILE}#PasswordText":
            return password.text == self.password
        nonce, created = token.findtext(f"{{{WSSE}}}Nonce"), token.findtext(f"{{{WSU}}}Created")
        fresh = abs(datetime.now(UTC) - datetime.fromisoformat(created)) < CLOCK_SKEW
        made = hashlib.sha1(base64.b64decode(nonce) + created.encode() + self.password.encode())
        again, self.nonces = nonce in self.nonces, self.nonces | {nonce}
        expected = base64.b64encode(made.digest()).decode()
        return (
            password.get("Type") == f"{PROFILE}#PasswordDigest"
            and fresh
            and not again
            and password.text == expected
        )


def wrap(body: str, version: str = "11", status: int = 200) -> Reply:
    envelope = f'<e:Envelope xmlns:e="{ENVELOPES[version]}"><e:Body>{body}</e:Body></e:Envelope>'
    return Reply(body=envelope, status=status, headers={"Content-Type": "text/xml; charset=utf-8"})


def fault(code: str, status: int = 500, *, version: str = "11", text: str = "no", detail: str = "") -> Reply:
    """`code` is written as it comes; in SOAP 1.2 what follows a slash is its subcode."""
    if version == "11":
        told = f"<faultcode>{code}</faultcode><faultstring>{text}</faultstring><detail>{detail}</detail>"
        return wrap(f"<e:Fault>{told}</e:Fault>", status=status)
    code, _, subcode = code.partition("/")
    below = f'<e:Subcode xmlns:wsse="{WSSE}"><e:Value>{subcode}</e:Value></e:Subcode>' if subcode else ""
    told = (
        f"<e:Code><e:Value>{code}</e:Value>{below}</e:Code>"
        f'<e:Reason><e:Text xml:lang="en">{text}</e:Text></e:Reason><e:Detail>{detail}</e:Detail>'
    )
    return wrap(f"<e:Fault>{told}</e:Fault>", "12", status)


@contextmanager
def serve_orders(password: str, **more: Any) -> Iterator[Orders]:
    orders = Orders(password=password, **more)
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(orders))
    server.daemon_threads = True
    orders.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield orders
    finally:
        orders.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def make_handler(orders: Orders) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Seen(method=self.command, path=self.path, headers=headers, body=body)
            orders.seen.append(request)
            reply = orders.answer(request)
            content = reply.body.encode() if isinstance(reply.body, str) else reply.body
            self.send_response(reply.status)
            for name, value in ({"Content-Type": "text/xml"} | dict(reply.headers)).items():
                self.send_header(name, value)
            if not reply.drips:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
                while reply.drips and not orders.stopping.wait(0.02):
                    self.wfile.write(b" ")
            except OSError:  # the caller had enough
                self.close_connection = True

        do_GET = respond  # noqa: N815  # the library's names
        do_POST = respond  # noqa: N815  # the library's names

        def log_message(self, *_: object) -> None:
            pass

    return Handler
