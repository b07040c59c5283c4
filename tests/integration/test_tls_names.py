"""By which name a server is known over TLS: the one that was resolved, directly and through a proxy."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.integration.http_server import QuietServer, serve
from tests.ways_out import LOOPBACK
from vaultcore.errors import Cause, TargetError
from worker.domain.guard import build_guard
from worker.outbound import HttpClient, Network, permitted_by, sessions_kept
from worker.outbound.transport import HttpLine

NAMES = [
    ("stra\u00dfe.example", "xn--strae-oqa.example"),  # by IDNA 2003 it was strasse.example
    ("xn--strae-oqa.example", "xn--strae-oqa.example"),
    ("fa\u00df.example.", "xn--fa-hia.example"),
    ("b\u00fccher.example", "xn--bcher-kva.example"),
    ("api.example", "api.example"),
    ("api.example.", "api.example"),
    ("API.Example", "api.example"),
]


class Tunnel(socketserver.ThreadingTCPServer):
    """A proxy that leads every CONNECT to one port on this machine; `asked` are the places that it was told."""

    daemon_threads = True

    def __init__(self, to: int) -> None:
        self.asked: list[str] = []
        tunnel = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                tunnel.asked.append(self.rfile.readline().split()[1].decode())
                while self.rfile.readline().strip():
                    pass
                with socket.create_connection(("127.0.0.1", to)) as there:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=pour, args=(there, self.connection))
                    back.start()
                    pour(self.connection, there)
                    back.join()

        super().__init__(("127.0.0.1", 0), Handler)


def pour(one: socket.socket, other: socket.socket) -> None:
    try:
        while piece := one.recv(65_536):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)
    except OSError:  # either had enough
        pass


@contextmanager
def tunnel_to(server: QuietServer) -> Iterator[Tunnel]:
    with Tunnel(server.server_port) as tunnel:
        thread = threading.Thread(target=tunnel.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield tunnel
        finally:
            tunnel.shutdown()
            thread.join()


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name leads to this machine; these were asked for."""
    names: list[str] = []
    resolve = socket.getaddrinfo

    def answer(host: str, *rest: Any, **more: Any) -> Any:
        if host != "127.0.0.1":
            names.append(host)
        return resolve("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return names


@contextmanager
def known_as(name: str, folder: Path) -> Iterator[tuple[QuietServer, Network, list[str | None]]]:
    """A server with a certificate for that name alone, who trusts it, and the names that it is called by."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make_certificate(certificate, key, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    called: list[str | None] = []
    context.sni_callback = lambda _, host, __: called.append(host)
    with serve(context) as server:
        yield server, Network(build_guard((), LOOPBACK), ca_file=certificate), called


@pytest.mark.parametrize(("host", "name"), NAMES)
def test_a_server_is_known_by_the_name_that_was_resolved(
    tmp_path: Path, looked_up: list[str], host: str, name: str
) -> None:
    with known_as(name, tmp_path) as (server, network, called):
        answer = HttpClient(network).request("GET", f"https://{host}:{server.server_port}/echo")
    assert answer.status == 200
    assert called == [name]
    assert [asked.rstrip(".") for asked in looked_up] == [name]
    assert answer.body["headers"]["Host"].replace(".:", ":") == f"{name}:{server.server_port}"


@pytest.mark.parametrize(("host", "name"), NAMES)
def test_it_is_known_by_the_same_name_through_a_proxy(tmp_path: Path, host: str, name: str) -> None:
    with known_as(name, tmp_path) as (server, network, called), tunnel_to(server) as tunnel:
        http = HttpClient(network, proxy=f"http://127.0.0.1:{tunnel.server_address[1]}")
        assert http.request("GET", f"https://{host}/echo").status == 200
        assert called == [name]
        assert [asked.replace(".:", ":") for asked in tunnel.asked] == [f"{name}:443"]


def test_one_tunnel_through_a_proxy_serves_many_requests_and_each_asks_for_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HttpLine, "idle_seconds", 600.0)  # however slow this machine is
    asked: list[int] = []
    with known_as("api.example", tmp_path) as (server, network, called), tunnel_to(server) as tunnel:
        http = HttpClient(network, proxy=f"http://127.0.0.1:{tunnel.server_address[1]}")
        with sessions_kept(), permitted_by(lambda: asked.append(len(server.seen))):
            answers = [http.request("GET", "https://api.example/echo").status for _ in range(3)]
        assert (answers, asked) == ([200] * 3, [0, 1, 2])
        assert (called, tunnel.asked) == (["api.example"], ["api.example:443"])


@pytest.mark.parametrize("through", ["nothing", "a proxy"])
@pytest.mark.parametrize(
    ("host", "other"),
    [
        ("stra\u00dfe.example", "strasse.example"),
        ("strasse.example", "xn--strae-oqa.example"),
        ("api.example.", "example"),
    ],
)
def test_who_is_certified_for_another_name_is_sent_nothing(
    tmp_path: Path, looked_up: list[str], host: str, other: str, through: str
) -> None:
    with known_as(other, tmp_path) as (server, network, _), tunnel_to(server) as tunnel:
        proxy = "" if through == "nothing" else f"http://127.0.0.1:{tunnel.server_address[1]}"
        with pytest.raises(TargetError, match="a certificate that does not verify") as caught:
            HttpClient(network, proxy=proxy).request("GET", f"https://{host}:{server.server_port}/echo")
        assert caught.value.cause is Cause.MISTAKE
        assert server.seen == []
