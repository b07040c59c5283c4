"""A package of somebody else's: installed, found by its entry points, and held to the same contract."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.mailbox import Mailbox
from tests.forking import run_command
from vaultcore.secret import Secret
from worker.testing import Link, RotatorContract, StagedRotator

PACKAGE = Path(__file__).parents[1] / "plugin"
ADMIN = "the-admin-token-of-the-tests"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, as pip lays it out."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    shutil.copytree(PACKAGE, source)
    site = folder / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--target", str(site), str(source)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return site


@pytest.fixture
def nightkey(installed: Path, tmp_path: Path) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(installed), "NIGHTKEY_HOME": str(tmp_path / "home")}

    def run(*words: str, status: int = 0, value: str | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "worker.cli.main", *words], env=environment, input=value, check=False,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_it_is_listed_and_shown_with_its_page_settings_and_example(nightkey: Any) -> None:
    assert "acme-mailbox" in nightkey("rotator", "list")
    assert "acme_login" in nightkey("node", "list")
    shown = nightkey("rotator", "show", "acme-mailbox")
    for part in ("Adds a password to a mailbox", "admin_token", "{{ vault.prod-acme-admin-token }}"):
        assert part in shown


@pytest.mark.long
def test_an_item_and_a_workflow_may_use_it_and_its_settings_are_checked(nightkey: Any, tmp_path: Path) -> None:
    given = ["--owner", "ops", "--value-file", "-", "--expires-at", "9d"]
    admin = ["item", "create", "prod-acme-admin-token", *given, "--mode", "notify"]
    for words in (["init"], ["owner", "create", "ops"], admin):  # which need no package
        environment = {"HOME": str(tmp_path), "NIGHTKEY_HOME": str(tmp_path / "home")}
        assert run_command(words, environment=environment, value="of-an-admin").returncode == 0
    item = [
        "item",
        "create",
        "prod-acme-password",
        *given,
        "--mode",
        "auto",
        "--rotator",
        "acme-mailbox",
        "--set",
        "url=https://mail.acme.example",
    ]
    refused = nightkey(*item, status=2, value="a-value")
    assert "rotator acme-mailbox, setting admin_token" in refused
    token = ["--set", "admin_token={{ vault.prod-acme-admin-token }}"]
    assert "colour: there is no such setting" in nightkey(
        *item, *token, "--set", "colour=blue", status=2, value="a-value"
    )
    file = tmp_path / "flow.json"
    login = {"componentId": "acme_login", "url": "https://mail.acme.example"}
    login["password"] = "{{ vault.prod-acme-password }}"
    nodes = [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        {"id": "login", "type": "action", "data": login},
    ]
    edges = [{"id": "e1", "source": "start", "target": "login"}]
    file.write_text(json.dumps({"name": "flow", "nodes": nodes, "edges": edges}))
    nightkey("workflow", "apply", str(file))
    nightkey(*item, *token, value="a-value")
    assert "prod-acme-password" in nightkey("workflow", "show", "flow")


class TestMailboxRotator(RotatorContract):
    @pytest.fixture(autouse=True)
    def _on_the_path(self, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(installed))

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        from acme_nightkey import MailboxRotator  # noqa: PLC0415  # there once it is installed

        with Mailbox(ADMIN, ["the-password-of-old"]) as mailbox, Link(mailbox.port) as link:
            yield StagedRotator(
                rotator=MailboxRotator(),
                settings={
                    "url": f"http://127.0.0.1:{link.port}",
                    "admin_token": "{{ vault.prod-acme-admin-token }}",
                },
                old=Secret("the-password-of-old"),
                link=link,
                accepts=lambda value: value.expose() in mailbox.passwords,
                count=lambda: len(mailbox.passwords),
                values={"prod-acme-admin-token": Secret(ADMIN)},
            )
