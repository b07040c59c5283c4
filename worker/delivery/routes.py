"""Routes: which apprise URLs are allowed, and how one is shown without its tokens. Pure."""

import re
from urllib.parse import unquote, urlsplit

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret

# Schemes in whose URLs the host is a host; in the others it may be a token, or the topic that is one.
HOST_IS_A_HOST = frozenset(
    "form forms gotify gotifys json jsons mailto mailtos mmost mmosts signal signals xml xmls".split()
)


def check_route(url: Secret, *, schemes: str) -> str:
    """Checks the URL's outside and gives its masked form; the error names the scheme alone.

    What apprise makes of the rest is checked by `AppriseSender.check`.
    """
    text = url.expose().strip()
    scheme, separator, _ = text.partition("://")
    allowed = schemes.split()
    if not separator or any(character.isspace() for character in text):
        raise InvalidInputError("the route is not a URL: write it like json://host/path")
    if _sets_redirect(text):
        raise InvalidInputError("the route may not set redirect=: redirects are never followed")
    if scheme.lower() not in allowed:
        raise InvalidInputError(
            f"routes of scheme {scheme[:20].lower()!r} are not allowed: use one of {', '.join(allowed)} "
            "(setting route_schemes)"
        )
    if scheme.lower() in HOST_IS_A_HOST and re.split("[/?#]", text.partition("://")[2])[0].count("@") > 1:
        raise InvalidInputError(
            "the route has more than one @ before its host, so that another part would be taken for the host: "
            "write %40 for those in its name or password"
        )
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        host = port = ""
    if scheme.lower() in HOST_IS_A_HOST and host:
        return f"{scheme.lower()}://{host}{port}"
    return f"{scheme.lower()}://…"


def _sets_redirect(text: str) -> bool:
    """As apprise reads a query: in any case, escaped, after `;` as after `&`, even behind a `#`."""
    fields = (field.partition("=")[0] for field in re.split("[?&;#]", text)[1:])
    return any(unquote(name.replace("+", " ")).strip().lower() == "redirect" for name in fields)
