"""Postfix with Dovecot's authentication, on loopback and in a folder of its own; only root can start it."""

import base64
import grp
import hashlib
import json
import os
import pwd
import secrets
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from tests.certificates import make_certificate
from tests.ports import choose_port

_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
POSTFIX = shutil.which("postfix", path=_SBIN)
DOVECOT = shutil.which("dovecot", path=_SBIN)
USER = "robot@example.org"
_PATIENCE = 120.0

MISSING = (
    "only root can start Postfix"
    if os.geteuid() != 0
    else "no Postfix with Dovecot here: apt-get install postfix dovecot-core"
    if POSTFIX is None or DOVECOT is None
    else ""
)
"""Why it cannot be started here; empty: it can."""


class PostfixServer:
    """Takes mail on a port with STARTTLS from who logs in as `USER`, and throws it away."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self.certificate_path = folder / "certificate.pem"
        self.log = folder / "mail.log"
        self._passwords = folder / "passwd"
        self._changes = 0
        self._changing = threading.Lock()
        self.port = choose_port()
        self.set_password(password)

    def set_password(self, password: str) -> None:
        """The one that works once this is over: Dovecot looks at its file once in a second.

        A caller that was cut off asks again, or for another one, while the desk is still at what it asked for
        first: that is waited for no longer.
        """
        with self._changing:
            self._write_password(password)
            change = self._changes
        if self._is_up():
            _wait_for(lambda: self._changes != change or self._lets_in(password))

    def _write_password(self, password: str) -> None:
        salt = secrets.token_bytes(8)
        digest = hashlib.sha512(password.encode() + salt).digest() + salt
        line = f"{USER}:{{SSHA512}}{base64.b64encode(digest).decode()}\n"
        beside = self._passwords.with_suffix(".new")
        beside.write_text(line)
        shutil.chown(beside, user="dovecot")
        self._changes += 1
        os.utime(beside, (self._changes, self._changes))  # and tells another one by whole seconds
        beside.replace(self._passwords)

    @contextmanager
    def started(self) -> Iterator[Self]:
        assert POSTFIX is not None
        assert DOVECOT is not None
        key = self.folder / "key.pem"
        make_certificate(self.certificate_path, key)
        self._write_dovecot()
        self._write_postfix(key)
        dovecot = [DOVECOT, "-F", "-c", str(self.folder / "dovecot.conf")]
        postfix = [POSTFIX, "-c", str(self.folder / "postfix")]
        subprocess.run([*postfix, "check"], check=True, capture_output=True)
        with subprocess.Popen(dovecot, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as authenticator:
            try:
                _wait_for((self.folder / "spool/private/auth").exists)
                # `start` gives up after some seconds: this one is waited for as long as anything else here
                with subprocess.Popen(
                    [*postfix, "start-fg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                ):
                    try:
                        _wait_for(self._is_up)
                        yield self
                    finally:
                        subprocess.run([*postfix, "stop"], check=False, capture_output=True)
            finally:
                authenticator.terminate()

    def _is_up(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=_PATIENCE) as probe:
                return probe.recv(4) == b"220 "
        except OSError:
            return False

    def _lets_in(self, password: str) -> bool:
        with smtplib.SMTP(self.host, self.port, timeout=_PATIENCE) as client:
            client.starttls(context=ssl.create_default_context(cafile=str(self.certificate_path)))
            try:
                client.login(USER, password)
            except smtplib.SMTPAuthenticationError:
                return False
            return True

    def _write_dovecot(self) -> None:
        (self.folder / "dovecot.conf").write_text(
            f"""
            protocols =
            base_dir = {self.folder}/run
            state_dir = {self.folder}/state
            log_path = {self.folder}/dovecot.log
            ssl = no
            auth_mechanisms = plain login
            auth_failure_delay = 0
            service anvil {{
              chroot =
              unix_listener anvil-auth-penalty {{
                mode = 0
              }}
            }}
            service stats {{
              chroot =
            }}
            passdb {{
              driver = passwd-file
              args = {self._passwords}
            }}
            userdb {{
              driver = static
              args = uid=nobody gid=nogroup home=/nonexistent
            }}
            service auth {{
              unix_listener {self.folder}/spool/private/auth {{
                mode = 0660
                user = postfix
                group = postfix
              }}
            }}
            """
        )

    def _write_postfix(self, key: Path) -> None:
        config, spool, data = (self.folder / name for name in ("postfix", "spool", "data"))
        for path in (config, spool, data, spool / "private"):
            path.mkdir()
        owner = pwd.getpwnam("postfix").pw_uid
        os.chown(data, owner, grp.getgrnam("postfix").gr_gid)
        os.chown(spool / "private", owner, 0)
        (spool / "private").chmod(0o710)
        (config / "main.cf").write_text(
            f"""
compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
maillog_file = {self.log}
maillog_file_prefixes = {self.folder}
myhostname = mail.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
default_transport = discard:
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {self.certificate_path}
smtpd_tls_key_file = {key}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_client_restrictions = permit
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000
""".lstrip()
        )
        (config / "master.cf").write_text(
            f"""
127.0.0.1:{self.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
""".lstrip()
        )

    def discarded(self) -> int:
        """How many mails it took and threw away until now."""
        return self.log.read_text().count("status=sent (")

    def count_taken(self) -> int:
        """The same, once it is done with all that it took."""
        _wait_for(lambda: not any(path.is_file() for path in self._queue()))
        return self.discarded()

    def _queue(self) -> Iterator[Path]:
        for name in ("maildrop", "incoming", "active", "deferred"):
            yield from (self.folder / "spool" / name).rglob("*")


class PasswordDesk(LoopbackServer):
    """A mail hoster's interface, by which an administrator sets the password: PUT /password."""

    def __init__(self, server: PostfixServer, admin_token: str) -> None:
        super().__init__()
        self._mail = server
        self._admin_token = admin_token

    def respond(self, incoming: Incoming) -> Answer:
        if incoming.headers.get("authorization") != f"Bearer {self._admin_token}":
            return Answer(status=403, body={})
        self._mail.set_password(json.loads(incoming.body)["password"])
        return Answer(status=200, body={})


def _wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
