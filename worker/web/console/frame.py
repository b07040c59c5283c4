"""What every page stands in: templates, what they may use, and the headers of a page."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from vaultcore.access import Action, Principal, may, may_ever
from worker.domain.commands import quote_word
from worker.web.answers import HttpProblem
from worker.web.console import ways
from worker.web.console.times import Times
from worker.wording.parts import say_count

CONSOLE: Final = ways.CONSOLE
ZONE_COOKIE: Final = "nightkey_zone"
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every page. Nothing comes from elsewhere, nothing inline runs, and no other site may frame it."""
_STATIC = files("worker.web.console") / "static"


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who looks at a page. `form_token`: what a form of theirs sends along; no other site knows it."""

    principal: Principal
    form_token: str
    zone: ZoneInfo

    def may(self, action: str, owners: tuple[str, ...] | None = None) -> bool:
        """Whether they may do this to what these owners answer for; without owners: to anything at all."""
        asked = Action(action)
        return may_ever(self.principal, asked) if owners is None else may(self.principal, asked, owners=owners)


def show(
    request: Request,
    template: str,
    *,
    status: int = 200,
    now: datetime | None = None,
    **named: Any,  # noqa: ANN401  # what the template uses
) -> Response:
    """A page, or (asked for by a part of one) that part alone."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    zone = visitor.zone if visitor is not None else ZoneInfo("UTC")
    named |= {
        "path": request.url.path,
        "query": request.url.query,
        "partial": "HX-Request" in request.headers and "HX-Boosted" not in request.headers,
        "times": Times(now or request.app.state.services.clock(), zone),
        "visitor": visitor,
        "said": _said(request),
    }
    text = _templates().get_template(template).render(named)
    return HTMLResponse(text, status_code=status, headers={**HEADERS, "Vary": "HX-Request"})


def go(path: str, *, said: str = "") -> Response:
    """To another page of the console, after what was done there; `said` is a word of `SAID`, told once."""
    target = URL(path).include_query_params(said=said) if said else URL(path)
    return RedirectResponse(str(target), status_code=303, headers=dict(HEADERS))


SAID: Final[Mapping[str, str]] = {
    # Of a night
    "night-begun": "A night is begun: whoever works on the vault goes on with what it opened.",
    # Of a rotation
    "approved": "Approved: it begins at the next moment that its windows allow.",
    "rejected": "Rejected: nothing changes, and the night does not ask again for a while.",
    "cancelled": "Cancelled. What was made already is taken back.",
    "retried": "It is tried again now.",
    "another": "The new value is thrown away, and another is made.",
    "rolled-back": "It goes back to the old value.",
    "accepted": "The new value stays.",
    "extended": "The old value works on until then.",
    "waived": "Nothing waits for that any longer: you answer for it.",
    "proven": "The workflow ran well with the new value: that proves it.",
    # Of a workflow
    "pinned": "It stays on that version until somebody unpins it.",
    "unpinned": "It follows the current version again.",
    "not-proven": "The run failed: its last runs, on the workflow's page, say where.",
    # Of items
    "none-chosen": "No item was chosen: tick those that are meant.",
    "item-created": "It is in the vault, and its value with it.",
    "item-changed": "It is changed.",
    "nothing-changed": "Nothing was to be changed.",
    "item-deleted": "The item is gone, and every value of it.",
    "value-taken": "The new value is current. The old one is kept for its overlap.",
    "check-accepted": "It works: the other side accepts it.",
    "check-refused": "It does not work any more: the other side refuses it.",
    "check-unreachable": "The other side could not be asked: whether it works is not known.",
    "check-cannot-tell": "Whether it works could not be told.",
    "rotation-asked": "Its replacement is begun: whoever works on the vault goes on with it.",
    "rotation-waits": "Its replacement waits for somebody else's approval.",
    "emergency-asked": "Its replacement is begun: the old value is revoked as soon as there is a new one.",
    "finding-known": "Nobody is told of it again unless it gets worse.",
    "finding-snoozed": "Nobody is told of it before that day unless it gets worse.",
    "key-stored": "You have the key, and it is kept here no longer: only its digest is.",
    # Of notices and owners
    "notice-again": "It is tried again where it was not taken. Who has it gets it no second time.",
    "owner-changed": "Kept: they are told by that from now on.",
    # Of principals
    "principal-created": "It is known now. Make a token for it below, if it is to come by one.",
    "roles-changed": "It may do that from now on, and nothing else.",
    "principal-revoked": "It is let in no more.",
    "token-revoked": "That token opens nothing any more.",
}
"""What a page tells of what was just done, by a word in its address: no text of an address is shown."""


def _said(request: Request) -> str:
    return SAID.get(request.query_params.get("said", ""), "")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("worker.web.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quote_word"] = quote_word  # of a name in a command that is copied
    environment.filters |= {
        "item_path": ways.item_path,
        "owner_path": ways.owner_path,
        "digest_path": ways.digest_path,
        "principal_path": ways.principal_path,
    }
    environment.globals |= {"console": CONSOLE, "asset": asset, "count": _count}
    return environment


def _count(number: int, noun: str) -> str:
    """As in `1 item` and `2,000 items`."""
    return say_count(number, noun).replace(str(number), f"{number:,}", 1)


@cache
def asset(name: str) -> str:
    """The address of a file that pages use; it changes when the file does."""
    digest = hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{CONSOLE}/static/{name}?v={digest}"


_TITLES: Final[Mapping[int, str]] = {
    403: "Not for you",
    404: "There is nothing here",
    409: "That cannot be done now",
    415: "That cannot be read",
    422: "Something is not right",
    429: "Too many attempts",
    503: "Nothing can be read now",
}


def show_problem(request: Request, problem: HttpProblem) -> Response:
    """A page that says why there is no other."""
    title = _TITLES.get(problem.status, "Something failed")
    message = problem.message[:1].upper() + problem.message[1:].removesuffix(".") + "."
    return show(request, "error.html", status=problem.status, title=title, message=message)
