"""The servers that the demonstration and the tests talk to, each over a real socket."""

import gc
import json
import logging
import re
import smtplib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import httpx
import pytest

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.mail_server import MailServer
from nightkey_demo.target_systems import start_target_systems
from nightkey_demo.token_service import TokenService

START = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
PASSWORD = "correct-horse-battery-1"
PATIENCE = 120.0
"""Seconds until a test gives up; nothing here waits that long when it works."""


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(clock):
    with TokenService(clock=clock) as started:
        yield started


@pytest.fixture
def admin(service):
    with open_client(service.url, service.admin_token) as client:
        yield client


@pytest.fixture
def mail():
    with MailServer(users={"nightkey": PASSWORD}) as started:
        yield started


@pytest.fixture
def sink():
    with HttpSink() as started:
        yield started


def open_client(url, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=PATIENCE)


def call(service, token, method, path, **options):
    with open_client(service.url, token) as client:
        return client.request(method, path, **options)


def order(client, **changes):
    return client.post("/v1/tokens", json={"account": "acme", "label": "rot_1"} | changes)


def connect(mail):
    return smtplib.SMTP(mail.host, mail.port, timeout=PATIENCE)


def write_mail(subject="Renewed", body="The night went well."):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "night@example.org", "ann@example.org", subject
    message.set_content(body)
    return message


def assert_ended(threads):
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# Tokens


def test_an_issued_token_has_the_promised_shape_and_opens_the_account(service, admin):
    answer = order(admin, scopes=["tickets"], lifetime_seconds=3600)
    issued = answer.json()
    assert answer.status_code == 201
    assert set(issued) == {"id", "token", "expires_at", "scopes"}
    assert issued["id"].startswith("tok_")
    assert re.fullmatch(r"\S{40}", issued["token"])
    assert issued["expires_at"] == "2026-03-01T03:00:00.000000Z"
    assert issued["scopes"] == ["tickets"]
    account = call(service, issued["token"], "GET", "/v1/account")
    assert account.status_code == 200
    assert account.json() == {"account": "acme", "scopes": ["tickets"], "token_id": issued["id"]}


def test_a_token_without_a_lifetime_never_expires(service, admin, clock):
    issued = order(admin).json()
    assert issued["expires_at"] is None
    clock.now += timedelta(days=36_500)
    assert service.is_live(issued["token"])


def test_two_tokens_are_never_the_same(service):
    pairs = [service.issue("acme", label=f"rot_{number}") for number in range(50)]
    assert len({token_id for token_id, _ in pairs}) == len({token for _, token in pairs}) == 50


def test_a_label_in_use_is_answered_409_with_the_id_until_its_token_dies(service, admin, clock):
    first = order(admin, lifetime_seconds=60).json()
    again = order(admin)
    assert again.status_code == 409
    assert again.json()["id"] == first["id"]
    assert "token" not in again.json()
    assert service.live_tokens("acme") == [first["id"]]
    assert order(admin, account="other").status_code == 201
    assert admin.delete(f"/v1/tokens/{first['id']}").status_code == 204
    assert order(admin, lifetime_seconds=60).status_code == 201
    clock.now += timedelta(seconds=60)
    assert order(admin).status_code == 201


def test_parallel_orders_for_one_label_issue_one_token(service, admin):
    barrier = threading.Barrier(8)

    def send(_):
        barrier.wait(PATIENCE)
        return call(
            service,
            service.admin_token,
            "POST",
            "/v1/tokens",
            json={"account": "acme", "label": "rot_1"},
        ).status_code

    with ThreadPoolExecutor(max_workers=8) as pool:
        statuses = sorted(pool.map(send, range(8)))
    assert statuses == [201] + [409] * 7
    assert len(service.live_tokens("acme")) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"account": "acme"}',
        b'{"account": "", "label": "rot_1"}',
        b'{"account": "acme", "label": "rot_1", "scopes": "tickets"}',
        b'{"account": "acme", "label": "rot_1", "scopes": [1]}',
        b'{"account": "acme", "label": "rot_1", "lifetime_seconds": 0}',
        b'{"account": "acme", "label": "rot_1", "lifetime_seconds": true}',
        b'{"account": "acme", "label": "rot_1", "lifetime_seconds": 1e300}',
    ],
)
def test_an_order_that_cannot_be_meant_is_refused_and_issues_nothing(service, admin, body):
    assert admin.post("/v1/tokens", content=body).status_code == 400
    assert service.live_tokens("acme") == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/tokens"), ("GET", "/v1/tokens?account=acme"), ("DELETE", "/v1/tokens/{id}")],
)
def test_only_the_admin_token_issues_lists_and_revokes(service, method, path):
    token_id, token = service.issue("acme")
    for offered in (None, token, "x" * 40):
        answer = call(
            service,
            offered,
            method,
            path.format(id=token_id),
            **({"json": {"account": "acme", "label": "rot_1"}} if method == "POST" else {}),
        )
        assert answer.status_code == 401
    assert service.live_tokens("acme") == [token_id]


