"""Calls from outside: `POST /workflows/sync/…` and `POST /workflows/webhooks/…`, opened by API keys.

`sync` is also answered to a principal who may run workflows, by their own token. To them it says what is wrong:
that there is no such workflow (404), or that no role of theirs runs one (403).

A key is presented as `Authorization: Bearer wfk_…`, as `X-API-Key`, or, for webhooks, in the address. Whatever
is wrong with it (none, unknown, malformed, revoked, another workflow's, of one that is not active or not
there), the answer is the same 401, found by the same steps (`InboundCalls.find`, then
`PrincipalAccess.authenticate`) and given before any of the body is waited for; later, where an address has
failed often. Exactly the stages of its versions decide: a key opens while it is current or previous.

Both kinds are answered when their runs have ended, or wait at a delay. What a run needs to go on is stored
then; before, its payload is nowhere, so that what is started in the background could be lost with this process:
its sender, who got no answer, knows to send it again. If this process dies, the resume sweep records its runs
as failed.

What a call leaves in the log is its run and its workflow: never an address, a header or a body.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import NoReturn, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vaultcore.access import Action
from vaultcore.errors import NoKeyError
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.states import RunStatus
from worker.log import get_logger
from worker.services.runs.execution import RunOutcome
from worker.services.runs.inbound import Called, Entrance
from worker.web.answers import HttpProblem, answer, busy
from worker.web.bearers import authenticate, presented_key
from worker.web.connections import ConnectionLimits, name_peer
from worker.web.payload import Sent, check_payload, read_body
from worker.web.places import Places
from worker.web.refusals import hold_refusal

CHECKS_MAX = 4
RUNS_MAX = 16
LARGE_MAX = 2
"""How many keys are checked, how many workflows run, and how many of these with large bodies, at once. The
others wait in line, with their bodies unread."""

_log = get_logger(__name__)
T = TypeVar("T")


class Ingress:
    """The two routes, and the threads that they share: a run never keeps a key from being checked."""

    def __init__(self, services: Services, limits: ConnectionLimits) -> None:
        self._services = services
        self._inbound_calls = services.runs.inbound_calls
        self._is_restricted = services.keyring.is_restricted
        self._limits = limits
        self._bodies = Places(most=limits.bodies, each=limits.bodies_each)
        self._checks = CapacityLimiter(CHECKS_MAX)
        self._runs = CapacityLimiter(RUNS_MAX)
        self._large = CapacityLimiter(LARGE_MAX)

    def routes(self) -> list[Route]:
        return [
            Route("/workflows/sync/{workflow:path}", self.call, methods=["POST"]),
            Route("/workflows/webhooks", self.receive, methods=["POST"]),
            Route("/workflows/webhooks/{token:path}", self.receive, methods=["POST"]),
        ]

    async def call(self, request: Request) -> Response:
        """Runs one workflow and answers with its last node's output: 200, or 502 where it failed; 202 where it
        waits.
        """
        key, name = presented_key(request), request.path_params["workflow"]
        found = await self._find(key, Entrance.API, name=name)
        opened = found[0] if found else await self._find_for_principal(request, key, name)
        outcome = await self._run(opened, await self._take(request, opened), key)
        named = {"X-Run-Id": outcome.run_id}
        if outcome.status == RunStatus.RUNNING:
            return answer(_describe(outcome), status=202, headers=named)
        if outcome.status != RunStatus.COMPLETED:
            where = f", node {outcome.error_node}" if outcome.error_node else ""
            raise HttpProblem(
                502,
                "workflow_failed",
                f"workflow {outcome.workflow}{where}: {outcome.error_message}",
                X_Run_Id=outcome.run_id,
            )
        return answer(outcome.output, headers=named)

    async def receive(self, request: Request) -> Response:
        """Runs every workflow that the key opens, beside each other: 202 with how each ended, or it waits."""
        token = request.path_params.get("token")
        key = presented_key(request) if token is None else Secret(token)
        opened = await self._find(key, Entrance.WEBHOOK)
        if not opened:
            await _refuse(request, key)
        sent = await self._take(request, opened[0])
        outcomes = await asyncio.gather(*(self._run(called, sent, key) for called in opened))
        return answer({"runs": [_describe(one) for one in outcomes]}, status=202)

    async def _find(self, key: Secret, entrance: Entrance, *, name: str | None = None) -> list[Called]:
        """The workflows that the key opens there.

        No run is begun where no value can be opened: it would look as if the values were at fault.
        """
        if self._is_restricted:
            raise NoKeyError
        return await self._in_thread(self._checks, partial(self._inbound_calls.find, key, entrance, name=name))

    async def _find_for_principal(self, request: Request, token: Secret, name: str) -> Called:
        """That workflow, for who may run workflows. It may be waited for an identity provider here: not in the
        threads that check keys.
        """
        principal = await to_thread.run_sync(authenticate, self._services, token)
        if principal is None:
            await _refuse(request, token)
        await to_thread.run_sync(self._services.access.principals.check, principal, Action.WORKFLOW_RUN)
        return await to_thread.run_sync(self._inbound_calls.find_for, principal, name)

    async def _take(self, request: Request, opened: Called) -> Sent:
        """What was sent. The key came first: a caller without one was sent away at once, whatever of the body
        has come.
        """
        return check_payload(request, await self._read_body(request, key_of=opened.of))

    async def _read_body(self, request: Request, *, key_of: str) -> bytes:
        """Of the callers of one address, and of those with one key, only so many are waited for at once.
        `key_of`: whose it is.
        """
        peer = name_peer(request.scope.get("client"))
        with self._bodies.hold(f"peer {peer}", f"key {key_of}") as has_place:
            if not has_place:
                raise busy("bodies are waited for")
            return await read_body(request, self._limits)

    async def _run(self, called: Called, sent: Sent, key: Secret) -> RunOutcome:
        def run() -> RunOutcome:
            return self._inbound_calls.run(called, payload=sent.read(), key=key)

        async with self._large if sent.is_large else nullcontext():
            outcome = await self._in_thread(self._runs, run)
        _log.info("workflow.called", run=outcome.run_id, workflow=outcome.workflow)
        return outcome

    async def _in_thread(self, limiter: CapacityLimiter, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=limiter)


def _describe(outcome: RunOutcome) -> dict[str, str]:
    return {"id": outcome.run_id, "workflow": outcome.workflow, "status": outcome.status}


async def _refuse(request: Request, key: Secret) -> NoReturn:
    """Who guesses is answered later, as everywhere."""
    if len(key):
        await hold_refusal(request)
    raise _unauthorized(request)


def _unauthorized(request: Request) -> HttpProblem:
    """Who asks before sending the body (`Expect`) may send it or not: no next request can be told from it."""
    left = {"Connection": "close"} if "expect" in request.headers else {}
    return HttpProblem(
        401,
        "unauthorized",
        "no workflow is called like this with that key: Authorization: Bearer wfk_…",
        WWW_Authenticate="Bearer",
        **left,
    )
