"""What is answered: JSON, errors in SDX's shape (`type`, `code`, `message`, `doc_url`), and problems."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

_TYPES = {401: "authentication_error", 502: "workflow_error"}
DOCS: Final = "/docs/errors"
"""Where each code is explained (`worker.web.codes`)."""
OURS: Final = "/nightkey/"
"""Below it are calls that SDX does not have."""


class HttpProblem(Exception):  # noqa: N818  # an answer, which may be nobody's error
    """A request that is answered with an error. The message names no value."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def answer(
    document: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """A JSON document. ASCII, since what a workflow gives may hold characters that no encoding has."""
    return Response(
        json.dumps(document),
        status_code=status,
        media_type=media_type,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def tell_problem(problem: HttpProblem, path: str = "", fields: Sequence[Mapping[str, str]] = ()) -> Response:
    """In SDX's form; below `/nightkey/` as a problem by RFC 9457. `fields`: which are at fault, and why."""
    doc_url = f"{DOCS}#{problem.code}"
    if path.startswith(OURS):
        body: dict[str, Any] = {
            "type": doc_url,
            "title": problem.code,
            "status": problem.status,
            "detail": problem.message,
        }
        media_type = "application/problem+json"
    else:
        kind = _TYPES.get(problem.status, "api_error" if problem.status >= 500 else "invalid_request_error")
        body = {"type": kind, "code": problem.code, "message": problem.message, "doc_url": doc_url}
        media_type = "application/json"
    if fields:
        body["errors"] = list(fields)
    return answer(body, status=problem.status, headers=problem.headers, media_type=media_type)


def busy(what: str = "requests are under way") -> HttpProblem:
    return HttpProblem(
        503, "busy", f"too many {what}: send it again later", Connection="close", Retry_After="5"
    )
