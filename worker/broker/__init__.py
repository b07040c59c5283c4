"""The brokers that messages may come by, each of which gives on nothing but messages of ours.

Kombu makes a message of whatever lies there, unpacks what says that it is packed, and ends the process where
that does not go well; who takes such a one back is ended by it again. So ours are sealed, each is opened before
kombu sees it (`sealing.py`) and made anew from its task and its id, and what is none is set aside.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES

from vaultcore.errors import ConfigurationError
from worker.broker.address import BrokerKind, kind_of_broker
from worker.broker.files import make_folder
from worker.broker.queues import LONGEST
from worker.broker.sealing import Seals

FOLDER: Final = "filesystem"
_CHECKED: Final = {
    FOLDER: "worker.broker.files:FilesTransport",
    "amqp": "worker.broker.amqp:AmqpTransport",
    "pyamqp": "worker.broker.amqp:AmqpTransport",
    "amqps": "worker.broker.amqp:TlsTransport",
    "redis": "worker.broker.redis:RedisTransport",
    "rediss": "worker.broker.redis:RedisTransport",
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
    },
}
_SHOWN: Final = "amqp://, amqps://, redis://, rediss:// or redis+socket://"


def connect(url: str, *, home: Path, polling_seconds: float, seals: Seals | None = None) -> dict[str, Any]:
    """Celery's settings for the broker of that URL; without one, for the folder in `home`, which is made.
    `seals`: of the vault, for who sends or takes messages.

    From now on, kombu's names of these transports lead here.
    """
    for one in url.split(";") if url else ():
        scheme = one.partition("://")[0].partition("+")[0].lower()
        if kind_of_broker(one) is BrokerKind.REDIS and find_spec("redis") is None:
            raise ConfigurationError(
                "setting broker_url: the client for redis:// is not installed: pip install 'nightkey[redis]'"
            )
        if scheme == FOLDER or scheme not in _CHECKED:
            raise ConfigurationError(
                f"setting broker_url: messages by {scheme[:20]!a} cannot be checked, so none are taken from "
                f"there: use {_SHOWN}, or none for the folder in {home}"
            )
    TRANSPORT_ALIASES.update(_CHECKED)
    options: dict[str, Any] = {
        "aside": str(aside_folder(home)),
        "seals": seals,
        **_OPTIONS[kind_of_broker(url)],
    }
    if not url:
        messages = messages_folder(home)
        make_folder(messages)
        options |= {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "polling_interval": polling_seconds,
        }
    return {"broker_url": url or f"{FOLDER}://localhost//", "broker_transport_options": options}


def messages_folder(home: Path) -> Path:
    return home / "broker" / "messages"


def aside_folder(home: Path) -> Path:
    return home / "broker" / "aside"
