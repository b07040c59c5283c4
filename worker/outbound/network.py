"""Connections: asked for, guarded by the address that they really go to, and made within a deadline."""

import contextlib
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import certifi
import httpx

from vaultcore.errors import Cause, ConfigurationError, TargetError
from worker.domain.guard import Guard

LOOK_UP_SECONDS = 30.0
CALL_EVENT = "nightkey.call"
"""Of `sys.audit`."""
_permission: ContextVar[Callable[[], None] | None] = ContextVar("permission", default=None)
_looking: ContextVar[bool] = ContextVar("looking", default=False)


@contextlib.contextmanager
def permitted_by(check: Callable[[], None]) -> Iterator[None]:
    """Inside, `check` is asked before each call to the outside, and refuses it by raising."""
    token = _permission.set(check)
    try:
        yield
    finally:
        _permission.reset(token)


@contextlib.contextmanager
def only_looking() -> Iterator[None]:
    """Inside, calls change nothing where they go, such as one that asks whether a value is accepted."""
    token = _looking.set(True)
    try:
        yield
    finally:
        _looking.reset(token)


def is_only_looking() -> bool:
    return _looking.get()


def ask_permission() -> None:
    """Before each call, whether or not it is made on a connection that is open already. Whoever watches this
    process is told of each that may be made now.
    """
    check = _permission.get()
    if check is not None:
        check()
    sys.audit(CALL_EVENT)


def _trust(tls: ssl.SSLContext, ca_file: Path) -> None:
    try:
        tls.load_verify_locations(cafile=str(ca_file))
    except OSError as error:  # an ssl.SSLError is one too
        problem = error.strerror or type(error).__name__
        told = f"setting outbound_ca: {ca_file} holds no certificates in PEM ({problem})"
        raise ConfigurationError(told) from None


def look_up(host: str, port: int, *, seconds: float) -> list[str]:
    """The addresses of a host, at least one, unguarded; errors as `Network.resolve`'s."""
    problem, cause = "cannot be resolved", Cause.OUTAGE
    found: list[Any] = []
    try:
        found = _ask_for_addresses(host, port, seconds)
    except UnicodeError:
        problem, cause = "can be no host: look at its URL and headers", Cause.MISTAKE
    except OSError:  # a TimeoutError is one too
        pass
    if not found:
        raise TargetError(f"{host} {problem}", cause=cause, acted=False)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _ask_for_addresses(host: str, port: int, seconds: float) -> list[Any]:
    """As `getaddrinfo`, which knows no deadline: a name is asked for in a thread, which is left to itself when
    the time is over.
    """
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answers: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001  # for whoever waits to raise
            answers.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=max(seconds, 0))
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


@cache
def _trust_public() -> ssl.SSLContext:
    """Made once for all who trust nobody else: it reads 150 certificates."""
    return httpx.create_ssl_context(trust_env=False)


class Network:
    """Resolves and connects for every node and every rotator, whatever it speaks."""

    def __init__(self, guard: Guard | None = None, *, ca_file: Path | None = None) -> None:
        """`ca_file` holds certificates in PEM that are trusted beside the public ones.

        `ConfigurationError` if it cannot be read.
        """
        self.guard = guard or Guard()
        self._ca_file = ca_file
        self.tls = _trust_public() if ca_file is None else self.trust(httpx.create_ssl_context(trust_env=False))

    def trust(self, tls: ssl.SSLContext) -> ssl.SSLContext:
        """The context, which trusts the organisation's own authorities, too, from now on."""
        if self._ca_file is not None:
            _trust(tls, self._ca_file)
        return tls

    @contextlib.contextmanager
    def trusted_file(self) -> Iterator[str]:
        """A file in PEM of what `tls` trusts, for clients that speak TLS by themselves."""
        if self._ca_file is None:
            yield certifi.where()
            return
        with tempfile.NamedTemporaryFile(prefix="nightkey-authorities-") as file:
            file.write(Path(certifi.where()).read_bytes() + b"\n" + self._ca_file.read_bytes())
            file.flush()
            yield file.name

    def resolve(self, host: str, port: int, *, seconds: float = LOOK_UP_SECONDS) -> list[str]:
        """The addresses that may be called, at least one; for clients that connect by themselves, to these.

        A name that there is not, or that is not found within so many seconds, is an outage; one that can be
        none, or that the guard refuses, is a mistake.
        """
        ask_permission()
        addresses = look_up(host, port, seconds=seconds)
        refusals = {address: self.guard.refuse(host, port, address) for address in addresses}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            raise TargetError(str(refusals[addresses[0]]), cause=Cause.MISTAKE, acted=False)
        return allowed

    def permit(self, host: str, port: int) -> None:
        """For a call that a proxy makes, and resolves: asks for permission and the guard, by name."""
        ask_permission()
        refusal = self.guard.refuse_name(host, port)
        if refusal is not None:
            raise TargetError(refusal, cause=Cause.MISTAKE, acted=False)

    def connect(
        self, host: str, port: int, *, seconds: float, tls: ssl.SSLContext | None = None
    ) -> socket.socket:
        """A connected socket whose every wait ends after so many seconds; an outage if nobody answers. With
        `tls` it is encrypted from its first byte, and the host is who its certificate says.
        """
        made = self._reach(host, port, seconds)
        if tls is None:
            return made
        try:
            return tls.wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise

    def _reach(self, host: str, port: int, seconds: float) -> socket.socket:
        deadline = time.monotonic() + seconds
        for address in self.resolve(host, port, seconds=seconds):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            with contextlib.suppress(OSError):
                made = socket.create_connection((address, port), timeout=left)
                made.settimeout(max(deadline - time.monotonic(), 0.001))
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return made
        raise TargetError(f"{host}:{port} cannot be reached", cause=Cause.OUTAGE, acted=False)
