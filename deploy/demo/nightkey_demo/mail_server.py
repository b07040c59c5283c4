"""A real SMTP server on loopback that insists on AUTH and keeps the mail it takes.

Nothing here prints or logs: the dialogue holds a password.
"""

import hmac
import logging
import socket
import ssl
import tempfile
import threading
from asyncio import (
    AbstractServer,
    WriteTransport,
    all_tasks,
    current_task,
    gather,
    run_coroutine_threadsafe,
    sleep,
)
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self
from weakref import WeakSet

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail as it was handed over: the envelope's addresses and the parsed message."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage = field(repr=False)


class _Hooks:
    """What the library calls; apart from the server, whose every attribute it would look at."""

    def __init__(self, deliver: Callable[[Mail], None], reply_to: Callable[[str], str]) -> None:
        self._deliver = deliver
        self._reply_to = reply_to

    async def handle_MAIL(  # noqa: N802 - the library finds its hooks by this name
        self,
        _server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        # Not the library's `auth_required`: without TLS it warns on every connection.
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the library finds its hooks by this name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        reply = self._reply_to(address)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return reply

    async def handle_DATA(  # noqa: N802 - the library finds its hooks by this name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        mail = Mail(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            message=message_from_bytes(raw, _class=EmailMessage, policy=SMTP_POLICY),
        )
        self._deliver(mail)
        return "250 2.0.0 OK"


class _Controller(Controller):
    """Listens on a socket that is bound already, so that the port is known and is never lost."""

    def __init__(
        self,
        handler: object,
        listener: socket.socket,
        *,
        authenticator: Callable[[SMTP, Session, Envelope, str, object], AuthResult],
        tls_context: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
        self._sessions: WeakSet[SMTP] = WeakSet()
        super().__init__(
            handler,
            hostname=_HOST,
            port=listener.getsockname()[1],
            server_hostname="localhost",
            authenticator=authenticator,
            auth_require_tls=tls_context is not None,
            require_starttls=tls_context is not None,
            tls_context=tls_context,
        )

    def factory(self) -> SMTP:
        session = SMTP(self.handler, loop=self.loop, **self.SMTP_kwargs)
        self._sessions.add(session)
        return session

    def _create_server(self) -> Awaitable[AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)

    async def hang_up(self) -> None:
        if self.server is not None:
            self.server.close()
        for session in list(self._sessions):
            if isinstance(session.transport, WriteTransport):
                # Not `close`: over TLS it would wait for the client to say good-bye.
                # One that is closed already has nothing to abort, which early 3.11 tells by this error.
                with suppress(AttributeError):
                    session.transport.abort()
        await gather(*all_tasks() - {current_task()}, return_exceptions=True)
        # An aborted transport closes its socket on the turn of the loop after the next.
        await sleep(0)
        await sleep(0)


class MailServer:
    """SMTP with AUTH LOGIN and PLAIN before MAIL; with `tls`, STARTTLS before AUTH."""

    def __init__(self, users: dict[str, str], tls: bool = False) -> None:
        self._passwords = dict(users)
        self._tls = tls
        self._arrived = threading.Condition()
        self._mails: list[Mail] = []
        self._replies: dict[str, list[str]] = {}
        self._controller: _Controller | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    @property
    def host(self) -> str:
        return _HOST

    @property
    def port(self) -> int:
        """The port that is listened on; only while started."""
        if self._controller is None:
            raise RuntimeError("MailServer has no port: it is not started; start it")
        return int(self._controller.port)

    @property
    def certificate_path(self) -> Path:
        """The self-signed certificate (PEM) that a client has to trust; only started, with TLS."""
        if self._directory is None:
            raise RuntimeError("MailServer has no certificate: start it with tls=True")
        return Path(self._directory.name) / "certificate.pem"

    @property
    def messages(self) -> list[Mail]:
        """A copy of the mail taken so far, in order of arrival."""
        with self._arrived:
            return list(self._mails)

    def set_password(self, user: str, password: str) -> None:
        """Add a user or change the password; sessions that are logged in stay so."""
        with self._arrived:
            self._passwords[user] = password

    def answer_recipient(self, address: str, reply: str, *, times: int = 1_000) -> None:
        """Say this, such as `550 5.1.1 No such user`, to the next who name that address."""
        with self._arrived:
            self._replies[address] = [reply] * times

    def wait_for(self, count: int, timeout: float) -> list[Mail]:
        """All mail once there is `count`; TimeoutError after `timeout` seconds."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._mails) >= count, timeout):
                raise TimeoutError(f"the mail server has {len(self._mails)} of {count} mails after {timeout} s")
            return list(self._mails)

    def start(self) -> Self:
        if self._controller is not None:
            raise RuntimeError("MailServer is started already; stop it first")
        # The library writes the dialogue, and with it AUTH, to this logger.
        library = logging.getLogger("mail.log")
        library.propagate = False
        library.setLevel(logging.CRITICAL + 1)
        controller = _Controller(
            _Hooks(self._keep, self._reply_to),
            socket.create_server((_HOST, 0)),
            authenticator=self._authenticate,
            tls_context=self._make_context() if self._tls else None,
        )
        controller.start()
        self._controller = controller
        return self

    def stop(self) -> None:
        """Hang up on every client and free the port; twice is harmless. The mail stays."""
        if self._controller is not None:
            run_coroutine_threadsafe(self._controller.hang_up(), self._controller.loop).result(5)
            self._controller.stop()
            self._controller = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _keep(self, mail: Mail) -> None:
        with self._arrived:
            self._mails.append(mail)
            self._arrived.notify_all()

    def _reply_to(self, address: str) -> str:
        with self._arrived:
            replies = self._replies.get(address)
            return replies.pop() if replies else "250 2.1.5 OK"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, offered: object
    ) -> AuthResult:
        if mechanism not in {"LOGIN", "PLAIN"} or not isinstance(offered, LoginPassword):
            return AuthResult(success=False, handled=False)
        with self._arrived:
            expected = self._passwords.get(offered.login.decode(errors="replace"))
        known = expected is not None and hmac.compare_digest(expected.encode(), offered.password)
        # Not handled: the library answers 535 itself.
        return AuthResult(success=known, handled=False)

    def _make_context(self) -> ssl.SSLContext:
        self._directory = tempfile.TemporaryDirectory(prefix="nightkey-mail-")
        key_path = Path(self._directory.name) / "key.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        certificate = _sign_certificate(key)
        self.certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate_path, key_path)
        key_path.unlink()
        return context


def _sign_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address(_HOST))])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
