"""A session of rotator `postgres-role` with servers that drip, flood, lie, or speak something else."""

import base64
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.postgres_double import (
    AUTHENTICATED,
    READY,
    PostgresDouble,
    answer_select,
    authentication,
    log_in,
    read_message,
    read_startup,
    secure,
    write,
)
from tests.ways_out import HTTP, LOOPBACK, NETWORK
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.domain.guard import build_guard
from worker.outbound import Network
from worker.rotators.base import Job
from worker.rotators.catalog import load_rotator, parse_settings

PASSWORD = "the-password-of-orders"
PATIENCE = 120.0
NOTHING_OF_USE = (
    "127.0.0.1 answered what is no PostgreSQL",
    "127.0.0.1 cannot be reached, or broke off",
)
ROTATOR = load_rotator("postgres-role")


def make_job(port: int, *, network: Network = NETWORK, **settings: Any) -> Job:
    return Job(
        label="nightkey-rot_1",
        item="prod-db-password",
        settings=parse_settings(
            "postgres-role",
            {"host": "127.0.0.1", "port": port, "roles": ["orders"], "tls": "off", "timeout": 0.5} | settings,
        ),
        old=Secret(PASSWORD),
        new=None,
        old_external={},
        new_external={},
        values={},
        http=HTTP,
        network=network,
    )


def verify(act: Callable[[socket.socket], None], *, password: str = PASSWORD, **settings: Any) -> str:
    with PostgresDouble(act) as double:
        return ROTATOR.verify(make_job(double.port, **settings), Secret(password))


def fail(act: Callable[[socket.socket], None], **given: Any) -> tuple[str, Cause]:
    """What is said, with the port left out."""
    with PostgresDouble(act) as double:
        with pytest.raises(TargetError) as caught:
            ROTATOR.verify(make_job(double.port, **given), Secret(PASSWORD))
        assert caught.value.__context__ is None
        assert PASSWORD not in str(caught.value)
        return str(caught.value).replace(f":{double.port}", ""), caught.value.cause


def serve(line: socket.socket, *, certificate: str | None = None) -> str:
    chosen = log_in(line, PASSWORD, certificate=certificate)
    line.sendall(AUTHENTICATED + READY)
    answer_select(line)
    return chosen


def play(line: socket.socket) -> None:
    read_startup(line)
    serve(line)


def test_a_server_that_does_as_it_should_lets_the_role_in():
    assert verify(play) == "the database lets role orders in"


# Time and size


def drip(line: socket.socket, first: bytes, drop: bytes) -> None:
    line.sendall(first)
    while True:
        time.sleep(0.05)
        line.sendall(drop)


def announce(line: socket.socket) -> None:
    read_startup(line)
    drip(line, b"R" + struct.pack("!i", 100_000), b"x")


def notify(line: socket.socket) -> None:
    """Whole messages, each in time."""
    read_startup(line)
    drip(line, b"", write(b"N", b"\0"))


def drip_inside(line: socket.socket) -> None:
    read_startup(line)
    log_in(line, PASSWORD)
    line.sendall(AUTHENTICATED + READY)
    drip(line, b"", write(b"N", b"\0"))


def keep_silent(line: socket.socket) -> None:
    line.recv(1000)
    line.recv(1)  # until the other side hangs up


def drip_tls(line: socket.socket) -> None:
    read_startup(line)
    drip(line, b"S\x16\x03\x03\x40\x00", b"x")


@pytest.mark.parametrize(
    ("act", "settings"),
    [
        (announce, {}),
        (notify, {}),
        (drip_inside, {}),
        (keep_silent, {}),
        (keep_silent, {"tls": "verify"}),
        (drip_tls, {"tls": "verify"}),
    ],
)
def test_a_server_that_drips_holds_nobody_longer_than_the_deadline_of_the_whole_session(act, settings):
    begun = time.monotonic()
    said, cause = fail(act, **settings)
    assert time.monotonic() - begun < PATIENCE
    assert said in NOTHING_OF_USE
    assert cause is Cause.OUTAGE


