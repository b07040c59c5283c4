"""`nightkey item import` of files with values, as a person types it; no value is found outside its record."""

import csv
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Nightkey
from tests.acceptance.test_canary import hunt, make_ascii_canary

MANY = 1000


def write(file: Path, text: str, mode: int = 0o600) -> str:
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def test_a_table_of_a_password_manager_comes_in_as_the_dry_run_showed(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    nightkey("owner", "create", "platform")
    file = write(
        tmp_path / "export.csv",
        "Title,URL,Username,Password,Valid until,Notes\n"
        "prod-billing-db,postgres://db.example.org,app,value-one-x,2066-03-01,n\n"
        "GitHub deploy,https://github.com,bot,value-two-x,,n\n"
        "prod-old-password,https://old.example.org,bot,value-three-x,2020-01-01,n\n"
        "prod-empty-password,https://old.example.org,bot,,,n\n",
        0o644,
    )
    planned = nightkey("item", "import", file, "--owner", "platform", "--dry-run", status=1)
    assert planned.stdout.splitlines()[:2] == [
        "prod-billing-db (with a new id): has its value, expires 2066-03-01 00:00 UTC, owner platform",
        "  mode notify; a PostgreSQL password: rotator postgres-role could replace it",
    ]
    assert "mode notify; an API token: rotator http could replace it" in planned.stdout
    assert "lapsed at 2020-01-01 00:00 UTC" in planned.stdout
    assert "3 items would come in, 0 there already, 1 left out; one item lapsed before" in planned.stdout
    told = planned.stderr.splitlines()
    assert f"{file} holds values, and everybody may read it: chmod o-r" in told[0]
    assert "line 5 ('prod-empty-password') is left out: the value of prod-empty-password is empty" in told[-1]
    assert nightkey.json("item", "list") == []

    done = nightkey.json("item", "import", file, "--owner", "platform", status=1)
    assert done["format"] == "csv"
    made = {one["name"]: one for one in done["items"] if one["arrival"] == "new"}
    listed = {one["name"]: one for one in nightkey.json("item", "list")}
    assert set(made) == set(listed)
    for name, one in listed.items():
        assert (one["version"], one["mode"], one["rotator"], one["owners"]) == (1, "notify", None, ["platform"])
        assert one["expires_at"] == made[name]["expires_at"]
        assert f"expires {made[name]['expires_at'][:10]}" in planned.stdout.replace("lapsed at", "expires")
    again = nightkey("item", "import", file, "--owner", "platform", status=1)
    assert "0 items came in, 3 there already, 1 left out" in again.stdout
    nightkey("night", status=1)  # one lapsed
    assert nightkey.json("rotation", "list") == []
    assert not {"value-one-x", "value-two-x", "value-three-x"} & {*"".join(nightkey.printed).split()}


def test_labels_come_in_are_shown_before_and_found_by(nightkey: Nightkey, tmp_path: Path) -> None:
    file = write(
        tmp_path / "list.csv",
        "name,value,expires_at,label:env,labels\n"
        'prod-a-token,value-of-a,never,prod,"team=pay,tier=1"\n'
        "prod-b-token,value-of-b,never,prod,two words\n",
    )
    planned = nightkey("item", "import", file, "--dry-run", status=1)
    assert "prod-a-token (with a new id): has its value, never lapses, labels env=prod, team=pay, tier=1" in (
        planned.stdout
    )
    assert "line 3 ('prod-b-token') is left out: number 1 of its labels cannot be kept" in planned.stderr
    assert "two words" not in planned.stderr
    (told, left) = nightkey.json("item", "import", file, status=1)["items"]
    assert (told["labels"], left["arrival"]) == ({"env": "prod", "team": "pay", "tier": "1"}, "left-out")
    (found,) = nightkey.json("item", "list", "--label", "env=prod", "--label", "team=pay")
    assert (found["name"], found["labels"]) == ("prod-a-token", told["labels"])


def test_values_come_from_a_file_each_and_none_from_elsewhere(nightkey: Nightkey, tmp_path: Path) -> None:
    folder = tmp_path / "values"
    folder.mkdir()
    write(folder / "prod-a-token", "value-of-a\n")
    write(folder / "b.txt", "value-of-b\r\n")
    write(folder / "My App's API Token", "value-of-the-app")
    outside = write(tmp_path / "outside", "value-outside")
    (folder / "link").symlink_to(outside)
    file = write(
        tmp_path / "list.csv",
        "name,value_file\nprod-a-token,\nprod-b-token,b.txt\nprod-c-token,../outside\nprod-d-token,link\n"
        f"prod-e-token,{outside}\nprod-f-token,missing\nprod-g-token,.\nprod-h-token,\n",
    )
    done = nightkey("item", "import", file, "--values-from", str(folder), status=1)
    assert "3 items came in, 0 there already, 5 left out; give each its value" in done.stdout
    assert "prod-h-token" in done.stdout
    assert done.stderr.count(f"the file of its value does not lie in {folder}") == 4
    assert f"{folder}/missing cannot be read" in done.stderr
    found = {one["name"]: one["version"] for one in nightkey.json("item", "list")}
    assert found == {"prod-a-token": 1, "prod-b-token": 1, "prod-h-token": None}
    listed = [{"id": "vlt_01j9z3k4m5n6p7q8r9s0t1v2w3", "name": "My App's API Token", "expires_at": None}]
    nightkey("item", "import", "-", "--values-from", str(folder), value=json.dumps(listed))
    assert nightkey.json("item", "show", listed[0]["id"])["version"] == 1
    assert "there is no such folder" in nightkey("item", "import", file, "--values-from", "no", status=2).stderr


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("# of billing\nexport PROD_BILLING_TOKEN='v1-x y'\nPORT=1\n", "prod-billing-token", "'PORT' is no"),
        ({"prod-x-token": "v2-x"}, "prod-x-token", ""),
        ([{"id": "1", "createdAt": "2024-05-01T10:00:00Z", "name": "Slack", "type": "slackApi",
           "data": {"accessToken": "v3-x"}}], "Slack", ""),
        ({"secret/data/prod/kv": {"password": "v4-x"}}, "prod-kv", ""),
        ({"SecretValues": [{"ARN": "arn:aws:x", "Name": "prod/db", "SecretString": '{"password": "v5-x"}'}]},
         "prod-db", ""),
    ],
    ids=["env", "json", "n8n", "vault", "aws"],
)  # fmt: skip
def test_each_form_comes_in_by_standard_input(nightkey: Nightkey, text: Any, name: str, said: str) -> None:
    given = text if isinstance(text, str) else json.dumps(text)
    done = nightkey("item", "import", "-", value=given)
    assert said in done.stderr
    assert nightkey.json("item", "show", name)["version"] == 1
    wrong = nightkey(
        "item", "import", "-", "--format", "aws" if name != "prod-db" else "n8n", value=given, status=2
    )
    assert wrong.stderr.splitlines()[-1].startswith("nightkey: standard input: ")


