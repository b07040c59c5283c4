"""Backup and restore as a user does them: the commands, their exits, and a worker that is up meanwhile."""

import shutil
from pathlib import Path

from nightkey_demo.target_systems import TargetSystems
from tests.acceptance.conftest import Nightkey, write_token_policy
from tests.acceptance.running_up import ask, run_up

ITEM = "prod-orders-api-token"


def complaint(nightkey: Nightkey, *words: str, status: int) -> str:
    (line,) = nightkey(*words, status=status).stderr.splitlines()
    assert line.startswith("nightkey: ")
    return line


def test_a_restored_vault_asks_its_targets_first_and_says_what_differs(
    nightkey: Nightkey, tmp_path: Path, targets: TargetSystems
) -> None:
    service = targets.token_service
    _, old = service.issue("orders")
    nightkey("owner", "create", "support", "--route", f"json://{targets.sink.url[7:]}/support")
    nightkey("owner", "route", "operators", "--route", f"json://{targets.sink.url[7:]}/operators")
    nightkey("item", "create", "prod-tokenhub-admin-token", "--owner", "support", "--value-file", "-",
             "--expires-at", "300d", "--mode", "notify", value=service.admin_token)  # fmt: skip
    policy = write_token_policy(tmp_path, service.url, "orders")
    nightkey("item", "create", ITEM, "--owner", "support", "--policy", str(policy), "--value-file", "-",
             "--expires-at", "60d", value=old)  # fmt: skip
    nightkey("item", "create", "prod-web-secret", "--owner", "support", "--rotator", "random",
             "--value-file", "-", "--expires-at", "60d", value="v" * 20)  # fmt: skip
    file = tmp_path / "vault.backup"
    told = nightkey("backup", str(file))
    assert "not in it: the keyring" in told.stdout
    assert "is there already" in complaint(nightkey, "backup", str(file), status=3)
    assert nightkey.json("backup", str(file), "--replace")["counts"]["items"] == 3

    nightkey("item", "rotate", ITEM, "--json")
    nightkey("night")
    (in_use,) = service.live_tokens("orders")
    assert not service.is_live(old)

    assert "add --replace" in complaint(nightkey, "restore", str(file), status=3)
    done = nightkey("restore", str(file), "--replace")
    assert "kept beside" in done.stdout
    assert nightkey.json("item", "show", ITEM)["version"] == 1

    bad = nightkey.json("night", status=1)
    assert any(ITEM in problem for problem in bad["problems"])
    assert service.live_tokens("orders") == [in_use]
    assert "differs from its target" in complaint(nightkey, "item", "rotate", ITEM, status=3)
    assert "differs from its target" in nightkey("status", status=1).stdout
    listed = {row["item"]: row["result"] for row in nightkey.json("reconcile", "list")}
    assert listed == {
        ITEM: "none-accepted",
        "prod-tokenhub-admin-token": "not-asked",
        "prod-web-secret": "here-alone",
    }
    assert nightkey.json("reconcile", "run", ITEM, status=1)[0]["result"] == "none-accepted"
    nightkey("reconcile", "accept", ITEM, "prod-tokenhub-admin-token")
    assert nightkey.json("item", "rotate", ITEM)["state"] in ("watching", "done")
    assert in_use in service.live_tokens("orders")
    assert "waits for no comparison" in complaint(nightkey, "reconcile", "accept", ITEM, status=3)


def test_an_older_database_put_back_by_hand_stops_the_night_and_up(nightkey: Nightkey, tmp_path: Path) -> None:
    database = nightkey.home / "nightkey.db"
    nightkey("owner", "create", "support")
    shutil.copy(database, tmp_path / "older.db")
    nightkey("item", "create", ITEM, "--owner", "support", "--value-file", "-", value="the-first-value")
    for beside in nightkey.home.glob("nightkey.db-*"):
        beside.unlink()
    shutil.copy(tmp_path / "older.db", database)
    for words in (["night"], ["up"], ["backup", str(tmp_path / "backup")]):
        line = complaint(nightkey, *words, status=3)
        assert "the database is not the one that was here" in line
        assert "nightkey restore FILE" in line
    assert "the database is not the one that was here" in nightkey("status", status=1).stdout
    assert nightkey.json("restore", "--adopt")["items"] == 0
    nightkey("backup", str(tmp_path / "backup"))


def test_a_vault_that_a_worker_has_open_is_backed_up_and_not_restored_over(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    nightkey("owner", "create", "support")
    nightkey("item", "create", ITEM, "--owner", "support", "--value-file", "-", value="the-first-value")
    file = tmp_path / "vault.backup"
    nightkey.settings["NIGHTKEY_NIGHT_AT"] = "0 0 1 1 *"
    with run_up(nightkey, "--only", "worker") as up:
        up.wait_until(  # who gives one keeps the vault open
            lambda: bool(ask(nightkey, "SELECT 1 FROM signs_of_life"))
        )
        nightkey("backup", str(file))
        assert "something works on the vault" in complaint(
            nightkey, "restore", str(file), "--replace", status=3
        )
        assert up.stop() == 0
    nightkey("restore", str(file), "--replace")
    assert nightkey.json("item", "show", ITEM)["version"] == 1
