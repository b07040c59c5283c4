"""Which server the commands ask: `NIGHTKEY_URL`, as the principal of the token in `NIGHTKEY_TOKEN`."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from vaultcore.errors import ConfigurationError
from vaultcore.secret import Secret
from worker.origins import TOKEN_VARIABLE, URL_VARIABLE

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_HERE = "localhost"


@dataclass(frozen=True, kw_only=True)
class ServerAddress:
    """`url`: without a slash at its end."""

    url: str
    token: Secret = field(repr=False)


def find_address(environment: Mapping[str, str]) -> ServerAddress | None:
    """None: the commands work on the vault of this machine. `ConfigurationError` names the variable that is
    wrong, and neither a token nor an address that may hold a login.
    """
    url = environment.get(URL_VARIABLE, "").strip()
    token = environment.get(TOKEN_VARIABLE, "").strip()
    if not url and not token:
        return None
    if not url or not token:
        given, missing = (URL_VARIABLE, TOKEN_VARIABLE) if url else (TOKEN_VARIABLE, URL_VARIABLE)
        raise ConfigurationError(
            f"{given} is set without {missing}: set both for a server far away, or none for the vault of this "
            "machine"
        )
    problem = _explain(url)
    if problem:
        raise ConfigurationError(f"{URL_VARIABLE}: {problem}")
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"{TOKEN_VARIABLE} holds no token: those of `nightkey principal token` are one word, wfk_…"
        )
    return ServerAddress(url=url.rstrip("/"), token=Secret(token))


def _explain(url: str) -> str:
    """Why no server is asked there; empty: one may be."""
    try:
        read = httpx.URL(url)
        host = read.host
    except (httpx.InvalidURL, ValueError, TypeError):
        host = ""
    if not host or read.scheme not in ("http", "https"):
        return "write it as https://HOST, with :PORT and a path where there is one"
    if read.userinfo or read.query or read.fragment:
        return "it holds a login, a query or a fragment: write it as https://HOST"
    if read.scheme == "http" and not _is_here(host):
        return "a token and values would be sent unencrypted: write https://, or call http:// on this machine"
    return ""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _HERE
