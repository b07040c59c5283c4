"""The demo is the product's first promise: it runs, for real, in time, and leaves a vault to look at."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Nightkey


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Nightkey, str]:
    """The command on what it left, and what it showed; its console was opened, and its end asked for."""
    nightkey = Nightkey(tmp_path_factory.mktemp("demo") / "demo")
    command = [sys.executable, "-m", "worker.cli.main", "demo", "--home", str(nightkey.home), "--stay"]
    shown = list[str]()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=nightkey.environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            shown.append(line)
            link = re.search(r"http://127\.0\.0\.1:\d+/console/link/\S+", line)
            if link is not None:
                break
        else:
            raise AssertionError("".join(shown))
        opened = httpx.get(link[0], follow_redirects=True, timeout=120)
        assert (opened.status_code, opened.url.path) == (200, "/console/")
        assert "prod-billing-api-token" in opened.text
        process.send_signal(signal.SIGTERM)
        shown += process.stdout.readlines()
    assert process.returncode == 0
    return nightkey, "".join(shown)


@pytest.mark.long
def test_the_demo_shows_a_night_and_ends_well(demo: tuple[Nightkey, str]) -> None:
    nightkey, shown = demo
    assert "WRONG" not in shown
    assert shown.count("  ok    ") == 13
    for what in (
        "prod-ticketing-api-token was replaced",
        "workflow test  prod-billing-api-token        FAILED",
        "revoked, and the service refuses the old value",
        "missing",
        "expired",
        "superseded",
        "unused",
        "idle",
        "lapsed",
        "nightkey status",
    ):
        assert what in shown, what
    states = {row["item"]: row["state"] for row in nightkey.json("rotation", "list")}
    assert states == {
        "prod-ticketing-api-token": "done",
        "prod-billing-callback-secret": "done",
        "prod-billing-api-token": "rolled-back",
        "prod-outgoing-mail-password": "done",
        "prod-ledger-soap-password": "done",
        "prod-files-ssh-key": "done",
        "prod-orders-signing-key": "done",
        "api-key:partner-portal": "watching",
        "prod-inventory-api-token": "requested",
    }
    assert nightkey.json("audit", "verify")["whole"] is True


@pytest.mark.long
def test_the_pickup_that_the_demo_shows_opens_until_its_key_is_used(demo: tuple[Nightkey, str]) -> None:
    nightkey, shown = demo
    token = re.search(r"nightkey pickup .*: (clm_\w+)\)", shown)
    assert token is not None
    key = nightkey.json("pickup", "-", value=token[1])["key"]
    assert nightkey.json("pickup", "-", value=token[1])["key"] == key
    checked = nightkey.json("key", "check", "--value-file", "-", value=key)
    assert (checked["item"], checked["version"]) == ("api-key:partner-portal", 2)
    assert "collected already" in nightkey("pickup", "-", value=token[1], status=3).stderr


def test_the_demo_does_not_touch_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli.main", "demo", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 3
    assert "is not empty" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
