"""Everything the demonstration talks to, started together on loopback."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.demo.http_sink import HttpSink
from worker.demo.mail_server import MailServer
from worker.demo.token_service import TokenService


@dataclass(frozen=True, kw_only=True)
class Counterparts:
    """The three servers, and the login of the mail server's one user."""

    token_service: TokenService
    mail: MailServer
    sink: HttpSink
    mail_user: str
    mail_password: str = field(repr=False)


@contextmanager
def start_counterparts(admin_token: str | None = None) -> Iterator[Counterparts]:
    """Start all three; they stop when the block ends, however it ends."""
    user, password = "nightkey", secrets.token_urlsafe(24)
    with (
        TokenService(admin_token) as token_service,
        MailServer({user: password}) as mail,
        HttpSink() as sink,
    ):
        yield Counterparts(
            token_service=token_service,
            mail=mail,
            sink=sink,
            mail_user=user,
            mail_password=password,
        )
