"""HTTP: limits on time, size and redirects, no proxies by environment, errors with a cause.

Errors name the host; never a path, a query, a header or a body.
"""

import base64
import logging
import ssl
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

import httpcore
import httpx

from vaultcore.errors import Cause, TargetError
from worker.outbound.answers import HEADERS_MAX, Response, decode, is_redirect, parse, read_body
from worker.outbound.network import Network
from worker.outbound.pace import HELD_MAX, Pace, bound_wait
from worker.outbound.transport import Transport
from worker.outbound.wishes import asked_to_wait

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TIMEOUT_MAX = 300.0
_BUSY = (429, 503)
_FOLLOWED = frozenset({"GET", "HEAD"})
_SENT = httpx.Headers(
    {
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "Connection": "keep-alive",
        "User-Agent": f"python-httpx/{httpx.__version__}",
    }
)
"""With each request, where the caller says nothing else."""
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
"""Headers that another host may see after a redirect; any other could hold a value."""
_UNSAID = {
    Cause.OUTAGE: "what cannot be reached, or did not answer",
    Cause.MISTAKE: "what cannot be called or read: use the final URL, and see outbound_private and "
    "outbound_only",
}
"""Of another place that a redirect leads to: its name may be made of a value."""
Pairs = Sequence[tuple[str, str]]
"""(name, text) of headers."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProxyError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    httpx.InvalidURL,
    zlib.error,
    UnicodeError,
    ValueError,
    TypeError,
)
"""What a call may end with that no answer came of."""


class HttpClient:
    """Sends one request within a deadline for the whole call and a cap on the decompressed body.

    It holds no connection between calls, so that it may cross a fork and be shared by threads; those that stay
    open are kept by who drives (`sessions_kept`). `proxy` is a URL, perhaps with a login. Of `pace`, it keeps
    to what each place has asked for, and tells it what one asks. `may_repeat`: what it sends may arrive twice,
    so it is sent anew, once, where a connection that was kept breaks off.
    """

    def __init__(
        self,
        network: Network,
        *,
        timeout: float = 30.0,
        max_bytes: int = 1_048_576,
        redirects: int = 3,
        proxy: str = "",
        pace: Pace | None = None,
        may_repeat: bool = False,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._network = network
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._redirects = redirects
        self._proxy = httpx.Proxy(proxy) if proxy else None
        self._pace = pace
        self._may_repeat = may_repeat
        self._clock = clock
        for name in ("httpx", "httpcore"):  # they log each URL with its query, and the headers
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def timeout(self) -> float:
        """Seconds that a whole call may take, where the caller names no other time."""
        return min(self._timeout, _TIMEOUT_MAX)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | Pairs | None = None,
        content: str | bytes | None = None,
        timeout: float | None = None,
        follow: bool = False,
    ) -> Response:
        """The response, whatever its status; `TargetError` if there is none.

        A timeout, a connection or a protocol that fails is an outage; a bad URL, header, certificate, or
        redirect that is followed, or an outsized body is a mistake. What `permitted_by` refuses is not sent,
        nor is what the place asked to be spared for now: an outage, with its `retry_at`.
        `headers` as pairs may have a name more than once: each is sent, in their order.
        A redirect is an answer: what it leads to may be a page that asks for a login, and says 200 to anybody.
        With `follow` a GET or HEAD is led on, each hop guarded anew; to another host without the caller's
        headers, and never from https to http: for who looks at what the answer holds. Errors name the host
        that was asked alone. A login in the URL is sent unless the headers hold an Authorization.
        """
        if method.upper() not in _METHODS:
            raise TargetError(f"no HTTP method {method[:20]!r}", cause=Cause.MISTAKE)
        where = _show(url)
        seconds = min(self._timeout if timeout is None else timeout, _TIMEOUT_MAX)
        deadline = time.monotonic() + seconds
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
        unkept = self._keep_pace(where)
        message, cause, acted = "", Cause.MISTAKE, True
        try:
            send = self._follow if follow and method.upper() in _FOLLOWED else self._send
            answer = send(method.upper(), httpx.URL(url), pairs, content, deadline=deadline, where=where)
            return answer if unkept is None else self._let_go(answer, where, unkept)
        except TargetError as error:
            if error.acted or method.upper() not in _FOLLOWED:
                raise
            message, cause = str(error), error.cause  # who redirected it has seen it
        except httpcore.ConnectError as error:
            message, cause = _explain_connection(where, error)
            acted = method.upper() in _FOLLOWED  # as above
        except _FAILURES as error:
            message, cause = _explain_failure(where, error, seconds)
        raise TargetError(message, cause=cause, acted=acted)

    def _keep_pace(self, place: str) -> datetime | None:
        """Before when it asked not to be called, though it is; an outage where there is time to wait."""
        now = self._clock()
        asked = None if self._pace is None else self._pace.held_until(place)
        until = bound_wait(asked, now)
        if until is not None:
            raise TargetError(
                f"{place} asked not to be called before {until:%Y-%m-%d %H:%M:%S} UTC",
                cause=Cause.OUTAGE,
                acted=False,
                retry_at=until,
            )
        return asked

    def _let_go(self, answer: Response, place: str, word: datetime) -> Response:
        """A place that serves before it said it would has taken its word back, unless it gave another since."""
        if self._pace is None or answer.status in _BUSY or answer.asks_to_wait:
            return answer
        if self._pace.held_until(place) == word:
            self._pace.hold(place, self._clock())
        return answer

    def _follow(
        self,
        method: str,
        url: httpx.URL,
        headers: Pairs,
        content: str | bytes | None,
        *,
        deadline: float,
        where: str,
    ) -> Response:
        at, sent, left_host = url, headers, False
        for _ in range(self._redirects + 1):
            failure: TargetError | None = None
            try:
                answer = self._send(
                    method, at, sent, content, deadline=deadline, where=where, elsewhere=left_host
                )
            except TargetError as error:
                failure = error
            if failure is not None:
                if not left_host:
                    raise failure from None
                problem = f"{where} redirects to {_UNSAID.get(failure.cause, _UNSAID[Cause.OUTAGE])}"
                raise TargetError(problem, cause=failure.cause, acted=failure.acted)
            if not is_redirect(answer.status) or self._redirects == 0:
                return answer
            location = answer.headers.get("location", "")
            if not location:
                return answer
            to = at.join(location)
            if at.scheme == "https" and to.scheme != "https":
                raise TargetError(
                    f"{where} redirects ({answer.status}) to what is not encrypted: use the final URL",
                    cause=Cause.MISTAKE,
                )
            if (at.scheme, at.host, at.port) != (to.scheme, to.host, to.port):
                sent = [(name, text) for name, text in sent if name.lower() in _HARMLESS]
                left_host = True
            at = to
        raise TargetError(f"{where} redirects more than {self._redirects} times", cause=Cause.MISTAKE)

    def _send(
        self,
        method: str,
        url: httpx.URL,
        headers: Pairs,
        content: str | bytes | None,
        *,
        deadline: float,
        where: str,
        elsewhere: bool = False,
    ) -> Response:
        if url.is_relative_url or (url.port or 0) > 65_535:
            raise ValueError("no place")
        body = content.encode() if isinstance(content, str) else content
        sent = _SENT.copy()
        sent.update(headers)  # whatever case the caller writes names in, each is sent once
        if (url.username or url.password) and "authorization" not in sent:
            login = f"{url.username}:{url.password}".encode()
            sent["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        request = httpx.Request(method, url, headers=sent, content=body)
        with (
            Transport(self._network, deadline, self._proxy, may_repeat=self._may_repeat) as transport,
            closing(transport.handle_request(request)) as answer,
        ):
            asks_to_wait, retry_at = self._hear_wish(where, answer, elsewhere=elsewhere)
            if answer.status_code == 407 and self._proxy is not None:
                raise TargetError("the proxy asks for a login (407)", cause=Cause.MISTAKE)
            if len(answer.headers.raw) > HEADERS_MAX:
                raise TargetError(f"{where} sent more than {HEADERS_MAX} headers", cause=Cause.MISTAKE)
            received = read_body(answer, where, max_bytes=self._max_bytes)
            parsed, flaw = parse(decode(received, answer.charset_encoding))
            return Response(
                status=answer.status_code,
                headers=dict(answer.headers),
                body=parsed,
                raw=received,
                flaw=flaw,
                asks_to_wait=asks_to_wait,
                retry_at=retry_at,
                elsewhere=elsewhere,
            )

    def _hear_wish(
        self, where: str, answer: httpx.Response, *, elsewhere: bool
    ) -> tuple[bool, datetime | None]:
        """Whether it asks to wait, and until when that is kept to: not at all where it is another's word.

        It is heard before its body is read, which may never end.
        """
        now = self._clock()
        until = asked_to_wait(answer.headers, now)
        if until is None or elsewhere:
            return until is not None, None
        if self._pace is not None:
            self._pace.hold(where, min(until, now + HELD_MAX))
        return True, bound_wait(until, now)


def _show(url: str | httpx.URL) -> str:
    """The host: a path may hold a token, so it is not said either."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        return "an unreadable URL"
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.host}{port}"


def _explain_failure(where: str, error: Exception, seconds: float) -> tuple[str, Cause]:
    """Of a call that no answer came of, what went wrong; nothing of what was sent is in it."""
    match error:
        case httpcore.TimeoutException() | httpx.TimeoutException():
            return f"{where} did not answer in {seconds:g} seconds", Cause.OUTAGE
        case httpcore.ProxyError():
            return f"the proxy lets nothing through to {where}", Cause.OUTAGE
        case httpcore.NetworkError():
            return _explain_connection(where, error)
        case httpcore.RemoteProtocolError():
            return f"{where} broke off, or did not speak HTTP", Cause.OUTAGE
        case zlib.error():
            return f"{where} sent a body that does not decompress", Cause.MISTAKE
    kind = type(error).__name__
    return f"the request to {where} cannot be made ({kind}): look at its URL and headers", Cause.MISTAKE


def _explain_connection(where: str, error: Exception) -> tuple[str, Cause]:
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return f"{where} has a certificate that does not verify", Cause.MISTAKE
        reason = reason.__cause__ or reason.__context__
    return f"{where} cannot be reached, or broke off", Cause.OUTAGE