def test_the_admin_token_opens_nothing_but_the_administration(admin):
    assert admin.get("/v1/account").json() == {"error": "invalid_token", "reason": "unknown"}


def test_the_admin_token_differs_from_one_start_to_the_next():
    service = TokenService()
    seen = set()
    for _ in range(3):
        with service:
            seen.add(service.admin_token)
    assert len(seen) == 3


def test_the_list_names_tokens_and_never_shows_one(service, admin, clock):
    first_id, first = service.issue("acme", label="initial")
    clock.now += timedelta(seconds=1, microseconds=5)
    issued = order(admin).json()
    service.issue("other")
    admin.delete(f"/v1/tokens/{first_id}")
    answer = admin.get("/v1/tokens", params={"account": "acme"})
    assert answer.json() == {
        "tokens": [
            {
                "id": first_id,
                "label": "initial",
                "created_at": "2026-03-01T02:00:00.000000Z",
                "revoked": True,
            },
            {
                "id": issued["id"],
                "label": "rot_1",
                "created_at": "2026-03-01T02:00:01.000005Z",
                "revoked": False,
            },
        ]
    }
    labelled = admin.get("/v1/tokens", params={"account": "acme", "label": "rot_1"}).json()
    assert [token["id"] for token in labelled["tokens"]] == [issued["id"]]
    assert first not in answer.text
    assert issued["token"] not in answer.text
    assert admin.get("/v1/tokens").status_code == 400


def test_a_revoked_token_is_refused_as_revoked_and_revoking_repeats(service, admin):
    token_id, token = service.issue("acme")
    assert service.is_live(token)
    for _ in range(2):
        answer = admin.delete(f"/v1/tokens/{token_id}")
        assert (answer.status_code, answer.content) == (204, b"")
    refused = call(service, token, "GET", "/v1/account")
    assert refused.status_code == 401
    assert refused.json() == {"error": "invalid_token", "reason": "revoked"}
    assert not service.is_live(token)
    assert service.live_tokens("acme") == []


def test_an_unknown_id_cannot_be_revoked(admin):
    assert admin.delete("/v1/tokens/tok_nobody").status_code == 404


def test_a_token_expires_at_the_moment_it_said(service, admin, clock):
    token = order(admin, lifetime_seconds=60).json()["token"]
    clock.now = START + timedelta(seconds=60) - timedelta(microseconds=1)
    assert call(service, token, "GET", "/v1/account").status_code == 200
    clock.now += timedelta(microseconds=1)
    refused = call(service, token, "GET", "/v1/account")
    assert refused.status_code == 401
    assert refused.json() == {"error": "invalid_token", "reason": "expired"}
    assert service.live_tokens("acme") == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic eA=="}])
def test_an_unknown_token_is_refused_as_unknown(service, headers):
    refused = call(service, None, "GET", "/v1/account", headers=headers)
    assert refused.status_code == 401
    assert refused.json() == {"error": "invalid_token", "reason": "unknown"}


