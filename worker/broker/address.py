"""Where the broker is, as people are told: its kind, its host and port. Never who logs in there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote, urlsplit


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
_PORTS: Final = {"amqps": 5671, "amqp": 5672, "pyamqp": 5672, "redis": 6379, "rediss": 6379}
_NAMES: Final = {BrokerKind.RABBITMQ: "RabbitMQ", BrokerKind.REDIS: "Valkey or Redis"}


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """Of a server. `place` is `host:port`, or the path of a socket."""

    kind: BrokerKind
    place: str

    def __str__(self) -> str:
        return f"{_NAMES[self.kind]} at {self.place}"


def kind_of_broker(url: str) -> BrokerKind:
    """Of a `broker_url` that is one of ours; without one, the folder."""
    return _KINDS.get(_scheme(url), BrokerKind.FOLDER)


def name_addresses(url: str) -> str:
    """Where the server of that URL is; all of them, where it names several that stand in for one another."""
    return " or ".join(str(_read(one)) for one in url.split(";"))


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
