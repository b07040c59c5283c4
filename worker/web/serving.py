"""The server: a socket that listens, and uvicorn on it until it is told to stop."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from vaultcore.errors import ConfigurationError, InvalidInputError
from worker.web.connections import ConnectionLimits, connections_with, limit_requests

GRACE_SECONDS = 60.0
_BACKLOG = 256
_TICKS = 10
_LIMITS = ConnectionLimits()


def open_listener(text: str) -> socket.socket:
    """A socket that listens at HOST:PORT; port 0 takes a free one."""
    host, port = _parse_address(text)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)
        # Its connections inherit it: without, an answer's body waits 40 ms until its head is confirmed
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener  # the last of what may fail
    except (OSError, UnicodeError) as error:
        problem = (getattr(error, "strerror", None) or type(error).__name__).partition(" (")[0]
        raise ConfigurationError(
            f"--listen {text}: cannot listen there: {problem}; stop what does, or name another address"
        ) from None


def show_address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


class WebServer(uvicorn.Server):
    """Uvicorn without its logs, which would name addresses and quote errors, and without upgrades.

    The first SIGTERM or SIGINT closes the socket and lets the runs under way end, for `GRACE_SECONDS` at
    most; a second one ends it at once. Runs that were cut off are found by the resume sweep. `tell` is called
    inside signal handlers, `tick` each second by the loop, as long as that goes round.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: ConnectionLimits = _LIMITS,
        tell: Callable[[str], None] = lambda _: None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                limit_requests(app, limits),
                http=connections_with(limits),
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )
        self._tell = tell
        self._tick = tick

    def listen_to_signals(self) -> None:
        """From now on a signal ends it in order, even before it has begun to serve."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self.handle_exit)

    async def on_tick(self, counter: int) -> bool:
        """Uvicorn's, ten times a second."""
        if counter % _TICKS == 0:
            self._tick()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's
        if self.should_exit:
            self._cut_off()
        self.should_exit = True
        self._tell(f"{signal.Signals(sig).name}: finishing what is running")
        timer = threading.Timer(GRACE_SECONDS, self._cut_off)
        timer.daemon = True
        timer.start()

    def _cut_off(self) -> None:
        self._tell("nightkey: what is running does not end: cut off, and recorded as lost by the next sweeps")
        os._exit(1)


def _parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good = (
        bare and (bare != host or ":" not in host) and port.isascii() and port.isdigit() and int(port) < 2**16
    )
    if not good:
        raise InvalidInputError(f"--listen {text!r}: write it as HOST:PORT, like 127.0.0.1:8321 or [::1]:8321")
    return bare, int(port)
