"""The command as a user has it: a process of its own, a data folder of its own, no settings of ours.

Most are forked from a process that has imported the command already; `begins_anew` is for tests that look at
what a process has from its beginning.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.target_systems import TargetSystems, start_target_systems
from tests.forking import run_command

LOOPBACK = {"NIGHTKEY_OUTBOUND_PRIVATE": '["127.0.0.0/8"]'}
"""The targets of these tests are on this machine."""


@dataclass
class Nightkey:
    """Runs `nightkey` in one data folder and remembers all that it ever printed."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    begins_anew: bool = False

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        ours = {"HOME": str(self.home.parent), "NIGHTKEY_HOME": str(self.home)}
        nowhere = {"NIGHTKEY_LISTEN": ""}  # several run beside each other
        return {**kept, **ours, **LOOPBACK, **nowhere, **self.settings}

    def __call__(
        self, *words: str, value: str | None = None, status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        if self.begins_anew:
            done = subprocess.run(
                [sys.executable, "-m", "worker.cli.main", *words],
                input=value,
                capture_output=True,
                text=True,
                env=self.environment,
                timeout=300,
                check=False,
                stdin=subprocess.DEVNULL if value is None else None,
            )
        else:
            done = run_command(words, environment=self.environment, value=value)
        self.printed += [done.stdout, done.stderr]
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def json(self, *words: str, value: str | None = None, status: int = 0) -> Any:
        """The one JSON document that the command answers with."""
        return json.loads(self(*words, "--json", value=value, status=status).stdout)


@pytest.fixture(scope="session")
def new_vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `nightkey init` makes, once: keys and migrations take a second."""
    made = Nightkey(tmp_path_factory.mktemp("made") / "home")
    made("init")
    return made.home


@pytest.fixture
def nightkey(tmp_path: Path, new_vault: Path) -> Nightkey:
    """On a vault of its own that was just made."""
    made = Nightkey(
        tmp_path / "home",
        {
            "NIGHTKEY_RETRY_SECONDS": "0.1",
            "NIGHTKEY_DELIVERY_RETRY_SECONDS": "0.1",
            "NIGHTKEY_DELIVERY_TRIES": "4",
        },
    )
    shutil.copytree(new_vault, made.home)
    return made


@pytest.fixture
def targets() -> Iterator[TargetSystems]:
    with start_target_systems() as started:
        yield started


def write_workflow(folder: Path, name: str, nodes: list[dict[str, Any]], **extra: Any) -> Path:
    """A workflow whose nodes follow each other; the first is its trigger."""
    ids = [node["id"] for node in nodes]
    shaped = [
        {
            "id": node["id"],
            "type": "trigger" if number == 0 else node.get("type", "action"),
            "position": {"x": 200 * number, "y": 0},
            "data": {key: part for key, part in node.items() if key not in ("id", "type")},
        }
        for number, node in enumerate(nodes)
    ]
    edges = [
        {"id": f"e{number}", "source": source, "target": target}
        for number, (source, target) in enumerate(pairwise(ids))
    ]
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"name": name, "nodes": shaped, "edges": edges, **extra}))
    return file


def write_token_policy(folder: Path, url: str, account: str, **policy: str) -> Path:
    """A policy for the rotator `http` against the token service. Nothing needs to read the item: of many a test
    looks at the rotation alone.
    """
    admin = {"Authorization": "Bearer {{ vault.prod-tokenhub-admin-token }}"}
    document = {
        "mode": "auto",
        "rotator": "http",
        "lifetime": "90d",
        "lead": "14d",
        "overlap": "0s",
        "propagation": "0s",
        "consumers": "none",
        **policy,
        "settings": {
            "value": "token",
            "id": "id",
            "expires": "expires_at",
            "verify_id": "token_id",
            "find_ids": "tokens.*.id",
            "inventory_gone": "revoked",
            "issue": {
                "method": "POST",
                "url": f"{url}/v1/tokens",
                "headers": admin,
                "body": {"account": account, "label": "{{ rotation.label }}", "lifetime_seconds": 7776000},
            },
            "verify": {
                "method": "GET",
                "url": f"{url}/v1/account",
                "headers": {"Authorization": "Bearer {{ rotation.value }}"},
            },
            "revoke": {
                "method": "DELETE",
                "url": f"{url}/v1/tokens/{{{{ rotation.id }}}}",
                "headers": admin,
            },
            "find": {
                "method": "GET",
                "url": f"{url}/v1/tokens?account={account}&label={{{{ rotation.label }}}}",
                "headers": admin,
            },
        },
    }
    file = folder / f"policy-{account}.json"
    file.write_text(json.dumps(document))
    return file
