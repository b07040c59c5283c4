"""A real HTTP server on loopback, for the targets to build on.

Nothing here prints or logs: a request's line, headers and body may hold a credential.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from socketserver import TCPServer
from typing import Any, Self
from urllib.parse import urlsplit

_MAX_BODY = 1_048_576
_POLL_SECONDS = 0.02
_DRAIN_SECONDS = 5.0
_IDLE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A request as it arrived; header names are lower-case, `path` is without the query."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back: a status and a JSON body, or an XML document; or no body at all. `headers` are more."""

    status: int
    body: Any = field(default=None, repr=False)
    xml: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


_Connection = socket | tuple[bytes, socket]
_Address = tuple[str, int]
# Answering None hangs up.
Answerer = Callable[[Incoming], Answer | None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"
    timeout = _IDLE_SECONDS
    # One write for head and body: two would wait for the client's delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        chunked = "Transfer-Encoding" in self.headers
        if chunked or not length.isdecimal() or int(length) > _MAX_BODY:
            # The rest of the connection cannot be told apart from this body.
            self.close_connection = True
            self._send(Answer(status=411 if chunked else 413, body={"error": "body_refused"}))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            # The client left in the middle: half a request has no effect.
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        answer = self.server.answerer(
            Incoming(
                method=self.command,
                path=parts.path,
                query=parts.query,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
        )
        if answer is None:
            self.close_connection = True
            return
        self._send(answer)

    do_GET = _serve  # noqa: N815 - the base class calls do_ and the method
    do_POST = _serve  # noqa: N815 - the base class calls do_ and the method
    do_PUT = _serve  # noqa: N815 - the base class calls do_ and the method
    do_PATCH = _serve  # noqa: N815 - the base class calls do_ and the method
    do_DELETE = _serve  # noqa: N815 - the base class calls do_ and the method
    do_OPTIONS = _serve  # noqa: N815 - the base class calls do_ and the method

    def _send(self, answer: Answer) -> None:
        payload = b"" if answer.body is None else json.dumps(answer.body).encode()
        kind = "application/json"
        if answer.xml is not None:
            payload, kind = answer.xml.encode(), "text/xml; charset=utf-8"
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if payload:
            self.send_header("Content-Type", kind)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(payload)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: the request line may hold a credential."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self._connections: set[_Connection] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for this machine's name, which may take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def process_request(self, request: _Connection, client_address: _Address) -> None:
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Connection) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: _Connection, client_address: _Address) -> None:
        """Nothing: a client that hung up is no error, and a traceback might show a request."""

    def hang_up(self) -> None:
        """Close every connection still open and wait for the threads that serve them."""
        with self._changed:
            for connection in self._connections:
                if isinstance(connection, socket) and connection.fileno() >= 0:
                    try:
                        connection.shutdown(SHUT_RDWR)
                    except OSError:
                        continue  # the client was quicker
            self._changed.wait_for(lambda: not self._connections, _DRAIN_SECONDS)


class LoopbackServer:
    """An HTTP/1.1 server on 127.0.0.1 with an ephemeral port; a subclass says what it answers."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def respond(self, incoming: Incoming) -> Answer | None:
        """Answer one request; None hangs up. Called by many threads at once."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end; only while started."""
        if self._server is None:
            raise RuntimeError(f"{type(self).__name__} has no URL: it is not started; start it")
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> Self:
        if self._server is not None:
            raise RuntimeError(f"{type(self).__name__} is started already; stop it first")
        self._stopping.clear()
        self._server = _Server(self.respond)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Release what hangs, hang up on every client and free the port; twice is harmless."""
        self._stopping.set()
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()
        self._server = self._thread = None

    def pause(self, seconds: float) -> bool:
        """Wait; False when the server was stopped meanwhile and the request is to be dropped."""
        return not self._stopping.wait(seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()
