"""Node `smtp` against a real server with AUTH and STARTTLS."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nightkey_demo.mail_server import MailServer
from tests.certificates import make_certificate
from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause
from vaultcore.secret import Secret
from worker.outbound import Network
from worker.workflows.masking import Masker
from worker.workflows.nodes.base import Execution, Outcome
from worker.workflows.nodes.smtp import Smtp
from worker.workflows.run import try_component
from worker.workflows.templates import Scope

ANONYMOUS: dict[str, Any] = {"username": None, "password": None}
USER, PASSWORD = "robot@example.org", "the-password-of-robot"
PATIENCE = 120.0
"""Seconds: far more than anything here takes."""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer({USER: PASSWORD}, tls=True) as started:
        yield started


def act(
    server: Any, *, tests: bool = False, trusts: bool = True, value: str = PASSWORD, **data: Any
) -> Outcome:
    values = {"prod-mail-password": Secret(value)}
    masker = Masker(values.values())
    network = Network(NETWORK.guard, ca_file=server.certificate_path) if trusts else NETWORK
    execution = Execution(
        scope=Scope(context={"order": {"id": 7, "to": "Ann <ann@example.net>"}}, values=values),
        http=HTTP,
        network=network,
        masker=masker,
        seconds=4 * PATIENCE,
        shown={},
    )
    node = Smtp()
    fields = node.Fields.model_validate(
        {
            "host": server.host,
            "port": server.port,
            "username": USER,
            "password": "{{ vault.prod-mail-password }}",
            "from": f"Orders <{USER}>",
            "to": ["{{ order.to }}"],
            "subject": "Order {{ order.id }}",
            "text": "It is on its way.",
        }
        | data
    )
    return try_component(node.test if tests else node.run, fields, execution)


def test_a_mail_arrives_as_it_was_written_and_bcc_stands_in_no_header(server: MailServer) -> None:
    outcome = act(server, cc=["b@example.net"], bcc=["c@example.net"], html="<p>It is <b>on its way</b>.</p>")
    assert outcome.failure is None
    assert outcome.output == {"accepted": 3, "refused": []}
    (mail,) = server.messages
    assert (mail.sender, mail.recipients) == (USER, ("ann@example.net", "b@example.net", "c@example.net"))
    message = mail.message
    assert (message["Subject"], message["To"]) == ("Order 7", "Ann <ann@example.net>")
    assert "c@example.net" not in str(message)
    assert message["Message-ID"].endswith("@example.org>")
    assert {part.get_content_type() for part in message.iter_parts()} == {"text/plain", "text/html"}


def test_a_password_and_a_domain_may_be_in_any_script(server: MailServer) -> None:
    server.set_password(USER, "pässwörd-秘密")
    outcome = act(server, value="pässwörd-秘密", to="Jos <jos@exämple.org>", cc=["b@straße.de"])
    assert outcome.failure is None
    (mail,) = server.messages
    assert mail.recipients == ("jos@xn--exmple-cua.org", "b@xn--strae-oqa.de")
    assert "jos@xn--exmple-cua.org" in str(mail.message["To"])


def test_its_test_logs_in_and_sends_nothing(server: MailServer) -> None:
    assert act(server, tests=True).failure is None
    assert server.messages == []


@pytest.mark.parametrize("tests", [True, False])
def test_a_refused_password_judges_the_credential_and_is_not_said(server: MailServer, tests: bool) -> None:
    outcome = act(server, tests=tests, value="another-password-of-robot")
    assert (outcome.cause, outcome.failure) == (
        Cause.REJECTED,
        f"{server.host}:{server.port} refuses the login (535)",
    )
    assert server.messages == []


def test_a_server_that_wants_a_login_where_there_is_none_judges_nothing(server: MailServer) -> None:
    outcome = act(server, **ANONYMOUS)
    assert outcome.cause is Cause.MISTAKE


def test_a_certificate_that_nobody_vouches_for_ends_it_before_anything_is_said(server: MailServer) -> None:
    outcome = act(server, trusts=False)
    assert (outcome.cause, outcome.failure) == (
        Cause.MISTAKE,
        f"{server.host}:{server.port} has a certificate that does not verify",
    )


def test_a_server_without_encryption_is_refused_before_the_login(tmp_path: Path, server: MailServer) -> None:
    with MailServer({USER: PASSWORD}) as plain:
        outcome = act(server, host=plain.host, port=plain.port)
        assert (outcome.cause, outcome.failure) == (
            Cause.MISTAKE,
            f"{plain.host}:{plain.port} offers no encryption, or no login method that is known",
        )
        assert plain.messages == []


def test_a_server_that_is_away_is_an_outage(server: MailServer) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        outcome = act(server, port=reserved.getsockname()[1])
    assert outcome.cause is Cause.OUTAGE


def test_the_deadline_is_for_the_whole_session(server: MailServer) -> None:
    """A server that drips a greeting without an end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            caller, _ = listener.accept()
            with caller:
                while not over.wait(0.05):
                    try:
                        caller.sendall(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        outcome = act(server, port=listener.getsockname()[1], timeout=0.5)
        over.set()
        thread.join()
    assert outcome.cause is Cause.OUTAGE
    assert time.monotonic() - begun < PATIENCE  # it drips for ever


@contextmanager
def start_rude_server(tmp_path: Path, *, login: bytes, quit_answer: bytes | None) -> Iterator[Any]:
    """It answers AUTH with `login`, takes every mail, and says `quit_answer` to QUIT; None: nothing."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    answers = {
        b"EHLO": b"250-here\r\n250 AUTH PLAIN",
        b"AUTH": login,
        b"DATA": b"354 go on",
        b".\r\n": b"250 queued",
    }

    def serve(listener: socket.socket) -> None:
        caller = context.wrap_socket(listener.accept()[0], server_side=True)
        with caller, caller.makefile("rb") as lines:
            caller.sendall(b"220 here\r\n")
            for line in lines:
                word = line[:4].upper()
                if word == b"QUIT" and quit_answer is None:
                    continue
                if word in (b"MAIL", b"RCPT", b"NOOP", b"RSET", b"QUIT") or word in answers:
                    usual = quit_answer if word == b"QUIT" else b"250 fine"
                    caller.sendall(answers.get(word, usual or b"") + b"\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        host, port = listener.getsockname()
        yield SimpleNamespace(host=host, port=port, certificate_path=certificate)
        thread.join(PATIENCE)
        assert not thread.is_alive()


QUITS = [b"421 too many errors", b"500 what", b"221-and so on", b"nonsense", None]


@pytest.mark.parametrize("quit_answer", QUITS)
@pytest.mark.parametrize("tests", [True, False])
def test_a_mail_that_was_taken_stays_taken_whatever_is_said_to_quit(
    tmp_path: Path, quit_answer: bytes | None, tests: bool
) -> None:
    begun = time.monotonic()
    with start_rude_server(tmp_path, login=b"235 welcome", quit_answer=quit_answer) as server:
        outcome = act(server, tests=tests, security="tls", timeout=2 * PATIENCE)
    assert (outcome.failure, outcome.cause) == (None, None)
    assert outcome.output == ({"code": 250} if tests else {"accepted": 1, "refused": []})
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("quit_answer", QUITS)
def test_a_refused_login_stays_refused_whatever_is_said_to_quit(
    tmp_path: Path, quit_answer: bytes | None
) -> None:
    with start_rude_server(tmp_path, login=b"535 no", quit_answer=quit_answer) as server:
        outcome = act(server, security="tls")
    assert outcome.cause is Cause.REJECTED
    assert outcome.failure == f"{server.host}:{server.port} refuses the login (535)"


@pytest.mark.parametrize(
    "data",
    [
        {"subject": "a\r\nBcc: evil@example.net"},
        {"from": "nobody"},
        {"to": ["a@example.net, b@example.net"]},
        {"to": ["a@example.net\r\nX: y"]},
        {"to": [""]},
        {"to": ["jös@example.org"]},
        {"to": [f"jos@{'ä' * 70}.org"]},
    ],
)
def test_what_is_no_mail_is_a_mistake_and_nothing_is_sent(server: MailServer, data: dict[str, Any]) -> None:
    outcome = act(server, **data)
    assert outcome.cause is Cause.MISTAKE
    assert server.messages == []


def test_addresses_that_are_no_public_ones_are_refused_unless_they_are_allowed(server: MailServer) -> None:
    node = Smtp()
    masker = Masker([])
    execution = Execution(
        scope=Scope(context={}, values={}), http=HTTP, network=Network(), masker=masker, seconds=5.0, shown={}
    )
    fields = node.Fields.model_validate(
        {"host": server.host, "port": server.port, "from": USER, "to": [USER], "text": "x"}
    )
    outcome = try_component(node.run, fields, execution)
    assert outcome.cause is Cause.MISTAKE
    assert "no public address" in str(outcome.failure)


def test_nothing_of_the_login_is_logged_or_printed(
    server: MailServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        act(server)
        act(server, value="another-password-of-robot")
    printed = caplog.text + "".join(capfd.readouterr())
    assert PASSWORD not in printed
    assert "another-password" not in printed


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"password": None}, "go together"),
        ({"security": "none"}, "starttls"),
        ({"to": []}, "to"),
        ({"x": 1}, "x"),
    ],
)
def test_fields_that_cannot_be_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Smtp.Fields.model_validate({**Smtp.example, **changes})
