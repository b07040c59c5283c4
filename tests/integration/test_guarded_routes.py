"""Where notices go: to what the guard lets pass, by our own client, whatever apprise would do."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apprise
import pytest

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.mail_server import MailServer
from tests.certificates import make_certificate
from tests.integration.http_server import serve
from tests.integration.outbox import Outbox
from tests.ways_out import HTTP, LOOPBACK, NETWORK
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.config import load_settings
from worker.delivery.sender import AppriseSender
from worker.domain.guard import build_guard
from worker.domain.notices import Message
from worker.domain.recipients import WHOLE
from worker.installation import initialise
from worker.outbound import HttpClient, Network
from worker.settings import ROUTE_SCHEMES

MESSAGE = Message(subject="a subject", body="a body\n")
CLOSED = Network(build_guard((), ()))
NOWHERE = "nowhere.example"
OPSGENIE = f"opsgenie://{'a' * 8}-{'b' * 4}-{'c' * 4}-{'d' * 4}-{'e' * 12}"
ROUTES = {
    "discord": "discord://1234567890/abcdefghijabcdefghij",
    "form": "form://hooks.example/x",
    "gchat": "gchat://workspace/webhook-key/webhook-token",
    "gotify": "gotify://hooks.example/AAAAAAAAAAAAAAA",
    "json": "json://hooks.example/x",
    "matrix": "matrix://user:password@hooks.example/#room",
    "mmost": "mmost://hooks.example/a-token",
    "ntfy": "ntfy://hooks.example/topic",
    "opsgenie": f"{OPSGENIE}?action=new",
    "pagerduty": "pagerduty://integration-key@api-key",
    "pover": f"pover://{'u' * 30}@{'t' * 30}",
    "rocket": "rocket://user:password@hooks.example/#room",
    "sendgrid": "sendgrid://abcdefghijkl:from@x.org/a@x.org",
    "signal": "signal://hooks.example/+15551234567/+15551234568",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "sns": f"sns://AHIAJGNT76XIMXDBIJYA/{'b' * 39}/us-east-2/+15551234567",
    "ses": f"ses://from@x.org/AHIAJGNT76XIMXDBIJYA/{'b' * 39}/us-east-2/a@x.org",
    "tgram": "tgram://123456789:abcdefg_hijklmnop/1234",
    "twilio": f"twilio://AC{'a' * 32}:{'b' * 32}@+15551234567",
    "webex": f"webex://{'a' * 80}",
    "wxteams": f"wxteams://{'a' * 80}",
    "workflows": "workflows://hooks.example:443/aaaaaaaa/bbbbbbbbbbb/",
    "xml": "xml://hooks.example/x",
    "zulip": f"zulip://bot@organisation/{'a' * 32}/stream",
}
OUR_OWN = frozenset({"mailto", "mailtos"})
"""What is sent by SMTP, and not by apprise."""
UNKNOWN = frozenset({"msteams"})
"""What this release of apprise no longer has."""


def sender_with(network: Network, proxy: str = "") -> AppriseSender:
    return AppriseSender(network, HttpClient(network, redirects=0, proxy=proxy))


def send(sender: AppriseSender, url: str) -> int:
    """To the first of its recipients."""
    first = sender.recipients(Secret(url))[0]
    return sender.send(Secret(url), MESSAGE, recipient=first.name)


@contextmanager
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(0)
        yield made


def was_called(listening: socket.socket) -> bool:
    """Whether anybody has connected: the kernel knows, whether or not we accept."""
    try:
        listening.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    "scheme", sorted({scheme.removesuffix("s") for scheme in ROUTE_SCHEMES.split()} - OUR_OWN)
)
def test_each_scheme_calls_by_our_client_alone(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on no list is refused by name before a proxy is called: no scheme gets around that."""
    if scheme in UNKNOWN or f"{scheme}s" in UNKNOWN:
        pytest.skip("apprise knows it no more")
    url = ROUTES.get(scheme) or ROUTES[f"{scheme}s"]

    def connect(*_: Any, **__: Any) -> None:
        raise AssertionError("somebody connects")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    sender = sender_with(Network(build_guard((NOWHERE,), ())), proxy="http://127.0.0.1:9")
    with pytest.raises(TargetError, match="not among the hosts that may be called") as caught:
        send(sender, url)
    assert (caught.value.cause, caught.value.acted) == (Cause.MISTAKE, False)


