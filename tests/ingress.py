"""The HTTP interface for tests: a real server on a free port, and a caller without any comfort."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from starlette.types import ASGIApp

from worker.bootstrap import Services
from worker.web.app import build_app
from worker.web.connections import ConnectionLimits
from worker.web.serving import WebServer, open_listener, show_address

_SECONDS_MAX = 120
PATIENT = ConnectionLimits(failures=1_000_000)
"""For whoever fails often, and has no time to be answered late."""


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Front:
    """Where the server is. Each call is a connection of its own."""

    url: str
    server: WebServer

    def call(
        self,
        path: str,
        payload: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """A POST of JSON, with the key as a bearer token."""
        sent = {} if key is None else {"Authorization": f"Bearer {key}"}
        return self.send(
            "POST",
            path,
            None if payload is None else json.dumps(payload).encode(),
            {"Content-Type": "application/json", **sent, **(headers or {})},
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """A call with JSON, if there is any, and with the key as a bearer token."""
        sent = {**(headers or {}), **({} if key is None else {"Authorization": f"Bearer {key}"})}
        if body is None:
            return self.send(method, path, None, sent)
        return self.send(method, path, json.dumps(body).encode(), {"Content-Type": "application/json", **sent})

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            return read_answer(connection.getresponse())
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_SECONDS_MAX)


def read_answer(response: http.client.HTTPResponse) -> Answered:
    text = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    if not text or "json" not in headers.get("content-type", ""):
        return Answered(response.status, headers, text.decode() or None)
    return Answered(response.status, headers, json.loads(text))


def serve(services: Services, limits: ConnectionLimits | None = None) -> AbstractContextManager[Front]:
    return serve_app(build_app(services, limits or ConnectionLimits()), limits)


@contextmanager
def serve_app(
    app: ASGIApp, limits: ConnectionLimits | None = None, *, before: Callable[[Front], None] = lambda _: None
) -> Iterator[Front]:
    """Listens before it starts: whoever calls at once, or in `before`, is answered once it runs."""
    listener = open_listener("127.0.0.1:0")
    front = Front(show_address(listener), WebServer(app, limits=limits or ConnectionLimits()))
    before(front)
    thread = threading.Thread(target=front.server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield front
    finally:
        front.server.should_exit = True
        thread.join(_SECONDS_MAX)
        assert not thread.is_alive()


def define(name: str, trigger: str, item: str | None, *nodes: dict[str, Any], **extra: Any) -> tuple[str, str]:
    """A workflow that begins with that trigger and that item's key: its file's name and text."""
    begins: dict[str, Any] = {"componentId": trigger}
    if item is not None:
        begins["apiKey"] = f"{{{{ vault['{item}'] }}}}"
    ids = ["start", *(node["id"] for node in nodes)]
    datas = [{part: value for part, value in node.items() if part != "id"} for node in nodes]
    document = {
        "name": name,
        "nodes": [
            {"id": "start", "type": "trigger", "data": begins},
            *({"id": i, "type": "action", "data": data} for i, data in zip(ids[1:], datas, strict=True)),
        ],
        "edges": [
            {"id": f"e{number}", "source": source, "target": target}
            for number, (source, target) in enumerate(pairwise(ids))
        ],
        **extra,
    }
    return f"{name}.json", json.dumps(document)
