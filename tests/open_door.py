"""A vault with one workflow that callers open with one key, and callers by plain sockets."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ingress import Front, define, read_answer
from tests.services.staging import make_services
from vaultcore.model import Policy
from worker.bootstrap import Services

WORKFLOW, OTHER = "orders", "billing"
PATH = f"/workflows/sync/{WORKFLOW}"
_TAKE = {"id": "take", "componentId": "data_mapper", "mapping": {"taken": "yes"}}


@dataclass(frozen=True)
class OpenDoor:
    """`key` opens `WORKFLOW`, and `other_key` opens `OTHER`."""

    services: Services
    key: str
    other_key: str


@contextmanager
def open_door(home: Path, clock: Any) -> Iterator[OpenDoor]:
    services = make_services(home, "", clock)
    keys = []
    with services.database.write() as connection:
        owner = services.owners.create(connection, "support", actor="test")
        for name in (WORKFLOW, OTHER):
            created = services.vault.create(
                connection,
                name=f"api-key:{name}",
                value=None,
                owner_ids=(owner.id,),
                policy=Policy(),
                actor="test",
            )
            assert created.key is not None
            keys.append(created.key.expose())
    workflows = [define(name, "api_trigger", f"api-key:{name}", _TAKE) for name in (WORKFLOW, OTHER)]
    services.runs.documents.apply(workflows, actor="test")
    yield OpenDoor(services, *keys)
    services.close()


def dial(front: Front, peer: str = "127.0.0.1") -> socket.socket:
    host, _, port = front.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=120, source_address=(peer, 0))


def write_head(key: str, *lines: str, path: str = PATH) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def status(caller: socket.socket) -> int:
    """Of the answer, which is read to its end."""
    response = http.client.HTTPResponse(caller)
    response.begin()
    return read_answer(response).status


def send(front: Front, method: str, path: str, peer: str = "127.0.0.1", **headers: str) -> int:
    """The status of a request without a body, by a connection of its own."""
    connection = front.connect()
    setattr(connection, "source_address", (peer, 0))  # noqa: B010  # typeshed leaves it out
    connection.request(method, path, headers=headers)
    answered = read_answer(connection.getresponse())
    connection.close()
    return answered.status


def health(front: Front, peer: str = "127.0.0.1") -> int:
    return send(front, "GET", "/health", peer)


@contextmanager
def under_way(front: Front, key: str, peer: str = "127.0.0.1", *, path: str = PATH) -> Iterator[socket.socket]:
    """A request with a good key whose body the application has begun to wait for: two bytes of JSON."""
    with dial(front, peer) as caller:
        asks = ("Content-Type: application/json", "Expect: 100-continue", "Content-Length: 2")
        caller.sendall(write_head(key, *asks, path=path))
        assert caller.recv(1000).startswith(b"HTTP/1.1 100")
        yield caller
