"""What the codes of errors mean, as a page: `GET /docs/errors`, where `doc_url` leads."""

from collections.abc import Mapping
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from worker.web.answers import DOCS

CODES: Final[Mapping[str, str]] = {
    "busy": "503. Too many requests are under way. Send it again after the seconds of Retry-After.",
    "conflict": "409. Somebody else changed it first, or the same request is under way. Look, then decide.",
    "cut_off": "400. The body ended before its end. Send it again.",
    "forbidden": "403. No role of yours may do this. The message names the roles that may.",
    "internal_error": "500. Something failed here, and not in your request. The server's log names it.",
    "invalid": "422. A field, a parameter or a header is wrong. The message names it, errors lists all.",
    "invalid_json": "422. The body is no JSON, or is nested too deeply. The message says where.",
    "method_not_allowed": "405. The path is called by other methods: the header Allow names them.",
    "needs_key": "503. This opens a value, and the server was started without the key for that.",
    "not_found": "404. There is nothing of that name or id, or nothing that you may see.",
    "other_form": "403. A form was sent from elsewhere, or from an earlier session. Open its page again.",
    "precondition_failed": "412. It is not as If-Match says: somebody changed it since. Look, then decide.",
    "refused": "409. It was understood, and not done, because it would hurt. The message says why.",
    "too_large": "413. The body has more than 1 MB, or more than 100,000 values and fields.",
    "too_many_failures": "429. Too many keys from this address opened nothing. Wait as Retry-After says.",
    "too_slow": "408. The body came too slowly. Send it again.",
    "unauthorized": "401. There is no good token (Authorization: Bearer wfk_…): unknown, over or revoked.",
    "unavailable": "503. The database, or this machine, does not answer for a while. Send it again later.",
    "unreadable": "409. A row that this needs is damaged, or was changed behind the vault's back.",
    "unsupported_encoding": "415. Send the body without Content-Encoding.",
    "unsupported_media_type": "415. Send JSON, with Content-Type: application/json.",
    "workflow_failed": "502. The workflow failed. The message names the node, the header X-Run-Id the run.",
}
"""By their status first; a code is answered with that status alone."""


def routes() -> list[Route]:
    return [Route(DOCS, show, methods=["GET"])]


async def show(_: Request) -> Response:
    """One page for all of them, each under its own anchor. It needs no token, and no script."""
    entries = "\n".join(
        f'<dt id="{escape(code)}"><code>{escape(code)}</code></dt><dd>{escape(meaning)}</dd>'
        for code, meaning in CODES.items()
    )
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Errors of Nightkey</title>'
        f"<h1>Errors</h1>\n<dl>\n{entries}\n</dl></html>",
        headers={"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"},
    )
