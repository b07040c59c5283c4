"""Who asks, and for what: found before any of the body is waited for. Each route says its action."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

import worker.web.slashes  # noqa: F401  # routes may have parameters of its kind
from vaultcore.access import Action, Principal
from vaultcore.errors import NoKeyError, Trouble, TroubleError
from worker.bootstrap import Services
from worker.web.answers import HttpProblem
from worker.web.api.once import PARAMETER, answer_once
from worker.web.api.values import find_half_a_character, find_nul
from worker.web.bearers import authenticate, presented_key
from worker.web.beginnings import complete_path
from worker.web.connections import ConnectionLimits
from worker.web.payload import check_payload, read_body
from worker.web.refusals import hold_refusal

ACTION = "x-nightkey-action"
"""Under this name a route's action stands in the OpenAPI document."""
ONCE = "x-nightkey-once"
"""And that it begins something, once for an `Idempotency-Key`."""


NEEDS_KEY = "x-nightkey-needs-key"
"""Under this one, whether it is refused where the keyring opens nothing."""
KEY_NEEDED: Final = frozenset(
    {
        Action.ITEM_CREATE,
        Action.ITEM_CHECK,
        Action.WORKFLOW_RUN,
        Action.OWNER_MANAGE,
        Action.PICKUP_COLLECT,
        Action.PRINCIPAL_MANAGE,
    }
)
"""What opens or seals a value whatever is asked. Replacing a value does, too, and is refused by the vault."""


def asks(action: Action) -> dict[str, Any]:
    """What a route is declared with: `@router.get(path, **asks(Action.ITEM_SEE))`."""
    return {"openapi_extra": {ACTION: action.value, NEEDS_KEY: action in KEY_NEEDED}}


def starts(action: Action) -> dict[str, Any]:
    """As `asks`, of a route that begins something: it heeds `Idempotency-Key`."""
    needs_key = action in KEY_NEEDED
    return {
        "openapi_extra": {
            ACTION: action.value,
            ONCE: True,
            NEEDS_KEY: needs_key,
            "parameters": [PARAMETER],
        }
    }


class AskedRoute(APIRoute):
    """Lets nobody in without a token, nor to what no role of theirs may; only then is the body read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        extra = self.openapi_extra or {}
        action, once = Action(extra[ACTION]), bool(extra.get(ONCE))

        async def ask(request: Request) -> Response:
            services = services_of(request)
            principal = await identify(request)
            if action in KEY_NEEDED and services.keyring.is_restricted:
                raise NoKeyError
            await to_thread.run_sync(partial(services.access.principals.check_ever, principal, action))
            request.state.principal = principal
            await complete_path(request, services, principal)
            read = await _with_body(request, request.app.state.limits)
            read.parse(takes_any=self.body_field is not None)
            answer = partial(_answer, handle)
            answered = (
                await answer_once(read, services.access.requests, principal, answer)
                if once
                else await answer(read)
            )
            answered.headers.setdefault("Cache-Control", "no-store")
            return answered

        return ask


async def identify(request: Request) -> Principal:
    """Who asks, by their token; 401 for nobody."""
    key = presented_key(request)
    principal = await to_thread.run_sync(authenticate, services_of(request), key)
    if principal is None:
        if len(key):
            await hold_refusal(request)
        raise HttpProblem(
            401,
            "unauthorized",
            "this is answered to principals alone: Authorization: Bearer wfk_…",
            WWW_Authenticate="Bearer",
        )
    return principal


async def _answer(handle: Callable[[Request], Coroutine[Any, Any, Response]], request: Request) -> Response:
    """As the route does; a character that its database cannot hold is the caller's to leave out."""
    try:
        return await handle(request)
    except TroubleError as error:
        if error.trouble is not Trouble.NOT_STORABLE:
            raise
    field = find_nul({**request.path_params, **request.query_params, "body": await request.json()})
    raise HttpProblem(422, "invalid", f"{field}: a text holds a character that cannot be stored (NUL)")


def asker(request: Request) -> Principal:
    """For routes: who asks."""
    found = request.state.principal
    assert isinstance(found, Principal)  # noqa: S101  # `AskedRoute` has put it there
    return found


Asker = Annotated[Principal, Depends(asker)]


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _with_body(request: Request, limits: ConnectionLimits) -> "_ReadRequest":
    """The request with its body read, in the time, size and number of parts that callers of workflows have."""
    read = _ReadRequest(request.scope, request.receive)
    read.take(await read_body(request, limits))
    return read


class _ReadRequest(Request):
    def take(self, body: bytes) -> None:
        self._body = body
        self._sent = check_payload(self, body)

    def parse(self, *, takes_any: bool) -> None:
        """Before the framework does, whose refusal of a body that is not JSON says no more than that."""
        self._parsed = self._sent.read()
        field = find_half_a_character(self._parsed) if b"\\u" in self._sent.body else None
        if field is not None:
            raise HttpProblem(422, "invalid", f"{field}: a text holds half a character (a lone surrogate)")
        if not takes_any and self._parsed not in (None, {}):
            raise HttpProblem(422, "invalid", "body: this call takes none")

    async def json(self) -> Any:  # noqa: ANN401  # JSON
        return self._parsed
