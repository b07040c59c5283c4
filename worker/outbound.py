"""The one place where HTTP leaves: limits, no redirects, no proxies by environment, errors with a cause.

Errors name the host; never a path, a query, a header or a body. Connections to private
addresses are not told apart yet: the guard belongs into `_Connector.connect_tcp`.
"""

import contextlib
import json
import logging
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from vaultcore.errors import Cause, CounterpartError

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CHUNK = 65_536
_WRITE_CHUNK = 16_384
_TIMEOUT_MAX = 300.0


_permission: ContextVar[Callable[[], None] | None] = ContextVar("permission", default=None)


@contextlib.contextmanager
def permitted_by(check: Callable[[], None]) -> Iterator[None]:
    """Inside, `check` is asked before each call to the outside, and refuses it by raising."""
    token = _permission.set(check)
    try:
        yield
    finally:
        _permission.reset(token)


@dataclass(frozen=True, kw_only=True)
class Response:
    """Status, headers (lower-case names) and the body: parsed JSON, else text."""

    status: int
    headers: Mapping[str, str]
    body: Any


class HttpClient:
    """Sends one request within a deadline for the whole call and a cap on the decompressed body.

    It holds no connection between calls, so that it may cross a fork and be shared by threads.
    """

    def __init__(
        self,
        *,
        timeout: float = 30.0,
        max_bytes: int = 1_048_576,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        for name in ("httpx", "httpcore"):  # they log each URL with its query, and the headers
            logging.getLogger(name).setLevel(logging.WARNING)
        self._tls = tls or httpx.create_ssl_context(trust_env=False)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: str | None = None,
        timeout: float | None = None,
    ) -> Response:
        """The response, whatever its status but a redirect; `CounterpartError` if there is none.

        A timeout, a connection or a protocol that fails is an outage; a bad URL, header,
        certificate, redirect or an outsized body is a mistake. What `permitted_by` refuses is not sent.
        """
        check = _permission.get()
        if check is not None:
            check()
        if method.upper() not in _METHODS:
            raise CounterpartError(f"no HTTP method {method[:20]!r}", cause=Cause.MISTAKE)
        where = _show(url)
        seconds = min(self._timeout if timeout is None else timeout, _TIMEOUT_MAX)
        deadline = time.monotonic() + seconds
        message, cause = "", Cause.MISTAKE
        try:
            return self._send(method.upper(), url, headers or {}, content, deadline, where)
        except (httpcore.TimeoutException, httpx.TimeoutException):
            message, cause = f"{where} did not answer in {seconds:g} seconds", Cause.OUTAGE
        except httpcore.NetworkError as error:
            message, cause = _explain_connection(where, error)
        except httpcore.RemoteProtocolError:
            message, cause = f"{where} broke off, or answered what is no HTTP", Cause.OUTAGE
        except zlib.error:
            message = f"{where} sent a body that does not decompress"
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            UnicodeError,
            ValueError,
            TypeError,
        ) as error:
            message = (
                f"the request to {where} cannot be made ({type(error).__name__}): look at its URL and headers"
            )
        raise CounterpartError(message, cause=cause)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: str | None,
        deadline: float,
        where: str,
    ) -> Response:
        if (httpx.URL(url).port or 0) > 65_535:
            raise ValueError("port")
        body = None if content is None else content.encode()
        sent = httpx.Headers({"Accept-Encoding": "gzip, deflate"})
        sent.update(headers)  # whatever case the caller writes names in, each is sent once
        with (
            httpx.Client(
                transport=_Transport(self._tls, deadline), trust_env=False, follow_redirects=False
            ) as client,
            client.stream(method, url, headers=sent, content=body) as answer,
        ):
            if 300 <= answer.status_code < 400:
                raise CounterpartError(
                    f"{where} redirects ({answer.status_code}), which is not followed: use the final URL",
                    cause=Cause.MISTAKE,
                )
            received = b"".join(self._read(answer, where))
            text = _decode(received, answer.charset_encoding)
            return Response(status=answer.status_code, headers=dict(answer.headers), body=_parse(text))

    def _read(self, answer: httpx.Response, where: str) -> Iterator[bytes]:
        """The body, decompressed piece by piece: never much more than the limit is in memory."""
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise CounterpartError(
                f"{where} sent a body encoded as {encoding[:20]!r}: only gzip and deflate are read",
                cause=Cause.MISTAKE,
            )
        inflate = zlib.decompressobj(wbits=47) if encoding not in ("identity", "") else None
        left, begun = self._max_bytes, False
        for chunk in answer.iter_raw():
            piece = chunk if inflate is None else inflate.decompress(chunk, left + 1)
            left -= len(piece)
            if left < 0:
                raise CounterpartError(f"{where} sent more than {self._max_bytes} bytes", cause=Cause.MISTAKE)
            yield piece
            begun = begun or bool(chunk)
        if inflate is not None and begun and not inflate.eof:
            raise httpcore.RemoteProtocolError("the compressed body was cut off")


class _Transport(httpx.BaseTransport):
    """One connection for one request, with one deadline for all of it."""

    def __init__(self, tls: ssl.SSLContext, deadline: float) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=_Connector(deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
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
                extensions={"sni_hostname": request.url.host},
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
    """Resolves and connects. A guard against private addresses stands here: between the two."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the deadline rules
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError from error
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError()
        for *_, address in found:
            try:
                stream = self._plain.connect_tcp(
                    str(address[0]), port, _left(self._deadline), local_address, socket_options
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
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  # the deadline rules
        for start in range(0, len(buffer), _WRITE_CHUNK):
            self._stream.write(buffer[start : start + _WRITE_CHUNK], _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002  # the deadline rules
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # the library's contract
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left


def cause_of(status: int) -> Cause | None:
    """What an answer's status says; None: the request was served.

    401, 403 and 407 judge the credential; 408, 429 and 5xx say nothing of it; other 4xx are ours.
    """
    if status < 400:
        return None
    if status in (401, 403, 407):
        return Cause.REJECTED
    if status in (408, 429) or status >= 500:
        return Cause.OUTAGE
    return Cause.MISTAKE


def _show(url: str) -> str:
    """The host: a path may hold a token, so it is not said either."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        return "an unreadable URL"
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.host}{port}"


def _explain_connection(where: str, error: Exception) -> tuple[str, Cause]:
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return f"{where} has a certificate that does not verify", Cause.MISTAKE
        reason = reason.__cause__ or reason.__context__
    return f"{where} cannot be reached, or broke off", Cause.OUTAGE


def _decode(received: bytes, charset: str | None) -> str:
    """The text; as UTF-8 where the charset is none that is known, or none for text."""
    try:
        return received.decode(charset or "utf-8", errors="replace")
    except (LookupError, UnicodeError):
        return received.decode(errors="replace")


def _parse(text: str) -> Any:  # noqa: ANN401  # JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
