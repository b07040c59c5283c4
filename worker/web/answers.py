"""What is answered: JSON, and errors in SDX's shape, `{"type", "code", "message"}`."""

import json
from collections.abc import Mapping
from typing import cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_TYPES = {401: "authentication_error", 502: "workflow_error"}
_PLAIN = {
    404: ("not_found", "there is nothing at this path"),
    405: ("method_not_allowed", "this path is not called by that method: the header Allow says by which"),
}


class HttpProblem(Exception):  # noqa: N818  # an answer, which may be nobody's error
    """A request that is answered with an error. The message names no value."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def answer(document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document. ASCII, since what a workflow gives may hold characters that no encoding has."""
    return Response(
        json.dumps(document),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def tell_problem(problem: HttpProblem) -> Response:
    kind = _TYPES.get(problem.status, "api_error" if problem.status >= 500 else "invalid_request_error")
    return answer(
        {"type": kind, "code": problem.code, "message": problem.message},
        status=problem.status,
        headers=problem.headers,
    )


def busy(what: str = "requests are under way") -> HttpProblem:
    return HttpProblem(
        503, "busy", f"too many {what}: send it again later", Connection="close", Retry_After="5"
    )


def tell_busy() -> Response:
    return tell_problem(busy())


async def answer_problem(_: Request, error: Exception) -> Response:
    """Starlette's handler for a `HttpProblem`."""
    return tell_problem(cast("HttpProblem", error))


async def answer_plain(_: Request, error: Exception) -> Response:
    """Starlette's handler for what it refuses itself: an unknown path, another method."""
    refused = cast("HTTPException", error)
    code, message = _PLAIN.get(refused.status_code, ("refused", "this request cannot be answered"))
    return tell_problem(HttpProblem(refused.status_code, code, message, **(refused.headers or {})))
