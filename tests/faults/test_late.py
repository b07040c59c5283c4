"""What happens too late: an answer, an effect, a worker that was away for longer than its lease."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.loopback import Answer, Incoming
from nightkey_demo.target_systems import TargetSystems
from tests.faults.invariants import find_violations, look
from tests.faults.scenarios import ACCOUNT, ITEM, answer_bells
from tests.faults.target_systems import WatchedTokens
from tests.faults.vault_copy import let_leases_lapse
from tests.organisation import Organisation
from tests.stepping import advance
from tests.vaults import copy_vault
from tests.ways_out import LOOPBACK, NETWORK
from vaultcore import engines
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.config import load_settings
from worker.outbound import HttpClient

DAY = timedelta(days=1)
PATIENCE = 120.0
WORKFLOW = "invoice-export"


class Held:
    """Holds the first request of a kind until it is let go."""

    def __init__(self, method: str, path: str) -> None:
        self._wanted = (method, path)
        self._arrived, self._let_go = threading.Event(), threading.Event()
        self._taken = threading.Lock()

    def pass_by(self, method: str, path: str) -> None:
        if (method, path) == self._wanted and self._taken.acquire(blocking=False):
            self._arrived.set()
            assert self._let_go.wait(PATIENCE)

    def wait(self) -> None:
        assert self._arrived.wait(PATIENCE), f"no {self._wanted} came"

    def let_go(self) -> None:
        self._let_go.set()


class SlowTokens(WatchedTokens):
    """Serves the request that is held when it is let go, whether or not its client still waits."""

    held: Held | None = None

    def respond(self, incoming: Incoming) -> Answer | None:
        if self.held is not None:
            self.held.pass_by(incoming.method, incoming.path)
        return super().respond(incoming)


class PausedClient(HttpClient):
    """The client of a worker whose machine stands still before a request leaves."""

    def __init__(self, held: Held) -> None:
        super().__init__(NETWORK)
        self._held = held

    def request(self, method: str, url: str, **given: Any) -> Any:
        self._held.pass_by(method, "/" + url.split("/", 3)[3].partition("?")[0])
        return super().request(method, url, **given)


@pytest.fixture
def tokens() -> Iterator[SlowTokens]:
    with SlowTokens() as started:
        yield started


@pytest.fixture
def organisation(services: Services, clock: Any, tokens: SlowTokens) -> Iterator[Organisation]:
    impatient = load_settings(
        services.settings.home,
        database_url=services.settings.database_url,
        http_timeout_seconds=3,
        outbound_private=LOOPBACK,
    )
    patient = Services(impatient, clock)
    with HttpSink() as sink:
        made = Organisation(
            patient,
            TargetSystems(token_service=tokens, mail=None, sink=sink, mail_user="", mail_password=""),
        )
        made.add_owner("support")
        made.add_token(ITEM, ACCOUNT)
        made.add_workflow(WORKFLOW, ITEM)
        yield made
    patient.close()


def violations(organisation: Organisation) -> list[str]:
    ran = organisation.services.runs.runs.start(WORKFLOW, actor="test")
    known = look(organisation.services, ITEM, run=ran.status)
    tokens = organisation.targets.token_service
    assert isinstance(tokens, WatchedTokens)
    return find_violations(known, tokens.accepted(ACCOUNT))


def finish(organisation: Organisation, clock: Any) -> None:
    """A production run, and the time that it takes until the rotation has ended."""
    for _ in range(4):
        answer_bells(organisation.services)
        organisation.services.runs.runs.start(WORKFLOW, actor="test")
        clock.advance(timedelta(hours=25))
    answer_bells(organisation.services)


@pytest.mark.rules
def test_a_refusal_that_was_an_error_does_not_pass_for_a_revocation(
    organisation: Organisation, clock: Any
) -> None:
    organisation.night()
    organisation.services.runs.runs.start(WORKFLOW, actor="test")
    clock.advance(DAY + timedelta(hours=1))
    organisation.targets.token_service.fail_next("/v1/account", status=401)
    finish(organisation, clock)
    assert violations(organisation) == []


@pytest.mark.rules
def test_a_token_that_is_issued_after_its_rotation_was_undone_is_found(
    organisation: Organisation, tokens: SlowTokens, clock: Any
) -> None:
    tokens.held = held = Held("POST", "/v1/tokens")
    organisation.services.night.nights.begin(clock())
    answer_bells(organisation.services)
    tokens.fail_next("/v1/tokens", status=503, times=10, method="POST")
    for _ in range(5):
        clock.advance(timedelta(minutes=5))
        answer_bells(organisation.services)
    with tokens._lock:
        tokens._failures.clear()
    held.let_go()
    _wait_for_requests(tokens, "POST", 201)
    clock.advance(DAY)
    organisation.night()
    finish(organisation, clock)
    assert violations(organisation) == []


def test_a_worker_that_was_away_takes_nothing_from_who_took_over(
    organisation: Organisation, tokens: SlowTokens, clock: Any
) -> None:
    """Its search for what an earlier try left finds what its successor made."""
    tokens.fail_next("/v1/tokens", status=502, after_effect=True, method="POST")
    organisation.services.night.nights.begin(clock())
    answer_bells(organisation.services)
    clock.advance(timedelta(minutes=5))

    held = Held("GET", "/v1/tokens")
    away = Services(organisation.services.settings, clock)
    away.ways_out = replace(away.ways_out, http=PausedClient(held))
    worker = threading.Thread(target=lambda: advance(away, organisation.due()[0]))
    worker.start()
    held.wait()
    let_leases_lapse(organisation.services)
    answer_bells(organisation.services)
    held.let_go()
    worker.join(PATIENCE)
    away.close()
    finish(organisation, clock)
    assert violations(organisation) == []


def _wait_for_requests(tokens: SlowTokens, method: str, status: int) -> None:
    """Until one such was answered; it is on its way."""
    served = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if any(seen.method == method and seen.status == status for seen in tokens.requests):
            return
        served.wait(0.01)
    raise TimeoutError(f"no {method} was answered with {status}")


def test_a_scrub_beside_a_reader_holds_up_no_writer(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a night's scan reads and writes while another worker has just retired a version."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 600)
    settings = load_settings(tmp_path / "home", outbound_private=LOOPBACK)
    copy_vault(settings, clock)
    scanning, retiring = Services(settings, clock), Services(settings, clock)
    with scanning.database.read() as reading:
        reading.execute(select(audit.c.seq)).all()
        with retiring.database.write() as connection:
            retiring.owners.create(connection, "support", actor="test")
        scrubbing = threading.Thread(target=retiring.database.scrub)
        began = time.monotonic()
        scrubbing.start()
        scrubbing.join(0.3)  # by then it is done, or it waits
        with scanning.database.write() as connection:
            scanning.owners.create(connection, "network", actor="test")
        took = time.monotonic() - began
    scrubbing.join(PATIENCE)
    scanning.close()
    retiring.close()
    assert took < 300, "a writer waits for ten minutes at most, and here for nobody"
