"""One request to a real server: what comes back, what is refused, and what no error ever says."""

import logging
import os
import socket
import ssl
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.certificates import make_certificate
from tests.integration.http_server import BOMB_BYTES, TEXT, pack_bomb, serve
from tests.ways_out import NETWORK
from vaultcore.errors import Cause, TargetError
from worker.outbound import HttpClient, Network, cause_of
from worker.outbound.answers import decode

LIMIT = 100_000
PATIENCE = 120.0
"""Seconds within which a call with a deadline of a fraction of one must have ended, on a busy machine too."""


@pytest.fixture(scope="module")
def server():
    with serve() as started:
        yield started


@pytest.fixture(scope="module")
def http():
    return HttpClient(NETWORK, max_bytes=LIMIT)


@pytest.fixture
def closed_port():
    """A port that nobody listens on, and that nobody else is given meanwhile."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def fail(http, method, url, **more):
    with pytest.raises(TargetError) as caught:
        http.request(method, url, **more)
    error = caught.value
    assert str(error).isprintable()
    assert error.__context__ is None
    assert error.__cause__ is None
    return str(error), error.cause


# What comes back


@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 407, 408, 418, 429, 500, 503])
def test_any_status_but_a_redirect_is_an_answer_and_its_cause_is_told_apart(http, server, status):
    answer = http.request("GET", f"{server.url}/status/{status}")
    assert (answer.status, answer.body) == (status, {"no": "thanks"})
    causes = {400: Cause.MISTAKE, 404: Cause.MISTAKE, 418: Cause.MISTAKE}
    causes |= dict.fromkeys((401, 403, 407), Cause.REJECTED) | dict.fromkeys((408, 429, 500, 503), Cause.OUTAGE)
    assert cause_of(status) is causes.get(status)


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('"text"', "text"),
        ("12", 12),
        ("{broken", "{broken"),
        ("", ""),
        ("[" * 100_000, "[" * 100_000),
        ("[" * 1001 + "]" * 1001, "[" * 1001 + "]" * 1001),
        ('{"a": NaN}', '{"a": NaN}'),
        ('{"a": -Infinity}', '{"a": -Infinity}'),
        ('{"a": 1e999}', '{"a": 1e999}'),
        ('{"a": ' + "1" * 5000 + "}", '{"a": ' + "1" * 5000 + "}"),
        ('{"a": ' + "1" * 100 + "}", {"a": int("1" * 100)}),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_a_body_is_json_where_it_is_json_and_else_text(http, server, sent, body):
    answer = http.request("POST", f"{server.url}/reply", content=sent)
    assert answer.body == body
    assert (answer.flaw is not None) is (body == sent and sent.startswith(("{", "[")))


@pytest.mark.parametrize(
    ("sent", "flaw"),
    [
        ("[" * 1001 + "]" * 1001, "nested too deeply"),
        ('{"a": NaN}', "NaN is a number that JSON cannot hold"),
        ('{"a": ' + "1" * 5000 + "}", "a number in it is too long"),
    ],
)
def test_why_a_body_is_no_json_is_said_without_a_word_of_it(http, server, sent, flaw):
    assert http.request("POST", f"{server.url}/reply", content=sent).flaw == flaw


def test_text_and_headers_come_back_as_they_are_with_names_in_lower_case(http, server):
    answer = http.request("GET", f"{server.url}/text/utf-8")
    assert answer.body == {"a": 1, "text": "hé"}
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert all(name == name.lower() for name in answer.headers)


@pytest.mark.parametrize("charset", ["nonsense", "hex", "base64", "undefined", "idna", "x" * 200])
def test_a_charset_that_there_is_not_is_read_as_utf_8(http, server, charset):
    assert http.request("GET", f"{server.url}/text/{charset}").body == {"a": 1, "text": "hé"}


def test_a_charset_that_holds_nul_is_read_as_utf_8():
    """As `charset*=utf-8''%00` is read."""
    assert decode("hé".encode(), "\0") == "hé"


def test_a_charset_that_there_is_is_used_and_bytes_that_do_not_fit_are_replaced(http, server):
    assert http.request("GET", f"{server.url}/text/latin-1").body["text"] == "h\u00c3\u00a9"
    assert http.request("GET", f"{server.url}/text/ascii").body["text"] == "h\ufffd\ufffd"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "Put"])
def test_each_method_is_sent_in_capitals(http, server, method):
    assert http.request(method, f"{server.url}/echo?{method}").status == 200
    assert server.seen[-1][:2] == (method.upper(), f"/echo?{method}")


def test_content_and_headers_are_sent_as_given(http, server):
    answer = http.request(
        "POST",
        f"{server.url}/echo?a=b%2Fc&d",
        headers={"X-One": "1", "accept-encoding": "identity"},
        content="hé\n",
    )
    sent = {name.lower(): value for name, value in answer.body["headers"].items()}
    assert (answer.body["body"], answer.body["path"]) == ("hé\n", "/echo?a=b%2Fc&d")
    assert (sent["x-one"], sent["accept-encoding"], sent["content-length"]) == ("1", "identity", "4")
    assert "cookie" not in sent


def test_a_header_that_is_given_twice_is_sent_twice_and_in_order(http, server):
    given = [("X-Tag", "one"), ("Accept-Encoding", "identity"), ("x-tag", "two"), ("X-TAG", "one")]
    answer = http.request("POST", f"{server.url}/headers", headers=given, content="")
    sent = [(name.lower(), text) for name, text in answer.body]
    assert [text for name, text in sent if name == "x-tag"] == ["one", "two", "one"]
    assert [text for name, text in sent if name == "accept-encoding"] == ["identity"]


@pytest.mark.parametrize("name", ["Host", "Content-Length"])
def test_a_header_that_http_has_once_is_a_mistake_when_it_is_given_twice(http, server, name):
    message, cause = fail(http, "POST", f"{server.url}/headers", headers=[(name, "1"), (name, "2")], content="")
    assert message.endswith(": look at its URL and headers")
    assert cause is Cause.MISTAKE


def test_nothing_is_kept_between_calls_neither_cookie_nor_connection(http, server):
    before = len(server.seen)
    for _ in range(3):
        assert "Cookie" not in http.request("GET", f"{server.url}/echo").body["headers"]
    assert len({port for _, _, port in server.seen[before:]}) == 3


def test_one_client_serves_many_threads_at_once(http, server):
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = pool.map(lambda n: http.request("GET", f"{server.url}/echo?{n}").body["path"], range(40))
        assert list(answers) == [f"/echo?{n}" for n in range(40)]


def test_a_client_made_before_a_fork_serves_the_child(http, server):
    http.request("GET", f"{server.url}/echo")
    child = os.fork()
    if child == 0:
        os._exit(0 if http.request("GET", f"{server.url}/echo").status == 200 else 1)
    assert os.waitpid(child, 0)[1] == 0


# Size and encoding


@pytest.mark.parametrize("path", ["/gzip", "/deflate", "/encoding/identity", "/text"])
def test_a_body_is_decompressed(http, server, path):
    assert http.request("GET", server.url + path).body == {"a": 1, "text": "hé"}


@pytest.mark.parametrize("path", ["/big", "/gzip"])
def test_the_limit_is_of_the_decompressed_body_and_exact(http, server, path):
    assert http.request("GET", f"{server.url}{path}/{LIMIT}").body == "x" * LIMIT
    message, cause = fail(http, "GET", f"{server.url}{path}/{LIMIT + 1}")
    assert (message, cause) == (f"{server.host} sent more than {LIMIT} bytes", Cause.MISTAKE)


def test_a_small_body_that_would_decompress_to_much_is_refused_without_holding_it(server):
    assert len(pack_bomb()) < 50_000
    http = HttpClient(NETWORK)
    tracemalloc.start()
    try:
        message, cause = fail(http, "GET", f"{server.url}/bomb")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (message, cause) == (f"{server.host} sent more than 1048576 bytes", Cause.MISTAKE)
    assert peak < BOMB_BYTES / 5


@pytest.mark.parametrize(
    ("path", "message", "cause"),
    [
        ("/encoding/gzip", "HOST sent a body that does not decompress", Cause.MISTAKE),
        ("/encoding/deflate", "HOST sent a body that does not decompress", Cause.MISTAKE),
        (
            "/encoding/br",
            "HOST sent a body of an encoding that was not asked for: only gzip and deflate are read",
            Cause.MISTAKE,
        ),
        (
            "/encoding/gzip,gzip",
            "HOST sent a body of an encoding that was not asked for: only gzip and deflate are read",
            Cause.MISTAKE,
        ),
        ("/behind/gzip", "HOST sent a body that does not decompress", Cause.MISTAKE),
        ("/behind/deflate", "HOST sent a body that does not decompress", Cause.MISTAKE),
        ("/twice", "HOST sent a body that does not decompress", Cause.MISTAKE),
        ("/hollow", f"HOST sent more than {LIMIT} bytes", Cause.MISTAKE),
        ("/chunks", f"HOST sent more than {LIMIT} bytes", Cause.MISTAKE),
        ("/heads/201", "HOST sent more than 200 headers", Cause.MISTAKE),
        ("/heads/20000", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
        ("/header/1000000", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
        ("/cut/5", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
        ("/cut/15", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
        (f"/cut/{len(TEXT)}", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
        ("/half", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
        ("/nonsense", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
        ("/hangup", "HOST broke off, or did not speak HTTP", Cause.OUTAGE),
    ],
)
def test_a_body_that_is_not_whole_is_never_taken_for_one(http, server, path, message, cause):
    assert fail(http, "GET", server.url + path) == (message.replace("HOST", server.host), cause)


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/gzip"), ("GET", "/empty"), ("GET", "/cut/0")])
def test_no_body_at_all_is_an_empty_one(http, server, method, path):
    assert http.request(method, server.url + path).body == ""


# Redirects, deadlines, connections


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("method", "follow"), [("POST", False), ("POST", True), ("GET", False)])
def test_a_redirect_is_no_success_and_its_target_never_called(http, server, status, method, follow):
    before = len(server.seen)
    answer = http.request(method, f"{server.url}/redirect/{status}", content="x", follow=follow)
    assert (answer.status, answer.cause) == (status, Cause.MISTAKE)
    assert [path for _, path, _ in server.seen[before:]] == [f"/redirect/{status}"]


def test_not_modified_is_an_answer_and_is_asked_for_once(http, server):
    before = len(server.seen)
    answer = http.request("GET", f"{server.url}/empty/304")
    assert (answer.status, answer.body) == (304, "")
    assert len(server.seen) == before + 1


@pytest.mark.parametrize("status", [300, 302, 305])
def test_a_redirect_to_nowhere_is_a_mistake_and_is_asked_for_once(http, server, status):
    before = len(server.seen)
    answer = http.request("GET", f"{server.url}/empty/{status}", follow=True)
    assert (answer.status, answer.cause) == (status, Cause.MISTAKE)
    assert len(server.seen) == before + 1


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_a_login_in_the_url_never_takes_the_place_of_a_stated_one(http, server, name):
    url = server.url.replace("//", "//robot:of-the-url@")
    for path in ("/echo", "/redirect/302"):
        stated = http.request("GET", url + path, headers={name: "Bearer stated"}, follow=True).body["headers"]
        assert [text for key, text in stated.items() if key.lower() == "authorization"] == ["Bearer stated"]
        assert stated["Host"] == server.host
    alone = http.request("GET", f"{url}/echo").body["headers"]
    assert alone["Authorization"].startswith("Basic ")


def test_the_deadline_is_for_finding_the_address_too(http, monkeypatch):
    """A resolver that says nothing, as one behind a firewall does."""
    over, asked = threading.Event(), socket.getaddrinfo

    def wait(host, *given, flags=0, **more):
        if not flags & socket.AI_NUMERICHOST:
            over.wait(60)
        return asked(host, *given, **(more | {"flags": flags}))

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    begun = time.monotonic()
    told = fail(http, "GET", "http://files.example.org/s3cr3t", timeout=0.3)
    proxied = HttpClient(NETWORK, proxy="http://proxy.example.org:3128")
    by_proxy = fail(proxied, "GET", "http://files.example.org/s3cr3t", timeout=0.3)
    with pytest.raises(TargetError, match=r"files\.example\.org cannot be resolved") as caught:
        NETWORK.connect("files.example.org", 22, seconds=0.3)
    over.set()
    assert told == ("files.example.org cannot be resolved", Cause.OUTAGE)
    assert by_proxy == ("proxy.example.org cannot be resolved", Cause.OUTAGE)
    assert caught.value.cause is Cause.OUTAGE
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("path", ["/silence", "/drip/head", "/drip/body"])
def test_the_deadline_is_for_the_whole_call_however_the_other_side_drips(http, server, path):
    begun = time.monotonic()
    message, cause = fail(http, "GET", server.url + path, timeout=0.2)
    assert 0.2 <= time.monotonic() - begun < PATIENCE
    assert (message, cause) == (f"{server.host} did not answer in 0.2 seconds", Cause.OUTAGE)


def test_the_clients_own_deadline_holds_where_the_call_has_none(server):
    message, _ = fail(HttpClient(NETWORK, timeout=0.1), "GET", f"{server.url}/silence")
    assert message == f"{server.host} did not answer in 0.1 seconds"


def test_a_call_whose_time_is_over_is_not_sent(http, server):
    before = len(server.seen)
    assert fail(http, "GET", f"{server.url}/echo", timeout=0)[1] is Cause.OUTAGE
    assert len(server.seen) == before


def test_an_upload_that_nobody_reads_ends_with_the_deadline(http):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        begun = time.monotonic()
        message, cause = fail(http, "POST", f"http://127.0.0.1:{port}/", content="x" * 50_000_000, timeout=0.3)
    assert time.monotonic() - begun < PATIENCE
    assert (message, cause) == (f"127.0.0.1:{port} did not answer in 0.3 seconds", Cause.OUTAGE)


def test_a_refused_connection_and_an_unknown_name_are_outages(http, closed_port):
    host = f"127.0.0.1:{closed_port}"
    assert fail(http, "GET", f"http://{host}/x") == (f"{host} cannot be reached, or broke off", Cause.OUTAGE)
    message, cause = fail(http, "GET", "http://name.invalid/x")
    assert (message, cause) == ("name.invalid cannot be resolved", Cause.OUTAGE)


# What cannot be sent, and what is never said


@pytest.mark.parametrize(
    ("url", "headers", "content"),
    [
        ("ftp://127.0.0.1/s3cr3t", {}, None),
        ("data:text/plain,s3cr3t", {}, None),
        ("s3cr3t", {}, None),
        ("", {}, None),
        ("http://", {}, None),
        ("http:///s3cr3t", {}, None),
        ("http://[::1/s3cr3t", {}, None),
        ("http://user:s3cr3t@127.0.0.1:port/", {}, None),
        ("http://127.0.0.1:99999/s3cr3t", {}, None),
        ("http://127.0.0.1\n/s3cr3t", {}, None),
        ("http://127.0.0.1/\x00s3cr3t", {}, None),
        (f"http://{'a' * 70}.example/s3cr3t", {}, None),
        ("http://127.0.0.1/" + "s3cr3t" * 20_000, {}, None),
        ("BASE/echo", {"X": "é\u4e2ds3cr3t"}, None),
        ("BASE/echo", {"X": "a\x00s3cr3t"}, None),
        ("BASE/echo", {"X": "a\r\nX-Admin: s3cr3t"}, None),
        ("BASE/echo", {"X Y": "s3cr3t"}, None),
        ("BASE/echo", {"X:s3cr3t": "y"}, None),
        ("BASE/echo", {"": "s3cr3t"}, None),
        ("BASE/echo", {"Content-Length": "s3cr3t"}, "x"),
        ("BASE/echo", {}, "\ud800s3cr3t"),
    ],
)
def test_a_request_that_cannot_be_made_is_a_mistake_told_without_its_parts(http, server, url, headers, content):
    before = len(server.seen)
    message, cause = fail(http, "POST", url.replace("BASE", server.url), headers=headers, content=content)
    assert cause is Cause.MISTAKE
    assert message.endswith(": look at its URL and headers")
    assert "s3cr3t" not in message
    assert len(server.seen) == before


def test_a_method_that_there_is_not_is_a_mistake(http, server):
    assert fail(http, "BREW", server.url) == ("no HTTP method 'BREW'", Cause.MISTAKE)


@pytest.mark.parametrize(
    "path",
    ["/bomb", "/encoding/br", "/encoding/gzip", "/half", "/nonsense", "/silence", "/drip/body"],
)
def test_an_error_says_the_host_and_nothing_else_of_the_request(http, server, path):
    url = f"http://user:s3cr3t@{server.host}{path}?token=s3cr3t#s3cr3t"
    message, _ = fail(http, "POST", url, headers={"Authorization": "s3cr3t"}, content="s3cr3t", timeout=0.2)
    assert message.startswith(f"{server.host} ")
    for part in ("s3cr3t", "user", "token", path):
        assert part not in message


def test_a_refused_connection_says_nothing_of_the_request(http, closed_port):
    message, _ = fail(http, "GET", f"http://user:s3cr3t@127.0.0.1:{closed_port}/s3cr3t?s3cr3t#s3cr3t")
    assert message == f"127.0.0.1:{closed_port} cannot be reached, or broke off"


def test_nothing_that_is_sent_is_logged(http, server, caplog):
    with caplog.at_level(logging.DEBUG):
        http.request("GET", f"{server.url}/echo?token=s3cr3t", headers={"Authorization": "s3cr3t"})
        http.request("GET", f"{server.url}/redirect?token=s3cr3t", headers={"Authorization": "a"}, follow=True)
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_environment_proxies_are_not_used(server, monkeypatch, closed_port, name):
    monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    assert HttpClient(NETWORK).request("GET", f"{server.url}/echo").status == 200


def test_credentials_of_a_netrc_file_are_not_sent(server, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password s3cr3t\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "Authorization" not in HttpClient(NETWORK).request("GET", f"{server.url}/echo").body["headers"]


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made, key, file = folder / "certificate.pem", folder / "key.pem", folder / "server.pem"
    make_certificate(made, key)
    file.write_bytes(key.read_bytes() + made.read_bytes())
    return file


def test_a_certificate_must_verify_and_be_for_the_host(certificate, http):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve(context) as server:
        url = f"https://{server.host}/echo"
        assert fail(http, "GET", url) == (
            f"{server.host} has a certificate that does not verify",
            Cause.MISTAKE,
        )
        assert server.seen == []
        trusting = HttpClient(Network(NETWORK.guard, ca_file=certificate))
        assert trusting.request("GET", url).status == 200
        message, cause = fail(trusting, "GET", f"https://localhost:{server.server_port}/echo")
        assert message == f"localhost:{server.server_port} has a certificate that does not verify"
        assert cause is Cause.MISTAKE


def test_a_certificate_is_not_trusted_because_the_environment_says_so(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve(context) as server:
        message, _ = fail(HttpClient(NETWORK), "GET", f"https://{server.host}/echo")
    assert message == f"{server.host} has a certificate that does not verify"
