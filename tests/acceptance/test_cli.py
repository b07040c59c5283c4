"""The command line as a user meets it: answers, errors of one line, and the four exit statuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.target_systems import TargetSystems
from tests.acceptance.conftest import Nightkey, write_token_policy, write_workflow
from worker.signing.keys import generate, read_key


@pytest.fixture
def owned(nightkey: Nightkey) -> Nightkey:
    nightkey("owner", "create", "support", "--route", "json://127.0.0.1:9/support")
    return nightkey


def create(nightkey: Nightkey, name: str, *options: str, value: str | None = None) -> Any:
    """With a value of its own where none is given: no two items hold the same one."""
    value = value or f"a-value-of-theirs-for-{name}"
    return nightkey.json(
        "item", "create", name, "--owner", "support", "--value-file", "-", *options, value=value
    )


def complaint(nightkey: Nightkey, *words: str, status: int, value: str | None = None) -> str:
    """The one line that the command complains with; standard output stays empty."""
    done = nightkey(*words, status=status, value=value)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("nightkey: ")
    return lines[0]


def test_creating_answers_with_metadata_and_never_with_the_value(owned: Nightkey) -> None:
    answer = create(owned, "prod-ticketing-api-token", "--lifetime", "90d")
    assert {"id", "name", "created_at", "expires_at"} <= answer.keys()
    assert answer["id"].startswith("vlt_")
    assert "key" not in answer
    assert "a-value-of-theirs" not in json.dumps(owned.json("item", "show", "prod-ticketing-api-token"))


def test_labels_are_given_changed_and_found(owned: Nightkey) -> None:
    made = create(owned, "prod-ticketing-api-token", "--label", "env=prod", "--label", "team=payments")
    assert made["labels"] == {"env": "prod", "team": "payments"}
    create(owned, "prod-spare-token", "--label", "env=stage", "--label", "spare", "--expires-at", "9d")
    create(owned, "prod-plain-token", "--expires-at", "90d")

    def find(*words: str) -> list[str]:
        return [one["name"] for one in owned.json("item", "list", *words)]

    assert find("--label", "env") == ["prod-spare-token", "prod-ticketing-api-token"]
    assert find("--label", "env=prod", "--label", "team") == ["prod-ticketing-api-token"]
    assert find("--label", "env=", "--owner", "support") == []
    assert find("--expires-before", "30d", "--sort", "expires") == ["prod-spare-token"]
    assert find("--sort", "-expires", "--limit", "1") == ["prod-plain-token"]
    assert find("--name", "TICK", "--state", "never-expires") == ["prod-ticketing-api-token"]
    text = owned("item", "list", "--label", "spare").stdout
    assert "env=stage, spare" in text
    assert "no item is like that" in owned("item", "list", "--label", "other").stdout

    done = owned("item", "update", "prod-spare-token", "--label", "env=prod", "--no-label", "spare").stdout
    assert "label env: stage -> prod" in done
    assert "label spare: '' -> none" in done
    assert "labels: env=prod\n" in owned("item", "show", "prod-spare-token").stdout
    for words, says in (
        (("item", "update", "prod-spare-token", "--label", "a b"), "label key 'a b'"),
        (("item", "update", "prod-spare-token", "--label", "env=x", "--no-label", "env"), "choose one"),
        (("item", "list", "--label", "=x"), "label key ''"),
        (("item", "list", "--sort", "colour"), "--sort 'colour': use one of name, expires, owner"),
        (("item", "list", "--state", "fine"), "--state 'fine': use one of well, due"),
        (("item", "list", "--owner", "nobody"), "no owner 'nobody'"),
    ):
        assert says in complaint(owned, *words, status=2)


def test_a_key_is_answered_once_and_checked_afterwards(owned: Nightkey) -> None:
    created = owned.json("item", "create", "api-key:partner", "--owner", "support", "--lifetime", "30d")
    key = created["key"]
    assert owned.json("key", "check", "--value-file", "-", value=key)["item"] == "api-key:partner"
    assert "key" not in owned.json("item", "show", "api-key:partner")
    swapped = key[:-1] + ("a" if key[-1] != "a" else "b")
    refused = owned.json("key", "check", "--value-file", "-", value=swapped, status=3)
    assert refused == {"valid": False, "checksum": False}
    assert "takes no value" in complaint(
        owned, "item", "create", "api-key:other", "--owner", "support", "--value-file", "-", value="x", status=2
    )


@pytest.mark.parametrize(
    ("name", "options", "value", "says"),
    [
        ("ab", [], "v", "use 3 to 50"),
        ("n" * 51, [], "v", "51 characters: use 3 to 50"),
        ("prod-x-token", [], "v" * 2001, "2001 characters: 2000 at most"),
        ("prod-x-token", [], "", "is empty"),
        ("prod-x-token", ["--expires-at", "2020-01-01"], "v", "is not in the future"),
        ("prod-x-token", ["--expires-at", "soon"], "v", "'soon' is not a time"),
        ("prod-x-token", ["--lifetime", "10d", "--lead", "14d"], "v", "is not shorter than the lifetime"),
        ("prod-x-token", ["--mode", "auto"], "v", "needs a rotator"),
        ("prod-x-token", ["--mode", "sometimes"], "v", "choose auto, approve or notify"),
        ("prod-x-token", ["--mode", "auto", "--rotator", "magic"], "v", "no rotator 'magic': there are"),
        ("prod-x-token", ["--rotator", "random", "--set", "lenght=9"], "v", "lenght"),
        ("prod-x-token", ["--rotator", "random", "--set", "length"], "v", "write it as KEY=VALUE"),
        ("prod-x-token", ["--set", "length=40"], "v", "no rotator"),
        ("prod-x-token", ["--rotator", "random", "--lead", "1d", "--overlap", "3d"], "v", "the overlap"),
        ('vault"name', [], "v", "cannot name"),
    ],
)
def test_bad_input_gets_one_line_that_says_what_to_do(
    owned: Nightkey, name: str, options: list[str], value: str, says: str
) -> None:
    line = complaint(
        owned,
        "item",
        "create",
        name,
        "--owner",
        "support",
        "--value-file",
        "-",
        *options,
        value=value,
        status=2,
    )
    assert says in line
    assert owned.json("item", "list") == []


def test_a_service_accounts_key_document_is_stored_sent_and_masked(
    owned: Nightkey, tmp_path: Path, targets: TargetSystems
) -> None:
    key = generate("RS256").expose() + generate("RS256").expose()
    document = json.dumps({"type": "service_account", "private_key": key, "client_email": "robot@example.org"})
    create(owned, "prod-storage-account", "--lifetime", "90d", value=document)
    send = {"id": "send", "componentId": "webhook", "method": "POST", "url": f"{targets.sink.url}/sent",
            "body": {"account": "{{ vault.prod-storage-account }}"}}  # fmt: skip
    nodes: list[dict[str, Any]] = [{"id": "start", "componentId": "manual_trigger"}, send]
    owned("workflow", "apply", str(write_workflow(tmp_path, "storage", nodes)))
    targets.sink.answer(200, body={"key": key, "lines": key.splitlines()})
    owned("workflow", "run", "storage")
    shown = owned("workflow", "show", "storage", "--json").stdout + "".join(owned.printed)
    assert not any(line in shown for line in key.splitlines()[1:-1])
    assert targets.sink.requests[-1].body == {"account": document}
    too_long = document.replace("{", '{"spare": 1, ', 1) + " " * 16_000
    assert "16000 at most, since it was taken for a JSON key document" in complaint(
        owned, "item", "create", "prod-other-account", "--owner", "support", "--value-file", "-",
        value=too_long, status=2,
    )  # fmt: skip


def test_a_value_is_never_an_argument_and_never_awaited_without_a_terminal(owned: Nightkey) -> None:
    assert "--value-file" in complaint(owned, "item", "create", "prod-x-token", "--owner", "support", status=2)


def test_what_does_not_exist_is_named(owned: Nightkey) -> None:
    for words in (["item", "show", "nothing"], ["workflow", "show", "nothing"], ["rotation", "show", "rot_x"],
                  ["item", "create", "abc", "--owner", "nobody", "--value-file", "-"]):  # fmt: skip
        value = "v" if "--value-file" in words else None
        assert "no " in complaint(owned, *words, status=2, value=value)


def test_items_that_settings_name_and_that_are_not_there_are_warned_of_until_they_are(
    owned: Nightkey, tmp_path: Path
) -> None:
    def warnings(*words: str, value: str | None = None) -> list[str]:
        lines = owned(*words, value=value).stderr.splitlines()
        return [line for line in lines if line.startswith("nightkey: warning: ")]

    call = {"componentId": "webhook", "method": "PUT", "url": "https://mail.example.org/password"}
    admin = call | {"headers": {"Authorization": "{{ vault.prod-mail-admin }}"}, "body": "{{ rotation.new }}"}
    policy = tmp_path / "policy.json"
    settings = {"install": [admin], "verify": [admin], "undo": [admin]}
    policy.write_text(
        json.dumps({"mode": "auto", "rotator": "recipe", "consumers": "none", "settings": settings})
    )
    made = ["item", "create", "prod-mail-password", "--owner", "support", "--value-file", "-"]
    warned = [
        "nightkey: warning: the settings of prod-mail-password name prod-mail-admin, which does not exist (yet)"
    ]
    assert warnings(*made, "--policy", str(policy), value="a-value") == warned
    assert warnings("item", "update", "prod-mail-password", "--lead", "3d") == warned
    ended = owned.json("item", "rotate", "prod-mail-password", status=1)
    assert (ended["state"], ended["error"]) == (
        "cancelled",
        "its settings name what has no value: prod-mail-admin",
    )
    shown = owned.json("rotation", "show", ended["id"])
    assert (shown["choices"], len(shown["steps"])) == ([], 1)
    create(owned, "prod-mail-admin")
    assert warnings("item", "update", "prod-mail-password", "--lead", "4d") == []


def test_an_update_leaves_what_it_does_not_name_and_shows_what_it_changed(owned: Nightkey) -> None:
    create(owned, "prod-hook-secret", "--rotator", "random", "--set", "length=48", "--lifetime", "90d")
    update = ["item", "update", "prod-hook-secret"]
    assert owned(*update, "--set", "alphabet=hex", "--lead", "3d").stdout.splitlines()[1:] == [
        "  lead: 14d -> 3d",
        "  settings.alphabet: none -> hex",
    ]
    changed = owned.json(
        *update, "--unset", "length", "--no-owner", "--no-expiry", "--window", "0 2 * * * for 4h"
    )
    assert changed["settings"] == {"alphabet": "hex"}
    assert [(one["field"], one["after"]) for one in changed["changes"]] == [
        ("expires_at", None),
        ("owners", []),
        ("windows", ["0 2 * * * for 4h in UTC"]),
        ("settings.length", None),
    ]
    assert owned(*update, "--set", "alphabet=hex").stdout.splitlines()[1:] == ["nothing changed"]
    assert owned.json(*update)["changes"] == []
    assert complaint(owned, *update, "--unset", "length", status=2) == (
        "nightkey: --unset length: there is no such setting; here there are alphabet"
    )


def test_what_nothing_here_reads_is_not_given_to_nightkey_to_replace(owned: Nightkey, tmp_path: Path) -> None:
    words = ["item", "create", "prod-hook-secret", "--owner", "support", "--value-file", "-", "--mode", "auto",
             "--rotator", "random"]  # fmt: skip
    line = complaint(owned, *words, value="v", status=3)
    assert line.startswith("nightkey: no active workflow here uses prod-hook-secret")
    assert owned.json("item", "list") == []
    assert owned.json(*words, "--consumers", "none", value="v")["consumers"] == "none"
    owned("item", "update", "prod-hook-secret", "--consumers", "required", status=3)
    emergency = owned("item", "rotate", "prod-hook-secret", "--compromised", "--yes").stderr
    assert "no workflow uses it: nothing here can hand out the new value" in emergency


def test_a_new_value_is_not_taken_without_a_word_on_its_expiry(owned: Nightkey) -> None:
    create(owned, "prod-crm-password", "--expires-at", "5d")
    update = ["item", "update", "prod-crm-password", "--value-file", "-"]
    line = complaint(owned, *update, value="a-new-value", status=2)
    assert "nothing says when the new value of prod-crm-password lapses: add --expires-at" in line
    assert owned.json("item", "show", "prod-crm-password")["version"] == 1
    changed = owned(*update, "--no-expiry", value="a-new-value").stdout.splitlines()[1:]
    assert changed[0] == "  value: version 1 -> version 2"
    assert changed[1].startswith("  expires at: ")
    assert changed[1].endswith(" -> none")


def test_deleting_what_is_used_is_refused_with_the_names_of_its_users(owned: Nightkey, tmp_path: Path) -> None:
    create(owned, "prod-crm-password")
    file = write_workflow(
        tmp_path, "crm-contacts",
        [{"id": "start", "componentId": "manual_trigger"},
         {"id": "call", "componentId": "webhook", "url": "http://127.0.0.1:9/",
          "headers": {"Authorization": "{{ vault.prod-crm-password }}"}}],
    )  # fmt: skip
    owned("workflow", "apply", str(file))
    assert "crm-contacts" in complaint(owned, "item", "delete", "prod-crm-password", status=3)
    assert "crm-contacts" in complaint(
        owned, "item", "update", "prod-crm-password", "--name", "other-name", status=3
    )
    create(owned, "prod-unused-password")
    assert owned.json("item", "delete", "prod-unused-password")["deleted"] is True


def test_a_wrong_definition_is_told_with_file_node_and_field_and_nothing_is_stored(
    owned: Nightkey, tmp_path: Path
) -> None:
    good = write_workflow(tmp_path, "good", [{"id": "start", "componentId": "manual_trigger"}])
    bad = write_workflow(
        tmp_path, "bad",
        [{"id": "start", "componentId": "manual_trigger"},
         {"id": "call", "componentId": "webhook", "ulr": "x"}],
    )  # fmt: skip
    stderr = owned("workflow", "apply", str(good), str(bad), status=2).stderr
    assert f"{bad}: node call, field data.url: it is required, and missing: is ulr meant for it?" in stderr
    assert owned.json("workflow", "list") == []


def test_scan_says_what_would_be_done_and_dry_runs_write_nothing(owned: Nightkey) -> None:
    create(owned, "prod-crm-password", "--expires-at", "40d", "--mode", "auto", "--rotator", "random",
           "--consumers", "none")  # fmt: skip
    create(owned, "prod-vpn-password", "--expires-at", "200d", "--mode", "notify")
    rows = owned.json("audit", "verify")["rows"]  # and `status` ends with 1: the operators have no route
    assert owned.json("scan", "--dry-run")["actions"] == []
    (action,) = owned.json("scan", "--dry-run", "--at", "30d")["actions"]
    assert (action["item"], action["action"]) == ("prod-crm-password", "rotate")
    assert owned.json("status", status=1)["findings"] == []
    assert owned.json("audit", "verify")["rows"] == rows
    found = owned.json("scan")["findings"]
    assert [(row["kind"], row["item"]) for row in found] == [("unused", "prod-vpn-password")]
    assert len(owned.json("status", status=1)["findings"]) == 1


def test_a_night_ends_with_what_it_did_and_a_second_does_nothing(
    nightkey: Nightkey, tmp_path: Path, targets: TargetSystems
) -> None:
    nightkey("owner", "create", "support", "--route", f"json://{targets.sink.url[7:]}/support")
    create(nightkey, "prod-crm-password", "--expires-at", "5d", "--mode", "auto", "--rotator", "random",
           "--consumers", "none", "--overlap", "0s")  # fmt: skip
    first = nightkey.json("night")
    assert first["outcome"] == "good"
    assert [(r["item"], r["state"]) for r in first["rotations"]] == [("prod-crm-password", "done")]
    assert len(targets.sink.wait_for(1, 120)) == 1
    second = nightkey.json("night")
    assert second["rotations"] == []
    assert len(nightkey.json("notice", "list")) == 1
    shown = nightkey.json("rotation", "show", first["rotations"][0]["id"])
    assert [step["step"] for step in shown["steps"]] == [
        "create", "install", "verify", "node test", "workflow test", "activate", "watch", "retire"
    ]  # fmt: skip


def test_a_policy_that_cannot_take_the_value_given_away_is_warned_of_until_it_can(
    owned: Nightkey, tmp_path: Path
) -> None:
    """Nothing but `verify_id` tells what the service calls a value that it did not issue here."""
    create(owned, "prod-tokenhub-admin-token")
    policy = write_token_policy(tmp_path, "https://tokens.example.org", "crm")
    told = json.loads(policy.read_text())
    del told["settings"]["verify_id"], told["settings"]["find"]
    policy.write_text(json.dumps(told))

    def warnings(*words: str, value: str | None = None) -> list[str]:
        lines = owned(*words, value=value).stderr.splitlines()
        return [line for line in lines if line.startswith("nightkey: warning: the first rotation")]

    made = ["item", "create", "prod-crm-token", "--owner", "support", "--expires-at", "9d", "--value-file", "-"]
    (warned,) = warnings(*made, "--policy", str(policy), value="a-value-given-by-hand")
    assert "rotation of prod-crm-token would be stuck before its end" in warned
    assert "set verify_id, the path of the credential's id in the answer to verify" in warned
    assert warnings("item", "update", "prod-crm-token", "--lead", "15d") == [warned]
    assert warnings("item", "update", "prod-crm-token", "--set", "verify_id=token_id") == []
    by_value = ["revoke.url=https://tokens.example.org/v1/own", "revoke.body={{ rotation.value }}"]
    sets = [word for each in by_value for word in ("--set", each)]
    assert warnings("item", "update", "prod-crm-token", *sets, "--unset", "verify_id") == []


def test_a_night_that_failed_says_so_and_exits_with_one(
    owned: Nightkey, tmp_path: Path, targets: TargetSystems
) -> None:
    file = write_workflow(
        tmp_path, "crm-contacts",
        [{"id": "start", "componentId": "manual_trigger"},
         {"id": "stop", "componentId": "terminate", "status": "failed",
          "message": "no good"},
         {"id": "call", "componentId": "webhook", "url": f"{targets.sink.url}/",
          "headers": {"Authorization": "{{ vault.prod-crm-password }}"}}],
    )  # fmt: skip
    warned = owned("workflow", "apply", str(file)).stderr
    assert warned.endswith("crm-contacts names prod-crm-password, which does not exist (yet)\n")
    create(owned, "prod-crm-password", "--expires-at", "5d", "--mode", "auto", "--rotator", "random")
    done = owned("night", status=1)
    assert "prod-crm-password was not replaced" in done.stderr
    assert "support could not be told" in done.stderr  # nobody listens at the route
    states = {(notice["owner"], notice["state"]) for notice in owned.json("notice", "list")}
    assert states == {("support", "failed"), ("operators", "unrouted")}
    owned("status", status=1)


def test_rotating_by_hand_what_only_its_owner_replaces_is_refused(owned: Nightkey) -> None:
    create(owned, "prod-crm-password", "--mode", "notify")
    assert "replaced by its owner alone" in complaint(owned, "item", "rotate", "prod-crm-password", status=3)


def test_an_audit_row_that_was_edited_is_found_and_named(owned: Nightkey) -> None:
    import sqlite3  # noqa: PLC0415  # the attacker's tool

    create(owned, "prod-crm-password")
    with sqlite3.connect(owned.home / "nightkey.db") as attacker:
        attacker.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    assert "row 2 was edited" in owned("audit", "verify", status=1).stderr


def test_an_edited_row_is_named_refused_and_answered_for(owned: Nightkey) -> None:
    import sqlite3  # noqa: PLC0415  # the attacker's tool

    create(owned, "prod-crm-password")
    item_id = owned.json("item", "show", "prod-crm-password")["id"]
    assert "as Nightkey wrote them" in owned("audit", "verify", "--rows").stdout
    with sqlite3.connect(owned.home / "nightkey.db") as attacker:
        attacker.execute("UPDATE items SET hygiene = 'no-plan'")
    assert owned("audit", "verify").stdout.startswith("whole: ")
    told = owned("audit", "verify", "--rows", status=1).stderr
    assert f"nightkey audit accept-row items {item_id}" in told
    (changed,) = owned.json("audit", "verify", "--rows", status=1)["changed"]
    assert (changed["item"], changed["row"]) == ("prod-crm-password", f"items {item_id}")
    assert "changed behind the vault's back" in complaint(
        owned, "item", "update", "prod-crm-password", "--mode", "notify", status=3
    )
    listed = owned("item", "list", status=1)
    assert (listed.stdout, "prod-crm-password" in listed.stderr) == ("", True)
    assert "add --yes" in owned("audit", "accept-row", "items", item_id, status=2).stderr
    assert "no table" in complaint(owned, "audit", "accept-row", "audit", "1", "--yes", status=2)
    accepted = owned("audit", "accept-row", "items", item_id, "--yes")
    assert "hygiene: no-plan" in accepted.stderr
    assert owned.json("audit", "verify", "--rows")["changed"] == []
    owned("item", "update", "prod-crm-password", "--mode", "notify")
    assert "nothing to answer for" in complaint(
        owned, "audit", "accept-row", "items", item_id, "--yes", status=3
    )


def test_init_twice_changes_nothing_and_a_lost_keyring_is_not_made_anew(nightkey: Nightkey) -> None:
    keyring = nightkey.home / "keyring" / "keyring.json"
    before = keyring.read_bytes()
    assert nightkey.json("init")["made"] == []
    assert keyring.read_bytes() == before
    keyring.rename(nightkey.home / "away.json")
    assert "put it back from its backup" in complaint(nightkey, "init", status=2)
    assert not keyring.exists()


def test_a_setting_that_is_wrong_is_named(nightkey: Nightkey) -> None:
    nightkey.settings["NIGHTKEY_NIGHT_AT"] = "every night"
    assert "night_at" in complaint(nightkey, "status", status=2)
    del nightkey.settings["NIGHTKEY_NIGHT_AT"]
    (nightkey.home / "nightkey.toml").write_text("nigth_at = '0 3 * * *'")
    assert "nigth_at" in complaint(nightkey, "status", status=2)


@pytest.mark.parametrize(
    "words",
    [["item", "list"], ["owner", "list"], ["workflow", "list"], ["rotation", "list"], ["notice", "list"]],
)
def test_lists_are_arrays(nightkey: Nightkey, words: list[str]) -> None:
    assert isinstance(nightkey.json(*words), list)


def test_home_is_taken_before_and_after_the_command(tmp_path: Path) -> None:
    nightkey = Nightkey(tmp_path / "unused")
    other = str(tmp_path / "other")
    nightkey("--home", other, "init")
    assert nightkey.json("item", "list", "--home", other) == []
    assert not (tmp_path / "unused").exists()


def test_a_keyring_of_another_vault_is_refused_before_it_seals_anything(
    owned: Nightkey, tmp_path: Path
) -> None:
    create(owned, "prod-crm-password")
    other = Nightkey(tmp_path / "other")
    other("init")
    foreign = (other.home / "keyring" / "keyring.json").read_bytes()
    (owned.home / "keyring" / "keyring.json").write_bytes(foreign)
    words = ["item", "create", "prod-erp-password", "--owner", "support", "--value-file", "-"]
    assert "is not the one of this vault" in complaint(owned, *words, value="v", status=2)
    assert "is not the one of this vault" in complaint(owned, "init", status=2)


def test_a_file_that_is_no_database_is_told_so(nightkey: Nightkey) -> None:
    for file in nightkey.home.glob("nightkey.db*"):
        file.write_bytes(b"this is no database" * 1000)
    assert "restore it from its backup" in complaint(nightkey, "status", status=2)


def test_the_version_is_said(nightkey: Nightkey) -> None:
    assert nightkey("--version").stdout.strip() == "0.1.0"


def test_the_key_set_of_a_key_that_signs_holds_its_public_half_alone(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    key = generate("ES256")
    nightkey("owner", "create", "platform")
    nightkey("item", "create", "prod-orders-signing-key", "--owner", "platform", "--expires-at", "90d",
             "--mode", "auto", "--rotator", "signing-key", "--set", "algorithm=ES256", "--value-file", "-",
             "--consumers", "none", value=key.expose())  # fmt: skip
    (listed,) = json.loads(nightkey("key", "jwks", "prod-orders-signing-key").stdout)["keys"]
    assert (listed["kid"], listed["alg"], "d" in listed) == (read_key(key).kid, "ES256", False)
    file = tmp_path / "jwks.json"
    nightkey("key", "jwks", "prod-orders-signing-key", "--output", str(file))
    assert json.loads(file.read_text()) == {"keys": [listed]}
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.glob(".jwks*")) == []
    assert "prod-nothing" in complaint(nightkey, "key", "jwks", "prod-nothing", status=2)
    words = ("key", "jwks", "prod-orders-signing-key", "--output", "/nowhere/jwks.json")
    assert "cannot be written" in complaint(nightkey, *words, status=2)


def test_a_finding_is_acknowledged_or_put_off_by_its_id(owned: Nightkey) -> None:
    create(owned, "prod-crm-password", "--expires-at", "10d", "--mode", "notify")
    owned("night", status=1)
    found = {row["kind"]: row for row in owned.json("finding", "list")}
    assert found["expiring"]["item"] == "prod-crm-password"
    assert found["expiring"]["quiet"] is None
    put_off = owned.json("finding", "snooze", found["expiring"]["id"], "--until", "3d", "--why", "on order")
    assert put_off["subject"] == "prod-crm-password"
    owned("finding", "ack", found["unused"]["id"], "--why", "to come")
    quiet = {row["kind"]: row["quiet"] for row in owned.json("finding", "list")}
    assert quiet["unused"].endswith(": to come")
    assert quiet["expiring"].endswith(" UTC: on order")
    assert "no open finding" in complaint(owned, "finding", "ack", "fnd_x", "--why", "x", status=2)
    assert "is not a time" in complaint(
        owned, "finding", "snooze", found["unused"]["id"], "--until", "soon", "--why", "x", status=2
    )


def test_a_second_item_with_one_value_is_refused_unless_it_is_declared_a_copy(owned: Nightkey) -> None:
    create(owned, "prod-orders-token", value="the-one-value")
    words = ["item", "create", "prod-billing-token", "--owner", "support", "--value-file", "-"]
    refusal = complaint(owned, *words, status=3, value="the-one-value")
    assert "the second item with the same value, beside prod-orders-token" in refusal
    assert "--copy-of prod-orders-token" in refusal
    assert "the-one-value" not in refusal
    owned(*words, "--copy-of", "prod-orders-token", value="the-one-value")
    assert owned.json("item", "show", "prod-billing-token")["copy_of"] == "prod-orders-token"
    assert owned.json("item", "show", "prod-orders-token")["copies"] == ["prod-billing-token"]
    assert "a copy of prod-orders-token" in owned("item", "show", "prod-billing-token").stdout
    assert "is a copy of prod-orders-token" in complaint(
        owned, "item", "rotate", "prod-billing-token", status=3
    )
    assert "the original of prod-billing-token" in complaint(
        owned, "item", "delete", "prod-orders-token", status=3
    )
    assert "still has the value of prod-orders-token" in complaint(
        owned, "item", "update", "prod-billing-token", "--copy-of", "none", status=3
    )
    words = ["item", "update", "prod-billing-token", "--value-file", "-", "--no-expiry", "--copy-of", "none"]
    changed = owned.json(*words, value="another-value")
    assert {one["field"]: one["after"] for one in changed["changes"]}["copy_of"] is None


def test_a_copy_whose_original_is_gone_is_shown_with_its_id(owned: Nightkey) -> None:
    """As it may be in a vault from before."""
    import sqlite3  # noqa: PLC0415  # what no command does

    create(owned, "prod-billing-token")
    with sqlite3.connect(owned.home / "nightkey.db") as connection:
        connection.execute(
            "UPDATE items SET copy_of = 'vlt_gone', policy = json_set(policy, '$.copy_of', 'vlt_gone')"
        )
        ((item_id,),) = connection.execute("SELECT id FROM items").fetchall()
    owned("audit", "accept-row", "items", item_id, "--yes")
    assert owned.json("item", "show", "prod-billing-token")["copy_of"] == "vlt_gone"
    assert "a copy of vlt_gone" in owned("item", "show", "prod-billing-token").stdout


def test_who_only_looks_is_not_refused_for_certificates_that_cannot_be_read(
    owned: Nightkey, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    owned.settings["NIGHTKEY_OUTBOUND_CA"] = str(tmp_path / "ca.pem")
    for words in (("item", "list"), ("finding", "list"), ("calendar",), ("audit", "verify")):
        owned(*words)
    assert "outbound_ca" not in owned("status", status=1).stderr  # its operators have no route
    assert "outbound_ca" in complaint(owned, "night", status=2)
