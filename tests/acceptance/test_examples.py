"""Every example that a help gives is run, as a shell takes it, in a vault that has what it names."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import LOOPBACK, Nightkey
from tests.commands import walk_commands
from tests.forking import offer_command
from worker.cli.examples import EXAMPLES
from worker.cli.main import build_command

SERVING = {"up", "serve", "demo"}
"""They go on until they are stopped: tests of their own start them."""
NO_FORM = re.compile(r" -o (json|csv|wide)")
SYNC = {
    "name": "crm-sync",
    "nodes": [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        {
            "id": "send",
            "type": "action",
            "data": {
                "componentId": "webhook",
                "method": "POST",
                "url": "http://127.0.0.1:9/",
                "headers": {"X-Token": "{{ vault.prod-crm-token }}", "X-Hook": "{{ vault.prod-hook-secret }}"},
            },
        },
    ],
    "edges": [{"id": "e1", "source": "start", "target": "send"}],
}
KEPT = """
[policies.monthly]
lifetime = "30d"
lead = "5d"

[items.stage-crm-token]
labels = { env = "stage" }
policy = "monthly"
"""
GIVEN = {
    "value.txt": "a-new-value",
    "url.txt": "postgresql://nightkey@127.0.0.1:9/nightkey",
    "route.txt": "json://127.0.0.1:9/hook",
    "credentials.csv": "name,value,expires_at\nprod-wiki-token,the-value-of-the-wiki,2099-01-01\n",
    ".env": "PROD_SHOP_TOKEN=the-value-of-the-shop\n",
    "crm-sync.json": json.dumps(SYNC),
    "payload.json": "{}",
    "kept/all.toml": KEPT,
}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
ITEMS = {
    "prod-crm-token": ["--label", "env=prod"],
    "prod-mail-password": [
        *("--mode", "auto", "--rotator", "ssh-password", "--consumers", "none", "--lifetime", "90d"),
        *("--set", "host=mail.example.org", "--set", "username=robot", "--set", f"host_key={HOST_KEY}"),
        *("--set", "admin=rotator", "--set", "admin_key={{ vault.prod-crm-token }}"),
        *("--set", "command=sudo -n chpasswd"),
    ],
    "stage-crm-token": [],
    "prod-hook-secret": ["--mode", "auto", "--rotator", "random", "--lifetime", "90d"],
    "prod-spare-secret": ["--mode", "auto", "--rotator", "random", "--consumers", "none", "--lifetime", "90d"],
}
KEY = ["--mode", "auto", "--rotator", "signing-key", "--set", "algorithm=ES256", "--consumers", "none"]


@pytest.fixture(scope="module")
def stocked(new_vault: Path, tmp_path_factory: pytest.TempPathFactory) -> Nightkey:
    folder = tmp_path_factory.mktemp("stocked")
    made = Nightkey(folder / "home", {"NIGHTKEY_RETRY_SECONDS": "0.1", "NIGHTKEY_DELIVERY_TRIES": "1"})
    shutil.copytree(new_vault, made.home)
    for name, text in GIVEN.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    for owner in ("crm", "ann", "nobody"):
        made("owner", "create", owner, "--route", "json://127.0.0.1:9/hook")
    made("workflow", "apply", str(folder / "crm-sync.json"))
    due = ("--owner", "crm", "--expires-at", "90d", "--value-file", "-")
    for name, more in ITEMS.items():
        made("item", "create", name, *due, *more, value=f"the-value-of-{name}")
    key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    made("item", "create", "prod-signing-key", *due, *KEY, value=key)
    made("item", "apply", str(folder / "kept"), "--yes")
    made("principal", "create", "ci", "--role", "viewer")
    made("item", "rotate", "prod-hook-secret", status=1)
    made("workflow", "run", "crm-sync", status=1)
    made("night", "--no-wait", status=1)
    made("item", "create", "api-key: orders", "--owner", "crm", "--expires-at", "90d", "--mode", "auto")
    made("backup", str(folder / "nightkey.backup"))
    return made


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    with offer_command() as folder:
        yield folder


@pytest.fixture
def own(stocked: Nightkey, tmp_path: Path) -> Nightkey:
    shutil.copytree(stocked.home.parent, tmp_path, dirs_exist_ok=True)
    return Nightkey(tmp_path / "home", stocked.settings)


def run(vault: Nightkey, commands: Path, example: str) -> "subprocess.CompletedProcess[str]":
    environment = vault.environment | LOOPBACK | {"PATH": f"{commands}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", example],
        cwd=vault.home.parent,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def fill_in(vault: Nightkey, example: str) -> str:
    """The vault and its ids in the place of those of the example."""
    example = example.replace("/srv/nightkey", str(vault.home))
    lists = {"rot": "rotation", "fnd": "finding", "ntc": "notice", "fl_run": "run", "vlt": "item"}
    for prefix, noun in lists.items():
        if f"{prefix}_01k2x7" in example:
            rows: list[dict[str, Any]] = vault.json(noun, "list")
            found = [row["id"] for row in rows if row.get("name") != "prod-crm-token"]
            example = example.replace(f"{prefix}_01k2x7", found[0])
    return example


CASES = [
    (words, example)
    for words, examples in EXAMPLES.items()
    if words not in SERVING
    for example in examples
    if not (NO_FORM.search(example) and example != examples[0])
]


@pytest.mark.long  # a hundred and forty commands
@pytest.mark.parametrize(("words", "example"), CASES, ids=[example for _, example in CASES])
def test_an_example_works_as_it_stands(own: Nightkey, commands: Path, words: str, example: str) -> None:
    """What a decision comes to depends on how things stand; but no example is wrong use."""
    done = run(own, commands, fill_in(own, example))

    assert done.returncode in {0, 1, 3}, done.stderr
    assert "unexpected" not in done.stderr
    assert done.stdout + done.stderr or ">" in example
    if words.rsplit(maxsplit=1)[-1] in {"list", "show", "explain", "preview", "create", "update", "export"}:
        assert done.returncode == 0, done.stderr


def test_every_command_has_examples_of_its_own() -> None:
    assert set(EXAMPLES) == {" ".join(words) for words in walk_commands(build_command())}
    for words, examples in EXAMPLES.items():
        assert all(f"nightkey {words}" in example or "--home" in example for example in examples)
        assert len(set(examples)) == len(examples) >= 1
