"""A PostgreSQL server that says what a test wants, byte for byte, and can log a role in by SCRAM."""

import base64
import contextlib
import hashlib
import hmac
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

SALT = b"salt-of-a-double"
READY = b"Z\x00\x00\x00\x05I"
AUTHENTICATED = b"R\x00\x00\x00\x08\x00\x00\x00\x00"


class PostgresDouble:
    """Listens on loopback, and plays `act` with each connection until it returns."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self.stopping = threading.Event()
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(120)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                made, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._play, args=(made,), daemon=True))
                self._threads[-1].start()

    def _play(self, made: socket.socket) -> None:
        made.settimeout(10)
        with made, contextlib.suppress(OSError, EOFError):
            self._act(made)


def write(code: bytes, data: bytes) -> bytes:
    return code + struct.pack("!i", len(data) + 4) + data


def authentication(code: int, data: bytes = b"") -> bytes:
    return write(b"R", struct.pack("!i", code) + data)


def read_exactly(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = line.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def read_startup(line: socket.socket) -> bytes:
    return read_exactly(line, struct.unpack("!i", read_exactly(line, 4))[0] - 4)


def read_message(line: socket.socket) -> bytes:
    code = read_exactly(line, 1)
    return code + read_startup(line)


def secure(line: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
    read_startup(line)
    line.sendall(b"S")
    return tls.wrap_socket(line, server_side=True)


def log_in(
    line: socket.socket, password: str, *, certificate: str | None = None, signature: bytes | None = None
) -> str:
    """After the startup: the mechanism that the client chose. `certificate` is what it may bind to, PEM;
    `signature` another end than the one that only who knows the password can write.
    """
    offered = ["SCRAM-SHA-256"] if certificate is None else ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    line.sendall(authentication(10, b"".join(name.encode() + b"\0" for name in offered) + b"\0"))
    chosen, _, rest = read_message(line)[1:].partition(b"\0")
    header, first = re.fullmatch(rb"([^,]*,[^,]*,)(.*)", rest[4:]).groups()
    bound = header + (b"" if certificate is None else _digest(certificate))
    challenge = first[first.index(b"r=") :] + b"of-the-server,s=" + base64.b64encode(SALT) + b",i=4096"
    line.sendall(authentication(11, challenge))
    final, _, proof = read_message(line)[1:].partition(b",p=")
    assert final.startswith(b"c=" + base64.b64encode(bound) + b",")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, 4096)
    exchange = b",".join((first, challenge, final))
    key = hmac.digest(salted, b"Client Key", "sha256")
    told = hmac.digest(hashlib.sha256(key).digest(), exchange, "sha256")
    assert base64.b64decode(proof) == bytes(a ^ b for a, b in zip(key, told, strict=True))
    proven = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), exchange, "sha256")
    line.sendall(authentication(12, signature or b"v=" + base64.b64encode(proven)))
    return chosen.decode()


def _digest(certificate: str) -> bytes:
    """What a login inside TLS is bound to (RFC 5929)."""
    read = x509.load_pem_x509_certificate(certificate.encode())
    return hashlib.sha256(read.public_bytes(Encoding.DER)).digest()


def answer_select(line: socket.socket) -> None:
    """To `SELECT 1`, as a server does: a column, a row, the end."""
    read_message(line)
    column = b"a\0" + struct.pack("!ihihih", 0, 0, 23, 4, -1, 0)
    line.sendall(
        write(b"T", struct.pack("!h", 1) + column)
        + write(b"D", struct.pack("!hi", 1, 1) + b"1")
        + write(b"C", b"SELECT 1\0")
        + READY
    )
