"""httpx's way out: one guarded connection for one request, with one deadline for all of it."""

import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from worker.outbound.network import Network, look_up

_WRITE_CHUNK = 16_384
_PORTS = {"http": 80, "https": 443}


class Transport(httpx.BaseTransport):
    """One connection for one request; through a proxy if there is one."""

    def __init__(self, network: Network, deadline: float, proxy: httpx.Proxy | None) -> None:
        self._network = network
        self._proxied = proxy is not None
        backend = _Connector(network, deadline, guarded=proxy is None)
        self._pool = (
            httpcore.ConnectionPool(
                ssl_context=network.tls, max_connections=1, max_keepalive_connections=0, network_backend=backend
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
                max_keepalive_connections=0,
                network_backend=backend,
            )
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._proxied:
            name = request.url.raw_host.decode("ascii")  # what the proxy is sent
            self._network.permit(name, request.url.port or _PORTS.get(request.url.scheme, 0))
        answer = self._pool.handle_request(
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
        if not isinstance(answer.stream, Iterable):
            raise TypeError("the transport gave no stream")
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    def close(self) -> None:
        self._pool.close()


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

    def __init__(self, network: Network, deadline: float, *, guarded: bool) -> None:
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
        addresses = find(host, port, seconds=left(self._deadline))
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError()
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address, port, left(self._deadline), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends with the deadline, however the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  # the deadline rules
        return self._stream.read(max_bytes, left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  # the deadline rules
        for start in range(0, len(buffer), _WRITE_CHUNK):
            self._stream.write(buffer[start : start + _WRITE_CHUNK], left(self._deadline))

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
        secured = self._stream.start_tls(ssl_context, name, left(self._deadline))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # the library's contract
        return self._stream.get_extra_info(info)


def left(deadline: float) -> float:
    """Seconds; `httpcore.ReadTimeout` when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
