"""What others present: keys, tokens of pickups, and whole requests to the HTTP interface."""

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from hypothesis import strategies as st

from tests.conftest import Clock
from tests.fuzz.judging import BrokenError
from tests.fuzz.mutating import SEEDS, json_texts, texts
from tests.fuzz.surfaces import Surface
from tests.ingress import PATIENT, Front, define, serve
from vaultcore.crypto import apikeys
from vaultcore.model import Policy
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.config import load_settings
from worker.installation import initialise
from worker.rows import pickups as pickup_rows
from worker.services.runs.inbound import Entrance
from worker.web.payload import BODY_MAX

_KEY = apikeys.generate().expose()
_ITEM = "api-key:orders"
_ANSWERS = (200, 413, 422, 502)
"""To a body: what the workflow made of it, that it is too much or no JSON, or that a node failed by it."""
_PATIENCE, _GLANCE = 60, 0.5
"""Seconds for the answer to a whole request, and to one that may be none."""


@contextmanager
def open_keys(folder: Path) -> Iterator[Surface]:
    with _open_vault(folder) as (services, key):
        yield Surface(
            inputs=st.tuples(texts(("", key, _KEY), **_with_key(SEEDS["keys"], _KEY)), texts(("orders",))),
            take=lambda given: services.runs.inbound_calls.find(Secret(given[0]), Entrance.API, name=given[1]),
        )


@contextmanager
def open_pickups(folder: Path) -> Iterator[Surface]:
    """Genuine tokens among them: of a key whose creator may see it again, until it was presented."""
    with _open_vault(folder) as (services, _):
        with services.database.read() as connection:
            pickup = pickup_rows.of_first_key(connection, _ITEM)
        assert pickup is not None
        genuine = services.rotation.pickups.token(pickup.id)
        yield Surface(
            inputs=texts([*SEEDS["pickups"]["seeds"], genuine], [genuine, genuine[:31]]),
            take=lambda text: services.rotation.pickups.collect(text, actor="test", show=lambda _: None),
        )


@contextmanager
def open_requests(folder: Path) -> Iterator[Surface]:
    with _open_vault(folder) as (services, key), serve(services, PATIENT) as front:
        given = _with_key(SEEDS["requests"], key)
        yield Surface(
            inputs=texts(**given), take=lambda text: _send(front, text, is_whole=text in given["seeds"])
        )


@contextmanager
def open_bodies(folder: Path) -> Iterator[Surface]:
    """Whole, with a key that opens a workflow: each is read, run with, masked and answered."""
    with _open_vault(folder) as (services, key), serve(services, PATIENT) as front:
        seeds = [json.loads(text.replace("KEY", key)) for text in SEEDS["bodies"]["seeds"]]
        words = [text.replace("KEY", key) for text in SEEDS["bodies"]["words"]]
        yield Surface(inputs=json_texts(seeds, words), take=lambda text: _send_body(front, text, key))


def _send_body(front: Front, text: str, key: str) -> int:
    headers = {"Content-Type": "application/json", "X-API-Key": key}
    body = text.encode("utf-8", "surrogatepass")[:BODY_MAX]  # a larger one is refused before it is sent
    answered = front.send("POST", "/workflows/sync/orders", body, headers)
    if answered.status not in _ANSWERS:
        raise BrokenError(f"the server answered {answered.status}")
    if key in json.dumps(answered.body):
        raise BrokenError("the caller's key stands in the answer")
    return answered.status


@contextmanager
def _open_vault(folder: Path) -> Iterator[tuple[Services, str]]:
    """One with a workflow that an API key opens, and that key."""
    clock = Clock()
    settings = load_settings(folder)
    initialise(settings, clock)
    services = Services(settings, clock)
    try:
        yield services, _define(services)
    finally:
        services.close()


def _with_key(given: Mapping[str, Sequence[str]], key: str) -> dict[str, list[str]]:
    return {part: [text.replace("KEY", key) for text in listed] for part, listed in given.items()}


def _define(services: Services) -> str:
    """The key of a workflow that answers what it is sent."""
    with services.database.write() as connection:
        made = services.vault.create(
            connection, name=_ITEM, value=None, owner_ids=(), expires_at=None, policy=Policy(), actor="test"
        )
        services.rotation.pickups.keep_first(connection, made, actor="test")
    mapper = {"id": "map", "componentId": "data_mapper", "mapping": {"a": "{{ webhook_payload }}"}}
    services.runs.documents.apply([define("orders", "api_trigger", _ITEM, mapper)], actor="test")
    assert made.key is not None
    return made.key.expose()


def _send(front: Front, text: str, *, is_whole: bool) -> str:
    """What was answered first; nothing, where the server waits for the rest of a request that never comes."""
    address = urlsplit(front.url)
    patience = _PATIENCE if is_whole else _GLANCE
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=patience) as line:
        line.sendall(text.encode("utf-8", "replace"))
        answered = b""
        with suppress(TimeoutError, ConnectionError):
            while b"\r\n" not in answered and (piece := line.recv(4096)):
                answered += piece
    status = answered.split(b"\r\n")[0].decode("latin-1")
    if status.split(" ")[1:2] in (["500"], ["503"]):
        raise BrokenError(f"the server answered {status}")
    if is_whole and not status:
        raise BrokenError("the server did not answer a whole request")
    return status
