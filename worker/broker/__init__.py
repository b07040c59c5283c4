"""The brokers that messages may come by, each of which gives on nothing but messages of ours.

Kombu makes a message of whatever lies there, unpacks what says that it is packed, and ends the process where
that does not go well; who takes such a one back is ended by it again. So ours are sealed, each is opened before
kombu sees it (`sealing.py`) and made anew from its task and its id, and what is none is set aside.
"""

import os
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES

from vaultcore.errors import ConfigurationError, InvalidInputError
from worker.broker.files import make_folder
from worker.broker.queues import LONGEST
from worker.broker.sealing import Seals
from worker.domain.broker_address import BrokerKind, BrokerUrl, read_broker_url

FOLDER: Final = "filesystem"
_CHECKED: Final = {
    FOLDER: "worker.broker.files:FilesTransport",
    "amqp": "worker.broker.amqp:AmqpTransport",
    "pyamqp": "worker.broker.amqp:AmqpTransport",
    "amqps": "worker.broker.amqp:TlsTransport",
    "redis": "worker.broker.redis:RedisTransport",
    "rediss": "worker.broker.redis:RedisTransport",
    "librabbitmq": "worker.broker.amqp:AmqpTransport",  # kombu takes it for amqp:// where it is installed
}
_OPTIONS: Final[Mapping[BrokerKind, Mapping[str, Any]]] = {
    BrokerKind.FOLDER: {},
    BrokerKind.RABBITMQ: {"confirm_publish": True},
    # Kombu puts back what nobody acknowledged within the first; it looks every so many seconds, each time.
    BrokerKind.REDIS: {
        "visibility_timeout": round(LONGEST.total_seconds()),
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_keepalive": True,
        # Without these, one that takes connections and says nothing is waited for without end, and a word.
        "socket_connect_timeout": 5.0,
        "socket_timeout": 5.0,
    },
}


def connect(url: str, *, home: Path, polling_seconds: float, seals: Seals | None = None) -> dict[str, Any]:
    """Celery's settings for the broker of that URL; without one, for the folder in `home`, which is made.
    `seals`: of the vault, for who sends or takes messages.

    From now on, kombu's names of these transports lead here.
    """
    read = _read(url)
    if read.kind is BrokerKind.REDIS and find_spec("redis") is None:
        raise ConfigurationError(
            "setting broker_url: the client for redis:// is not installed: pip install 'nightkey[redis]'"
        )
    TRANSPORT_ALIASES.update(_CHECKED)
    options: dict[str, Any] = {
        "aside": str(aside_folder(home)),
        "seals": seals,
        **_OPTIONS[read.kind],
    }
    found: dict[str, Any] = {"broker_url": read.plain or f"{FOLDER}://localhost//"}
    if read.tls is not None:
        found["broker_use_ssl"] = _make_tls(read.kind, read.tls)
    if read.kind is BrokerKind.FOLDER:
        messages = messages_folder(home)
        make_folder(messages)
        options |= {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "polling_interval": polling_seconds,
        }
    return found | {"broker_transport_options": options}


def _read(url: str) -> BrokerUrl:
    problem = ""
    try:
        return read_broker_url(url)
    except InvalidInputError as error:
        problem = str(error)
    raise ConfigurationError(f"setting broker_url: {problem}")


def _make_tls(kind: BrokerKind, files: Mapping[str, str]) -> dict[str, Any]:
    """As its library wants it: the server's certificate is checked, and whether it names the server. Who
    vouches for it is in `ssl_ca_certs`, or known to this machine.
    """
    for name, path in files.items():
        if not os.access(path, os.R_OK):
            raise ConfigurationError(f"setting broker_url: the file of {name}, {path}, cannot be read")
    if kind is BrokerKind.REDIS:
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **files}
    return {"cert_reqs": ssl.CERT_REQUIRED} | {name.removeprefix("ssl_"): path for name, path in files.items()}


def messages_folder(home: Path) -> Path:
    return home / "broker" / "messages"


def aside_folder(home: Path) -> Path:
    return home / "broker" / "aside"
