"""Who is let in: connections that only wait cost nobody his place, and requests under way are counted.

Every connection without a request under way waits in the lobby: one that has just come, and one between two
requests. It has so many seconds for a whole head, however it drips, and is put out earlier where others need
its place. What a proxy keeps open between requests waits there as well, and is opened again when needed. A
request that was answered before its body had come is over, too: the rest of it is thrown away from the lobby.
"""

import asyncio
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from worker.web.answers import busy, tell_problem
from worker.web.places import Places

HEALTH = "/health"
_HEALTH_PATHS = frozenset({HEALTH, "/healthz", "/readyz"})
_BREATH = 0.05
"""Seconds."""
_THROWN_AWAY_MAX = 2_097_152
"""Bytes of a body that nobody asked for."""


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """`head_seconds`: for the whole head of a request; `send_seconds`: for a caller to take what is sent to it.

    `waiting` and `requests`: how many connections wait and how many requests are under way, of all peers
    together; the others with `_per_peer`, of each. `bodies`: how many of the requests wait for a body, their
    key being good, and `bodies_each` of one peer, and of one key. `health`: places for `/health` and the
    like, before they take those of others.

    `failures`: attempts to get in that may fail, of one peer within a minute, before their answers come later.

    A body has `body_seconds`, and must come with `body_rate` bytes a second when `body_grace` seconds are over.
    """

    head_seconds: float = 10.0
    send_seconds: float = 30.0
    waiting: int = 256
    waiting_per_peer: int = 64
    requests: int = 512
    requests_per_peer: int = 128
    bodies: int = 128
    bodies_each: int = 32
    health: int = 32
    health_per_peer: int = 8
    body_seconds: float = 30.0
    body_grace: float = 5.0
    body_rate: float = 1024.0
    failures: int = 10


class Lobby:
    """Connections that wait, each for `head_seconds` at most. Of one event loop.

    Where there are too many of a peer, or of all together, those that came first are put out, but none before
    `_BREATH`: heads that come with their connections, however many at once, are read.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._timers: dict[BoundedConnection, asyncio.TimerHandle] = {}
        self._by_peer: dict[str, dict[BoundedConnection, None]] = {}
        self._thinning = False

    def enter(self, connection: "BoundedConnection") -> None:
        if connection in self._timers:
            return
        self._by_peer.setdefault(connection.peer, {})[connection] = None
        self._timers[connection] = connection.loop.call_later(
            self._limits.head_seconds, self._put_out, connection
        )
        if not self._thinning and self._is_crowded(connection.peer):
            self._thin_out_soon(connection.loop)

    def leave(self, connection: "BoundedConnection") -> None:
        timer = self._timers.pop(connection, None)
        if timer is None:
            return
        timer.cancel()
        own = self._by_peer[connection.peer]
        del own[connection]
        if not own:
            del self._by_peer[connection.peer]

    def _is_crowded(self, peer: str) -> bool:
        limits = self._limits
        return len(self._by_peer[peer]) > limits.waiting_per_peer or len(self._timers) > limits.waiting

    def _thin_out_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        self._thinning = True
        loop.call_later(_BREATH, self._thin_out, loop)

    def _thin_out(self, loop: asyncio.AbstractEventLoop) -> None:
        self._thinning = False
        since = loop.time() - _BREATH + self._limits.head_seconds
        for own in list(self._by_peer.values()):
            self._shorten(list(own), self._limits.waiting_per_peer, since)
        self._shorten(list(self._timers), self._limits.waiting, since)
        if any(self._is_crowded(peer) for peer in self._by_peer):
            self._thin_out_soon(loop)

    def _shorten(self, line: list["BoundedConnection"], most: int, since: float) -> None:
        """Puts out the first of the line until it is short enough; `since` is when their time may end."""
        for first in line[: max(len(line) - most, 0)]:
            if self._timers[first].when() <= since:
                self._put_out(first)

    def _put_out(self, connection: "BoundedConnection") -> None:
        self.leave(connection)
        connection.transport.abort()


class BoundedConnection(H11Protocol):
    """Uvicorn's, which by itself waits for ever for a head, and for a caller to take an answer."""

    lobby: ClassVar[Lobby]
    limits: ClassVar[ConnectionLimits]
    peer = ""
    _thrown_away = 0
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.peer = name_peer(self.client)
        self.lobby.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lobby.leave(self)
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._thrown_away += len(data)
        super().data_received(data)
        if self._has_request():
            self._thrown_away = 0
        elif self._thrown_away > _THROWN_AWAY_MAX:
            self.transport.abort()

    def handle_events(self) -> None:
        super().handle_events()
        if self._has_request():
            self.lobby.leave(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._has_request():
            self.lobby.enter(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(self.limits.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_timer()
        super().resume_writing()

    def _has_request(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # there is none before the first head
        return cycle is not None and not cycle.response_complete

    def _stop_timer(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None


def connections_with(limits: ConnectionLimits) -> type[BoundedConnection]:
    """The protocol of one server, whose connections share a lobby."""

    class Limited(BoundedConnection):
        pass

    Limited.lobby, Limited.limits = Lobby(limits), limits
    return Limited


def limit_requests(app: ASGIApp, limits: ConnectionLimits) -> ASGIApp:
    """Answers 503 beyond the limits, and counts a request until the application is done with it."""
    common = Places(most=limits.requests, each=limits.requests_per_peer)
    health = Places(most=limits.health, each=limits.health_per_peer)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        peer = name_peer(scope.get("client"))
        if scope.get("path") in _HEALTH_PATHS:
            with health.hold(peer) as has_place:
                if has_place:
                    await app(scope, receive, send)
                    return
        with common.hold(peer) as has_place:
            told = tell_problem(busy(), scope.get("path", ""))
            await (app if has_place else told)(scope, receive, send)

    return call


def name_peer(client: tuple[str, int] | None) -> str:
    """Whom a connection is counted for: an IPv4 address, or the /64 that one IPv6 host may choose from."""
    try:
        address = ip_address((client or ("", 0))[0].partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))
