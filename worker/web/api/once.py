"""`Idempotency-Key`: what begins something is begun once for a key, and answered alike for a day."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from anyio import to_thread
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vaultcore.access import Principal
from vaultcore.errors import NightkeyError
from worker.log import get_logger
from worker.services.access.requests import Requests, StoredAnswer
from worker.web.answers import HttpProblem
from worker.web.api.errors import find_status

_log = get_logger(__name__)
HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A UUID of your own for this request: asked again with it within a day, it is answered "
    "alike, and nothing is begun a second time.",
    "schema": {"type": "string", "format": "uuid"},
    "example": "5f1cbb2f-7f43-4f6b-9b1c-3f0d1f1d8a11",
}
"""As the OpenAPI document has it."""


async def answer_once(
    request: Request,
    requests: Requests,
    principal: Principal,
    handle: Callable[[Request], Awaitable[Response]],
) -> Response:
    """The answer of the route, or what it was the first time. Without the header the route is just asked.

    A refusal has begun nothing, and is not kept: what was mended may be asked for again with the same key.
    """
    given = _read_key(request)
    if given is None:
        return await handle(request)
    key = requests.name(request.url.path, given)
    stored = await to_thread.run_sync(partial(requests.begin, principal.actor, key, await request.body()))
    if stored is not None:
        return Response(
            stored.body.encode(),
            status_code=stored.status,
            media_type=stored.media_type,
            headers={REPLAYED: "true", "Cache-Control": "no-store"},
        )
    give_up = partial(requests.give_up, principal.actor, key)
    try:
        response = await handle(request)
    except (HttpProblem, RequestValidationError, HTTPException):
        await to_thread.run_sync(give_up)
        raise
    except NightkeyError as error:
        if find_status(error) is not None:
            await to_thread.run_sync(give_up)
        raise
    await to_thread.run_sync(partial(_end, requests, principal.actor, key, response))
    return response


def _end(requests: Requests, actor: str, key: str, response: Response) -> None:
    """What was done is done, and answered, also where that cannot be kept: it is not done a second time."""
    given = StoredAnswer(
        status=response.status_code,
        media_type=response.media_type or "application/json",
        body=bytes(response.body).decode(),
    )
    try:
        requests.end(actor, key, given)
    except Exception as error:  # noqa: BLE001  # what was done stands, whatever failed here
        _log.error("request.not-kept", error=type(error).__name__)


def _read_key(request: Request) -> str | None:
    text = request.headers.get(HEADER)
    if text is None:
        return None
    try:
        return str(UUID(text))
    except ValueError:
        pass
    raise HttpProblem(422, "invalid", f"{HEADER}: it is a UUID, such as {PARAMETER['example']}")