@pytest.mark.parametrize(
    "url",
    [
        "json://{}/x", "xml://{}/x", "form://{}/x", "gotify://{}/AAAAAAAAAAAAAAA", "ntfy://{}/topic",
        "mmost://{}/a-token", "rocket://u:p@{}/#room", "matrix://u:p@{}/#room", "apprise://{}/a-token",
        "signal://{}/+15551234567/+15551234568", "ncloud://u:p@{}/someone", "irc://{}/#room", "rsyslog://{}",
        "mailto://u:p@{}/?to=a@x.org&from=n@x.org&smtp=127.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_before_any_connection(url: str) -> None:
    """Routes from before, and by a name that leads here."""
    with listener() as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(TargetError, match=r"is no public address: .* outbound_private") as caught:
                send(sender_with(CLOSED), url.format(f"{host}:{port}"))
            assert (caught.value.cause, caught.value.acted) == (Cause.MISTAKE, False)
        assert not was_called(listening)


def test_a_test_of_routes_says_the_same_whatever_is_at_a_refused_place(tmp_path: Path, clock: Any) -> None:
    settings = load_settings(tmp_path / "home")
    initialise(settings, clock)
    services = Services(settings, clock)
    with HttpSink() as taking, HttpSink() as refusing, listener() as silent, listener() as closed:
        refusing.answer(403)
        ports = [int(sink.url.rpartition(":")[2]) for sink in (taking, refusing)]
        ports += [silent.getsockname()[1], closed.getsockname()[1]]
        closed.close()
        Outbox(services).add_owner("ann", *(f"json://127.0.0.1:{port}/" for port in ports))
        said = {one.error for one in services.notices.route_test.check("ann")}
        assert taking.requests + refusing.requests == []
        assert not was_called(silent)
    assert said == {"127.0.0.1 is no public address: if it may be called, list it in outbound_private"}
    services.close()


def test_what_is_judged_is_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere when it is asked for once more is asked for once."""
    resolve, asked = socket.getaddrinfo, []

    def answer(host: str, *rest: Any, **more: Any) -> Any:
        if host != "hooks.example":
            return resolve(host, *rest, **more)
        asked.append(host)
        return resolve("127.0.0.1" if len(asked) == 1 else "169.254.169.254", *rest, **more)

    with HttpSink() as sink:
        monkeypatch.setattr(socket, "getaddrinfo", answer)
        port = sink.url.rpartition(":")[2]
        assert send(sender_with(NETWORK), f"json://hooks.example:{port}/x") == 1
        (post,) = sink.requests
    assert post.headers["host"] == f"hooks.example:{port}"
    assert len(asked) == 1


def test_headers_parameters_and_logins_of_a_route_arrive() -> None:
    with HttpSink() as sink:
        url = f"json://user:password@{sink.url[7:]}/in?method=post&+X-Api-Key=abc&:kind=night"
        send(sender_with(NETWORK), url)
        (post,) = sink.requests
    assert post.path == "/in"
    assert (post.headers["x-api-key"], post.headers["authorization"]) == ("abc", "Basic dXNlcjpwYXNzd29yZA==")
    assert (post.body["title"], post.body["message"], post.body["kind"]) == ("a subject", "a body", "night")


def test_what_the_environment_says_of_proxies_logins_and_trust_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpSink() as sink, listener() as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, address)
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password something\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        send(sender_with(NETWORK), f"json://{sink.url[7:]}/x")
        (post,) = sink.requests
        assert not was_called(proxy)
    assert "authorization" not in post.headers


def test_the_proxy_of_the_settings_is_used() -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def answer() -> None:
            caller, _ = proxy.accept()
            with caller:
                heard.append(caller.recv(65_536))
                caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        send(sender_with(CLOSED, proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}"), "json://hooks.example/x")
        thread.join()
    assert heard[0].startswith(b"POST http://hooks.example/x HTTP/1.1\r\n")


def test_a_redirect_is_not_followed_and_is_no_delivery() -> None:
    with HttpSink() as there, HttpSink() as sink:
        sink.answer(307, headers={"Location": f"{there.url}/elsewhere"})
        with pytest.raises(TargetError, match="the service answered 307"):
            send(sender_with(NETWORK), f"json://{sink.url[7:]}/x")
        assert there.requests == []


@pytest.mark.parametrize(
    "url", ["jsons://{}/echo", "jsons://{}/echo?verify=no", "gotifys://{}/AAAAAAAAAAAAAAA?verify=0"]
)
def test_nothing_is_sent_to_who_cannot_show_a_certificate_that_we_trust(url: str, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serve(context) as server:
        says = "may not turn off" if "verify" in url else "has a certificate that does not verify"
        with pytest.raises(TargetError, match=says):
            send(sender_with(NETWORK), url.format(server.host))
        assert server.seen == []
        trusting = sender_with(Network(build_guard((), LOOPBACK), ca_file=certificate))
        if "verify" not in url:
            assert send(trusting, url.format(server.host)) == 1
            assert [seen[:2] for seen in server.seen] == [("POST", "/echo")]


def test_a_mail_server_that_the_organisation_vouches_for_is_trusted(tmp_path: Path) -> None:
    with MailServer({"robot": "a-password"}, tls=True) as server:
        network = Network(build_guard((), LOOPBACK), ca_file=server.certificate_path)
        url = f"mailtos://robot:a-password@localhost:{server.port}/?from=n@example.org&to=ann@example.org"
        assert send(sender_with(network), url) == 1
        assert len(server.messages) == 1


def test_what_apprise_calls_sent_without_a_call_is_not_sent() -> None:
    """Opsgenie takes a notice for the end of an alert, unless it is told otherwise, and knows of none."""
    with pytest.raises(TargetError, match="apprise took the notice and called nobody") as caught:
        send(sender_with(CLOSED), OPSGENIE)
    assert caught.value.cause is Cause.MISTAKE


def test_apprise_calls_nobody_beside_a_delivery(sink: HttpSink) -> None:
    """Its modules were given our client by the first delivery, which serves inside of one alone."""
    url = f"json://{sink.url[7:]}/x"
    sender = AppriseSender(NETWORK, HTTP)
    sender.send(Secret(url), MESSAGE, recipient=WHOLE)
    assert len(sink.requests) == 1
    made = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(async_mode=False))
    assert made.notify(title="a", body="b") is False
    assert len(sink.requests) == 1
