"""`smtp`: a mail, sent over a connection that is encrypted."""

import io
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from vaultcore.errors import Cause, TargetError, raise_alone
from worker.domain.idn import encode_domains
from worker.outbound import Network
from worker.outbound.mail_login import log_in
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome
from worker.workflows.nodes.readings import Texts

_REFUSED = frozenset({534, 535})
"""What a server says of a login whose password is wrong, or no longer enough."""
_REPLY_MAX = 1_048_576
_QUIT_SECONDS = 1.0
_OUR_NAME = "localhost.localdomain"
"""What is said in EHLO: the name of this machine is nobody's business, and would have to be looked up."""


class MailFields(Fields):
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65_535)
    security: Literal["starttls", "tls"] = Field(
        default="starttls", description="tls: from the first byte, as on port 465"
    )
    username: str | None = Field(default=None, max_length=320, description="a template, as password is")
    password: str | None = Field(default=None, max_length=4000)
    sender: str = Field(alias="from", max_length=320, description="a template: an address, or Name <address>")
    to: Texts = Field(min_length=1, max_length=100, description="templates, as sender is; or one")
    cc: Texts = Field(default_factory=list, max_length=100)
    bcc: Texts = Field(default_factory=list, max_length=100)
    subject: str = Field(default="", max_length=998, description="a template")
    text: str = Field(default="", description="a template")
    html: str | None = Field(default=None, description="a template: the same for who reads HTML")
    timeout: float = Field(default=30, gt=0, le=300, description="seconds for all of it")

    @model_validator(mode="after")
    def _check_login(self) -> "MailFields":
        if (self.username is None) != (self.password is None):
            raise ValueError("password: username and password go together")
        return self


class Smtp(OneWayOn):
    """Sends a mail by SMTP, over TLS from the start or from STARTTLS on; a server without either is refused.

    The server's certificate must verify. A login that the server refuses (534, 535) judges the credential;
    a 4xx, a timeout or a connection that breaks off is an outage; another 5xx is a mistake, and so are
    recipients of whom the server took only some. How it answers QUIT changes nothing of that. Its test
    connects, encrypts, logs in and says NOOP: nothing is sent. Output: how many recipients the server took, and
    which it refused.
    """

    component_id: ClassVar[str] = "smtp"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = MailFields
    value_fields: ClassVar[frozenset[str]] = frozenset({"username", "password"})
    example: ClassVar[Mapping[str, Any]] = {
        "host": "mail.example.org",
        "port": 587,
        "username": "robot@example.org",
        "password": "{{ vault.prod-mail-password }}",
        "from": "Orders <robot@example.org>",
        "to": ["{{ webhook_payload.email }}"],
        "subject": "Order {{ webhook_payload.order }}",
        "text": "It is on its way.",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        mail = MailFields.model_validate(fields)
        message, recipients = _compose(mail, execution)
        with _log_in(mail, execution) as server:
            refused = server.send_message(message, to_addrs=recipients)
        output = {"accepted": len(recipients) - len(refused), "refused": sorted(refused)}
        failure = f"{len(refused)} of {len(recipients)} recipients were refused" if refused else None
        return Outcome(output=output, failure=failure, cause=Cause.MISTAKE if refused else None)

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        mail = MailFields.model_validate(fields)
        with _log_in(mail, execution) as server:
            code, _ = server.noop()
        if code != 250:
            raise TargetError(f"NOOP was answered with {code}", cause=_cause_of(code))
        return Outcome(output={"code": code})


def _compose(mail: MailFields, execution: Execution) -> tuple[EmailMessage, list[str]]:
    """The mail, and everybody whom it is for; who is in bcc stands in no header."""
    problem = ""
    try:
        message = EmailMessage()
        message["Subject"] = execution.render(mail.subject)
        message["From"] = sender = encode_domains(execution.render(mail.sender))
        to, cc, bcc = (
            [encode_domains(execution.render(text)) for text in texts] for texts in (mail.to, mail.cc, mail.bcc)
        )
        message["To"] = to
        if cc:
            message["Cc"] = cc
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=_read_address(sender).rpartition("@")[2])
        message.set_content(execution.render(mail.text))
        if mail.html is not None:
            message.add_alternative(execution.render(mail.html), subtype="html")
        recipients = [_read_address(text) for text in (*to, *cc, *bcc)]
    except (ValueError, UnicodeError, IndexError) as error:
        problem = f"the mail cannot be made ({type(error).__name__}): look at its addresses and its subject"
    if problem:
        raise TargetError(problem, cause=Cause.MISTAKE)
    return message, recipients


