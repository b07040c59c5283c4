"""Everything the demonstration talks to, started together on loopback."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nightkey_demo.hoster import Hoster
from nightkey_demo.http_sink import HttpSink
from nightkey_demo.mail_server import MailServer
from nightkey_demo.ssh_host import SshHost
from nightkey_demo.token_service import TokenService

OUTGOING_USER = "orders"


@dataclass(frozen=True, kw_only=True)
class TargetSystems:
    """The servers that most tests need too, and the login of the mail server's one user."""

    token_service: TokenService
    mail: MailServer
    sink: HttpSink
    mail_user: str
    mail_password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What the other kinds of credentials are for. `outgoing` takes mail with STARTTLS alone."""

    outgoing: MailServer
    hoster: Hoster
    ssh: SshHost
    passwords: dict[str, str] = field(repr=False)
    """Which ones work at first: `outgoing`, `ledger`, and `desk`, where they are set."""


@contextmanager
def start_target_systems(admin_token: str | None = None) -> Iterator[TargetSystems]:
    """Start all three; they stop when the block ends, however it ends."""
    user, password = "nightkey", secrets.token_urlsafe(24)
    with (
        TokenService(admin_token) as token_service,
        MailServer({user: password}) as mail,
        HttpSink() as sink,
    ):
        yield TargetSystems(
            token_service=token_service,
            mail=mail,
            sink=sink,
            mail_user=user,
            mail_password=password,
        )


@contextmanager
def start_machines() -> Iterator[Machines]:
    """Start all three; they stop when the block ends, however it ends."""
    passwords = {name: secrets.token_urlsafe(24) for name in ("outgoing", "ledger", "desk")}
    with MailServer({OUTGOING_USER: passwords["outgoing"]}, tls=True) as outgoing, SshHost() as ssh:
        hoster = Hoster(passwords["desk"], passwords["ledger"], outgoing.set_password)
        with hoster:
            yield Machines(outgoing=outgoing, hoster=hoster, ssh=ssh, passwords=passwords)
