"""What the services refuse, as an answer: one table from errors to statuses, and the two forms of a body.

On the paths of SDX the form is SDX's, on ours a problem by RFC 9457. Both name the field where one is at fault.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vaultcore.errors import (
    ChangedError,
    ConflictError,
    InvalidInputError,
    NightkeyError,
    NoKeyError,
    NotAllowedError,
    NotFoundError,
    RefusedError,
    UnreadableError,
)
from vaultcore.troubles import explain
from worker.log import get_logger
from worker.web.answers import HttpProblem, tell_problem
from worker.web.console.frame import CONSOLE, show_problem
from worker.wording.calls import COMMANDS, WORDS_HEADER, say_for_calls

_log = get_logger(__name__)
_STATUSES: tuple[tuple[type[NightkeyError], int, str], ...] = (
    (NotAllowedError, 403, "forbidden"),
    (NoKeyError, 503, "needs_key"),
    (NotFoundError, 404, "not_found"),
    (InvalidInputError, 422, "invalid"),
    (ChangedError, 412, "precondition_failed"),
    (ConflictError, 409, "conflict"),
    (RefusedError, 409, "refused"),
    (UnreadableError, 409, "unreadable"),
)
"""The first that fits."""
_PLAIN = {
    404: ("not_found", "there is nothing at this path"),
    405: ("method_not_allowed", "this path is not called by that method: the header Allow says by which"),
}


def find_status(error: NightkeyError) -> tuple[int, str] | None:
    """Status and code of what is the caller's to mend; None: something failed here."""
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            return status, code
    return None


async def answer_problem(request: Request, error: Exception) -> Response:
    """Starlette's handler for a `HttpProblem`."""
    return tell(request, cast("HttpProblem", error))


async def answer_plain(request: Request, error: Exception) -> Response:
    """Starlette's handler for what it refuses itself: an unknown path, another method."""
    refused = cast("HTTPException", error)
    code, message = _PLAIN.get(refused.status_code, ("refused", "this request cannot be answered"))
    return tell(request, HttpProblem(refused.status_code, code, message, **(refused.headers or {})))


async def answer_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler for what the services raise on purpose."""
    known = cast("NightkeyError", error)
    found = find_status(known)
    if found is None:
        return await answer_failure(request, error)
    status, code = found
    said = str(known) if request.headers.get(WORDS_HEADER) == COMMANDS else say_for_calls(str(known))
    return tell(request, HttpProblem(status, code, said))


async def answer_failure(request: Request, error: Exception) -> Response:
    """What nobody foresaw: logged by its type, since its text may quote anything. What this machine or the
    database does not give for a while is no fault of the request, and worth another try.
    """
    trouble = explain(error)
    problem = {} if trouble is None else {"trouble": trouble.trouble, "problem": str(trouble)}
    _log.error("call.failed", error=type(error).__name__, **problem)
    if trouble is not None and trouble.can_retry:
        return tell(request, HttpProblem(503, "unavailable", "this cannot be answered now: try again later"))
    return tell(
        request,
        HttpProblem(500, "internal_error", "something failed here, and not in your request: the log names it"),
    )


async def answer_invalid(request: Request, error: Exception) -> Response:
    """FastAPI's handler for what does not fit a route's model: by field, and without what was given."""
    found = cast("RequestValidationError", error).errors()
    fields = [
        {"field": _name(one["loc"]), "message": one["msg"].removeprefix("Value error, ")} for one in found
    ]
    first = fields[0]
    return tell(request, HttpProblem(422, "invalid", f"{first['field']}: {first['message']}"), fields)


def _name(place: Sequence[object]) -> str:
    """The place without where it stands (body, path, query)."""
    return ".".join(map(str, place[1:] or place))


def tell(request: Request, problem: HttpProblem, fields: Sequence[Mapping[str, str]] = ()) -> Response:
    if request.url.path.startswith(f"{CONSOLE}/"):
        return show_problem(request, problem)
    return tell_problem(problem, request.url.path, fields)
