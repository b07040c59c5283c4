"""Where calls end up: the guard at each hop, redirects, and a proxy that is set."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from tests.ways_out import LOOPBACK, NETWORK
from vaultcore.errors import Cause, ConfigurationError, TargetError
from worker.domain.guard import build_guard
from worker.outbound import HttpClient, Network, permitted_by

AUTH = {"Authorization": "Bearer s3cr3t", "X-Key": "s3cr3t", "Accept": "text/plain"}


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]


class Hops:
    """Redirects what asks for `/go`, and keeps what it was sent. As a proxy it answers by itself."""

    def __init__(self, status: int = 302) -> None:
        self.seen: list[Seen] = []
        self.location = ""
        self.status = status
        self.refuses = 0
        hops = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                hops.seen.append(Seen(self.path, {name.lower(): text for name, text in self.headers.items()}))
                goes = self.path.endswith("/go")
                self.send_response(hops.refuses or (hops.status if goes else 200))
                if goes:
                    self.send_header("Location", hops.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def first() -> Iterator[Hops]:
    with Hops() as started:
        yield started


@pytest.fixture
def second() -> Iterator[Hops]:
    with Hops() as started:
        yield started


def fail(http: HttpClient, url: str, method: str = "GET", **given: Any) -> TargetError:
    with pytest.raises(TargetError) as caught:
        http.request(method, url, **{"follow": True} | given)
    assert "s3cr3t" not in str(caught.value)
    return caught.value


# Addresses


def test_a_private_address_is_refused_before_anything_is_sent(first: Hops) -> None:
    error = fail(HttpClient(Network()), f"{first.url}/x")
    assert error.cause is Cause.MISTAKE
    assert "127.0.0.1 is no public address" in str(error)
    assert first.seen == []


def test_a_name_is_judged_by_where_it_leads(first: Hops) -> None:
    port = first.url.rpartition(":")[2]
    assert "localhost resolves to" in str(fail(HttpClient(Network()), f"http://localhost:{port}/x"))
    assert first.seen == []


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1", "0"])
def test_other_ways_to_write_an_address_lead_nowhere_else(first: Hops, host: str) -> None:
    port = first.url.rpartition(":")[2]
    for http in (HttpClient(Network()), HttpClient(NETWORK)):  # to which 127.0.0.1 is listed
        assert "can be no host" in str(fail(http, f"http://{host}:{port}/x"))
    assert first.seen == []


def test_an_allow_list_holds_for_every_way_out(first: Hops) -> None:
    network = Network(build_guard(("api.example.org",), LOOPBACK))
    assert "outbound_only" in str(fail(HttpClient(network), f"{first.url}/x"))
    with pytest.raises(TargetError, match="outbound_only"):
        network.connect("127.0.0.1", 25, seconds=1)


def test_a_connection_that_is_not_permitted_is_not_made(first: Hops) -> None:
    def refuse() -> None:
        raise PermissionError

    port = int(first.url.rpartition(":")[2])
    with permitted_by(refuse):
        for act in (
            lambda: NETWORK.connect("127.0.0.1", port, seconds=1),
            lambda: NETWORK.resolve("localhost", port),
        ):
            with pytest.raises(PermissionError):
                act()
    NETWORK.connect("127.0.0.1", port, seconds=1).close()


def test_a_connection_that_nobody_answers_is_an_outage() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(TargetError, match="cannot be reached") as caught:
            NETWORK.connect("127.0.0.1", reserved.getsockname()[1], seconds=1)
    assert caught.value.cause is Cause.OUTAGE


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_changes_nothing_follows_with_its_headers_at_home(first: Hops, status: int, method: str) -> None:
    first.location, first.status = "/there?x=1", status
    assert HttpClient(NETWORK).request(method, f"{first.url}/go", headers=AUTH).status == status
    assert [one.path for one in first.seen] == ["/go"]
    first.seen.clear()
    assert HttpClient(NETWORK).request(method, f"{first.url}/go", headers=AUTH, follow=True).status == 200
    assert [one.path for one in first.seen] == ["/go", "/there?x=1"]
    assert first.seen[1].headers["authorization"] == "Bearer s3cr3t"


@pytest.mark.parametrize("headers", [AUTH, [*AUTH.items(), ("x-key", "another")]], ids=["mapping", "pairs"])
def test_another_host_is_sent_no_header_that_may_hold_a_value(first: Hops, second: Hops, headers: Any) -> None:
    first.location = f"{second.url}/there"
    answer = HttpClient(NETWORK).request("GET", f"{first.url}/go", headers=headers, follow=True)
    assert answer.elsewhere
    (seen,) = second.seen
    assert seen.headers["accept"] == "text/plain"
    assert "authorization" not in seen.headers
    assert "x-key" not in seen.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_changes_something_is_not_sent_elsewhere(first: Hops, method: str) -> None:
    first.location = "/there"
    answer = HttpClient(NETWORK).request(method, f"{first.url}/go", headers=AUTH, content="x", follow=True)
    assert (answer.status, answer.cause, answer.elsewhere) == (302, Cause.MISTAKE, False)
    assert len(first.seen) == 1


def test_a_credential_is_not_judged_by_who_was_not_sent_it(first: Hops, second: Hops) -> None:
    first.location, second.refuses = f"{second.url}/there", 401
    answer = HttpClient(NETWORK).request("GET", f"{first.url}/go", headers=AUTH, follow=True)
    assert (answer.status, answer.cause) == (401, Cause.MISTAKE)


def test_a_redirect_to_where_nobody_may_go_is_refused(first: Hops) -> None:
    port = first.url.rpartition(":")[2]
    first.location = "http://[::1]:1/there"
    guard = build_guard((), (f"127.0.0.1:{port}",))
    error = fail(HttpClient(Network(guard)), f"{first.url}/go", headers=AUTH)
    assert "::1" not in str(error)
    assert str(error).startswith(f"127.0.0.1:{port} redirects to what cannot be called")


def test_an_error_never_names_the_place_that_a_redirect_leads_to(first: Hops) -> None:
    """A service may make a host's name of what it was sent."""
    hosts = ("c2VjcmV0LXZhbHVl.invalid", "736563726574.invalid", "xn--a", "a" * 64 + ".invalid", "127.0.0.1:1")
    for host in hosts:
        first.location = f"http://{host}/there"
        error = fail(HttpClient(NETWORK, timeout=120), f"{first.url}/go", headers=AUTH)
        assert host not in str(error)
        assert first.url.removeprefix("http://") in str(error)


