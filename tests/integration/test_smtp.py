"""Node `smtp` against a real server with AUTH and STARTTLS."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause
from vaultcore.secret import Secret
from worker.demo.mail_server import MailServer
from worker.outbound import Network
from worker.workflows.masking import Masker
from worker.workflows.nodes.base import Execution, Outcome
from worker.workflows.nodes.smtp import Smtp
from worker.workflows.runner import try_component
from worker.workflows.templates import Scope

ANONYMOUS: dict[str, Any] = {"username": None, "password": None}
USER, PASSWORD = "robot@example.org", "the-password-of-robot"


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
        seconds=5.0,
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
            f"{plain.host}:{plain.port} offers no encryption, or no login that is known",
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
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "data",
    [
        {"subject": "a\r\nBcc: evil@example.net"},
        {"from": "nobody"},
        {"to": ["a@example.net, b@example.net"]},
        {"to": ["a@example.net\r\nX: y"]},
        {"to": [""]},
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
