"""A real HTTP server on this machine that answers as its paths say, and misbehaves as they are named."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext

BOMB_BYTES = 50_000_000
TEXT = b'{"a": 1, "text": "h\xc3\xa9"}'
DRIP_SECONDS = 0.02
"""Between two bytes of an answer that drips: far shorter than any test's deadline."""


@cache
def pack_bomb() -> bytes:
    """A body of under 50 kB that decompresses to `BOMB_BYTES`."""
    return gzip.compress(bytes(BOMB_BYTES))


class Handler(BaseHTTPRequestHandler):
    """The first part of the path names the method `answer_…`, and what follows is its argument."""

    protocol_version = "HTTP/1.1"
    server: "QuietServer"

    def answer(self) -> None:
        self.server.seen.append((self.command, self.path, self.client_address[1]))
        kind, _, argument = self.path.partition("?")[0][1:].partition("/")
        getattr(self, f"answer_{kind}")(argument)

    do_GET = answer  # noqa: N815  # the library's names
    do_HEAD = answer  # noqa: N815  # the library's names
    do_POST = answer  # noqa: N815  # the library's names
    do_PUT = answer  # noqa: N815  # the library's names
    do_PATCH = answer  # noqa: N815  # the library's names
    do_DELETE = answer  # noqa: N815  # the library's names
    do_OPTIONS = answer  # noqa: N815  # the library's names

    # What is well-behaved

    def answer_status(self, status: str) -> None:
        self.send(int(status), b'{"no": "thanks"}')

    def answer_echo(self, _: str) -> None:
        """What was sent, as JSON; and a cookie, that it may be seen not to come back."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        sent = {"headers": dict(self.headers), "body": body, "path": self.path, "method": self.command}
        self.send(200, json.dumps(sent).encode(), **{"Set-Cookie": "session=1"})

    def answer_headers(self, _: str) -> None:
        """The headers that it was sent, as pairs and as they came."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send(200, json.dumps(self.headers.items()).encode())

    def answer_reply(self, _: str) -> None:
        """The body that it was sent, as it came."""
        self.send(200, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer_text(self, charset: str) -> None:
        self.send(200, TEXT, **({"Content-Type": f"text/plain; charset={charset}"} if charset else {}))

    def answer_empty(self, status: str) -> None:
        self.send(int(status or 204), b"")

    def answer_nested(self, depth: str) -> None:
        self.send(200, b"[" * int(depth) + b"]" * int(depth))

    def answer_big(self, size: str) -> None:
        self.send(200, b"x" * int(size))

    def answer_gzip(self, size: str) -> None:
        body = b"x" * int(size) if size else TEXT
        self.send(200, gzip.compress(body), **{"Content-Encoding": "gzip"})

    def answer_deflate(self, _: str) -> None:
        self.send(200, zlib.compress(TEXT), **{"Content-Encoding": "deflate"})

    # What is not

    def answer_redirect(self, status: str) -> None:
        self.send(int(status or 302), b"", Location="/echo")

    def answer_bomb(self, _: str) -> None:
        self.send(200, pack_bomb(), **{"Content-Encoding": "gzip"})

    def answer_encoding(self, encoding: str) -> None:
        """Says that what is plain text is encoded."""
        self.send(200, TEXT, **{"Content-Encoding": encoding})

    def answer_cut(self, left: str) -> None:
        """A compressed body of which only the first bytes come, and no fewer than it says."""
        self.send(200, gzip.compress(TEXT)[: int(left)], **{"Content-Encoding": "gzip"})

    def answer_behind(self, encoding: str) -> None:
        """Something that never ends, behind the end of what is compressed."""
        packed = gzip.compress(TEXT) if encoding == "gzip" else zlib.compress(TEXT)
        self.go_on_for_ever(packed, b"x" * 1000, encoding)

    def answer_twice(self, _: str) -> None:
        """Two documents, each compressed by itself: a reader of the first would take it for all."""
        self.send(200, gzip.compress(TEXT) + gzip.compress(TEXT), **{"Content-Encoding": "gzip"})

    def answer_hollow(self, _: str) -> None:
        """Compressed blocks without an end, of which each holds nothing."""
        self.go_on_for_ever(zlib.compress(b"")[:2], b"\0\0\0\xff\xff" * 200, "deflate")

    def answer_chunks(self, _: str) -> None:
        self.go_on_for_ever(b"", b"x" * 1000, "identity")

    def answer_heads(self, number: str) -> None:
        self.send(200, TEXT, **{f"X-{n}": "x" for n in range(int(number))})

    def answer_header(self, size: str) -> None:
        self.send(200, TEXT, **{"X-Long": "x" * int(size)})

    def go_on_for_ever(self, first: bytes, again: bytes, encoding: str) -> None:
        """In chunks, until the caller hangs up."""
        self.close_connection = True
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: "
            + encoding.encode()
            + b"\r\n\r\n"
        )
        try:
            while not self.server.stopping.is_set():
                if first:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(first), first))
                first = again
        except OSError:
            pass

    def answer_half(self, _: str) -> None:
        self.send(200, TEXT, **{"Content-Length": str(2 * len(TEXT))})
        self.close_connection = True

    def answer_nonsense(self, _: str) -> None:
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True

    def answer_hangup(self, _: str) -> None:
        self.close_connection = True

    def answer_silence(self, _: str) -> None:
        """Nothing, until the server stops."""
        self.drip(b"", b"")

    def answer_drip(self, part: str) -> None:
        """A header, or a body, that never ends: a byte at a time until the caller hangs up."""
        self.drip(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if part == "body" else b"X-Drip: "), b"x")

    def drip(self, head: bytes, drop: bytes) -> None:
        self.close_connection = True
        try:
            self.wfile.write(head)
            while not self.server.stopping.wait(DRIP_SECONDS):
                self.wfile.write(drop)
        except OSError:
            pass

    # Inside

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:  # the caller had enough
                self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    """`seen` is every request that arrived: method, path and the caller's port."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serve(tls: SSLContext | None = None) -> Iterator[QuietServer]:
    server = QuietServer()
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
