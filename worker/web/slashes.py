"""A `/` inside a name, which callers write as `%2F`: a part of the name, and no step of the path.

A server takes the escapes of a path away before a route is looked for, and such a name would lead elsewhere. So
that one stands as another character until its route is found, and parameters of the kind `name` have it back.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_STANDS_FOR_IT: Final = "\ue02f"
"""For private use: no name has it (`vaultcore.names`)."""
_ESCAPED: Final = re.compile(rb"%2f", re.IGNORECASE)
_INSTEAD: Final = quote(_STANDS_FOR_IT).encode()
_WHERE: Final = ("/nightkey/", "/workflows/vault/")
"""Below it things are asked for by name. The console's pages, and the calls of workflows, take the rest of the
path as the name.
"""


class _Name(Convertor[str]):
    """One part of a path: `{item:name}`."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value.replace(_STANDS_FOR_IT, "/")

    def to_string(self, value: str) -> str:
        return value.replace("/", _STANDS_FOR_IT)


register_url_convertor("name", _Name())


def keep_slashes(app: ASGIApp) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        escaped = scope.get("raw_path", b"")
        if scope["type"] == "http" and scope["path"].startswith(_WHERE) and _ESCAPED.search(escaped):
            scope = {**scope, "path": unquote(_ESCAPED.sub(_INSTEAD, escaped).decode("ascii", "replace"))}
        await app(scope, receive, send)

    return call
