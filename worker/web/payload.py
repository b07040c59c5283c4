"""What a caller sends: read with limits, and refused with what is wrong with it."""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request

from vaultcore.errors import InvalidInputError
from worker.domain.strict_json import parse_json
from worker.web.answers import HttpProblem
from worker.web.connections import ConnectionLimits

BODY_MAX = 1_048_576
PARTS_MAX = 100_000
LARGE = 10_000
"""Parts: values, fields and what holds them. Each takes a run some 200 bytes, whatever it takes in the body."""


@dataclass(frozen=True)
class Sent:
    """A body that may be read: bytes until then, since what it is read into is many times as large."""

    body: bytes
    parts: int

    @property
    def is_large(self) -> bool:
        return self.parts > LARGE

    def read(self) -> Any:  # noqa: ANN401  # JSON
        """Its JSON; None where it is empty. 422 for what is not JSON."""
        if not self.body:
            return None
        try:
            return parse_json(self.body.decode())
        except UnicodeDecodeError:
            problem = "it is not UTF-8"
        except InvalidInputError as error:
            problem = str(error)
        raise HttpProblem(422, "invalid_json", f"the body cannot be read: {problem}")


async def read_body(request: Request, limits: ConnectionLimits) -> bytes:
    """The body, of `BODY_MAX` bytes at most, in the time and at the rate of the limits.

    One that announces too much is refused before it is sent. A refused one ends the connection.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > BODY_MAX:
        raise _too_large()
    size, pieces = 0, []
    problem: HttpProblem | None = None
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(_ends(began, size, limits)) as timer:
            async for piece in request.stream():
                size += len(piece)
                if size > BODY_MAX:
                    raise _too_large()
                pieces.append(piece)
                timer.reschedule(_ends(began, size, limits))
    except TimeoutError:
        problem = _cut_off(
            408,
            "too_slow",
            f"the body came too slowly: it has {limits.body_seconds:g} seconds, and is given up earlier where "
            f"less than {limits.body_rate:g} bytes come a second",
        )
    except ClientDisconnect:
        problem = _cut_off(400, "cut_off", "the body ended before its end")
    if problem is not None:
        raise problem
    return b"".join(pieces)


def check_payload(request: Request, body: bytes) -> Sent:
    """415 for what says that it is not JSON, 413 for what has more than `PARTS_MAX` parts."""
    if not body:
        return Sent(body, 0)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HttpProblem(415, "unsupported_encoding", "send the body as it is, without Content-Encoding")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HttpProblem(415, "unsupported_media_type", "send JSON, with Content-Type: application/json")
    parts = count_parts(body)
    if parts > PARTS_MAX:
        raise HttpProblem(413, "too_large", f"the body has more than {PARTS_MAX} values and fields")
    return Sent(body, parts)


def count_parts(body: bytes) -> int:
    """How many there are, without reading them; more than `PARTS_MAX` where there are too many to tell."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 2 * PARTS_MAX:
        return PARTS_MAX + 1
    outside = b"".join(unescaped.split(b'"')[::2])
    return 1 + sum(outside.count(sign) for sign in (b",", b":", b"[", b"{"))


def _ends(began: float, size: int, limits: ConnectionLimits) -> float:
    """Until when more is waited for, where so many bytes have come."""
    return began + min(limits.body_seconds, limits.body_grace + size / limits.body_rate)


def _too_large() -> HttpProblem:
    return _cut_off(413, "too_large", f"the body is larger than {BODY_MAX} bytes")


def _cut_off(status: int, code: str, message: str) -> HttpProblem:
    return HttpProblem(status, code, message, Connection="close")
