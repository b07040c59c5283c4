"""Rotator `http` against JupyterHub's own token API: the contract."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ports import choose_port
from vaultcore.secret import Secret
from worker.rotators.http import HttpRotator
from worker.testing import Link, RotatorContract, StagedRotator

CONFIG = Path(__file__).with_name("jupyterhub_config.py")
ADMIN = "the-admin-token-of-the-tests-0123456789"


class Hub:
    """The hub, asked directly."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._api = httpx.Client(base_url=f"http://127.0.0.1:{port}/hub/api", timeout=120, trust_env=False)
        self._admin = {"Authorization": f"token {ADMIN}"}

    def is_up(self) -> bool:
        try:
            return self._api.get("/").status_code == 200
        except httpx.TransportError:
            return False

    def add_user(self, name: str) -> str:
        """A user, and the value of a token of theirs."""
        self._api.post(f"/users/{name}", headers=self._admin).raise_for_status()
        made = self._api.post(f"/users/{name}/tokens", headers=self._admin, json={"note": "by hand"})
        return str(made.raise_for_status().json()["token"])

    def accepts(self, value: str) -> bool:
        return self._api.get("/user", headers={"Authorization": f"token {value}"}).status_code == 200

    def count(self, name: str) -> int:
        found = self._api.get(f"/users/{name}/tokens", headers=self._admin)
        return len(found.raise_for_status().json()["api_tokens"])

    def close(self) -> None:
        self._api.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    port = choose_port()
    environment = {**os.environ, "HUB_FOLDER": str(folder), "HUB_PORT": str(port), "HUB_TOKEN": ADMIN}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)],
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        made = Hub(port)
        try:
            while not made.is_up():
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield made
        finally:
            made.close()
            process.terminate()
            process.wait(120)


def describe_hub(port: int, user: str) -> dict[str, Any]:
    url, admin = f"http://127.0.0.1:{port}/hub/api", {"Authorization": "token {{ vault.prod-hub-admin-token }}"}
    tokens = f"{url}/users/{user}/tokens"
    return {
        "issue": {"url": tokens, "headers": admin, "body": {"note": "{{ rotation.label }}"}},
        "value": "token",
        "id": "id",
        "expires": "expires_at",
        "verify": {
            "method": "GET",
            "url": f"{url}/user",
            "headers": {"Authorization": "token {{ rotation.value }}"},
        },
        "verify_id": "token_id",
        "revoke": {
            "method": "DELETE",
            "url": f"{tokens}/{{{{ rotation.id }}}}",
            "headers": admin,
        },
        "find": {"method": "GET", "url": tokens, "headers": admin},
        "find_ids": "api_tokens.*.id",
        "find_label": "note",
    }


class TestJupyterHub(RotatorContract):
    @pytest.fixture(autouse=True)
    def _serve(self, hub: Hub) -> None:
        self.hub = hub

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        user = f"robot-{secrets.token_hex(4)}"
        old = Secret(self.hub.add_user(user))
        with Link(self.hub.port) as link:
            yield StagedRotator(
                rotator=HttpRotator(),
                settings=describe_hub(link.port, user),
                old=old,
                link=link,
                accepts=lambda value: self.hub.accepts(value.expose()),
                count=lambda: self.hub.count(user),
                values={"prod-hub-admin-token": Secret(ADMIN)},
            )