def _read_address(text: str) -> str:
    probe = EmailMessage()
    probe["To"] = text
    (address,) = probe["To"].addresses
    if not address.domain or not address.username or not str(address.addr_spec).isascii():
        raise ValueError("no address")
    return str(address.addr_spec)


@contextmanager
def _log_in(mail: MailFields, execution: Execution) -> Iterator["_SmtpSession"]:
    """A session that is encrypted and logged in; what the server says of anything in it becomes a cause."""
    where = f"{mail.host}:{mail.port}"
    seconds = min(mail.timeout, execution.seconds)
    username = None if mail.username is None else execution.render(mail.username)
    password = None if mail.password is None else execution.render(mail.password)
    message, cause = "", Cause.OUTAGE
    try:
        with _SmtpSession(execution.network, mail, seconds) as server:
            if username is not None and password is not None:
                log_in(server, username, password)
            yield server
        return
    except smtplib.SMTPAuthenticationError as error:
        message, cause = f"{where} refuses the login ({error.smtp_code})", _cause_of(error.smtp_code)
    except smtplib.SMTPNotSupportedError:
        message, cause = f"{where} offers no encryption, or no login method that is known", Cause.MISTAKE
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _ in error.recipients.values())
        message, cause = f"{where} takes none of the recipients ({code})", _cause_of(code)
    except smtplib.SMTPResponseException as error:
        message, cause = f"{where} answered {error.smtp_code}", _cause_of(error.smtp_code)
    except ssl.SSLCertVerificationError:
        message, cause = f"{where} has a certificate that does not verify", Cause.MISTAKE
    except (UnicodeError, ValueError):
        message, cause = (
            f"{where}: the login or an address holds characters that SMTP cannot send",
            Cause.MISTAKE,
        )
    except (smtplib.SMTPException, OSError):
        message = f"{where} cannot be reached, or broke off"
    raise_alone(TargetError(message, cause=cause))


def _cause_of(code: int) -> Cause:
    if code in _REFUSED:
        return Cause.REJECTED
    return Cause.OUTAGE if code < 500 else Cause.MISTAKE


class _SmtpSession(smtplib.SMTP):
    """An SMTP client on a guarded connection, encrypted before anything is said, within one deadline."""

    def __init__(self, network: Network, mail: MailFields, seconds: float) -> None:
        self._network = network
        self._mail = mail
        self._deadline = time.monotonic() + seconds
        super().__init__(local_hostname=_OUR_NAME, timeout=seconds)
        self._host = mail.host  # what the certificate is checked against
        try:
            self._open(mail)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        """Says QUIT, and waits a moment for the answer, whatever it is: what was answered before it holds."""
        self._deadline = min(self._deadline, time.monotonic() + _QUIT_SECONDS)
        with suppress(smtplib.SMTPException, OSError, ValueError):
            self.docmd("QUIT")
        self.close()

    def _open(self, mail: MailFields) -> None:
        code, _ = self.connect(mail.host, mail.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, b"")
        if mail.security == "starttls":
            self.starttls(context=self._network.tls)
            self.ehlo()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        tls = self._network.tls if self._mail.security == "tls" else None
        return self._network.connect(host, port, seconds=timeout, tls=tls)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Replies(self.sock, self._limit))
        return super().getreply()

    def send(self, s: Any) -> None:  # noqa: ANN401  # smtplib's contract
        self._limit()
        super().send(s)

    def _limit(self) -> None:
        """Every wait ends with the deadline of the whole session."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.sock is not None:
            self.sock.settimeout(left)


class _Replies(io.RawIOBase):
    """What the server says, piece by piece, each within the deadline, and never without an end."""

    def __init__(self, sock: socket.socket, limit: Callable[[], None]) -> None:
        self._sock = sock
        self._limit = limit
        self._left = _REPLY_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # a writable buffer
        self._limit()
        count = self._sock.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise OSError("the server says too much")
        return count