def test_redirects_end(first: Hops) -> None:
    first.location = "/go"
    error = fail(HttpClient(NETWORK, redirects=2), f"{first.url}/go")
    assert "redirects more than 2 times" in str(error)
    assert len(first.seen) == 3
    assert HttpClient(NETWORK, redirects=0).request("GET", f"{first.url}/go", follow=True).status == 302


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "//"])
def test_a_redirect_to_what_is_no_place_is_a_mistake(first: Hops, location: str) -> None:
    first.location = location
    if not location:
        answer = HttpClient(NETWORK).request("GET", f"{first.url}/go", follow=True)
        assert (answer.status, answer.cause) == (302, Cause.MISTAKE)
        return
    assert fail(HttpClient(NETWORK, redirects=2), f"{first.url}/go").cause is not Cause.REJECTED


# A proxy


def test_a_proxy_that_is_set_is_used_and_may_stand_at_a_private_address(first: Hops) -> None:
    http = HttpClient(Network(), proxy=first.url.replace("http://", "http://user:s3cr3t@"))
    assert http.request("GET", "http://api.example.org/v1?x=1", headers=AUTH).status == 200
    (seen,) = first.seen
    assert seen.path == "http://api.example.org/v1?x=1"
    assert seen.headers["proxy-authorization"].startswith("Basic ")


def test_what_a_proxy_is_asked_for_is_guarded_by_name(first: Hops) -> None:
    guard = build_guard(("api.example.org",), ())
    http = HttpClient(Network(guard), proxy=first.url)
    assert "outbound_only" in str(fail(http, "http://evil.example.org/"))
    assert "no public address" in str(fail(HttpClient(Network(), proxy=first.url), "http://127.0.0.1:1/"))
    assert first.seen == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.",
        "2130706433",
        "0x7f.1",
        "127.1",
        "127\u30020\u30020\u30021",
        "127%2e0.0.1",
        "169.254.169.254.",
        "2852039166",
        "localhost",
        "LOCALHOST.",
        "db.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[fec0::1]",
        "[5f00::1]",
        "[3fff::1]",
        "192.0.0.8",
        "192.88.99.1",
    ],
)
def test_a_proxy_is_asked_for_no_private_address_however_it_is_written(first: Hops, host: str) -> None:
    http = HttpClient(Network(), proxy=first.url)
    for scheme in ("http", "https"):
        assert fail(http, f"{scheme}://{host}/latest").cause is Cause.MISTAKE
    assert first.seen == []
    first.location = f"http://{host}/latest".encode().decode("latin-1")
    assert fail(http, "http://api.example.org/go").cause is Cause.MISTAKE
    assert [one.path for one in first.seen] == ["http://api.example.org/go"]


@pytest.mark.parametrize("host", ["127.0.0.1.", "localhost", "db.localhost"])
def test_a_proxy_is_asked_for_a_private_address_that_is_listed(first: Hops, host: str) -> None:
    http = HttpClient(Network(build_guard((), LOOPBACK)), proxy=first.url)
    assert http.request("GET", f"http://{host}/x").status == 200
    assert [one.path for one in first.seen] == [f"http://{host}/x"]


def test_an_international_name_is_listed_and_asked_for_in_one_form(first: Hops) -> None:
    guard = build_guard(("xn--strae-oqa.example",), ())
    assert (
        HttpClient(Network(guard), proxy=first.url).request("GET", "http://stra\u00dfe.example/").status == 200
    )
    assert "outbound_only" in str(fail(HttpClient(Network(guard), proxy=first.url), "http://strasse.example/"))
    assert [one.path for one in first.seen] == ["http://xn--strae-oqa.example/"]


def test_a_proxy_that_wants_a_login_judges_no_credential() -> None:
    with Hops() as proxy:
        proxy.refuses = 407
        http = HttpClient(Network(), proxy=proxy.url)
        assert fail(http, "http://api.example.org/", headers=AUTH).cause is Cause.MISTAKE
        assert fail(http, "https://api.example.org/", headers=AUTH).cause is Cause.OUTAGE


def test_certificates_that_cannot_be_read_are_said_with_their_setting(tmp_path: Any) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigurationError, match=f"outbound_ca: .*{name} holds no certificates"):
            Network(ca_file=tmp_path / name)
