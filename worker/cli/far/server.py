"""A Nightkey server far away: its calls, over the one way out that everything here has."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from vaultcore.errors import Cause, InvalidInputError, NightkeyError, TargetError
from vaultcore.secret import Secret
from worker.cli.far.address import ServerAddress
from worker.cli.far.answers import NoServerError, explain_refusal, read_answer
from worker.domain.guard import build_guard
from worker.outbound.answers import Response, say_status
from worker.outbound.http import HttpClient
from worker.outbound.network import Network
from worker.wording.calls import COMMANDS, WORDS_HEADER
from worker.wording.plain import to_plain

EVERYWHERE: Final = build_guard((), ("0.0.0.0/0", "::/0"))
"""Whoever gives the command names the server, which may well have a private address."""
Listed = tuple[list[Any], list[NightkeyError]]
"""Rows, and errors for those that cannot be read."""
_BYTES_MAX: Final = 32 * 1024 * 1024
_PAGE: Final = 200
_PAGES_MAX: Final = 10_000
_LONG: Final = 290.0
"""Seconds for what runs something before it answers."""
_UNREADABLE: Final = "nightkey-unreadable"
_NO_CONTENT: Final = 204
_LINK_NEXT: Final = '>; rel="next"'


class FarServer:
    """Each call gives the answer with times in it, or raises an error whose exit status is that of the command:
    in the server's words where it has refused. No redirect is followed, and the token goes nowhere else.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        clock: Callable[[], datetime],
        network: Network,
        timeout: float,
        proxy: str = "",
    ) -> None:
        self.clock = clock
        self._url = address.url
        self._token = address.token
        self._timeout = timeout
        self._http = HttpClient(network, timeout=timeout, max_bytes=_BYTES_MAX, redirects=0, proxy=proxy)
        self.host = urlsplit(address.url).netloc

    def get(self, *path: str, long: bool = False, **query: object) -> Any:  # noqa: ANN401  # JSON
        return self._read(self._ask("GET", _join(path) + _ask_for(query), long=long))

    def calendar(self, *path: str, **query: object) -> tuple[bytes, Sequence[str]]:
        """As it is, and what it leaves out."""
        answer = self._ask("GET", _join(path) + _ask_for(query))
        self._check_kind(answer, "text/calendar")
        unread = self._count_unread(answer)
        return answer.raw, [f"{unread} that cannot be read there"] if unread else []

    def document(self, *path: str, **query: object) -> bytes:
        """A JSON document as it is, byte for byte: somebody has signed it so."""
        answer = self._ask("GET", _join(path) + _ask_for(query), long=True)
        self._check_kind(answer, "application/json")
        return answer.raw

    def pages(self, *path: str, most: int | None = None, **query: object) -> Listed:
        """All pages of a list, and an error for what it says cannot be read there. `most`: no more rows than
        these are wanted.
        """
        size = _PAGE if most is None else min(most, _PAGE)
        return self._follow(_join(path) + _ask_for({**query, "limit": size}), most=most)

    def whole_list(self, *path: str, **query: object) -> Listed:
        """A list that comes at once."""
        return self._follow(_join(path) + _ask_for(query))

    def post(self, *path: str, body: object = None, long: bool = False) -> Any:  # noqa: ANN401  # JSON
        return self._read(self._ask("POST", _join(path), body, long=long))

    def patch(self, *path: str, body: object) -> Any:  # noqa: ANN401  # JSON
        return self._read(self._ask("PATCH", _join(path), body))

    def delete(self, *path: str, **query: object) -> Any:  # noqa: ANN401  # JSON
        """What the server says of it; None: nothing."""
        answer = self._ask("DELETE", _join(path) + _ask_for(query))
        return None if answer.status == _NO_CONTENT else self._read(answer)

    def _follow(self, path: str, *, most: int | None = None) -> Listed:
        rows: list[Any] = []
        unread = 0
        following: str | None = path
        for _ in range(_PAGES_MAX):
            answer = self._ask("GET", following or path)
            page, left_out = self._read(answer), self._count_unread(answer)
            if not isinstance(page, list):
                raise NoServerError(self.host, "answered with no list")
            rows += page
            unread += left_out
            following = self._find_next(answer)
            if following is None or (most is not None and len(rows) + unread >= most):
                break
            if not page and not left_out:
                raise NoServerError(self.host, "answered with an empty page, and another one behind it")
        else:
            raise NoServerError(self.host, f"answered with more than {_PAGES_MAX} pages")
        return rows[:most], _tell_unread(unread)

    def _find_next(self, answer: Response) -> str | None:
        """The path of the next page, at the same server alone."""
        link = answer.headers.get("link", "")
        if not link.startswith("</") or link.startswith("<//") or not link.endswith(_LINK_NEXT):
            return None
        return link[1 : -len(_LINK_NEXT)]

    def _read(self, answer: Response) -> Any:  # noqa: ANN401  # JSON
        self._check_kind(answer, "application/json")
        if answer.flaw is not None:
            raise NoServerError(self.host, "answered with what is no JSON")
        return read_answer(answer.body, self.host)

    def _check_kind(self, answer: Response, wanted: str) -> None:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        if kind != wanted:
            raise NoServerError(self.host, f"answered with {kind[:60] or 'nothing'} in the place of {wanted}")

    def _count_unread(self, answer: Response) -> int:
        left_out = answer.headers.get(_UNREADABLE, "0")
        return int(left_out) if left_out.isdecimal() and len(left_out) < 10 else 0

    def _ask(self, method: str, path: str, body: object = None, *, long: bool = False) -> Response:
        headers: dict[str, str] = {
            "Authorization": f"Bearer {self._token.expose()}",
            "Accept": "application/json, application/problem+json",
            WORDS_HEADER: COMMANDS,
        }
        content: bytes | None = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(to_plain(body), default=_expose).encode()
        problem = ""
        try:
            answer = self._http.request(
                method,
                self._url + path,
                headers=headers,
                content=content,
                timeout=max(_LONG if long else 0.0, self._timeout),
            )
        except TargetError as error:
            problem = str(error)
            if method != "GET" and error.acted and error.cause is Cause.OUTAGE:
                problem += ": it may have been done there: look before you ask again"
        if problem:
            raise NightkeyError(problem)
        if 200 <= answer.status < 300:
            return answer
        if 300 <= answer.status < 400:
            raise NoServerError(self.host, say_status(answer.status).partition(":")[0])
        raise explain_refusal(answer.status, answer.body, self.host)


def _join(parts: tuple[str, ...]) -> str:
    """The path of these: the first as it is, others as one part each."""
    first, *names = parts
    for name in names:
        if not name.strip("."):
            raise InvalidInputError(f"there is nothing of the name {name[:20]!r}")
    return "/".join([first, *(quote(name, safe="") for name in names)])


def _tell_unread(number: int) -> list[NightkeyError]:
    if not number:
        return []
    missing = f"{number} more cannot be read there: the same command on the vault's machine names them"
    return [NightkeyError(missing)]


def _ask_for(query: Mapping[str, object]) -> str:
    given = {name: part for name, part in query.items() if part is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


def _expose(part: object) -> str:
    """A value, into the body of the call alone."""
    if isinstance(part, Secret):
        return part.expose()
    raise TypeError(type(part).__name__)
