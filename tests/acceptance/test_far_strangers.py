"""A server that is away, or somebody else's: one line that says so, and the token goes to nobody else."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.certificates import make_certificate

TOKEN = "wfk_canary-token-71ab09"
PAGE = b"<!doctype html><html><body>Please sign in</body></html>"
HUGE = 40 * 1024 * 1024


class Stranger(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    elsewhere: list[str]
    ended: threading.Event

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        if kind == "elsewhere":
            self.elsewhere.append(self.headers.get("Authorization", ""))
        getattr(self, f"_{kind}")()

    do_POST = do_GET  # noqa: N815  # as its base has it

    def _html(self) -> None:
        self._answer(200, PAGE, "text/html")

    def _denied(self) -> None:
        self._answer(403, PAGE, "text/html")

    def _broken(self) -> None:
        self._answer(200, b'{"rows": [', "application/json")

    def _other(self) -> None:
        self._answer(200, b'[{"hello": "world"}]', "application/json")

    def _object(self) -> None:
        self._answer(200, b'{"hello": "world"}', "application/json")

    def _refused(self) -> None:
        told = {"type": "x", "code": "invalid", "message": f"one\ntwo\x1b[31m {TOKEN[:0]}"}
        self._answer(422, json.dumps(told).encode(), "application/json")

    def _deep(self) -> None:
        self._answer(200, b"[" * 100_000, "application/json")

    def _endless(self) -> None:
        link = '</endless/nightkey/items>; rel="next"'
        self._answer(200, b"[]", "application/json", Link=link)

    def _redirect(self) -> None:
        self._answer(302, b"", "text/plain", Location="/elsewhere")

    def _elsewhere(self) -> None:
        self._answer(200, b"[]", "application/json")

    def _huge(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        piece = b" " * 1024 * 1024
        try:
            for _ in range(HUGE // len(piece)):
                self.wfile.write(piece)
        except OSError:
            pass

    def _slow(self) -> None:
        """A byte now and then: each of its waits is short, and it never ends."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        try:
            while not self.ended.wait(0.1):
                self.wfile.write(b" ")
                self.wfile.flush()
        except OSError:
            pass

    def _answer(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def strangers(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, type[Stranger]]]:
    class Handler(Stranger):
        elsewhere: list[str] = []  # noqa: RUF012  # of this server
        ended = threading.Event()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}", Handler
        finally:
            Handler.ended.set()
            server.shutdown()
            thread.join()


def ask(folder: Path, url: str, *words: str, status: int = 1, **settings: str) -> str:
    """The one line of the command, which prints nothing else and never the token."""
    far = Nightkey(folder / "home", {"NIGHTKEY_URL": url, "NIGHTKEY_TOKEN": TOKEN, **settings})
    done = far(*(words or ("item", "list")), status=status)
    assert not done.stdout
    assert TOKEN not in done.stderr
    assert "\x1b" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("kind", "said", "status"),
    [
        ("html", "is no Nightkey server", 1),
        ("denied", "is no Nightkey server", 1),
        ("broken", "is no Nightkey server", 1),
        ("other", "is no Nightkey server", 1),
        ("object", "is no Nightkey server", 1),
        ("deep", "is no Nightkey server", 1),
        ("redirect", "is no Nightkey server", 1),
        ("huge", "sent more than", 1),
        ("refused", "one two", 2),
    ],
)
def test_a_stranger_is_told_in_one_line(tmp_path: Path, kind: str, said: str, status: int) -> None:
    with strangers() as (url, handler):
        assert said in ask(tmp_path, f"{url}/{kind}", status=status)

        assert not handler.elsewhere


def test_who_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    with strangers() as (url, _):
        told = ask(tmp_path, f"{url}/slow", NIGHTKEY_HTTP_TIMEOUT_SECONDS="1")

        assert "did not answer in 1 seconds" in told


def test_pages_without_end_are_left(tmp_path: Path) -> None:
    with strangers() as (url, _):
        assert "is no Nightkey server" in ask(tmp_path, f"{url}/endless")


def test_who_is_away_is_named(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

        told = ask(tmp_path, f"http://127.0.0.1:{port}")

    assert f"127.0.0.1:{port}" in told


def test_a_change_without_an_answer_says_that_it_may_be_done(tmp_path: Path) -> None:
    with strangers() as (url, _):
        told = ask(tmp_path, f"{url}/slow", "item", "rotate", "x", NIGHTKEY_HTTP_TIMEOUT_SECONDS="1")

        assert "it may have been done there" in told


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    certificate, key = tmp_path / "made.pem", tmp_path / "made.key"
    make_certificate(certificate, key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with strangers(tls) as (url, _):
        refused = ask(tmp_path, f"{url}/elsewhere")
        known = Nightkey(
            tmp_path / "home",
            {
                "NIGHTKEY_URL": f"{url}/elsewhere",
                "NIGHTKEY_TOKEN": TOKEN,
                "NIGHTKEY_OUTBOUND_CA": str(certificate),
            },
        )

        assert "certificate" in refused
        assert known.json("item", "list") == []
