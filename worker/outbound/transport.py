"""httpx's way out: guarded connections, and one deadline for all of a request."""

import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from worker.outbound.network import Network, ask_permission, look_up
from worker.outbound.sessions import SessionKey, current_store, digest_credential

_WRITE_CHUNK = 16_384
_PORTS = {"http": 80, "https": 443}
_OF_NOBODY = frozenset(
    {b"accept", b"accept-encoding", b"accept-language", b"connection", b"content-length", b"content-type"}
    | {b"user-agent"}
)
"""Headers that say nothing of who asks."""
_BROKEN_OFF = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)


class Transport(httpx.BaseTransport):
    """One request, on a connection of its own, or on one that was kept for the same principal; through a proxy
    if there is one. `may_repeat`: where a kept one breaks off, the request is sent once more, on a new one.
    """

    def __init__(
        self, network: Network, deadline: float, proxy: httpx.Proxy | None, *, may_repeat: bool = False
    ) -> None:
        self._network = network
        self._deadline = deadline
        self._proxy = proxy
        self._may_repeat = may_repeat
        self._store = current_store()
        self._since = 0 if self._store is None else self._store.mark()
        self._key: SessionKey | None = None
        self._line: HttpLine | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.raw_host.decode("ascii")
        port = request.url.port or _PORTS.get(request.url.scheme, 0)
        if self._proxy is not None:
            self._network.permit(name, port)  # what the proxy is sent
        kept = None
        if self._store is not None:
            self._key = _describe(self._network, self._proxy, request, name, port)
            kept = self._store.take(self._key)
        answer = self._send_on(kept, request) if isinstance(kept, HttpLine) else self._send(request)
        if not isinstance(answer.stream, Iterable):
            raise TypeError("the transport gave no stream")
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    def _send(self, request: httpx.Request) -> httpcore.Response:
        self._line = HttpLine(self._network, self._proxy)
        return self._line.send(request, self._deadline)

    def _send_on(self, kept: "HttpLine", request: httpx.Request) -> httpcore.Response:
        self._line = kept
        if self._proxy is None:
            ask_permission()
        try:
            return kept.send(request, self._deadline)
        except _BROKEN_OFF:
            kept.close()
            if not self._may_repeat:
                raise
        return self._send(request)

    def close(self) -> None:
        if self._line is None:
            return
        if self._store is None or self._key is None:
            self._line.close()
        else:
            self._store.keep(self._key, self._line, since=self._since)


def _describe(
    network: Network, proxy: httpx.Proxy | None, request: httpx.Request, name: str, port: int
) -> SessionKey:
    """Whoever sends another header, but those that say nothing of who asks, is another principal."""
    said = sorted(
        (header.lower(), text) for header, text in request.headers.raw if header.lower() not in _OF_NOBODY
    )
    auth = (b"", b"") if proxy is None or proxy.raw_auth is None else proxy.raw_auth
    return SessionKey(
        kind="http",
        way=network,
        host=name,
        port=port,
        terms=(request.url.scheme, "" if proxy is None else str(proxy.url)),
        principal="",
        credential=digest_credential(*auth, *(part for pair in said for part in pair)),
    )


class _Deadline:
    """Of the request that is on its way."""

    at = 0.0

    def left(self) -> float:
        """Seconds; `httpcore.ReadTimeout` when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left


class HttpLine:
    """One connection to one place, open or not, for one request after the other. None is sent twice: only one
    of which nothing has left yet goes out on another connection.
    """

    idle_seconds = 1.0
    """Less than servers keep one that says nothing: what is sent while they hang up may have arrived or not."""

    def __init__(self, network: Network, proxy: httpx.Proxy | None) -> None:
        self.opened_at = time.monotonic()
        self._deadline = _Deadline()
        backend = _Connector(network, self._deadline, guarded=proxy is None)
        self._pool = (
            httpcore.ConnectionPool(
                ssl_context=network.tls, max_connections=1, max_keepalive_connections=1, network_backend=backend
            )
            if proxy is None
            else httpcore.HTTPProxy(
                proxy_url=httpcore.URL(
                    scheme=proxy.url.raw_scheme,
                    host=proxy.url.raw_host,
                    port=proxy.url.port,
                    target=proxy.url.raw_path,
                ),
                proxy_auth=proxy.raw_auth,
                ssl_context=network.tls,
                max_connections=1,
                max_keepalive_connections=1,
                network_backend=backend,
            )
        )

    def send(self, request: httpx.Request, deadline: float) -> httpcore.Response:
        self._deadline.at = deadline
        return self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
            )
        )

    def is_usable(self) -> bool:
        return any(
            one.is_idle() and not one.has_expired() and not _said_more(one) for one in self._pool.connections
        )

    def close(self) -> None:
        self._pool.close()


def _said_more(connection: object) -> bool:
    """Whether more came than the answer: it would be taken for the next one. httpcore does not tell, so it is
    looked for inside; where that looks otherwise, the connection is not used again.
    """
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    found = getattr(getattr(connection, "_h11_state", None), "trailing_data", None)
    return found is None or found[0] != b""


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class _Connector(httpcore.NetworkBackend):
    """Connects to addresses that the guard lets pass; to the operators' own proxy without asking it."""

    def __init__(self, network: Network, deadline: _Deadline, *, guarded: bool) -> None:
        self._network = network
        self._deadline = deadline
        self._guarded = guarded
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the deadline rules
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        find = self._network.resolve if self._guarded else look_up
        addresses = find(host, port, seconds=self._deadline.left())
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError()
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address, port, self._deadline.left(), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends with the deadline, however the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  # the deadline rules
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  # the deadline rules
        for start in range(0, len(buffer), _WRITE_CHUNK):
            self._stream.write(buffer[start : start + _WRITE_CHUNK], self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002  # the deadline rules
    ) -> httpcore.NetworkStream:
        """`server_hostname` is the name that was resolved, or that the proxy was given: in ASCII, by IDNA 2008.

        Certificates hold no root's dot.
        """
        name = None if server_hostname is None else server_hostname.rstrip(".")
        secured = self._stream.start_tls(ssl_context, name, self._deadline.left())
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # the library's contract
        return self._stream.get_extra_info(info)