@pytest.mark.parametrize(
    ("method", "path", "scope", "status"),
    [
        ("GET", "/v1/invoices", "invoices:read", 200),
        ("POST", "/v1/invoices", "invoices:write", 201),
        ("GET", "/v1/tickets", "tickets", 200),
        ("POST", "/v1/tickets", "tickets", 201),
    ],
)
def test_each_call_needs_its_scope_and_no_other_will_do(service, method, path, scope, status):
    others = [name for name in ("invoices:read", "invoices:write", "tickets") if name != scope]
    _, able = service.issue("acme", label="able", scopes=[scope])
    _, unable = service.issue("acme", label="unable", scopes=others)
    body = {"json": {"subject": "hello"}} if method == "POST" else {}
    assert call(service, able, method, path, **body).status_code == status
    refused = call(service, unable, method, path, **body)
    assert refused.status_code == 403
    assert refused.json() == {"error": "insufficient_scope"}


def test_what_is_posted_is_listed(service):
    _, token = service.issue("acme")
    before = call(service, token, "GET", "/v1/tickets").json()["tickets"]
    posted = call(service, token, "POST", "/v1/tickets", json={"subject": "hello"}).json()
    after = call(service, token, "GET", "/v1/tickets").json()["tickets"]
    assert [ticket["id"] for ticket in after] == [ticket["id"] for ticket in before] + [posted["id"]]


def test_an_accounts_policy_silently_narrows_what_is_issued_from_then_on(service, admin):
    _, earlier = service.issue("acme")
    service.default_scopes["acme"] = ["tickets"]
    issued = order(admin, scopes=["invoices:read"])
    assert issued.status_code == 201
    later = issued.json()["token"]
    assert call(service, later, "GET", "/v1/account").status_code == 200
    assert call(service, later, "GET", "/v1/invoices").status_code == 403
    assert call(service, earlier, "GET", "/v1/invoices").status_code == 200
    assert order(admin, account="other", scopes=["invoices:read"]).json()["scopes"] == ["invoices:read"]


def test_the_echo_gives_back_what_was_sent_with_the_authorization(service):
    _, token = service.issue("acme", scopes=[])
    answer = call(service, token, "POST", "/v1/echo", content="plain text", headers={"X-Trace": "7"})
    assert answer.status_code == 200
    assert answer.json()["headers"]["authorization"] == f"Bearer {token}"
    assert answer.json()["headers"]["x-trace"] == "7"
    assert answer.json()["body"] == "plain text"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/account", 405),
        ("GET", "/v1/echo", 405),
        ("DELETE", "/v1/tickets", 405),
    ],
)
def test_what_is_not_there_is_said_so(service, method, path, status):
    _, token = service.issue("acme")
    assert call(service, token, method, path).status_code == status


def test_requests_are_recorded_with_ids_and_without_values(service, admin):
    token_id, token = service.issue("acme", scopes=["tickets"])
    order(admin)
    call(service, token, "GET", "/v1/account")
    call(service, token, "GET", "/v1/invoices")
    call(service, "x" * 40, "GET", "/v1/account")
    assert [(seen.method, seen.path, seen.status, seen.token_id) for seen in service.requests] == [
        ("POST", "/v1/tokens", 201, None),
        ("GET", "/v1/account", 200, token_id),
        ("GET", "/v1/invoices", 403, token_id),
        ("GET", "/v1/account", 401, None),
    ]
    with pytest.raises(AttributeError):
        service.requests[0].status = 500
    shown = repr(service.requests) + repr(service)
    assert token not in shown
    assert service.admin_token not in shown


def test_a_value_in_a_path_is_not_recorded(service, admin):
    _, token = service.issue("acme")
    assert admin.delete(f"/v1/tokens/{token}").status_code == 404
    assert admin.get(f"/v2/{token}").status_code == 404
    assert len(service.requests) == 2
    assert token not in repr(service.requests)


# Faults of the token service


def test_a_fault_before_the_effect_issues_nothing_and_passes(service, admin):
    service.fail_next("/v1/tokens", times=2)
    assert [order(admin).status_code for _ in range(3)] == [503, 503, 201]
    assert len(service.live_tokens("acme")) == 1
    assert [seen.status for seen in service.requests] == [503, 503, 201]


