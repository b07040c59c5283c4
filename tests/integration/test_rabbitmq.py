"""A real RabbitMQ, at which somebody else publishes what is no message of ours."""

import bz2
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import amqp
import pytest

from tests.acceptance.conftest import Nightkey
from tests.acceptance.foreign import stand_firm
from tests.forged import contents, genuine
from tests.integration.rabbit_server import MISSING, start_rabbit
from worker.app import QUEUE

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]
BODY = b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
HEADERS = genuine()["headers"]
DEPTH = 10_000


class Raw(amqp.Message):
    """One whose properties are these bytes."""

    def __init__(self, body: bytes, properties: bytes) -> None:
        super().__init__(body)
        self.__dict__["raw"] = properties

    def _serialize_properties(self) -> bytes:
        return self.__dict__["raw"]


def deep_headers() -> bytes:
    """Tables in one another, deeper than a reader that calls itself can go."""
    inner = b""
    for _ in range(DEPTH):
        inner = b"\x01aF" + struct.pack(">I", len(inner)) + inner
    return b"\x20\x00" + struct.pack(">I", len(inner)) + inner


def messages() -> Iterator[amqp.Message]:
    """None of them ours."""
    usual = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}
    for _, content in contents().values():
        yield amqp.Message(content, application_headers=HEADERS, **usual)
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            continue
        headers = told.get("headers") if isinstance(told, dict) else None
        # Where nothing but the body was wrong, the headers would be good for this one.
        if isinstance(headers, dict) and headers != HEADERS and headers.get("task") != "nightkey.night":
            yield amqp.Message(BODY, application_headers=headers, **usual)
    yield amqp.Message(BODY, **usual)
    yield amqp.Message(BODY)
    yield amqp.Message(b"")
    yield amqp.Message(
        BODY, application_headers=HEADERS, **usual | {"content_type": "application/x-python-serialize"}
    )
    bomb = bz2.compress(b" " * (16 << 20) + BODY)
    yield amqp.Message(bomb, application_headers=HEADERS | {"compression": "bzip2"}, **usual)
    yield amqp.Message(b"x" * (3 << 20), application_headers=HEADERS, **usual)
    yield Raw(b"y" * (3 << 20), deep_headers())
    yield Raw(BODY, deep_headers())


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_rabbit(tmp_path_factory.mktemp("rabbit")) as address:
        yield address


def test_an_up_stands_firm_whatever_is_published(tmp_path: Path, rabbit: str) -> None:
    nightkey = Nightkey(tmp_path / "home", {"NIGHTKEY_BROKER_URL": f"amqp://guest:guest@{rabbit}//"})
    nightkey("init")
    with amqp.Connection(rabbit, confirm_publish=True) as connection, connection.channel() as channel:
        channel.exchange_declare(QUEUE, "direct", durable=True, auto_delete=False)
        channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        channel.queue_bind(QUEUE, QUEUE, QUEUE)
        number = 0
        for message in messages():
            channel.basic_publish(message, exchange=QUEUE, routing_key=QUEUE)
            number += 1

        def look() -> None:
            (_, waiting, _) = channel.queue_declare(QUEUE, passive=True)
            assert waiting < number / 2

        stand_firm(nightkey, tmp_path, forged=number, look=look)
