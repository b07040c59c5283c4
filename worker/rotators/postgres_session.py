"""One session with a PostgreSQL server by libpq, which psycopg brings, within one deadline."""

import ctypes
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from psycopg import Error, pq
from psycopg.conninfo import make_conninfo

from vaultcore.errors import Cause, TargetError
from worker.outbound import Network
from worker.outbound.sessions import SessionKey, digest_credential, share
from worker.rotators.scram import ITERATIONS, make_scram_verifier

_T = TypeVar("_T")

POSTGRES = "postgres"
"""The kind of these sessions."""

_REFUSED_LOGIN = frozenset({"28P01", "28000"})
_AWAY = frozenset({"57P01", "57P02", "57P03", "53300", "53000", "08006", "08001", "40001", "40P01", "55P03"})
_GOOD = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})

_CODE_ALONE = 3
"""PQERRORS_SQLSTATE: of what a server says when it refuses, libpq passes on the code and nothing else."""
_CODE = re.compile(r":  ([0-9A-Z]{5})\Z")
_ITERATIONS_MAX = 5_000_000
"""Some seconds of work, at each login, too."""
_DIGITS_MAX = 10
_NO_POSTGRES = "{where} answered what is no PostgreSQL"
_NO_SCRAM = (
    "the server takes no password by SCRAM-SHA-256, it {how}: see pg_hba.conf and password_encryption there"
)
_PROBLEMS = (
    ("certificate verify failed", "{where} has a certificate that does not verify", Cause.MISTAKE),
    ("server certificate for", "{where} has a certificate that does not verify", Cause.MISTAKE),
    ("server does not support SSL", "{host} offers no TLS", Cause.MISTAKE),
    (
        "server did not complete authentication",
        _NO_SCRAM.format(how="lets roles in without a password"),
        Cause.MISTAKE,
    ),
    ("authentication method requirement", _NO_SCRAM.format(how="asks for it another way"), Cause.MISTAKE),
    ("expected authentication request", _NO_POSTGRES, Cause.OUTAGE),
    ("incorrect server signature", _NO_POSTGRES, Cause.OUTAGE),
)
"""What libpq says of a login without an SQLSTATE. It has no codes for these."""


