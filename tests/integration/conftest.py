"""Fixtures for tests of what leaves: an outbox, and a sink that it may lead to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nightkey_demo.http_sink import HttpSink
from tests.conftest import Clock
from tests.integration.outbox import TOO_LONG, Outbox
from tests.open_door import OpenDoor, open_door
from tests.vaults import copy_vault
from worker.bootstrap import Services
from worker.config import load_settings


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls to this machine are allowed, to processes that are begun here, too."""
    monkeypatch.setenv("NIGHTKEY_OUTBOUND_PRIVATE", '["127.0.0.0/8"]')


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock, loopback: None) -> Iterator[Outbox]:  # sinks are there
    with open_outbox(tmp_path / "home", clock, TOO_LONG) as made:
        yield made


@pytest.fixture
def patient_outbox(tmp_path: Path, clock: Clock, loopback: None) -> Iterator[Outbox]:
    """Whose sends may take longer than any does here."""
    with open_outbox(tmp_path / "home", clock, 240) as made:
        yield made


@contextmanager
def open_outbox(home: Path, clock: Clock, seconds: float) -> Iterator[Outbox]:
    settings = load_settings(home, delivery_tries=4, delivery_timeout_seconds=seconds, delivery_threads=8)
    copy_vault(settings, clock)
    services = Services(settings, clock)
    yield Outbox(services)
    services.close()


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with HttpSink() as started:
        yield started


@pytest.fixture
def door(tmp_path: Path, clock: Clock) -> Iterator[OpenDoor]:
    with open_door(tmp_path / "home", clock) as made:
        yield made
