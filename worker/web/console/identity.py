"""Signing in by an identity provider: there and back again."""

from typing import Final

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from vaultcore.errors import Cause, TamperedError, TargetError
from vaultcore.secret import Secret
from worker.domain.identity import NoEntry
from worker.log import get_logger
from worker.services.access.identities import BEGUN_LIFETIME, Callback, Identities, SignedIn
from worker.web.answers import HttpProblem
from worker.web.api.asking import services_of
from worker.web.console.frame import CONSOLE, HEADERS, show
from worker.web.console.sign_in import SECOND, begin, provider_of
from worker.web.console.visits import check_next, is_encrypted
from worker.web.refusals import hold_refusal
from worker.wording.sign_ins import REFUSALS

router = APIRouter(prefix=CONSOLE, include_in_schema=False)
_log = get_logger(__name__)
_PATH_MAX: Final = 1000
_STATUSES: Final = {NoEntry.AWAY: 503}
_GUESSED: Final = frozenset({NoEntry.NOT_BEGUN, NoEntry.BAD_TOKEN})
"""What an attempt to get in by guessing comes to."""


@router.get("/oidc")
def leave(request: Request, next: str | None = None) -> Response:  # noqa: A002  # as it stands in the address
    """To the provider. The browser keeps, sealed, what it must come back with."""
    identities, path = _find(request), check_next(next)
    try:
        begun = identities.begin(path if len(path) <= _PATH_MAX else f"{CONSOLE}/")
    except TargetError as error:
        _log.warning("sign-in.failed", error=str(error))
        return _refuse(request, NoEntry.AWAY if error.cause is Cause.OUTAGE else NoEntry.DENIED)
    response = RedirectResponse(begun.address, status_code=303, headers=dict(HEADERS))
    response.set_cookie(
        _cookie_name(request),
        begun.kept.expose(),
        max_age=BEGUN_LIFETIME // SECOND,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_encrypted(request),
    )
    return response


@router.get("/oidc/callback")
async def come_back(request: Request) -> Response:
    """From the provider: a new session, whatever the browser presented before, or why there is none."""
    identities = _find(request)
    kept = Secret(request.cookies.get(_cookie_name(request), ""))
    given = request.query_params
    once = all(len(given.getlist(name)) == 1 for name in given)
    answer = Callback(
        state=given.get("state", "") if once else "",
        code=None if "error" in given else given.get("code") or None,
        issuer=given.get("iss"),
    )
    found = await to_thread.run_sync(_finish, identities, kept, answer)
    if isinstance(found, SignedIn):
        response = begin(request, found.opened, found.path)
    else:
        if found in _GUESSED:
            await hold_refusal(request)
        response = _refuse(request, found)
    response.delete_cookie(
        _cookie_name(request), path="/", httponly=True, samesite="lax", secure=is_encrypted(request)
    )
    return response


def _finish(identities: Identities, kept: Secret, answer: Callback) -> SignedIn | NoEntry:
    try:
        return identities.finish(kept, answer)
    except TamperedError as error:  # the night makes a finding of it
        _log.error("principal.tampered", table=error.table)
        return NoEntry.REVOKED


def _refuse(request: Request, why: NoEntry) -> Response:
    return show(
        request,
        "sign_in.html",
        status=_STATUSES.get(why, 403),
        back=f"{CONSOLE}/",
        provider=provider_of(request),
        refused=REFUSALS[why],
    )


def _find(request: Request) -> Identities:
    identities = services_of(request).access.identities
    if identities is None or not identities.signs_people_in:
        raise HttpProblem(404, "not_found", "no identity provider is set here (oidc_issuer)")
    return identities


def _cookie_name(request: Request) -> str:
    return "__Host-nightkey-oidc" if is_encrypted(request) else "nightkey-oidc"
