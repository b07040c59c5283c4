"""Which routes hold a secret, by apprise's own tables of what is private in a URL."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

import apprise

from worker.delivery.reading import Fields, read_url, service_of

_ITS_TARGET_IS_ONE = frozenset({"ntfy", "ntfys"})
"""Who knows the topic may read it."""
_PREFIXES = "+-: "
"""Of parameters that become headers and fields of the call."""


def find_secret(text: str) -> str | None:
    """What in the route is a secret, or may be one, in words; None: nothing."""
    scheme = text.partition("://")[0].lower()
    service = service_of(scheme)
    if service is None or scheme in _ITS_TARGET_IS_ONE or any(_required(service)):
        return "a token"
    fields = read_url(text)
    if fields is None or not fields.get("host"):  # whatever it is, it is not known to hold none
        return "what may be a password or a token"
    if fields.get("password"):
        return "a password"
    if any(fields.get(name) for name in _private_fields(service)):
        return "a token"
    names = [unquote(part.partition("=")[0]) for part in re.split("[&;]", text.partition("?")[2])]
    private = {name for name, spec in service.template_args.items() if _is_private(spec, service)}
    if any(name.strip().lower() in private for name in names):
        return "a token"
    return (
        "headers or fields, which may be tokens"
        if any(name[:1] in _PREFIXES for name in names if name)
        else None
    )


def _required(service: type[apprise.NotifyBase]) -> Iterator[bool]:
    return (bool(spec.get("private") and spec.get("required")) for spec in service.template_tokens.values())


def _private_fields(service: type[apprise.NotifyBase]) -> Iterator[str]:
    for name, spec in service.template_tokens.items():
        if spec.get("private"):
            yield spec.get("map_to", name)


def _is_private(spec: Fields, service: type[apprise.NotifyBase]) -> bool:
    """An argument that is private itself, or another way to give a token that is."""
    alias = spec.get("alias_of", ())
    of = (alias,) if isinstance(alias, str) else tuple(alias)
    return bool(spec.get("private")) or any(service.template_tokens.get(name, {}).get("private") for name in of)
