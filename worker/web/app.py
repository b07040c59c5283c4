"""The application: all routes, `/health`, and errors in one shape. Building it starts nothing."""

from contextlib import suppress

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from vaultcore.errors import NightkeyError
from worker.bootstrap import Services
from worker.log import get_logger
from worker.web import codes
from worker.web.answers import HttpProblem, answer
from worker.web.api import (
    changes,
    comparisons,
    consumers,
    deeds,
    departures,
    documents,
    findings,
    impacts,
    item_changes,
    item_checks,
    item_import,
    items,
    keys,
    letters,
    metadata,
    nights,
    nodes,
    notices,
    owners,
    pickups,
    principals,
    record,
    reports,
    rotations,
    scans,
    standing,
    vault,
    workflows,
)
from worker.web.api.description import describe_calls
from worker.web.api.errors import (
    answer_error,
    answer_failure,
    answer_invalid,
    answer_plain,
    answer_problem,
)
from worker.web.connections import HEALTH, ConnectionLimits
from worker.web.console import (
    calendar,
    identity,
    item,
    item_actions,
    item_edit,
    item_list,
    item_value,
    items_at_once,
    key_shown_once,
    new_item,
    overview,
    owner_changes,
    pickup,
    rotation,
    rotation_decisions,
    sign_in,
    static_files,
)
from worker.web.console import findings as findings_page
from worker.web.console import notices as notices_page
from worker.web.console import owners as owners_page
from worker.web.console import principals as principals_page
from worker.web.console import record as record_page
from worker.web.console import rotations as rotation_pages
from worker.web.console import workflows as workflow_pages
from worker.web.ingress import Ingress
from worker.web.keysets import PublishedKeySets
from worker.web.probes import Probes
from worker.web.refusals import Refusals
from worker.web.slashes import keep_slashes

_log = get_logger(__name__)


NOUNS = (
    vault,
    nodes,
    workflows,
    item_changes,
    item_checks,
    item_import,
    changes,
    deeds,
    impacts,
    items,
    metadata,
    documents,
    consumers,
    rotations,
    findings,
    notices,
    letters,
    owners,
    departures,
    principals,
    keys,
    pickups,
    reports,
    nights,
    scans,
    standing,
    comparisons,
    record,
)
"""The vault comes before the workflows, of which one could be called so."""
PAGES = (
    sign_in,
    identity,
    overview,
    new_item,
    item_actions,
    item_edit,
    item_value,
    items_at_once,
    item_list,
    key_shown_once,
    pickup,
    item,
    rotation_pages,
    rotation,
    rotation_decisions,
    workflow_pages,
    calendar,
    notices_page,
    owners_page,
    owner_changes,
    findings_page,
    record_page,
    principals_page,
)
"""Of the console. An item may have almost any name: its page comes after all that stands under `/items`."""
_HEALTH_CHECKS_MAX = 2
_DEFAULT_LIMITS = ConnectionLimits()


def build_app(services: Services, limits: ConnectionLimits = _DEFAULT_LIMITS) -> ASGIApp:
    """What a server serves. Routes are tried in their order. No other thread keeps `/health` from its own."""
    checks = CapacityLimiter(_HEALTH_CHECKS_MAX)

    async def health(_: Request) -> Response:
        """200 when the database answers."""
        if not await to_thread.run_sync(_is_there, services, limiter=checks):
            raise HttpProblem(503, "unavailable", "the database does not answer")
        return answer({"status": "ok"})

    app = FastAPI(
        title="Nightkey",
        summary="Keeps the credentials that workflows depend on from lapsing.",
        docs_url=None,
        redoc_url=None,
        routes=[
            Route(HEALTH, health, methods=["GET"]),
            *Ingress(services, limits).routes(),
            *PublishedKeySets(services).routes(),
            *static_files.ROUTES,
            *Probes(services).routes(),
            *codes.routes(),
        ],
        exception_handlers={
            HttpProblem: answer_problem,
            HTTPException: answer_plain,
            NightkeyError: answer_error,
            RequestValidationError: answer_invalid,
            Exception: answer_failure,
        },
    )
    app.state.services, app.state.limits, app.state.refusals = services, limits, Refusals(limits)
    for noun in (*NOUNS, *PAGES):
        app.include_router(noun.router)
    describe_calls(app)
    app.router.redirect_slashes = False  # a redirect would quote the address, which may hold a key
    return _end_at_the_edge(keep_slashes(app))


def _is_there(services: Services) -> bool:
    try:
        return services.database.ping()
    except Exception as error:  # noqa: BLE001  # whatever it is, that is the answer
        _log.error("health.failed", error=type(error).__name__)
        return False


def _end_at_the_edge(app: ASGIApp) -> ASGIApp:
    """No exception reaches the server, which would print its frames: it was logged and answered by then."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Exception):
            await app(scope, receive, send)

    return call
