"""What a person does about rotations, from the command line, against a real token service."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from nightkey_demo.target_systems import TargetSystems
from tests.acceptance.conftest import Nightkey, write_token_policy, write_workflow

TOKEN = "prod-ticketing-api-token"


@pytest.fixture
def vault(nightkey: Nightkey, targets: TargetSystems) -> Nightkey:
    """An owner who is told, and the credential that lets Nightkey in at the token service."""
    nightkey("owner", "create", "support", "--route", f"json://{targets.sink.url[7:]}/support")
    nightkey("owner", "route", "operators", "--route", f"json://{targets.sink.url[7:]}/operators")
    nightkey(
        "item", "create", "prod-tokenhub-admin-token", "--owner", "operators", "--mode", "notify",
        "--expires-at", "300d", "--value-file", "-", value=targets.token_service.admin_token,
    )  # fmt: skip
    return nightkey


def add_token(
    vault: Nightkey, targets: TargetSystems, folder: Path, name: str = TOKEN, *options: str, **policy: Any
) -> str:
    account = name.split("-")[1]
    _, token = targets.token_service.issue(account)
    file = write_token_policy(folder, targets.token_service.url, account, **policy)
    vault("item", "create", name, "--owner", "support", "--expires-at", "5d", "--policy", str(file),
          "--value-file", "-", *options, value=token)  # fmt: skip
    return token


def add_workflow(vault: Nightkey, targets: TargetSystems, folder: Path, name: str, **extra: Any) -> None:
    file = write_workflow(
        folder, name,
        [{"id": "start", "componentId": "manual_trigger"},
         {"id": "call", "componentId": "webhook", "method": "GET",
          "url": f"{targets.token_service.url}/v1/account",
          "headers": {"Authorization": f"Bearer {{{{ vault.{TOKEN} }}}}"}}],
        **extra,
    )  # fmt: skip
    vault("workflow", "apply", str(file))


def only_rotation(vault: Nightkey) -> str:
    (rotation,) = vault.json("rotation", "list")
    return str(rotation["id"])


def choices(vault: Nightkey, rotation_id: str) -> list[str]:
    return [choice["command"] for choice in vault.json("rotation", "show", rotation_id)["choices"]]


def test_a_rotation_that_waits_for_approval_is_asked_for_approved_and_done(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    old = add_token(vault, targets, tmp_path, mode="approve")
    vault("night")
    rotation = only_rotation(vault)
    assert targets.token_service.is_live(old)
    bodies = [str(post.body) for post in targets.sink.wait_for(1, 120)]
    assert any(f"nightkey rotation approve {rotation}" in body for body in bodies)
    assert choices(vault, rotation)[0] == f"nightkey rotation approve {rotation}"
    approved = vault.json("rotation", "approve", rotation)
    assert (approved["state"], approved["asked_by"]) == ("done", "night")
    assert approved["approved_by"].startswith("user:")
    assert not targets.token_service.is_live(old)
    again = vault("rotation", "approve", rotation, status=3)
    assert again.stderr == f"nightkey: {rotation} of {TOKEN} is over: it is done\n"


def test_consumers_that_cannot_be_proven_are_shown_with_the_choices_and_each_of_them_works(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    old = add_token(vault, targets, tmp_path, TOKEN, "--overlap", "1d")
    add_workflow(vault, targets, tmp_path, "switched-off", is_active=False)
    add_workflow(vault, targets, tmp_path, "month-end", schedule_type="monthly", schedule_value="28 09:00")
    add_workflow(vault, targets, tmp_path, "by-hand")
    vault("item", "rotate", TOKEN)
    rotation = only_rotation(vault)
    shown = vault.json("rotation", "show", rotation)
    assert {one["workflow"]: one["state"] for one in shown["consumers"]}["switched-off"] == "unprovable"
    text = vault("rotation", "show", rotation).stdout
    assert "switched-off, which is not active" in text
    assert "by-hand, which has never run" in text
    assert f"nightkey rotation prove {rotation} --workflow switched-off" in text
    assert f"nightkey rotation extend {rotation} --until TIME" in text

    vault("rotation", "prove", rotation, "--workflow", "switched-off")
    vault("rotation", "waive", rotation, "--workflow", "by-hand", "--why", "it is gone next week")
    vault("rotation", "waive", rotation, "--workflow", "month-end", "--why", "tested by hand")
    vault("rotation", "extend", rotation, "--until", "2d")
    late = vault("rotation", "extend", rotation, "--until", "30d", status=3)
    assert "lapses at" in late.stderr
    vault("night")
    shown = vault.json("rotation", "show", rotation)
    assert {one["workflow"]: one["state"] for one in shown["consumers"]} == {
        "switched-off": "proven", "by-hand": "waived", "month-end": "waived",
    }  # fmt: skip
    assert re.fullmatch(r"\['the overlap, until .* UTC'\]", str(shown["waits_for"]))
    assert targets.token_service.is_live(old)
    assert "unknown" not in vault("status", status=0).stdout


def test_a_run_that_another_engine_reports_brings_the_old_value_back_at_once(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    old = add_token(vault, targets, tmp_path, TOKEN, "--overlap", "1d")
    add_workflow(vault, targets, tmp_path, "ticket-sync")
    vault("item", "rotate", TOKEN)
    rotation = only_rotation(vault)
    unclear = vault("run", "report", "ticket-sync", "--status", "completed", status=2)
    assert "nightkey run report ticket-sync --status completed --started-at TIME" in unclear.stderr
    before = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    vault("run", "report", "ticket-sync", "--status", "completed", "--started-at", before)
    assert vault.json("rotation", "show", rotation)["consumers"][0]["state"] != "proven"

    report = ("run", "report", "ticket-sync", "--status", "failed", "--node", "call", "--cause", "rejected",
              "--used", f"{TOKEN}=2", "--id", "run-17", "--message", "401 from the ticket system")  # fmt: skip
    vault(*report)
    shown = vault.json("rotation", "show", rotation)
    assert shown["state"] == "rolled-back"
    assert (
        shown["error"]
        == "production run of ticket-sync, node call: 401 from the ticket system (with version 2)"
    )
    assert targets.token_service.is_live(old)
    assert len(targets.token_service.live_tokens("ticketing")) == 1
    assert "was reported before" in vault(*report).stdout
    bodies = [str(post.body) for post in targets.sink.requests]
    assert any("node call: 401 from the ticket system" in body for body in bodies)


def test_a_stuck_rotation_says_what_to_do_and_does_it(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    old = add_token(vault, targets, tmp_path)
    targets.token_service.fail_next("/v1/tokens/", status=400, method="DELETE")
    vault("item", "rotate", TOKEN, status=1)
    rotation = only_rotation(vault)
    shown = vault.json("rotation", "show", rotation)
    assert (shown["state"], shown["stuck_in"]) == ("stuck", "retiring")
    assert [command.split()[2] for command in choices(vault, rotation)] == ["retry", "rollback", "accept"]
    assert targets.token_service.is_live(old)
    assert any("is stuck" in str(post.body) for post in targets.sink.requests)
    vault("status", status=1)
    assert vault.json("rotation", "retry", rotation)["state"] == "done"
    assert not targets.token_service.is_live(old)
    vault("status")


def test_a_compromised_value_is_revoked_at_once_after_a_question(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    old = add_token(vault, targets, tmp_path, TOKEN, "--overlap", "1d")
    add_workflow(vault, targets, tmp_path, "ticket-sync")
    asked = vault("item", "rotate", TOKEN, "--compromised", status=2)
    assert "ticket-sync: uses the new value from its next run on" in asked.stderr
    assert "add --yes" in asked.stderr
    assert targets.token_service.is_live(old)
    assert vault.json("item", "rotate", TOKEN, "--compromised", "--yes")["state"] == "done"
    assert not targets.token_service.is_live(old)
    stages = [version["stage"] for version in vault.json("item", "show", TOKEN)["versions"]]
    assert stages == ["destroyed", "current"]
    vault("workflow", "run", "ticket-sync")


def test_when_somebody_leaves_what_they_could_read_is_replaced(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    old = add_token(vault, targets, tmp_path)
    vault("item", "create", "prod-crm-password", "--owner", "support", "--mode", "notify",
          "--value-file", "-", value="a-value-of-theirs")  # fmt: skip
    assert "no owner and no login 'nobody'" in vault("owner", "leave", "nobody", "--yes", status=2).stderr
    left = vault.json("owner", "leave", "support", "--yes", status=1)
    assert {one["item"]: one["fate"] for one in left["items"]} == {
        TOKEN: "replaced", "prod-crm-password": "by hand",
    }  # fmt: skip
    assert not targets.token_service.is_live(old)
    vault("item", "update", "prod-crm-password", "--overlap", "0s", "--expires-at", "60d", "--value-file", "-",
          value="a-new-value")  # fmt: skip
    vault("night")
    done = vault.json("owner", "leave", "support", "--yes")
    assert {one["fate"] for one in done["items"]} == {"replaced"}
    assert done["finished_at"] is not None


def test_a_workflow_that_is_to_go_first_and_does_not_use_the_item_is_said(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    add_token(vault, targets, tmp_path)
    add_workflow(vault, targets, tmp_path, "ticket-sync")
    warned = vault("item", "update", TOKEN, "--canary", "ticket-snyc")
    assert "is not used by 'ticket-snyc' (yet)" in warned.stderr
    assert "it is used by ticket-sync" in warned.stderr
    assert "warning" not in vault("item", "update", TOKEN, "--canary", "ticket-sync").stderr


def mislead(file: Path, **settings: Any) -> None:
    """The policy with other settings of its rotator."""
    policy = json.loads(file.read_text())
    policy["settings"] |= settings
    file.write_text(json.dumps(policy))


@pytest.mark.parametrize(
    ("settings", "state", "why"),
    [
        ({"value": "tokn"}, "undoing", "tokn"),
        ({"issue": {"method": "POST", "url": "https://tokens.invalid/v1"}}, "planned", "tokens.invalid"),
        ({"issue": {"method": "POST", "url": "{url}/v1/tokens", "body": {}}}, "rolled-back", "401"),
    ],
)
def test_why_a_rotation_by_hand_is_not_on_its_way_to_done_is_on_the_screen_at_once(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path, settings: dict[str, Any], state: str, why: str
) -> None:
    url = targets.token_service.url
    _, token = targets.token_service.issue("ticketing")
    file = write_token_policy(tmp_path, url, "ticketing")
    mislead(file, **json.loads(json.dumps(settings).replace("{url}", url)))
    add_workflow(vault, targets, tmp_path, "ticket-sync")
    vault("item", "create", TOKEN, "--owner", "support", "--expires-at", "5d", "--policy", str(file),
          "--value-file", "-", value=token)  # fmt: skip
    done = vault("item", "rotate", TOKEN, status=1)
    first, *others = [line for line in done.stderr.splitlines() if line.startswith(TOKEN)]
    assert why in first
    assert all(why in line for line in others)
    assert done.stdout.startswith(f"{TOKEN}: {state} (nightkey rotation show rot_")
    assert why in done.stderr.splitlines()[-1]
    assert vault("night", status=1).stdout.startswith("the night ended badly")
    assert vault("status", status=1).stdout.startswith("not well")


def test_a_night_says_what_has_not_gone_out_and_to_whom(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    vault.settings["NIGHTKEY_DELIVERY_RETRY_SECONDS"] = "3600"
    vault("owner", "create", "finance", "--route", "json://127.0.0.1:9/notices")
    vault("item", "create", "prod-ledger-password", "--owner", "finance", "--mode", "notify",
          "--expires-at", "2d", "--value-file", "-", value="the-first-value")  # fmt: skip
    said = vault("night", "--no-wait", status=1)
    assert said.stdout.startswith("the night ended badly: ")
    assert "nightkey: finance is not told yet, next try " in said.stderr
    assert "by json://127.0.0.1:9" in said.stderr
    vault("status", status=1)


def test_whether_a_credential_still_works_is_asked_by_hand_and_one_command_sets_it_anew(
    vault: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    old = add_token(vault, targets, tmp_path)
    add_workflow(vault, targets, tmp_path, "ticket-sync")
    host = targets.token_service.url.partition("//")[2]
    well = f"{host} accepts version 1, and refuses a made-up value"
    assert vault("item", "check", TOKEN).stdout == f"{TOKEN}: {well}\n"
    assert f": {well}\n" in vault("item", "show", TOKEN).stdout
    (token_id,) = targets.token_service.live_tokens("ticketing")
    admin = {"Authorization": f"Bearer {targets.token_service.admin_token}"}
    httpx.delete(f"{targets.token_service.url}/v1/tokens/{token_id}", headers=admin).raise_for_status()
    assert not targets.token_service.is_live(old)
    refused = vault("item", "check", TOKEN, status=1).stdout
    assert refused.startswith(f"{TOKEN}: {host} refuses version 1: ")
    assert refused.endswith(f". Used by ticket-sync. What helps: nightkey item rotate {TOKEN}\n")
    assert f"{TOKEN} does not work any more" in vault("status", status=1).stdout
    assert re.search(rf"(?m)^helps +nightkey item rotate {TOKEN}$", vault("item", "show", TOKEN).stdout)
    command = refused.strip().rpartition("What helps: nightkey ")[2].split()
    vault(*command)
    answer = vault.json("item", "check", TOKEN, "prod-tokenhub-admin-token", status=1)
    assert [one["outcome"] for one in answer] == ["accepted", "cannot-tell"], "nobody can be asked of the other"
    assert vault.json("item", "show", TOKEN)["checked"]["version"] == 2