def flood(line: socket.socket) -> None:
    read_startup(line)
    while True:
        line.sendall(write(b"N", b"\0" * 10_000))


def promise_too_much(line: socket.socket) -> None:
    read_startup(line)
    line.sendall(b"R" + struct.pack("!i", 2_147_483_647))
    line.recv(1)


@pytest.mark.parametrize("act", [flood, promise_too_much])
def test_a_server_that_says_too_much_is_not_listened_to(act):
    begun = time.monotonic()
    said, cause = fail(act, timeout=2 * PATIENCE)
    assert time.monotonic() - begun < PATIENCE
    assert said in NOTHING_OF_USE
    assert cause is Cause.OUTAGE


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    make_certificate(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return tmp_path / "certificate.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


def test_a_login_inside_tls_is_bound_to_the_certificate(certificate, tls):
    chosen = []

    def act(line: socket.socket) -> None:
        with secure(line, tls) as inside:
            read_startup(inside)
            chosen.append(serve(inside, certificate=certificate.read_text()))

    network = Network(build_guard((), LOOPBACK), ca_file=certificate)
    assert verify(act, tls="verify", timeout=PATIENCE, network=network) == "the database lets role orders in"
    assert chosen == ["SCRAM-SHA-256-PLUS"]


def test_a_certificate_that_does_not_verify_is_our_mistake(tls):
    def act(line: socket.socket) -> None:
        secure(line, tls).close()

    assert fail(act, tls="verify", timeout=PATIENCE) == (
        "127.0.0.1 has a certificate that does not verify",
        Cause.MISTAKE,
    )


def test_a_server_without_tls_gets_nothing_and_is_our_mistake():
    after = []

    def act(line: socket.socket) -> None:
        read_startup(line)
        line.sendall(b"N")
        after.append(line.recv(1000))

    assert fail(act, tls="verify", timeout=PATIENCE) == ("127.0.0.1 offers no TLS", Cause.MISTAKE)
    assert after == [b""]


# What is no PostgreSQL, or asks for more than is given


def say(*answers: bytes) -> Callable[[socket.socket], None]:
    def act(line: socket.socket) -> None:
        read_startup(line)
        for answer in answers:
            line.sendall(answer)
        line.recv(1000)

    return act


def log_in_and_say(*answers: bytes) -> Callable[[socket.socket], None]:
    def act(line: socket.socket) -> None:
        read_startup(line)
        log_in(line, PASSWORD)
        for answer in answers:
            line.sendall(answer)
        line.recv(1000)

    return act


def say_without_startup(line: socket.socket) -> None:
    line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    line.recv(1000)


@pytest.mark.parametrize(
    "act",
    [
        say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        say(b"+OK ready\r\n" * 10),
        say(write(b"?", b"")),
        say(write(b"R", b"")),
        say(write(b"R", b"\0")),
        say(authentication(10)),
        say(authentication(10, b"\xff\xff\0\0")),
        say(authentication(10, b"UNKNOWN\0\0")),
        say(authentication(10, b"SCRAM-SHA-256-PLUS\0\0")),
        say(authentication(11, b"r=x,s=eA==,i=4096")),
        say(authentication(12, b"v=eA==")),
        say(authentication(10, b"SCRAM-SHA-256\0\0"), authentication(11, b"nonsense")),
        say(authentication(10, b"SCRAM-SHA-256\0\0"), authentication(11, b"r=x,s=eA==,i=4096")),
        say(authentication(10, b"SCRAM-SHA-256\0\0"), authentication(11, b"\xff")),
        say(write(b"S", b"client_encoding\0nonsense\0"), write(b"S", b"a\0\xff\0")),
        say(READY),
        say(authentication(10, b"SCRAM-SHA-256\0\0"), READY),
        log_in_and_say(READY),
        say(write(b"A", b"")),
        say(write(b"G", b"")),
        say(write(b"d", b"x")),
        log_in_and_say(AUTHENTICATED, READY, write(b"T", b"")),
        log_in_and_say(AUTHENTICATED, READY, write(b"D", b"\0\1\0\0")),
        log_in_and_say(AUTHENTICATED, READY, write(b"T", b"\0\1a\0")),
    ],
)
def test_what_is_no_postgresql_is_an_outage_and_nothing_else_leaves_the_rotator(act):
    said, cause = fail(act, timeout=PATIENCE)
    assert said in NOTHING_OF_USE
    assert cause is Cause.OUTAGE


@pytest.mark.parametrize("act", [say_without_startup, say(b"E"), say(b"\x80")])
@pytest.mark.parametrize("tls", ["off", "verify"])
def test_a_server_of_another_kind_is_an_outage_with_tls_and_without(act, tls):
    assert fail(act, tls=tls, timeout=2)[1] is Cause.OUTAGE


def test_a_server_that_does_not_know_the_password_is_not_believed():
    def act(line: socket.socket) -> None:
        read_startup(line)
        log_in(line, PASSWORD, signature=b"v=" + base64.b64encode(bytes(32)))
        line.sendall(AUTHENTICATED + READY)
        answer_select(line)

    assert fail(act, timeout=PATIENCE) == ("127.0.0.1 answered what is no PostgreSQL", Cause.OUTAGE)


def test_a_message_that_quotes_what_was_sent_is_not_passed_on():
    quoting = write(b"E", b"SERROR\0C42601\0Mnear " + PASSWORD.encode() + b"\0\0") + READY
    assert fail(say(quoting), timeout=PATIENCE) == ("127.0.0.1 answered with SQLSTATE 42601", Cause.MISTAKE)


@pytest.mark.parametrize(
    ("code", "cause"),
    [("28P01", Cause.REJECTED), ("28000", Cause.REJECTED), ("57P03", Cause.OUTAGE), ("3D000", Cause.MISTAKE)],
)
def test_a_login_that_is_refused_is_told_by_its_code_alone(code, cause):
    """An outage among them: neither the language of the server nor what it says tells them apart."""
    refusal = write(b"E", b"SSCHWERWIEGEND\0VFATAL\0C" + code.encode() + b"\0Mfalsch: 28P01\0\0")
    said, found = fail(say(refusal), timeout=PATIENCE)
    assert found is cause
    assert said.endswith(f"({code})" if cause is Cause.REJECTED else f"SQLSTATE {code}")


def test_what_the_environment_says_of_logins_is_not_heard(monkeypatch):
    hostile = {"HOSTADDR": "192.0.2.1", "SSLMODE": "require", "REQUIREAUTH": "none", "OPTIONS": "-c a=b"}
    for name, value in hostile.items():
        monkeypatch.setenv(f"PG{name}", value)
    test_a_server_that_does_as_it_should_lets_the_role_in()


@pytest.mark.parametrize(
    ("code", "data", "how"),
    [
        (0, b"", "lets roles in without a password"),
        (2, b"", "asks for it another way"),
        (3, b"", "asks for it another way"),
        (5, b"salt", "asks for it another way"),
        (7, b"", "asks for it another way"),
        (99, b"", "asks for it another way"),
    ],
)
def test_only_scram_is_answered(code, data, how):
    heard = []

    def act(line: socket.socket) -> None:
        read_startup(line)
        line.sendall(authentication(code, data))
        heard.append(line.recv(1000))

    said, cause = fail(act, timeout=PATIENCE)
    assert said.startswith(f"the server takes no password by SCRAM-SHA-256, it {how}")
    assert cause is Cause.MISTAKE
    assert heard in ([b""], [b"X\0\0\0\4"])  # nothing, or a goodbye


def test_a_login_that_is_cut_short_after_the_first_proof_is_not_believed():
    def act(line: socket.socket) -> None:
        read_startup(line)
        line.sendall(authentication(10, b"SCRAM-SHA-256\0\0"))
        read_message(line)
        line.sendall(AUTHENTICATED + READY)
        answer_select(line)

    said, cause = fail(act, timeout=PATIENCE)
    assert "lets roles in without a password" in said
    assert cause is Cause.MISTAKE
