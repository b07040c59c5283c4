"""Signing in and out: by a one-time link, which `nightkey console open` prints, or by an identity provider
(`worker.web.console.identity`).
"""

from datetime import timedelta
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.errors import TamperedError
from vaultcore.secret import Secret
from vaultcore.sessions import SESSION_LIFETIME, OpenedSession
from worker.bootstrap import Services
from worker.web.answers import HttpProblem
from worker.web.api.asking import services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.visits import (
    check_next,
    find_session,
    forget_session,
    keep_session,
    make_form_token,
    presented_session,
    read_form,
)
from worker.web.refusals import hold_refusal

router = APIRouter(prefix=CONSOLE, include_in_schema=False)
SECOND = timedelta(seconds=1)


@router.get("/sign-in")
def sign_in(request: Request, next: str | None = None) -> Response:  # noqa: A002  # as it stands in the address
    """How somebody signs in here."""
    services = services_of(request)
    if find_session(services, presented_session(request)) is not None:
        return go(check_next(next))
    return show(request, "sign_in.html", back=check_next(next), provider=provider_of(request))


@router.get("/link/{token}")
async def use_link(request: Request, token: str) -> Response:
    """Signs in, once, and leads on at once, so that no browser keeps the address."""
    opened = await to_thread.run_sync(_use, services_of(request), Secret(token))
    if opened is None:
        await hold_refusal(request)
        return show(
            request,
            "sign_in.html",
            status=403,
            back=f"{CONSOLE}/",
            provider=provider_of(request),
            refused="This link signs nobody in: it was used, or its ten minutes are over.",
        )
    return begin(request, opened, f"{CONSOLE}/")


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Ends the session, here and in the vault."""
    services, token = services_of(request), presented_session(request)
    session = await to_thread.run_sync(find_session, services, token)
    if session is not None:
        await read_form(request, make_form_token(token))
        await to_thread.run_sync(services.access.sign_ins.end, session)
    response = go(f"{CONSOLE}/sign-in")
    forget_session(request, response)
    return response


def provider_of(request: Request) -> str | None:
    """By whom people sign in, by the name of its host; None: by links alone."""
    settings = services_of(request).settings
    return urlsplit(settings.oidc_issuer).hostname if settings.oidc_client_id else None


def begin(request: Request, opened: OpenedSession, path: str) -> Response:
    """Gives the browser the new session, whatever it presented before, and leads on."""
    response = go(path)
    keep_session(request, response, opened.token, seconds=SESSION_LIFETIME // SECOND)
    return response


def _use(services: Services, token: Secret) -> OpenedSession | None:
    try:
        return services.access.sign_ins.use_link(token)
    except TamperedError:
        raise HttpProblem(
            403, "forbidden", "this link was changed behind the vault's back: make another"
        ) from None
