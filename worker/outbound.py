"""The one place where HTTP leaves: limits, no redirects, no proxies by environment, errors with a cause.

Errors name the host; never a path, a query, a header or a body. Connections to private
addresses are not told apart yet: the guard belongs into `HttpClient.request`.
"""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from vaultcore.errors import Cause, CounterpartError

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CHUNK = 65_536


@dataclass(frozen=True, kw_only=True)
class Response:
    """Status, headers (lower-case names) and the body: parsed JSON, else text."""

    status: int
    headers: Mapping[str, str]
    body: Any


class HttpClient:
    """Sends one request within a deadline for the whole call and a cap on the decompressed body."""

    def __init__(self, *, timeout: float = 30.0, max_bytes: int = 1_048_576) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

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

        A timeout or a connection that fails is an outage; a bad URL, certificate, redirect or an
        outsized body is a mistake.
        """
        if method.upper() not in _METHODS:
            raise CounterpartError(f"no HTTP method {method[:20]!r}", cause=Cause.MISTAKE)
        where = _show(url)
        deadline = time.monotonic() + min(timeout or self._timeout, 300.0)
        failure: CounterpartError
        try:
            return self._send(method.upper(), url, headers or {}, content, deadline, where)
        except httpx.TimeoutException:
            failure = CounterpartError(f"{where} did not answer in time", cause=Cause.OUTAGE)
        except httpx.ConnectError as error:
            failure = _connect_failure(where, error)
        except httpx.DecodingError:
            failure = CounterpartError(f"{where} sent a body that does not decompress", cause=Cause.MISTAKE)
        except httpx.TransportError as error:
            failure = CounterpartError(f"{where} broke off ({type(error).__name__})", cause=Cause.OUTAGE)
        except (httpx.InvalidURL, httpx.HTTPError, UnicodeError, ValueError) as error:
            failure = CounterpartError(
                f"the request to {where} cannot be made ({type(error).__name__})",
                cause=Cause.MISTAKE,
            )
        raise failure

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: str | None,
        deadline: float,
        where: str,
    ) -> Response:
        left = max(deadline - time.monotonic(), 0.001)
        body = None if content is None else content.encode()
        with self._open_client().stream(
            method, url, headers=dict(headers), content=body, timeout=left
        ) as answer:
            if answer.is_redirect:
                raise CounterpartError(
                    f"{where} redirects ({answer.status_code}), which is not followed: use the final URL",
                    cause=Cause.MISTAKE,
                )
            received = bytearray()
            for chunk in answer.iter_bytes(_CHUNK):
                received += chunk
                if len(received) > self._max_bytes:
                    raise CounterpartError(
                        f"{where} sent more than {self._max_bytes} bytes", cause=Cause.MISTAKE
                    )
                if time.monotonic() > deadline:
                    raise CounterpartError(f"{where} did not answer in time", cause=Cause.OUTAGE)
            text = received.decode(answer.encoding or "utf-8", errors="replace")
            return Response(status=answer.status_code, headers=dict(answer.headers), body=_parse(text))

    def close(self) -> None:
        """Closes the connections that are kept open."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _open_client(self) -> httpx.Client:
        """Made at the first request and never before a fork: the pool's processes share no connection."""
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(trust_env=False, follow_redirects=False, verify=True)
            return self._client


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


def expect_success(response: Response, where: str) -> Response:
    """The response, if it is one of success; otherwise an error with the status' cause."""
    cause = cause_of(response.status)
    if cause is not None:
        raise CounterpartError(f"{where} answered {response.status}", cause=cause)
    return response


def _show(url: str) -> str:
    """The host: a path may hold a token, so it is not said either."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        return "an unreadable URL"
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.host}{port}"


def _connect_failure(where: str, error: httpx.ConnectError) -> CounterpartError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return CounterpartError(f"{where} has a certificate that does not verify", cause=Cause.MISTAKE)
    return CounterpartError(f"{where} cannot be reached", cause=Cause.OUTAGE)


def _parse(text: str) -> Any:  # noqa: ANN401  # JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