def test_no_value_is_found_outside_of_its_record(nightkey: Nightkey, tmp_path: Path) -> None:
    canaries = {name: make_ascii_canary() for name in ("taken", "refused", "double", "folder", "field", "cut")}
    nightkey.settings["NIGHTKEY_LOG_LEVEL"] = "DEBUG"
    folder = tmp_path / "values"
    folder.mkdir()
    write(folder / "prod-e-token", canaries["folder"])
    rows = [
        ("name", "value", "expires_at", "note"),
        ("prod-a-token", canaries["taken"], "", canaries["field"]),
        ("prod-b-token", canaries["refused"] * 60, "", ""),
        ("prod-c-token", canaries["taken"], "", ""),
        ("prod-d-token", canaries["double"], canaries["field"], ""),
        ("prod-e-token", "", "", ""),
    ]
    with (tmp_path / "list.csv").open("w") as stream:
        csv.writer(stream).writerows(rows)
    secret = {"ARN": "a", "Name": "n-a-m", "SecretString": {"x": canaries["double"]}}
    documents = [
        (2, f'{{"a-b": "{canaries["cut"]}'),
        (1, f'A_TOKEN="{canaries["cut"]}\n{canaries["field"]}\n'),
        (1, json.dumps({"prod-k-token": {"password": [canaries["field"]], "expires": canaries["double"]}})),
        (1, json.dumps({"SecretValues": [secret]})),
    ]
    for words in (["--dry-run"], [], ["--json"]):
        nightkey("item", "import", str(tmp_path / "list.csv"), "--values-from", str(folder), *words, status=1)
        for status, text in documents:
            nightkey("item", "import", "-", *words, value=text, status=status)
    assert {one["name"] for one in nightkey.json("item", "list")} == {"prod-a-token", "prod-e-token"}
    places = {file.name: file.read_bytes() for file in nightkey.home.rglob("*") if file.is_file()}
    places["what was printed"] = "".join(nightkey.printed).encode()
    assert hunt(canaries, places) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_who_is_stopped_between_pages_leaves_whole_ones_and_goes_on(
    nightkey: Nightkey, tmp_path: Path, number: signal.Signals
) -> None:
    file = write(
        tmp_path / "many.csv",
        "name,value\n" + "".join(f"prod-service-{n}-token,{secrets.token_hex(8)}\n" for n in range(MANY)),
    )
    with subprocess.Popen(
        [sys.executable, "-m", "worker.cli.main", "item", "import", file],
        env=nightkey.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 10)  # a page is in; its pipe holds no more than a part of them
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    assert b"Traceback" not in errors
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert b"interrupted after" in errors
    there = len(nightkey.json("item", "list"))
    assert there % 200 == 0
    assert 200 <= there < MANY
    done = nightkey("item", "import", file)
    assert f"{MANY - there} items came in, {there} there already, 0 left out" in done.stdout.splitlines()[-1]
    assert "whole" in nightkey("audit", "verify").stdout


def test_far_from_the_vault_it_says_so_in_a_line(nightkey: Nightkey, tmp_path: Path) -> None:
    file = write(tmp_path / "a.env", "A_TOKEN=value\n")
    nightkey.settings |= {"NIGHTKEY_URL": "http://127.0.0.1:9", "NIGHTKEY_TOKEN": "wfk_x"}
    refused = nightkey("item", "import", file, status=2)
    (line,) = refused.stderr.splitlines()
    assert "import it on the vault's own machine" in line
