"""HTTP: limits on time, size and redirects, no proxies by environment, errors with a cause.

Errors name the host; never a path, a query, a header or a body.
"""

import json
import logging
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from vaultcore.errors import Cause, CounterpartError
from worker.outbound.network import Network
from worker.outbound.transport import Transport

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TIMEOUT_MAX = 300.0
_FOLLOWED = frozenset({"GET", "HEAD"})
_NOT_MODIFIED = 304
"""An answer, and no redirect."""
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
"""Headers that another host may see after a redirect; any other could hold a value."""
Pairs = Sequence[tuple[str, str]]
"""(name, text) of headers."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """Status, headers (lower-case names) and the body: parsed JSON, else text; and as it came, decompressed."""

    status: int
    headers: Mapping[str, str]
    body: Any
    raw: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body as text, also where it is JSON."""
        return self.body if isinstance(self.body, str) else self.raw.decode(errors="replace")


@dataclass(frozen=True, kw_only=True)
class _Redirect:
    status: int
    location: str


class HttpClient:
    """Sends one request within a deadline for the whole call and a cap on the decompressed body.

    It holds no connection between calls, so that it may cross a fork and be shared by threads. `proxy` is a
    URL, perhaps with a login.
    """

    def __init__(
        self,
        network: Network,
        *,
        timeout: float = 30.0,
        max_bytes: int = 1_048_576,
        redirects: int = 3,
        proxy: str = "",
    ) -> None:
        self._network = network
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._redirects = redirects
        self._proxy = httpx.Proxy(proxy) if proxy else None
        for name in ("httpx", "httpcore"):  # they log each URL with its query, and the headers
            logging.getLogger(name).setLevel(logging.WARNING)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | Pairs | None = None,
        content: str | None = None,
        timeout: float | None = None,
    ) -> Response:
        """The response, whatever its status but a redirect; `CounterpartError` if there is none.

        A timeout, a connection or a protocol that fails is an outage; a bad URL, header,
        certificate, redirect or an outsized body is a mistake. What `permitted_by` refuses is not sent.
        `headers` as pairs may have a name more than once: each is sent, in their order.
        A GET or HEAD follows redirects, each guarded anew; to another host without the caller's headers,
        and never from https to http. A login in the URL is sent unless the headers hold an Authorization.
        """
        if method.upper() not in _METHODS:
            raise CounterpartError(f"no HTTP method {method[:20]!r}", cause=Cause.MISTAKE)
        where = _show(url)
        seconds = min(self._timeout if timeout is None else timeout, _TIMEOUT_MAX)
        deadline = time.monotonic() + seconds
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
        message, cause, acted = "", Cause.MISTAKE, True
        try:
            return self._follow(method.upper(), url, pairs, content, deadline)
        except CounterpartError as error:
            if error.acted or method.upper() not in _FOLLOWED:
                raise
            message, cause = str(error), error.cause  # who redirected it has seen it
        except httpcore.ConnectError as error:
            message, cause = _explain_connection(where, error)
            acted = method.upper() in _FOLLOWED  # as above
        except (httpcore.TimeoutException, httpx.TimeoutException):
            message, cause = f"{where} did not answer in {seconds:g} seconds", Cause.OUTAGE
        except httpcore.ProxyError:
            message, cause = f"the proxy lets nothing through to {where}", Cause.OUTAGE
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
        raise CounterpartError(message, cause=cause, acted=acted)

    def _follow(self, method: str, url: str, headers: Pairs, content: str | None, deadline: float) -> Response:
        at, sent = httpx.URL(url), headers
        for _ in range(self._redirects + 1):
            answer = self._send(method, at, sent, content, deadline)
            if isinstance(answer, Response):
                return answer
            if method not in _FOLLOWED or self._redirects == 0:
                raise CounterpartError(
                    f"{_show(at)} redirects ({answer.status}), which is not followed: use the final URL",
                    cause=Cause.MISTAKE,
                )
            if not answer.location:
                raise CounterpartError(
                    f"{_show(at)} redirects ({answer.status}) without saying where to", cause=Cause.MISTAKE
                )
            to = at.join(answer.location)
            if at.scheme == "https" and to.scheme != "https":
                raise CounterpartError(
                    f"{_show(at)} redirects ({answer.status}) to what is not encrypted: use the final URL",
                    cause=Cause.MISTAKE,
                )
            if (at.scheme, at.host, at.port) != (to.scheme, to.host, to.port):
                sent = [(name, text) for name, text in sent if name.lower() in _HARMLESS]
            at = to
        raise CounterpartError(f"{_show(url)} redirects more than {self._redirects} times", cause=Cause.MISTAKE)

    def _send(
        self, method: str, url: httpx.URL, headers: Pairs, content: str | None, deadline: float
    ) -> "Response | _Redirect":
        where = _show(url)
        if (url.port or 0) > 65_535:
            raise ValueError("port")
        body = None if content is None else content.encode()
        sent = httpx.Headers({"Accept-Encoding": "gzip, deflate"})
        sent.update(headers)  # whatever case the caller writes names in, each is sent once
        if "authorization" in sent:
            url = url.copy_with(userinfo=b"")  # of which httpx would make that header
        transport = Transport(self._network, deadline, self._proxy)
        with (
            httpx.Client(transport=transport, trust_env=False, follow_redirects=False) as client,
            client.stream(method, url, headers=sent, content=body) as answer,
        ):
            if 300 <= answer.status_code < 400 and answer.status_code != _NOT_MODIFIED:
                return _Redirect(status=answer.status_code, location=answer.headers.get("location", ""))
            if answer.status_code == 407 and self._proxy is not None:
                raise CounterpartError("the proxy asks for a login (407)", cause=Cause.MISTAKE)
            received = b"".join(self._read(answer, where))
            text = _decode(received, answer.charset_encoding)
            return Response(
                status=answer.status_code, headers=dict(answer.headers), body=_parse(text), raw=received
            )

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


def _show(url: str | httpx.URL) -> str:
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