def test_a_fault_after_the_effect_has_issued_and_shows_no_value(service, admin):
    service.fail_next("/v1/tokens", status=500, after_effect=True)
    failed = order(admin)
    assert failed.status_code == 500
    assert "token" not in failed.json()
    (lost,) = service.live_tokens("acme")
    assert order(admin).json()["id"] == lost
    listed = admin.get("/v1/tokens", params={"account": "acme", "label": "rot_1"}).json()["tokens"]
    assert [token["id"] for token in listed] == [lost]


def test_a_fault_after_the_effect_of_a_revocation_has_revoked(service, admin):
    token_id, token = service.issue("acme")
    service.fail_next("/v1/tokens/", after_effect=True)
    assert admin.delete(f"/v1/tokens/{token_id}").status_code == 503
    assert not service.is_live(token)
    assert admin.delete(f"/v1/tokens/{token_id}").status_code == 204


def test_a_fault_meets_only_its_path_and_its_method(service, admin):
    _, token = service.issue("acme")
    service.fail_next("/v1/tokens", method="POST")
    service.fail_next("/v1/invoices", status=429)
    assert call(service, token, "GET", "/v1/account").status_code == 200
    assert admin.get("/v1/tokens", params={"account": "acme"}).status_code == 200
    assert call(service, token, "GET", "/v1/invoices").status_code == 429
    assert order(admin).status_code == 503


def test_a_hang_outlasts_an_impatient_client_and_leaves_other_calls_alone(service):
    _, token = service.issue("acme")
    service.hang_next("/v1/invoices", 60.0)
    with open_client(service.url, token) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.get("/v1/invoices", timeout=0.1)
        assert client.get("/v1/account").status_code == 200
        assert client.get("/v1/invoices").status_code == 200


def test_a_hang_that_is_over_serves_the_request(service, admin):
    service.hang_next("/v1/tokens", 0.01)
    assert order(admin).status_code == 201


def test_a_hang_is_released_by_the_stop_and_its_request_takes_no_effect():
    service, before = TokenService(), set(threading.enumerate())
    with service:
        service.hang_next("/v1/tokens", 3600.0)
        with (
            open_client(service.url, service.admin_token) as client,
            pytest.raises(httpx.ReadTimeout),
        ):
            client.post("/v1/tokens", json={"account": "acme", "label": "rot_1"}, timeout=0.2)
        started = set(threading.enumerate()) - before
        assert len(started) == 2
        service.stop()
        assert_ended(started)
        assert service.live_tokens("acme") == []
        assert service.requests == []


# Start and stop


@pytest.mark.parametrize("make", [TokenService, HttpSink, lambda: MailServer(users={})])
def test_stopping_twice_is_harmless_and_starting_twice_is_a_mistake(make):
    server = make()
    server.stop()
    server.start()
    with pytest.raises(RuntimeError, match="started already"):
        server.start()
    server.stop()
    server.stop()
    server.start()
    server.stop()


@pytest.mark.parametrize("make", [TokenService, HttpSink])
def test_a_stopped_http_server_answers_no_more_on_a_connection_kept_alive(make):
    before = set(threading.enumerate())
    server = make().start()
    with open_client(server.url) as client:
        client.get("/")
        started = set(threading.enumerate()) - before
        server.stop()
        with pytest.raises(httpx.TransportError):
            client.get("/")
    assert len(started) == 2
    assert_ended(started)
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url


def test_a_connection_serves_many_requests(sink):
    with open_client(sink.url) as client:
        ports = set()
        for number in range(3):
            answer = client.post("/", json={"number": number})
            ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1
    assert [post.body for post in sink.requests] == [{"number": number} for number in range(3)]


def test_an_outsized_body_is_refused(sink):
    answer = httpx.post(sink.url, content=b"x" * 1_048_577, trust_env=False)
    assert answer.status_code == 413
    assert sink.requests == []


def test_half_a_request_has_no_effect(service):
    host, port = service.url.removeprefix("http://").split(":")
    body = json.dumps({"account": "acme", "label": "rot_1"})
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        head = f"POST /v1/tokens HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {service.admin_token}\r\n"
        client.sendall(f"{head}Content-Length: {len(body) + 1}\r\n\r\n{body}".encode())
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert service.live_tokens("acme") == []


