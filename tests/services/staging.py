"""An organisation whose token service does what a test scripts, and the moves of its nights."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from nightkey_demo import loopback
from nightkey_demo.loopback import Answer, Incoming
from nightkey_demo.target_systems import start_target_systems
from nightkey_demo.token_service import Request, TokenService, _bearer, _digest, _Token
from tests.organisation import Organisation
from tests.stepping import advance
from tests.vaults import copy_vault
from tests.ways_out import LOOPBACK
from vaultcore.secret import Secret
from worker.bootstrap import Clock, Services
from worker.config import load_settings
from worker.delivery.formats import to_text
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import rotations as rotation_rows
from worker.wording.problems import describe

TOKEN = "prod-ticketing-api-token"
TICK = timedelta(microseconds=1)
_SECONDS_MAX = 120
_TURNS_MAX = 500


class Gate:
    """A request that waits until the test lets it in; the client may have given it up long before."""

    def __init__(self, method: str, path: str) -> None:
        self.method, self.path = method, path
        self.reached, self._opened, self._served = threading.Event(), threading.Event(), threading.Event()

    def open(self) -> None:
        """Lets it in, and waits until it was served."""
        self._opened.set()
        assert self._served.wait(_SECONDS_MAX)

    def pass_through(self, serve: Callable[[], Answer | None]) -> Answer | None:
        self.reached.set()
        self._opened.wait(_SECONDS_MAX)
        try:
            return serve()
        finally:
            self._served.set()


class ScriptedService(TokenService):
    """Asks `script` before it answers: an answer is sent instead of its own. Keeps its port when it stops.
    `connections` is how many it has accepted.

    With `has_twins` it takes a label twice, as many services do.
    """

    def __init__(self) -> None:
        super().__init__("the-admin-token-of-the-tests")
        self.script: Callable[[Incoming], Answer | None] = lambda _: None
        self.has_twins = False
        self.connections = 0
        self._gates: list[Gate] = []
        self._port = 0

    def start(self) -> Self:
        wanted, service = self._port, self

        class Anchored(loopback._Server):
            def server_bind(self) -> None:
                self.server_address = ("127.0.0.1", wanted)
                super().server_bind()

            def process_request(self, *accepted: Any) -> None:
                service.connections += 1  # by the one thread that accepts them
                super().process_request(*accepted)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loopback, "_Server", Anchored)
            super().start()
        self._port = int(self.url.rpartition(":")[2])
        return self

    def gate(self, path: str, *, method: str) -> Gate:
        """The next such request waits there."""
        made = Gate(method, path)
        self._gates.append(made)
        return made

    def respond(self, incoming: Incoming) -> Answer | None:
        for gate in self._gates:
            if (gate.method, gate.path) == (incoming.method, incoming.path):
                self._gates.remove(gate)
                return gate.pass_through(lambda: super(ScriptedService, self).respond(incoming))
        answer = self.script(incoming)
        if answer is None:
            return super().respond(incoming)
        with self._lock:
            used = self._by_digest.get(_digest(_bearer(incoming)))
            self._requests.append(
                Request(
                    method=incoming.method,
                    path=self._show_path(incoming.path),
                    status=answer.status,
                    token_id=used.id if used else None,
                )
            )
        return answer

    def is_known(self, value: str) -> bool:
        """Whether it ever issued it."""
        with self._lock:
            return _digest(value) in self._by_digest

    def end_all(self, account: str) -> None:
        """Its tokens are accepted no longer."""
        with self._lock:
            for digest, token in self._by_digest.items():
                if token.account == account:
                    self._by_digest[digest] = replace(token, revoked=True)

    def calls(self, method: str, path: str = "/v1/tokens") -> int:
        """How many requests of that kind were answered; paths by their beginning."""
        return sum(one.method == method and one.path.startswith(path) for one in self.requests)

    def _issue(
        self, account: str, label: str, scopes: list[str] | None, lifetime_seconds: int | None
    ) -> tuple[_Token, str] | None:
        if not self.has_twins:
            return super()._issue(account, label, scopes, lifetime_seconds)
        with self._lock:
            issued = super()._issue(account, f"{label} {len(self._by_digest)}", scopes, lifetime_seconds)
            assert issued is not None
            token, value = replace(issued[0], label=label), issued[1]
            self._by_digest[_digest(value)] = token
            return token, value


Staged = tuple[Organisation, ScriptedService]


def bearer_of(incoming: Incoming) -> str:
    return _bearer(incoming)


REFUSED = Answer(status=401, body={"error": "refused"})


def reject_new_value(service: ScriptedService, old: str) -> None:
    def refuse(incoming: Incoming) -> Answer | None:
        return REFUSED if incoming.path == "/v1/account" and bearer_of(incoming) != old else None

    service.script = refuse


def lose_the_first_answer(service: ScriptedService) -> None:
    """The first issue has its effect, and is answered 504."""
    lost: list[str] = []

    def script(incoming: Incoming) -> Answer | None:
        if (incoming.method, incoming.path) == ("POST", "/v1/tokens") and not lost:
            lost.append(service.issue("ticketing", label=json.loads(incoming.body)["label"])[0])
            return Answer(status=504, body={})
        return None

    service.script = script


def make_services(home: Path, database_url: str, clock: Clock, **settings: Any) -> Services:
    """Services on a new vault, with settings of a test's own. Its nights ask of no credential unless these say
    so: most tests are about rotations.
    """
    settings = {"check_every_days": 0} | settings
    made = load_settings(home, database_url=database_url, outbound_private=LOOPBACK, **settings)
    copy_vault(made, clock)
    return Services(made, clock)


@contextmanager
def start_organisation(services: Services) -> Iterator[tuple[Organisation, ScriptedService]]:
    with start_target_systems() as targets, ScriptedService() as service:
        made = Organisation(services, replace(targets, token_service=service))
        made.add_owner("support")
        yield made, service


@contextmanager
def stage(folder: Path, database_url: str, clock: Clock, **settings: Any) -> Iterator[Staged]:
    """An organisation on a new vault, with settings of a test's own."""
    services = make_services(folder, database_url, clock, **settings)
    try:
        with start_organisation(services) as made:
            yield made
    finally:
        services.close()