class PostgresSession:
    """A role that is logged in. Everything in it happens within one deadline, which whoever uses it again
    begins anew.
    """

    idle_seconds = 10.0

    def __init__(self, connection: pq.abc.PGconn, host: str, port: int, deadline: float) -> None:
        self.opened_at = time.monotonic()
        self._connection = connection
        self._host = host
        self._where = f"{host}:{port}"
        self._deadline = deadline
        self._reached = False

    def begin(self, seconds: float) -> None:
        """From here on, so many seconds for everything together."""
        self._deadline = time.monotonic() + seconds

    def is_usable(self) -> bool:
        """Whatever lies on the connection was not asked for: a server that is going says so."""
        if self._connection.transaction_status != pq.TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self._connection.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._connection.finish()

    def run(self, statement: str) -> list[list[str | None]]:
        """Runs one statement, which answers with rows or none."""
        return self._do(lambda: self._run(statement))

    def log_in(self) -> None:
        self._do(self._log_in)

    def make_verifier(self, role: str, password: str) -> str:
        """What the server stores for a password, made here: no statement holds the password. It has as many
        iterations as the server wants (`scram_iterations`, from PostgreSQL 16 on).
        """
        wanted = _read_iterations(self._connection.parameter_status(b"scram_iterations"))
        if wanted > _ITERATIONS_MAX:
            problem = f"{self._where} wants more than {_ITERATIONS_MAX:,} scram_iterations"
            raise TargetError(problem, cause=Cause.MISTAKE)
        if password.isascii():  # libpq takes four times as long
            return make_scram_verifier(password, iterations=wanted)
        return self._connection.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()

    def _do(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except Error:  # its text may quote what was said
            pass
        raise self._broken_off()

    def _run(self, statement: str) -> list[list[str | None]]:
        connection = self._connection
        connection.nonblocking = 1
        connection.send_query(statement.encode())
        while connection.flush():
            self._wait(select.POLLOUT)
        rows: list[list[str | None]] = []
        while (result := self._next_result()) is not None:
            if result.status not in _GOOD:
                raise self._explain(_decode(result.error_field(pq.DiagnosticField.SQLSTATE)) or "")
            rows = [
                [_decode(result.get_value(row, column)) for column in range(result.nfields)]
                for row in range(result.ntuples)
            ]
        return rows

    def _log_in(self) -> None:
        _pass_on_codes_alone(self._connection)
        while (state := self._connection.connect_poll()) != pq.PollingStatus.OK:
            self._reached |= self._connection.status not in (pq.ConnStatus.STARTED, pq.ConnStatus.BAD)
            if state == pq.PollingStatus.FAILED:
                raise self._explain_login(self._connection.error_message.decode(errors="replace").strip())
            self._wait(select.POLLIN if state == pq.PollingStatus.READING else select.POLLOUT)

    def _next_result(self) -> "pq.abc.PGresult | None":
        while self._connection.is_busy():
            self._wait(select.POLLIN)
            self._connection.consume_input()
        return self._connection.get_result()

    def _wait(self, event: int) -> None:
        left = self._deadline - time.monotonic()
        poll = select.poll()
        poll.register(self._connection.socket, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise self._broken_off()

    def _explain_login(self, text: str) -> TargetError:
        if (code := _CODE.search(text)) is not None:
            return self._explain(code[1])
        for said, problem, cause in _PROBLEMS:
            if said in text:
                return TargetError(problem.format(where=self._where, host=self._host), cause=cause)
        return self._broken_off()

    def _broken_off(self) -> TargetError:
        problem = f"{self._where} cannot be reached, or broke off"
        return TargetError(problem, cause=Cause.OUTAGE, acted=self._reached)

    def _explain(self, code: str) -> TargetError:
        """By its SQLSTATE: a server's text may quote a statement. Without one, the connection is gone."""
        if not code:
            return self._broken_off()
        if code in _REFUSED_LOGIN:
            return TargetError(f"{self._where} refuses the login ({code})", cause=Cause.REJECTED)
        cause = Cause.OUTAGE if code in _AWAY else Cause.MISTAKE
        return TargetError(f"{self._where} answered with SQLSTATE {code}", cause=cause)


def _read_iterations(told: bytes | None) -> int:
    """Of a server that says nothing of it, or nothing that can be meant, the usual number."""
    number = int(told) if told is not None and told.isdigit() and len(told) <= _DIGITS_MAX else 0
    return number or ITERATIONS


@dataclass(frozen=True, kw_only=True)
class PostgresLogin:
    """Where a role logs in, and as which."""

    host: str
    port: int
    database: str
    role: str
    password: str = field(repr=False)
    tls: bool


@contextmanager
def open_session(network: Network, login: PostgresLogin, *, seconds: float) -> Iterator[PostgresSession]:
    """Logs the role in at an address that the guard lets through; what the server or the way there says becomes
    a cause.

    `seconds` are for all of it: the connection, the login and the statements. What a server says before it
    has proven that it knows the password is limited by libpq, to some kilobytes.
    """
    session = _open(network, login, seconds)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def share_session(network: Network, login: PostgresLogin, *, seconds: float) -> Iterator[PostgresSession]:
    """As `open_session`, or one that is open from before: it proves nothing of the login."""
    key = SessionKey(
        kind=POSTGRES,
        way=network,
        host=login.host,
        port=login.port,
        terms=(login.database, "verify" if login.tls else "off"),
        principal=login.role,
        credential=digest_credential(login.password.encode()),
    )
    with share(key, lambda: _open(network, login, seconds), lambda session: session.begin(seconds)) as session:
        yield session


def _open(network: Network, login: PostgresLogin, seconds: float) -> PostgresSession:
    deadline = time.monotonic() + seconds
    addresses = network.resolve(login.host, login.port, seconds=seconds)
    name = login.host.encode("idna").decode()  # as it was looked up
    with network.trusted_file() as authorities:
        described = make_conninfo(
            host=",".join([name] * len(addresses)),
            hostaddr=",".join(addresses),
            port=login.port,
            dbname=login.database,
            user=login.role,
            password=login.password,
            require_auth="scram-sha-256",
            channel_binding="prefer" if login.tls else "disable",
            sslmode="verify-full" if login.tls else "disable",
            sslrootcert=authorities,
            client_encoding="UTF8",
            **_OF_NOBODY_ELSE,
        )
        session = PostgresSession(pq.PGconn.connect_start(described.encode()), login.host, login.port, deadline)
        try:
            session.log_in()
        except BaseException:
            session.close()
            raise
    return session


_OF_NOBODY_ELSE = {
    "options": "",
    "sslnegotiation": "postgres",
    "sslcertmode": "disable",
    "sslcrl": "/dev/null",
    "gssencmode": "disable",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
}
"""What libpq would else take from the environment and the home of the user whom the worker runs as."""


def _pass_on_codes_alone(connection: "pq.abc.PGconn") -> None:
    """For psycopg tells no SQLSTATE of a login that fails. It gives the pointer for what it does not wrap."""
    library = ctypes.CDLL(sys.modules[pq.PGconn.__module__].__file__)
    pointer = connection.pgconn_ptr  # type: ignore[attr-defined]  # documented, and not in its protocol
    library.PQsetErrorVerbosity(ctypes.c_void_p(pointer), _CODE_ALONE)


def _decode(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