@pytest.mark.parametrize("make", [TokenService, HttpSink])
def test_the_http_servers_listen_on_loopback_alone(make):
    with make() as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.url)
        assert server._server.socket.getsockname()[0] == "127.0.0.1"


# Mail


@pytest.mark.parametrize("mechanism", ["auth_login", "auth_plain"])
def test_mail_of_a_user_who_logged_in_is_kept(mail, mechanism):
    with connect(mail) as client:
        client.ehlo()
        client.user, client.password = "nightkey", PASSWORD
        assert client.auth(mechanism.removeprefix("auth_"), getattr(client, mechanism))[0] == 235
        client.send_message(write_mail(), to_addrs=["ann@example.org", "bob@example.org"])
    (received,) = mail.wait_for(1, PATIENCE)
    assert received.sender == "night@example.org"
    assert received.recipients == ("ann@example.org", "bob@example.org")
    assert isinstance(received.message, EmailMessage)
    assert received.message["Subject"] == "Renewed"
    assert received.message.get_content().strip() == "The night went well."
    assert mail.messages == [received]


@pytest.mark.parametrize(
    ("user", "password"), [("nightkey", "wrong"), ("nightkey", ""), ("nobody", PASSWORD), ("nobody", "")]
)
@pytest.mark.parametrize("mechanism", ["login", "plain"])
def test_a_bad_login_is_answered_535(mail, user, password, mechanism):
    with connect(mail) as client:
        client.ehlo()
        client.user, client.password = user, password
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.auth(mechanism, getattr(client, f"auth_{mechanism}"))
        assert refused.value.smtp_code == 535
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.send_message(write_mail())
    assert mail.messages == []


def test_mail_without_a_login_is_refused(mail):
    with connect(mail) as client:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.send_message(write_mail())
        assert refused.value.smtp_code == 530
    assert mail.messages == []


def test_a_new_password_replaces_the_old_one(mail):
    mail.set_password("nightkey", "another-password-2")
    with connect(mail) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("nightkey", PASSWORD)
        client.login("nightkey", "another-password-2")


def test_a_new_user_can_be_added(mail):
    mail.set_password("second", "another-password-2")
    with connect(mail) as client:
        assert client.login("second", "another-password-2")[0] == 235


def test_tls_comes_before_the_login_and_its_certificate_verifies():
    with MailServer(users={"nightkey": PASSWORD}, tls=True) as mail:
        context = ssl.create_default_context(cafile=str(mail.certificate_path))
        with connect(mail) as client:
            client.ehlo()
            assert client.docmd("AUTH", "PLAIN")[0] == 530
            client.starttls(context=context)
            client.login("nightkey", PASSWORD)
            client.send_message(write_mail())
        assert len(mail.wait_for(1, PATIENCE)) == 1
        kept = sorted(path.name for path in mail.certificate_path.parent.iterdir())
        directory = mail.certificate_path.parent
    assert kept == ["certificate.pem"]
    assert not directory.exists()


