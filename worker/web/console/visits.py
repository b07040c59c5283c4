"""Whom a page is shown to: found by the browser's cookie, before anything else. A page says its action, as a
route of the interface does, and is shown to nobody without one.
"""

import hmac
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, quote
from zoneinfo import ZoneInfo

from anyio import to_thread
from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import TamperedError
from vaultcore.secret import Secret
from vaultcore.sessions import ConsoleSession
from worker.bootstrap import Services
from worker.log import get_logger
from worker.web.answers import HttpProblem
from worker.web.api.asking import ACTION
from worker.web.beginnings import complete_path
from worker.web.console.frame import CONSOLE, ZONE_COOKIE, Visitor, go
from worker.web.payload import read_body

_log = get_logger(__name__)
_FIELDS_MAX = 200
FORM_TOKEN: Final = "form_token"  # noqa: S105  # the name of a field


class PageRoute(APIRoute):
    """Shows a page to who is signed in, and may ever do what it is for. A form comes from a page of ours."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        action = Action((self.openapi_extra or {})[ACTION])

        async def ask(request: Request) -> Response:
            services: Services = request.app.state.services
            token = presented_session(request)
            session = await to_thread.run_sync(find_session, services, token)
            if session is None:
                return to_sign_in(request)
            form_token = make_form_token(token)
            zone = _find_zone(request, services)
            request.state.session = session
            request.state.visitor = Visitor(principal=session.principal, form_token=form_token, zone=zone)
            await to_thread.run_sync(partial(services.access.principals.check_ever, session.principal, action))
            await complete_path(request, services, session.principal)
            if request.method == "POST":
                request.state.form = await read_form(request, form_token)
            return await handle(request)

        return ask


def visitor_of(request: Request) -> Visitor:
    """For pages: who looks."""
    found = request.state.visitor
    assert isinstance(found, Visitor)  # noqa: S101  # `PageRoute` has put it there
    return found


def form_of(request: Request) -> FormData:
    """For pages: what their form sent."""
    found = request.state.form
    assert isinstance(found, FormData)  # noqa: S101  # as above
    return found


Looks = Annotated[Visitor, Depends(visitor_of)]
Sent = Annotated[FormData, Depends(form_of)]


def cookie_name(request: Request) -> str:
    """With the prefix that keeps it to this host, where pages come encrypted."""
    return "__Host-nightkey" if is_encrypted(request) else "nightkey"


def keep_session(request: Request, response: Response, token: Secret, *, seconds: int) -> None:
    """Gives the browser what it is to present from now on."""
    response.set_cookie(
        cookie_name(request),
        token.expose(),
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_encrypted(request),
    )


def forget_session(request: Request, response: Response) -> None:
    response.delete_cookie(
        cookie_name(request), path="/", httponly=True, samesite="lax", secure=is_encrypted(request)
    )


def presented_session(request: Request) -> Secret:
    return Secret(request.cookies.get(cookie_name(request), ""))


def find_session(services: Services, token: Secret) -> ConsoleSession | None:
    """None: nobody who is signed in, nor anybody whose rows were changed behind the vault's back."""
    if not len(token):
        return None
    try:
        return services.access.sign_ins.find(token)
    except TamperedError as error:  # the night makes a finding of it
        _log.error("session.tampered", table=error.table)
        return None


def to_sign_in(request: Request) -> Response:
    """To where one signs in, and from there back to the page, if it is one that may be asked for again."""
    if request.method != "GET":
        return go(f"{CONSOLE}/sign-in")
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return go(f"{CONSOLE}/sign-in?next={quote(back, safe='')}")


def check_next(path: str | None) -> str:
    """A path of the console; whatever else was asked for becomes its first page."""
    good = path is not None and path.startswith(f"{CONSOLE}/") and "\\" not in path and path.isprintable()
    return path if good and path is not None else f"{CONSOLE}/"


def make_form_token(session: Secret) -> str:
    """What forms of a session send along. Who knows it cannot find the session from it."""
    return hmac.digest(session.expose().encode("utf-8", "surrogatepass"), b"form", "sha256").hex()


async def read_form(request: Request, form_token: str) -> FormData:
    """What a form sent; a problem where it comes from another site, or from an earlier session."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HttpProblem(415, "unsupported_media_type", "a form of the console is sent as urlencoded text")
    body = await read_body(request, request.app.state.limits)
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise HttpProblem(422, "invalid", "the form is no text, or has too many fields") from None
    form = FormData([(name, value) for name, value in pairs])
    sent = form.get(FORM_TOKEN)
    from_elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if from_elsewhere or not isinstance(sent, str) or not _is_same(sent, form_token):
        raise HttpProblem(
            403, "other_form", "this form was not sent by a page of this session: open the page again"
        )
    return form


def _is_same(first: str, second: str) -> bool:
    return hmac.compare_digest(first.encode("utf-8", "surrogatepass"), second.encode())


def is_encrypted(request: Request) -> bool:
    """Whether browsers reach the console encrypted."""
    services: Services = request.app.state.services
    return services.settings.console_url.startswith("https:")


def _find_zone(request: Request, services: Services) -> ZoneInfo:
    """The browser's zone, as its cookie says; otherwise that of the settings."""
    name = request.cookies.get(ZONE_COOKIE, "").replace("%2F", "/")
    try:
        return ZoneInfo(name) if name else services.settings.zone
    except (KeyError, ValueError, OSError):
        return services.settings.zone


def fields_of(form: FormData, *, several: Collection[str] = ()) -> dict[str, Any]:
    """By name, what was filled in; what was left empty is not there. `several`: what comes as a list."""
    filled = [(name, value) for name, value in form.multi_items() if value != "" and name != FORM_TOKEN]
    return {
        name: [value for one, value in filled if one == name] if name in several else form[name]
        for name, _ in filled
    }
