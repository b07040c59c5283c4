"""Apprise's calls over HTTP, made by our own client: guarded, with our trust in TLS, bounded in time and size.

Its plugins ask the module `requests`, and take no session: so each of them is given another in its place, with
the names that it uses. It calls inside of `calling_by` alone, so that nothing leaves by another way.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

import requests

from vaultcore.errors import Cause, TargetError
from worker.outbound import HttpClient
from worker.outbound.answers import Response

_TIMEOUT_SECONDS = 20.0
_CALLS: Final = {
    "delete": (), "get": ("params",), "head": (), "options": (),
    "patch": ("data",), "post": ("data", "json"), "put": ("data",),
}  # fmt: skip
"""With what may follow the URL without its name."""
_OURS = frozenset({"allow_redirects", "cert", "proxies", "stream", "verify"})
"""What a plugin may say of how it is called, and our client decides."""
_KEPT = frozenset({"codes", "exceptions", "auth", "structures", "utils", "__version__"})
"""Names of modules and tables that plugins may look at; the exceptions are named as well."""


class Way:
    """What may be called while one message is sent, how often that was tried, and why it failed."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self.calls = 0
        self.failures: list[TargetError] = []

    def call(self, request: requests.PreparedRequest, seconds: float) -> Response:
        body = request.body
        self.calls += 1
        failure: TargetError | None = None
        if body is not None and not isinstance(body, str | bytes):
            failure = TargetError("a notice is sent without files", cause=Cause.MISTAKE, acted=False)
        else:
            try:
                return self._http.request(
                    str(request.method),
                    str(request.url),
                    headers=[
                        (name, _as_text(text)) for name, text in request.headers.items() if _is_told(name)
                    ],
                    content=body,
                    timeout=min(seconds, _TIMEOUT_SECONDS),
                )
            except TargetError as error:
                failure = error
        self.failures.append(failure)
        raise requests.ConnectionError("the call was not made, or not answered")


_way: ContextVar[Way | None] = ContextVar("way", default=None)


@contextmanager
def calling_by(http: HttpClient) -> Iterator[Way]:
    """Inside, and in this thread alone, plugins of apprise may call."""
    _stand_in_everywhere()
    way = Way(http)
    token = _way.set(way)
    try:
        yield way
    finally:
        _way.reset(token)


def calls_by_http(service: type) -> bool:
    """Whether all that the plugin calls, it calls so."""
    modules = {one.__module__ for one in service.__mro__ if one.__module__.startswith("apprise.plugins.")}
    if any(module.startswith("apprise.plugins.nostr") for module in modules):
        return False  # which opens sockets of its own besides
    _stand_in_everywhere()
    return any(getattr(sys.modules[module], "requests", None) is _STAND_IN for module in modules)


class _StandIn(ModuleType):
    """What plugins take for `requests`."""

    def __init__(self) -> None:
        super().__init__("requests")
        self.request = _request
        for method, names in _CALLS.items():
            setattr(self, method, _make_call(method, *names))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the module has
        found = getattr(requests, name)
        if name in _KEPT or (isinstance(found, type) and issubclass(found, Exception)):
            return found
        raise AttributeError(f"requests.{name} is not for plugins here")


def _request(method: str, url: str, *, headers: Any = None, timeout: Any = None, **asked: Any) -> Any:  # noqa: ANN401  # as requests'
    """Of one call alone: no session, cookie, redirect, or word of the environment."""
    way = _way.get()
    if way is None:
        raise requests.ConnectionError("nothing is sent outside of a delivery")
    said: Any = requests.utils.default_headers()
    said.update(headers or {})
    request = requests.Request(
        method.upper(),
        url,
        headers={name: text for name, text in said.items() if text is not None},
        **{name: one for name, one in asked.items() if name not in _OURS},
    ).prepare()
    return _answer(request, way.call(request, _seconds(timeout)))


def _make_call(method: str, *names: str) -> Any:  # noqa: ANN401  # as requests'
    def call(url: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as requests'
        return _request(method, url, **dict(zip(names, args, strict=False)), **kwargs)

    return call


_STAND_IN: Final = _StandIn()


def _stand_in_everywhere() -> None:
    """Apprise loads its plugins when it is first asked for one."""
    _stand_in_for(len(sys.modules))


@lru_cache(maxsize=1)
def _stand_in_for(_modules: int) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("apprise.") and getattr(module, "requests", None) is requests:
            module.requests = _STAND_IN  # type: ignore[attr-defined]  # its own name there


def _answer(request: requests.PreparedRequest, answer: Response) -> requests.Response:
    made = requests.Response()
    made.status_code = answer.status
    made.headers.update(answer.headers)
    made.encoding = requests.utils.get_encoding_from_headers(made.headers)
    made.url = str(request.url)
    made.request = request
    made._content, made._content_consumed = answer.raw, True  # noqa: SLF001  # as its own session leaves it
    return made


def _seconds(timeout: Any) -> float:  # noqa: ANN401  # none, one, or those to connect and to read
    parts = timeout if isinstance(timeout, tuple) else (timeout,)
    told = [float(part) for part in parts if part is not None]
    return sum(told) if told else _TIMEOUT_SECONDS


def _is_told(name: str) -> bool:
    """How an answer is packed, and whether the connection is kept, is between our client and the other side."""
    return name.lower() not in ("accept-encoding", "connection")


def _as_text(text: str | bytes) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else text