def test_tls_with_a_certificate_that_nobody_trusts_fails():
    with (
        MailServer(users={}, tls=True) as mail,
        connect(mail) as client,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        client.starttls(context=ssl.create_default_context())


@pytest.mark.parametrize("tls", [False, True])
def test_a_stopped_mail_server_hangs_up_on_idle_clients(tls, caplog):
    mail = MailServer(users={"nightkey": PASSWORD}, tls=tls).start()
    client = connect(mail)
    if tls:
        client.starttls(context=ssl.create_default_context(cafile=str(mail.certificate_path)))
    client.login("nightkey", PASSWORD)
    mail.stop()
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        client.noop()
    client.close()
    # A socket that was left open warns when it is collected, and a warning fails the test.
    gc.collect()
    assert caplog.records == []


def test_waiting_for_mail_ends_when_it_arrives_from_another_thread(mail):
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(mail.wait_for, 2, PATIENCE)
        with connect(mail) as client:
            client.login("nightkey", PASSWORD)
            client.send_message(write_mail("one"))
            client.send_message(write_mail("two"))
        assert [received.message["Subject"] for received in waiting.result()] == ["one", "two"]


def test_waiting_in_vain_says_what_is_missing(mail, sink):
    with pytest.raises(TimeoutError, match="0 of 1"):
        mail.wait_for(1, 0.01)
    with pytest.raises(TimeoutError, match="0 of 2"):
        sink.wait_for(2, 0.01)


# The sink


def test_the_sink_keeps_what_is_posted_anywhere(sink):
    with open_client(sink.url) as client:
        assert client.post("/hook/7?x=1", json={"title": "late"}, headers={"X-Kind": "a"}).status_code == 200
        client.post("/other", content="not JSON")
    first, second = sink.wait_for(2, PATIENCE)
    assert (first.path, first.body, first.headers["x-kind"]) == ("/hook/7", {"title": "late"}, "a")
    assert (second.path, second.body) == ("/other", "not JSON")


def test_the_sink_takes_nothing_but_posts(sink):
    with open_client(sink.url) as client:
        assert client.get("/").status_code == 405
    assert sink.requests == []


def test_the_sink_answers_as_it_is_told_in_turn_and_then_as_ever(sink):
    sink.answer(status=503, times=2)
    sink.answer(status=202, body={"queued": True})
    sink.answer(status=204)
    with open_client(sink.url) as client:
        answers = [client.post("/", json=number) for number in range(5)]
    assert [answer.status_code for answer in answers] == [503, 503, 202, 204, 200]
    assert answers[2].json() == {"queued": True}
    assert answers[3].content == b""
    assert len(sink.requests) == 5


def test_a_hanging_sink_keeps_the_post_and_is_released_by_the_stop(sink):
    sink.hang()
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(httpx.post, f"{sink.url}/hook", trust_env=False, timeout=PATIENCE)
        assert len(sink.wait_for(1, PATIENCE)) == 1
        sink.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            pending.result(PATIENCE)


def test_a_hang_of_the_sink_ends_by_itself(sink):
    sink.hang(0.01)
    with open_client(sink.url) as client:
        assert client.post("/").status_code == 200


# All together


def test_the_targets_start_together_and_stop_however_the_block_ends():
    stack = ExitStack()
    targets = stack.enter_context(start_target_systems())
    urls = [targets.token_service.url, targets.sink.url]
    port = targets.mail.port
    for url in urls:
        assert httpx.get(url, trust_env=False).status_code in {404, 405}
    with connect(targets.mail) as client:
        client.login(targets.mail_user, targets.mail_password)
    failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError), stack:
        raise failure
    for url in urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)
    assert targets.mail_password not in repr(targets)


def test_no_value_is_printed_logged_or_shown(capfd, caplog):
    """Good and bad uses of each server, with every logger wide open."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="mail.log")
    with start_target_systems() as targets:
        service, mail, sink = targets.token_service, targets.mail, targets.sink
        _, token = service.issue("acme", scopes=[])
        values = [token, service.admin_token, targets.mail_password, "wrong-password-3", "x" * 40]
        service.fail_next("/v1/tokens", after_effect=True)
        for offered in (token, service.admin_token, "x" * 40):
            for path in ("/v1/tokens", "/v1/account", "/v1/invoices", f"/v1/{offered}", "/v1/echo"):
                call(service, offered, "POST", path, json={"account": "acme", "label": offered})
                call(service, offered, "GET", path, params={"account": offered})
        values.append(
            call(
                service,
                service.admin_token,
                "POST",
                "/v1/tokens",
                json={"account": "acme", "label": "rot_9"},
            ).json()["token"]
        )
        with connect(mail) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login(targets.mail_user, "wrong-password-3")
            client.docmd("AUTH", "LOGIN")
            client.docmd("wrong-password-3")
            client.login(targets.mail_user, targets.mail_password)
            client.send_message(write_mail(body=token))
        call(sink, token, "POST", f"/{token}", json={"token": token})
        shown = repr((targets, service.requests, mail.messages))
    out, err = capfd.readouterr()
    logged = [
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    ]
    everything = json.dumps([out, err, logged, shown])
    for value in values:
        assert value not in everything
    assert (out, err) == ("", "")
