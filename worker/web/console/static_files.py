"""The files that pages use: style, script, and htmx. They hold no secret, and a browser may keep them."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from worker.web.answers import HttpProblem
from worker.web.console.frame import CONSOLE

_KINDS: Final = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


async def _give(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _KINDS:
        raise HttpProblem(404, "not_found", "there is nothing at this path")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    content = (files("worker.web.console") / "static" / name).read_bytes()
    return Response(content, media_type=_KINDS[name], headers=headers)


ROUTES: Final = [Route(f"{CONSOLE}/static/{{name}}", _give, methods=["GET"])]
