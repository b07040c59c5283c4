"""One session with a PostgreSQL server by pg8000, within one deadline and a budget of bytes."""

import socket
import ssl
import struct
import time
from contextlib import closing, suppress
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from vaultcore.errors import Cause, CounterpartError
from worker.outbound import Network

BYTES_MAX = 1_048_576
"""What a server may say in one session: a login and one statement take some kilobytes."""

_CHUNK = 65_536
_AUTHENTICATED, _SCRAM_FINAL = 0, 12
_SCRAM = frozenset({10, 11, _SCRAM_FINAL})
_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
_REFUSED_LOGIN = frozenset({"28P01", "28000"})
_AWAY = frozenset({"57P01", "57P02", "57P03", "53300", "53000", "08006", "08001", "40001", "40P01", "55P03"})


class _Line:
    """What pg8000 takes for a socket, and for the file that it makes of one."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self._deadline = deadline
        self._left = BYTES_MAX
        self._unsent = bytearray()

    def secure(self, tls: ssl.SSLContext, host: str) -> None:
        """Speaks TLS from here on. `ValueError` for a server that answers neither yes nor no."""
        self._limit()
        self.sock.sendall(_SSL_REQUEST)
        answer = self.read(1)  # and no more: what follows is said inside
        if answer == b"N":
            raise CounterpartError(f"{host} offers no TLS", cause=Cause.MISTAKE)
        if answer != b"S":
            raise ValueError("no answer to a request for TLS")
        self._limit()
        self.sock = tls.wrap_socket(self.sock, server_hostname=host)

    def makefile(self, mode: str) -> "_Line":  # noqa: ARG002  # pg8000 reads and writes
        return self

    def read(self, size: int) -> bytes:
        """All of it; `OSError` where that is more than the server may say, or takes too long."""
        self._left -= size
        if size < 0 or self._left < 0:
            raise OSError("the server says too much")
        found = bytearray()
        while len(found) < size:
            self._limit()
            piece = self.sock.recv(min(size - len(found), _CHUNK))
            if not piece:
                raise ConnectionError("the server hung up")
            found += piece
        return bytes(found)

    def write(self, data: bytes) -> None:
        self._unsent += data

    def flush(self) -> None:
        self._limit()
        self.sock.sendall(self._unsent)
        self._unsent.clear()

    def close(self) -> None:
        self.sock.close()

    def _limit(self) -> None:
        """Every wait ends with the deadline of the whole session."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)


class _Session(Connection):  # type: ignore[misc]  # pg8000 ships no types
    """Logs in by SCRAM alone: anything else hands the password out, or proves nothing of either side."""

    _usock: Any  # pg8000's: the line, here
    _proven = False
    _authenticated = False

    def close(self) -> None:
        """Says goodbye, if there is still somebody to say it to."""
        with suppress(InterfaceError, OSError):
            super().close()

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: object) -> None:  # noqa: N802  # pg8000's
        """With the socket itself in sight: pg8000 binds the login to the certificate of its TLS."""
        (code,) = struct.unpack_from("!i", data)
        if code not in _SCRAM and not (code == _AUTHENTICATED and self._proven):
            what = "lets roles in without a password" if code == _AUTHENTICATED else "asks for it another way"
            raise CounterpartError(
                f"the server takes no password by SCRAM-SHA-256, it {what}: see pg_hba.conf and "
                "password_encryption there",
                cause=Cause.MISTAKE,
            )
        line, self._usock = self._usock, self._usock.sock
        try:
            super().handle_AUTHENTICATION_REQUEST(data, context)
        finally:
            self._usock = line
        self._proven = code == _SCRAM_FINAL
        self._authenticated = code == _AUTHENTICATED

    def handle_READY_FOR_QUERY(self, data: bytes, context: object) -> None:  # noqa: N802  # pg8000's
        if not self._authenticated:
            raise ValueError("ready before a login")
        super().handle_READY_FOR_QUERY(data, context)


def run_statement(
    network: Network,
    host: str,
    port: int,
    *,
    database: str,
    role: str,
    password: str,
    statement: str,
    tls: bool,
    seconds: float,
) -> list[list[Any]]:
    """Logs the role in over a guarded socket and runs one statement, which answers with rows or none; what the
    server or the way there says becomes a cause.

    `seconds` are for all of it: the connection, the login and the statement.
    """
    where = f"{host}:{port}"
    message, cause = "", Cause.OUTAGE
    deadline = time.monotonic() + seconds
    try:
        with closing(_Line(network.connect(host, port, seconds=seconds), deadline)) as line:
            if tls:
                line.secure(network.tls, host)
            session = _Session(role, database=database, password=password, ssl_context=False, sock=line)
            with closing(session):
                return list(session.run(statement) or ())
    except DatabaseError as error:
        message, cause = _explain(error, where)
    except ssl.SSLCertVerificationError:
        message, cause = f"{where} has a certificate that does not verify", Cause.MISTAKE
    except (InterfaceError, OSError):
        message = f"{where} cannot be reached, or broke off"
    except CounterpartError:
        raise
    except Exception:  # noqa: BLE001  # pg8000 raises what Python does; its text may quote what was said
        message = f"{where} answered what is no PostgreSQL"
    raise CounterpartError(message, cause=cause)


def _explain(error: Exception, where: str) -> tuple[str, Cause]:
    """By its SQLSTATE: its text may quote a statement."""
    told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    code = str(told.get("C", "unknown"))
    if code in _REFUSED_LOGIN:
        return f"{where} refuses the login ({code})", Cause.REJECTED
    return f"{where} answered with SQLSTATE {code}", Cause.OUTAGE if code in _AWAY else Cause.MISTAKE
