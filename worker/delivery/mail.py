"""One mail to one recipient by SMTP, as apprise has read the route; what the server says of it has a cause.

Apprise itself would say of several recipients, and of every answer, only that it failed.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from apprise.common import NotifyFormat
from apprise.plugins.email import NotifyEmail

from vaultcore.errors import Cause, TargetError, raise_alone
from worker.delivery.addresses import Address
from worker.delivery.formats import to_html, to_text
from worker.domain.notices import Message
from worker.domain.recipients import RecipientRefusedError
from worker.outbound import Network
from worker.outbound.mail_login import log_in

_QUIT_SECONDS = 1.0
_DETAILED = re.compile(rb"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_CLOSING = 421
_READY = 220


@dataclass(frozen=True, kw_only=True)
class Readers:
    """Whom a mail names in its headers."""

    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()

    @property
    def first(self) -> Address | None:
        return self.to[0] if self.to else None


def send_mail(made: NotifyEmail, recipient: str, message: Message, readers: Readers, network: Network) -> None:
    """Returns when the server has taken the mail for this recipient, who may be none of its `readers`.

    `RecipientRefusedError`: it does not take it for them, now (4xx) or ever (5xx). Any other
    `TargetError` holds for all that goes by this server.
    """
    letter = _write(made, recipient, message, readers)
    with _log_in(made, network) as server:
        sender = str(made.from_addr[1])
        _expect(server.mail(sender), 250, f"{made.smtp_host} does not take mail from {sender}")
        refuses = f"{made.smtp_host} does not take mail for {recipient}"
        _expect(server.rcpt(recipient), (250, 251, 252), refuses, of_recipient=True)
        _expect(_hand_over(server, letter), 250, f"{refuses}, having read it", of_recipient=True)


def _write(made: NotifyEmail, recipient: str, message: Message, readers: Readers) -> str:
    """The mail as all its readers may see it: bcc stands in no header."""
    problem = ""
    try:
        form = made.resolve_format(NotifyFormat.HTML)
        addressed = next((one for one in readers.to if one.address == recipient), readers.first)
        (mail,) = NotifyEmail.prepare_emails(
            subject=message.subject,
            body=to_html(message.body) if form is NotifyFormat.HTML else to_text(message.body),
            notify_format=form,
            from_addr=made.from_addr,
            to=[(addressed.name or False, addressed.address) if addressed else (False, recipient)],
            cc={one.address for one in readers.cc},
            bcc=set(),
            reply_to=made.reply_to,
            smtp_host=made.smtp_host,
            headers={"X-Application": made.app_id} | made.headers,
            names=made.names | {one.address: one.name or False for one in readers.cc},
            pgp=made.pgp,
            pgp_mode=made.pgp_mode,
            inline=made.inline,
            tzinfo=made.tzinfo,
        )
        written: str = mail.body
        written.encode("ascii")
        return written
    except Exception as error:  # noqa: BLE001  # apprise's own, which raise what they like
        problem = f"the mail cannot be made ({type(error).__name__}): look at the headers of the route"
    raise TargetError(problem, cause=Cause.MISTAKE)


@contextmanager
def _log_in(made: NotifyEmail, network: Network) -> Iterator[smtplib.SMTP]:
    """A session in the security that the route asks for; what ends it otherwise becomes a cause."""
    where = f"{made.smtp_host}:{made.port}"
    message, cause = "", Cause.OUTAGE
    session: list[smtplib.SMTP] = []
    try:
        server = _connect(made, network)
        session.append(server)
        if made.user and made.password:
            _authenticate(server, made.user, made.password)
        yield server
        return
    except smtplib.SMTPAuthenticationError as error:
        permanent = error.smtp_code >= 500
        message = f"{where} refuses the login ({error.smtp_code})"
        cause = Cause.REJECTED if permanent else Cause.OUTAGE
    except smtplib.SMTPNotSupportedError:
        message, cause = f"{where} offers no STARTTLS, or no login method that is known", Cause.MISTAKE
    except smtplib.SMTPResponseException as error:
        message = f"{where} answered {error.smtp_code}"
        cause = Cause.OUTAGE if error.smtp_code < 500 else Cause.MISTAKE
    except ssl.SSLCertVerificationError:
        message = f"{where} has a certificate that does not verify"
    except (UnicodeError, ValueError):
        message, cause = (
            f"{where}: the login or an address holds characters that SMTP cannot send",
            Cause.MISTAKE,
        )
    except (smtplib.SMTPException, OSError):
        message = f"{where} cannot be reached, or broke off"
    finally:
        for server in session:
            _say_goodbye(server)
    raise_alone(TargetError(message, cause=cause, acted=False))


def _connect(made: NotifyEmail, network: Network) -> smtplib.SMTP:
    """Encrypted, where the route asks for it, before anything is said."""
    context = network.trust(ssl.create_default_context())
    host, port, seconds = made.smtp_host.strip("[]"), int(made.port or 0), made.socket_connect_timeout
    server = _MailSession(network, context if made.secure_mode == "ssl" else None)
    server.timeout = seconds
    try:
        server.open(host, port)
        if made.secure_mode == "starttls":
            server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


class _MailSession(smtplib.SMTP):
    """On a connection that the guard let pass; encrypted from its first byte, where there is a context."""

    def __init__(self, network: Network, tls: ssl.SSLContext | None) -> None:
        self._network = network
        self._tls = tls
        super().__init__()

    def open(self, host: str, port: int) -> None:
        code, text = self.connect(host, port)
        if code != _READY:
            raise smtplib.SMTPConnectError(code, text)
        self._host = host  # what the certificate is checked against

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._network.connect(host, port, seconds=timeout, tls=self._tls)


def _authenticate(server: smtplib.SMTP, user: str, password: str) -> None:
    try:
        log_in(server, user, password)
    except smtplib.SMTPNotSupportedError:
        server.login(user, password)  # CRAM-MD5, where a server has nothing else


def _hand_over(server: smtplib.SMTP, letter: str) -> tuple[int, bytes]:
    """What the server says of the mail itself."""
    try:
        return server.data(letter)
    except smtplib.SMTPDataError as error:
        return error.smtp_code, _as_bytes(error.smtp_error)
    except (smtplib.SMTPException, OSError):
        pass  # what follows is raised outside of the handler, whose error may hold the dialogue
    raise TargetError(
        "the server broke off while it took the mail: should it have it, it comes twice", cause=Cause.OUTAGE
    )


def _expect(
    reply: tuple[int, bytes], codes: int | tuple[int, ...], otherwise: str, *, of_recipient: bool = False
) -> None:
    code, text = reply
    if code in (codes if isinstance(codes, tuple) else (codes,)):
        return
    detailed = _DETAILED.match(_as_bytes(text))
    said = f"{code} {detailed[1].decode()}" if detailed else str(code)
    cause = Cause.OUTAGE if code < 500 else Cause.MISTAKE
    kind = RecipientRefusedError if of_recipient and code != _CLOSING else TargetError
    raise kind(f"{otherwise} ({said})", cause=cause, acted=code != _CLOSING)


def _as_bytes(text: Any) -> bytes:  # noqa: ANN401  # smtplib has both
    return text if isinstance(text, bytes) else str(text).encode()


def _say_goodbye(server: smtplib.SMTP) -> None:
    """Whatever is answered: what was answered before holds."""
    with suppress(smtplib.SMTPException, OSError, ValueError):
        if server.sock is not None:
            server.sock.settimeout(_QUIT_SECONDS)
            server.docmd("QUIT")
    server.close()
