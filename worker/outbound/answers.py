"""An answer of HTTP: its body within limits, what it says of its call, and of the next."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpcore
import httpx

from vaultcore.errors import Cause, InvalidInputError, TargetError
from worker.domain.strict_json import parse_json

HEADERS_MAX = 200
_NOT_MODIFIED = 304
"""An answer, and no redirect."""
FORBIDDEN = 403
"""Some say it of a limit that is used up."""
_PLAIN = ("", "identity")
_READ = (*_PLAIN, "gzip", "x-gzip", "deflate")


@dataclass(frozen=True, kw_only=True)
class Response:
    """Status, headers (lower-case names) and the body: parsed JSON, else text; and as it came, decompressed.

    `flaw`: why a body that begins as JSON is given as text. `asks_to_wait`: the other side asks not to be
    called for now; `retry_at`: until when that is kept to, None where there is no time for it. `elsewhere`: a
    redirect led to another host, which was not sent the caller's headers.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    raw: bytes = field(default=b"", repr=False)
    flaw: str | None = None
    asks_to_wait: bool = False
    retry_at: datetime | None = None
    elsewhere: bool = False

    @property
    def text(self) -> str:
        """The body as text, also where it is JSON."""
        return self.body if isinstance(self.body, str) else self.raw.decode(errors="replace")

    @property
    def cause(self) -> Cause | None:
        """As `cause_of` has it of the status; but a 403 that asks to wait is an outage, whether or not
        there is time to, and who was not sent the credential does not judge it.
        """
        cause = cause_of(self.status)
        if self.status == FORBIDDEN and self.asks_to_wait:
            return Cause.OUTAGE
        return Cause.MISTAKE if cause is Cause.REJECTED and self.elsewhere else cause


def cause_of(status: int) -> Cause | None:
    """What an answer's status says; None: the request was served.

    401, 403 and 407 judge the credential; 408, 429 and 5xx say nothing of it; other 4xx are ours, and so is a
    redirect: it has served nothing, and where it leads to may be a page that asks for a login.
    """
    if status < 300 or status == _NOT_MODIFIED:
        return None
    if status in (401, 403, 407):
        return Cause.REJECTED
    if status in (408, 429) or status >= 500:
        return Cause.OUTAGE
    return Cause.MISTAKE


def say_status(status: int) -> str:
    """What was answered, in our words alone: not where a redirect leads to, which may be made of a value."""
    if is_redirect(status):
        return f"answered {status}, a redirect to another place, which is not followed: use the final URL"
    return f"answered {status}"


def is_redirect(status: int) -> bool:
    return 300 <= status < 400 and status != _NOT_MODIFIED


def read_body(answer: httpx.Response, where: str, *, max_bytes: int) -> bytes:
    """The body, decompressed piece by piece: never much more than the limit is in memory, of what came as
    little as of what that is packed from.
    """
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in _READ:
        raise TargetError(
            f"{where} sent a body of an encoding that was not asked for: only gzip and deflate are read",
            cause=Cause.MISTAKE,
        )
    too_much = f"{where} sent more than {max_bytes} bytes"
    came = _count(answer.iter_raw(), max_bytes + max_bytes // 8 + 1024, too_much)
    pieces = came if encoding in _PLAIN else _inflate(came, max_bytes)
    return b"".join(_count(pieces, max_bytes, too_much))


def _count(pieces: Iterable[bytes], most: int, problem: str) -> Iterator[bytes]:
    left = most
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise TargetError(problem, cause=Cause.MISTAKE)
        yield piece


def _inflate(pieces: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Refuses what stands behind the end: another reader would take it for more of the body."""
    inflate = zlib.decompressobj(wbits=47)
    left, begun = max_bytes, False
    for piece in pieces:
        made = inflate.decompress(piece, left + 1)
        left -= len(made)
        yield made
        if inflate.unused_data or (inflate.eof and inflate.unconsumed_tail):
            raise zlib.error("something behind the end")
        begun = begun or bool(piece)
    if begun and not inflate.eof:
        raise httpcore.RemoteProtocolError("the compressed body was cut off")


def decode(received: bytes, charset: str | None) -> str:
    """The text; as UTF-8 where the charset is none that is known, or none for text."""
    try:
        return received.decode(charset or "utf-8", errors="replace")
    except (LookupError, ValueError):  # of a charset that holds NUL, too
        return received.decode(errors="replace")


def parse(text: str) -> tuple[Any, str | None]:
    """The JSON and None; or the text, and what is wrong with it where it begins as JSON does."""
    try:
        return parse_json(text), None
    except InvalidInputError as error:
        begins = text.lstrip()[:1] in ("{", "[")
        return text, str(error) if begins else None