@contextmanager
def reopen(organisation: Organisation, **settings: Any) -> Iterator[Services]:
    """As after a restart: other services on the same vault, with other settings, in the place of the first."""
    first = organisation.services
    known = first.settings
    given = {"outbound_private": LOOPBACK, "check_every_days": known.check_every_days} | settings
    again = Services(load_settings(known.home, database_url=known.database_url, **given), first.clock)
    organisation.services = again
    try:
        yield again
    finally:
        organisation.services = first
        again.close()


def add_route(organisation: Organisation, owner: str) -> None:
    """To the sink of its targets, for somebody who is there already."""
    services = organisation.services
    url = f"json://{organisation.targets.sink.url[7:]}/{owner}"
    with services.database.write() as connection:
        found = services.owners.get(connection, owner)
        services.owners.add_route(connection, found, Secret(url), shown="json://sink", actor="test")


def what_is_wrong(services: Services) -> list[str]:
    """As `status` says it, worst first."""
    return [describe(problem) for problem in services.overview.status.read().problems]


def turn_to_next(organisation: Organisation, clock: Any) -> None:
    """Turns the clock to the first step of any rotation that is to come."""
    times = [
        one.next_at
        for one in organisation.rotations()
        if one.finished_at is None and one.next_at is not None and one.next_at > clock.now
    ]
    if times:
        clock.now = min(times)


def drive_on(organisation: Organisation, clock: Any, *, until: Callable[[], bool] | None = None) -> None:
    """Drives, and turns the clock to each step that follows, while anything moves or until that is so."""
    for _ in range(_TURNS_MAX):
        organisation.drive()
        if until() if until is not None else not organisation.moving():
            return
        turn_to_next(organisation, clock)
    raise AssertionError("it never came to rest")


def step_to(organisation: Organisation, clock: Any, rotation_id: str, state: State) -> Rotation:
    """One step after the other, until the rotation is in that state."""
    for _ in range(_TURNS_MAX):
        found = get_rotation(organisation, rotation_id)
        if found.state is state:
            return found
        if advance(organisation.services, rotation_id) is None:
            turn_to_next(organisation, clock)
    raise AssertionError(f"it never was {state}")


def get_rotation(organisation: Organisation, rotation_id: str) -> Rotation:
    with organisation.services.database.read() as connection:
        return rotation_rows.get_rotation(connection, rotation_id)


def begin_by_hand(organisation: Organisation, name: str) -> str:
    return organisation.services.rotation.opening.request(name, asked_by="test").id


def open_tokens(staged: Staged, number: int) -> list[str]:
    """So many items with a target system, each with a rotation by hand; the ids of these."""
    for place in range(number):
        staged[0].add_token(f"prod-token-{place}", f"account{place}")
    return [begin_by_hand(staged[0], f"prod-token-{place}") for place in range(number)]


def open_passwords(staged: Staged, number: int, *, after: int = 0) -> list[str]:
    """The same of items that have none, numbered from `after`."""
    names = [f"prod-password-{place}" for place in range(after, after + number)]
    for name in names:
        staged[0].add_item(name, "a-first-value", days=3, mode="auto", rotator="random", lead="14d")
    return [begin_by_hand(staged[0], name) for name in names]


def told(organisation: Organisation, kind: str) -> list[tuple[str, str]]:
    """Notices of a kind: who is told, and what, as plain text. A digest that has not left says nothing yet."""
    return [(one.owner, to_text(one.body or "")) for one in organisation.notices() if one.kind == kind]


def end_the_old(service: ScriptedService) -> None:
    """One token for each account: whoever gets another loses the one before."""

    def script(incoming: Incoming) -> Answer | None:
        if (incoming.method, incoming.path) == ("POST", "/v1/tokens"):
            service.end_all("ticketing")
        return None

    service.script = script


def rotate(staged: Staged, clock: Any) -> Rotation:
    organisation, _ = staged
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock)
    return organisation.rotations()[0]
