"""The setting broker_url: what it says, whether it can be meant, and where the broker is, as people are told.
Pure.

Never who logs in there: no error and no place quotes what may be a password.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from vaultcore.errors import InvalidInputError


class BrokerKind(StrEnum):
    FOLDER = "folder"
    RABBITMQ = "rabbitmq"
    REDIS = "redis"
    """Redis or Valkey: they speak the same."""


_KINDS: Final = {
    "amqp": BrokerKind.RABBITMQ,
    "pyamqp": BrokerKind.RABBITMQ,
    "amqps": BrokerKind.RABBITMQ,
    "redis": BrokerKind.REDIS,
    "rediss": BrokerKind.REDIS,
}
_SOCKET: Final = "redis+socket"
_TLS: Final = frozenset({"amqps", "rediss"})
_SHOWN: Final = "amqp://, amqps://, redis://, rediss:// or redis+socket://"
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""What a URL with TLS may say behind its question mark, each of them the path of a file in PEM."""
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_PORTS: Final = {"amqps": 5671, "amqp": 5672, "pyamqp": 5672, "redis": 6379, "rediss": 6379}
_NAMES: Final = {BrokerKind.RABBITMQ: "RabbitMQ", BrokerKind.REDIS: "Valkey or Redis"}


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """Of a server. `place` is `host:port`, or the path of a socket."""

    kind: BrokerKind
    place: str

    def __str__(self) -> str:
        return f"{_NAMES[self.kind]} at {self.place}"


@dataclass(frozen=True, kw_only=True)
class BrokerUrl:
    """What broker_url says. `plain`: the same without what it says of TLS. `tls`: the files that it names, by
    their names there; None: without TLS.
    """

    kind: BrokerKind
    plain: str
    tls: Mapping[str, str] | None = None


def read_broker_url(url: str) -> BrokerUrl:
    """Of one server, or of several of one kind that stand in for one another, with a semicolon between them.
    Empty: the folder. `InvalidInputError` says what is wrong with it.
    """
    if not url:
        return BrokerUrl(kind=BrokerKind.FOLDER, plain="")
    read = [_read_one(one) for one in url.split(";")]
    first = read[0]
    if any((one.kind, one.tls) != (first.kind, first.tls) for one in read):
        raise InvalidInputError("servers that stand in for one another are of one kind, and take the same TLS")
    return BrokerUrl(kind=first.kind, plain=";".join(one.plain for one in read), tls=first.tls)


def kind_of_broker(url: str) -> BrokerKind:
    """Of a `broker_url` that is one of ours; without one, the folder."""
    return _KINDS.get(_scheme(url), BrokerKind.FOLDER)


def name_addresses(url: str) -> str:
    """Where the server of that URL is; all of them, where it names several that stand in for one another."""
    return " or ".join(str(_read(one)) for one in url.split(";"))


def _read_one(url: str) -> BrokerUrl:
    scheme, mark, _ = url.partition("://")
    scheme = scheme.lower()
    if not mark or not _SCHEME.fullmatch(scheme):  # it may be the rest of a password: nothing of it is said
        raise InvalidInputError(f"it is no URL: use {_SHOWN}, and write ; in its login as %3B")
    if scheme not in {*_KINDS, _SOCKET}:
        raise InvalidInputError(
            f"messages by {scheme[:20]!a} cannot be checked, so none are taken from there: use {_SHOWN}, or "
            "nothing, for the folder broker/ in the data folder"
        )
    kind = kind_of_broker(url)
    parts = _split(url)
    given = _read_parameters(parts, scheme)
    number = given.get("virtual_host", "") if scheme == _SOCKET else parts.path.strip("/")
    if kind is BrokerKind.REDIS and number and not (number.isascii() and number.isdecimal()):
        raise InvalidInputError("a Valkey or Redis has databases by number: write it as in redis://host:6379/0")
    if scheme not in _TLS:
        return BrokerUrl(kind=kind, plain=f"{scheme}{url[len(scheme) :]}")
    plain = url.partition("?")[0]
    return BrokerUrl(kind=kind, plain=f"{scheme}{plain[len(scheme) :]}", tls=given)


def _read_parameters(parts: SplitResult, scheme: str) -> dict[str, str]:
    """What stands behind the question mark: nothing that a library of its own accord would obey."""
    allowed = _FILES if scheme in _TLS else ("virtual_host",) if scheme == _SOCKET else ()
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if any(name not in allowed or not value for name, value in given.items()):
        may = f"it takes {', '.join(allowed)}, each with a value" if allowed else "leave it out"
        raise InvalidInputError(f"what stands behind its ? is not taken from there: {may}")
    if ("ssl_certfile" in given) is not ("ssl_keyfile" in given):
        raise InvalidInputError("ssl_certfile and ssl_keyfile are one certificate with its key: name both")
    return given


def _split(url: str) -> SplitResult:
    """`InvalidInputError` for what a mark in a password makes of a URL, if it is not quoted."""
    parts, port = None, None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts = None
    if parts is None or parts.fragment or port == 0 or "@" in parts.path + parts.query:
        raise InvalidInputError(
            "its port is no number, or a mark in its login is not quoted: write / as %2F, # as %23, ? as %3F, "
            "@ as %40 and ; as %3B"
        )
    return parts


def _read(url: str) -> BrokerAddress:
    kind = kind_of_broker(url)
    rest = url.partition("://")[2]
    # What stands before the last @ is a login, also where somebody forgot to quote a mark in a password.
    place = rest.rpartition("@")[2] if "@" in rest else rest
    if "+socket" in url.partition("://")[0]:
        return BrokerAddress(kind=kind, place=unquote(place.partition("?")[0]))
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname or "localhost", parts.port
    except ValueError:
        return BrokerAddress(kind=kind, place="the place that broker_url names")
    shown = f"[{host}]" if ":" in host else host
    return BrokerAddress(kind=kind, place=f"{shown}:{port or _PORTS[_scheme(url)]}")


def _scheme(url: str) -> str:
    return url.partition("://")[0].partition("+")[0].lower()
