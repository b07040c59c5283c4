"""What a caller sends: read with limits, and refused with what is wrong with it."""

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request

from vaultcore.errors import InvalidInputError
from worker.domain.strict_json import parse_json
from worker.web.answers import Problem

BODY_MAX = 1_048_576
BODY_SECONDS = 30.0


async def read_body(request: Request, *, keep: bool) -> bytes:
    """The body, of `BODY_MAX` bytes at most and within `BODY_SECONDS`; read and thrown away unless `keep`.

    One that announces too much is refused before it is sent. A refused one ends the connection.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > BODY_MAX:
        raise _too_large()
    size, pieces = 0, []
    problem: Problem | None = None
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > BODY_MAX:
                    raise _too_large()
                if keep:
                    pieces.append(piece)
    except TimeoutError:
        problem = _cut_off(408, "too_slow", f"the body did not arrive within {BODY_SECONDS:.0f} seconds")
    except ClientDisconnect:
        problem = _cut_off(400, "cut_off", "the body ended before its end")
    if problem is not None:
        raise problem
    return b"".join(pieces)


def parse_payload(request: Request, body: bytes) -> Any:  # noqa: ANN401  # JSON
    """The body's JSON; None where it is empty. 415 for what says that it is something else, 422 for no JSON."""
    if not body:
        return None
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "unsupported_encoding", "send the body as it is, without Content-Encoding")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Problem(415, "unsupported_media_type", "send JSON, with Content-Type: application/json")
    try:
        return parse_json(body.decode())
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except InvalidInputError as error:
        problem = str(error)
    raise Problem(422, "invalid_json", f"the body cannot be read: {problem}")


def _too_large() -> Problem:
    return _cut_off(413, "too_large", f"the body is larger than {BODY_MAX} bytes")


def _cut_off(status: int, code: str, message: str) -> Problem:
    return Problem(status, code, message, Connection="close")
