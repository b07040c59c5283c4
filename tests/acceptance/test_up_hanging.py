"""`nightkey up` beside target systems that take connections and never answer."""

import json
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.target_systems import TargetSystems
from tests.acceptance.conftest import Nightkey, write_token_policy
from tests.acceptance.running_up import Up, ask, is_gone, look_back, run_up
from tests.services.staging import ScriptedService

pytestmark = pytest.mark.long

WORKERS, AT_ONCE = 2, 4
HANGING = WORKERS * AT_ONCE + 2
"""More than all workers drive at once."""
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
ADMIN = "{{ vault.prod-tokenhub-admin-token }}"
_STOP_SECONDS = 60 + 120
"""What runs has a minute to finish; the rest is for a busy machine."""


class Hole:
    """So many places that take connections, and read nothing. `reached` counts them by port."""

    def __init__(self, number: int) -> None:
        self.reached: Counter[int] = Counter()
        self._servers = [socket.create_server(("127.0.0.1", 0), backlog=100) for _ in range(number)]
        self._taken: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        for server in self._servers:
            self._selector.register(server, selectors.EVENT_READ)
        self._bell, self._button = socket.socketpair()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    @property
    def ports(self) -> list[int]:
        return [server.getsockname()[1] for server in self._servers]

    def close(self) -> None:
        self._button.send(b"!")
        self._thread.join()
        for one in (*self._servers, *self._taken, self._bell, self._button):
            one.close()

    def _take(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._bell:
                    return
                server = key.fileobj
                assert isinstance(server, socket.socket)
                self._taken.append(server.accept()[0])
                self.reached[server.getsockname()[1]] += 1


@contextmanager
def open_holes(number: int) -> Iterator[Hole]:
    hole = Hole(number)
    try:
        yield hole
    finally:
        hole.close()


@pytest.fixture
def vault(nightkey: Nightkey, service: ScriptedService) -> Nightkey:
    nightkey.settings |= {
        "NIGHTKEY_RING_SECONDS": "1", "NIGHTKEY_RETRY_SECONDS": "1", "NIGHTKEY_CONCURRENCY": str(WORKERS),
        "NIGHTKEY_ROTATIONS_AT_ONCE": str(AT_ONCE),
    }  # fmt: skip
    nightkey("owner", "create", "support")
    nightkey(
        "item", "create", "prod-tokenhub-admin-token", "--mode", "notify", "--owner", "support",
        "--expires-at", "300d", "--value-file", "-", value=service.admin_token,
    )  # fmt: skip
    look_back(nightkey)
    return nightkey


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    with ScriptedService() as started:
        yield started


def add_item(vault: Nightkey, name: str, policy: Path, value: str) -> str:
    vault("item", "create", name, "--owner", "support", "--expires-at", "5d", "--policy", str(policy),
          "--value-file", "-", value=value)  # fmt: skip
    return name


def add_healthy(vault: Nightkey, service: ScriptedService, folder: Path) -> list[str]:
    """Three at one target system, and two that have none."""
    names = []
    for account in ("ticketing", "billing", "crm"):
        _, token = service.issue(account)
        policy = write_token_policy(folder, service.url, account)
        names.append(add_item(vault, f"prod-{account}-token", policy, token))
    random = write_policy(folder, "random", {})
    return names + [
        add_item(vault, name, random, f"a value of {name}") for name in ("prod-shop-seed", "prod-mail-seed")
    ]


def add_hanging(vault: Nightkey, ports: list[int], folder: Path, *, timeout: float) -> list[str]:
    """Each at a target system of its own: a role, a password and a key, the others by HTTP."""
    names = []
    machine = {"host": "127.0.0.1", "username": "ops", "host_key": HOST_KEY, "timeout": timeout}
    at_machine = {
        "ssh-password": {**machine, "command": "chpasswd", "admin": "root", "admin_password": ADMIN},
        "postgres-role": {
            "host": "127.0.0.1", "roles": ["shop"], "admin": "admin", "admin_password": ADMIN,
            "tls": "off", "timeout": timeout,
        },
    }  # fmt: skip
    for port, (rotator, settings) in zip(ports, at_machine.items(), strict=False):
        policy = write_policy(folder, rotator, {**settings, "port": port})
        names.append(add_item(vault, f"prod-hanging-{rotator}", policy, f"a value of {rotator}"))
    for port in ports[len(at_machine) :]:
        policy = write_token_policy(folder, f"http://127.0.0.1:{port}", f"account{port}")
        names.append(add_item(vault, f"prod-hanging-token-{port}", policy, f"a value of {port}"))
    return names


def write_policy(folder: Path, rotator: str, settings: dict[str, Any]) -> Path:
    file = folder / f"policy-{rotator}.json"
    document = {
        "mode": "auto", "rotator": rotator, "lifetime": "90d", "lead": "14d", "overlap": "0s",
        "propagation": "0s", "consumers": "none", "settings": settings,
    }  # fmt: skip
    file.write_text(json.dumps(document))
    return file


def states(vault: Nightkey, names: list[str]) -> Counter[str]:
    query = "SELECT items.name, rotations.state FROM rotations JOIN items ON items.id = rotations.item_id"
    found = dict(ask(vault, query))
    return Counter(found.get(name, "") for name in names)


def test_others_come_to_their_end_and_these_are_tried_again_and_told(
    vault: Nightkey, service: ScriptedService, tmp_path: Path
) -> None:
    vault.settings |= {"NIGHTKEY_HTTP_TIMEOUT_SECONDS": "3", "NIGHTKEY_PATIENCE_HOURS": "0.006"}
    with open_holes(HANGING) as hole:
        healthy = add_healthy(vault, service, tmp_path)
        hanging = add_hanging(vault, hole.ports, tmp_path, timeout=3)
        with run_up(vault) as up:
            up.wait_until(lambda: states(vault, healthy) == {"done": len(healthy)})
            up.wait_until(lambda: states(vault, hanging) == {"stuck": len(hanging)})
            check_end(up)
        assert all(hole.reached[port] >= 2 for port in hole.ports), hole.reached
    assert "rotation-stuck" in {one["kind"] for one in vault.json("notice", "list")}
    problems = vault.json("night", "show")["outlook"]["problems"]
    assert all(any(name in str(one) for one in problems) for name in hanging), problems


def test_people_are_told_beside_them_and_sigterm_ends_it_though_no_call_comes_to_an_end(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    """All that both workers drive waits, for longer than a stop may take. A third one tells who approves."""
    vault.settings["NIGHTKEY_HTTP_TIMEOUT_SECONDS"] = "300"
    vault("owner", "create", "approvers", "--route", f"json://{targets.sink.url[7:]}/approvers")
    vault("item", "create", "prod-approved-token", "--owner", "approvers", "--expires-at", "5d", "--mode",
          "approve", "--rotator", "random", "--consumers", "none", "--value-file", "-",
          value="a value to approve")  # fmt: skip
    with open_holes(HANGING) as hole:
        hanging = add_hanging(vault, hole.ports, tmp_path, timeout=300)
        with run_up(vault) as up:
            up.wait_until(lambda: len(hole.reached) == WORKERS * AT_ONCE)
            up.wait_until(lambda: "prod-approved-token" in str([post.body for post in targets.sink.requests]))
            check_end(up)
        assert states(vault, hanging).keys() <= {"queued", "planned", "created"}


def check_end(up: Up) -> None:
    children = [*up.children("worker"), *up.children("beat")]
    assert up.stop(_STOP_SECONDS) == 0, up.said()
    assert all(is_gone(pid) for pid in children)
    assert "Traceback" not in up.said()
