"""Whether the broker can be reached, and why not: in one line, without the login in its URL."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kombu.connection import Connection

from vaultcore.errors import NightkeyError
from worker.broker import connect
from worker.broker.blocking import find_blocked, find_why_blocked
from worker.config import Settings
from worker.domain.broker_address import BrokerKind, kind_of_broker, name_addresses

_SECONDS: Final = 5.0
_FOLDER: Final = "the broker's folder"

_BY_NAME: Final = {
    "AccessRefused": (
        "refuses the login, or what this user wants to do: look at user and password in broker_url, and at its "
        "rights there"
    ),
    "AuthenticationError": "refuses the login: look at user and password in broker_url",
    "NoPermissionError": "does not allow this user what it needs: give it rights on all of its keys",
    "NotAllowed": "has no virtual host of the name in broker_url, or this user may not use it: look at both",
    "PreconditionFailed": "has a queue of another kind in the place of ours: `nightkey doctor` says which",
    "BusyLoadingError": "is starting: it reads what it has kept",
}
_UNKNOWN: Final = "cannot be used"
_NO_DATABASE: Final = "DB index is out of range"
"""As Redis and Valkey say it."""


class BrokerAwayError(NightkeyError):
    """It cannot be reached, or lets nobody in."""

    can_retry = True


def explain_away(url: str, error: BaseException) -> str:
    """Drivers' own texts stay out of it: they may quote what was in the URL."""
    is_folder = kind_of_broker(url) is BrokerKind.FOLDER
    return f"{_FOLDER if is_folder else name_addresses(url)} {_judge(error)}"


@contextmanager
def reach_broker(settings: Settings) -> Iterator[Any]:
    """Kombu's connection to it, tried once; `BrokerAwayError` says why there is none."""
    found = connect(settings.broker_url, home=settings.home, polling_seconds=_SECONDS)
    connection: Any = Connection(  # type: ignore[no-untyped-call]  # kombu's
        found["broker_url"],
        ssl=found.get("broker_use_ssl", False),
        transport_options=found["broker_transport_options"],
        connect_timeout=_SECONDS,
    )
    problem = ""
    try:
        connection.ensure_connection(max_retries=1, timeout=_SECONDS)
    except Exception as error:  # noqa: BLE001  # whatever its library raises
        url = settings.broker_url
        problem = explain_away(url, error) if url else f"the broker's folder in {settings.home} cannot be used"
    if problem:
        raise BrokerAwayError(problem)
    with connection:
        yield connection


def check_broker(settings: Settings) -> None:
    """`BrokerAwayError`: it cannot be reached, or takes no messages at present."""
    url, problem = settings.broker_url, ""
    with reach_broker(settings) as connection:
        if kind_of_broker(url) is not BrokerKind.RABBITMQ:
            return
        try:
            why = find_why_blocked(connection)
        except Exception as error:  # noqa: BLE001  # as above
            problem = explain_away(url, error)
        else:
            problem = f"{name_addresses(url)} {why}" if why else ""
    if problem:
        raise BrokerAwayError(problem)


def hear_broker(connection: Any) -> None:  # noqa: ANN401  # kombu's
    """By a connection that is there. `BlockedError`: the broker takes no messages at present, and has told so
    since some were sent by it. Any other error: it is lost.
    """
    connection.heartbeat_check()
    hear = getattr(connection.connection, "hear", None)  # RabbitMQ's alone
    if hear is not None:
        hear()


def _judge(error: BaseException) -> str:
    blocked = find_blocked(error)
    if blocked is not None:
        return str(blocked)
    seen: BaseException | None = error
    said = _UNKNOWN
    while seen is not None:  # the first cause is the last in the chain
        said = _judge_one(seen) or said
        seen = seen.__cause__ or seen.__context__
    return f"{said} ({type(error).__name__})" if said is _UNKNOWN else said


def _judge_by_name(error: BaseException) -> str | None:
    """Of libraries that need not be there."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if "ResponseError" in names and str(error).startswith(_NO_DATABASE):
        return "has no database of the number in broker_url: look at what stands behind its last /"
    return next((_BY_NAME[name] for name in names if name in _BY_NAME), None)


def _judge_one(error: BaseException) -> str | None:
    named = _judge_by_name(error)
    if named is not None:
        return named
    if isinstance(error, socket.gaierror):
        return "has a host name that cannot be resolved: look at broker_url, and at this machine's DNS"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            "has a certificate that names another host, or that nobody vouches for whom this machine knows: "
            "look at the host in broker_url, and name who vouches for it there (?ssl_ca_certs=/path/to/ca.pem)"
        )
    if isinstance(error, ssl.SSLError):
        return "does not agree on TLS: look at its certificate, and whether broker_url begins as it must"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "refuses connections: see that it runs there, and that broker_url is right"
    if isinstance(error, TimeoutError):
        return "does not answer: see that it runs there, and that no firewall is in between"
    if isinstance(error, OSError) or type(error).__name__ == "ConnectionError":  # the latter: redis' own
        return "cannot be reached, or broke off: see that it runs there, and that broker_url is right"
    return None
